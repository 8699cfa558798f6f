"""`row_count`: how many rows a load has: between bounds, as the source, or about as many as the last one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from arrowload.core.registry import checks
from arrowload.models.check_config import CheckConfig
from arrowload.models.units import Share  # noqa: TC001 - msgspec resolves field types when the program runs

if TYPE_CHECKING:
    import pyarrow as pa

    from arrowload.checks.base import BoundCheck, LoadFacts


Count = Annotated[int, msgspec.Meta(ge=0)]


class RowCountConfig(CheckConfig, frozen=True, kw_only=True):
    """Keys of a `row_count` check; at least one."""

    min: Annotated[Count | None, msgspec.Meta(description="Rows that are to be published, at least.")] = None
    max: Annotated[Count | None, msgspec.Meta(description="Rows that are to be published, at most.")] = None
    same_as: Annotated[
        Literal["source"] | None, msgspec.Meta(description="The source counts the rows that were read, once more.")
    ] = None
    change: Annotated[
        Share | None, msgspec.Meta(description="At most so much more or less than the last load: `20%`.")
    ] = None

    def __post_init__(self) -> None:
        """Refuse a check that cannot fail."""
        if self.min is None and self.max is None and self.same_as is None and self.change is None:
            raise ValueError("give one of `min`, `max`, `same_as` and `change`")


class RowCount:
    """Counts; looks at no row."""

    def __init__(self, config: RowCountConfig) -> None:
        self._config = config

    def bind(self, schema: pa.Schema) -> BoundCheck:
        """See `Check.bind`; whatever the columns."""
        return self

    def add(self, batch: pa.RecordBatch, first_row: int) -> None:
        """The engine counts."""

    def problem(self, facts: LoadFacts) -> str | None:
        """See `BoundCheck.problem`."""
        config, rows = self._config, facts.rows_written
        if config.min is not None and rows < config.min:
            return f"{rows} rows are fewer than {config.min}"
        if config.max is not None and rows > config.max:
            return f"{rows} rows are more than {config.max}"
        if config.change is not None and facts.last_rows is not None:
            most = facts.last_rows * config.change
            if abs(rows - facts.last_rows) > most:
                return f"{rows} rows differ from the {facts.last_rows} of the last load by more than {config.change}"
        return self._beside_source(facts) if config.same_as is not None else None

    def _beside_source(self, facts: LoadFacts) -> str | None:
        if facts.source_rows is None:
            return "the source cannot count its rows"
        if facts.source_rows == facts.rows_read:
            return None
        return f"{facts.rows_read} rows were read, and the source has {facts.source_rows}"


@checks.register("row_count", config=RowCountConfig)
def create_row_count(config: RowCountConfig) -> RowCount:
    """How many rows a load has."""
    return RowCount(config)
