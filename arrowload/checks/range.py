"""`range`: a column whose values lie between two."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pyarrow as pa

from arrowload.checks.base import BoundCheck, RowCheck, require_column, scalars
from arrowload.core.lazy import compute as pc
from arrowload.core.registry import checks
from arrowload.models.check_config import CheckConfig

Bound = Annotated[int | float | str | None, msgspec.Meta(description="Accepted too.")]


class RangeConfig(CheckConfig, frozen=True, kw_only=True):
    """Keys of a `range` check; `min`, `max` or both."""

    column: str
    min: Bound = None
    max: Bound = None

    def __post_init__(self) -> None:
        """Refuse a check that cannot fail."""
        if self.min is None and self.max is None:
            raise ValueError("give `min`, `max` or both")


class Range:
    """Fails rows whose value lies below `min` or above `max`; NULL passes."""

    def __init__(self, config: RangeConfig) -> None:
        self._config = config

    def bind(self, schema: pa.Schema) -> BoundCheck:
        """See `Check.bind`."""
        config = self._config
        field = require_column(schema, config.column)
        least, greatest = scalars([config.min, config.max], field)

        def failing(batch: pa.RecordBatch) -> pa.BooleanArray:
            column = batch.column(config.column)
            outside = pa.repeat(False, batch.num_rows)
            if least.is_valid:
                outside = pc.or_(outside, pc.fill_null(pc.less(column, least), False))
            if greatest.is_valid:
                outside = pc.or_(outside, pc.fill_null(pc.greater(column, greatest), False))
            return outside

        bounds = f"{'' if config.min is None else config.min} to {'' if config.max is None else config.max}".strip()
        what = f"a value in `{config.column}` outside of {bounds}"
        return RowCheck(f"have {what}", f"has {what}", failing)


@checks.register("range", config=RangeConfig)
def create_range(config: RangeConfig) -> Range:
    """A column whose values lie between two."""
    return Range(config)
