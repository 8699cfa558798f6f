"""`freshness`: the newest row of a load is not too old."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final

import msgspec
import pyarrow as pa

from arrowload.checks.base import BoundCheck, LoadFacts, require_column
from arrowload.core.exceptions import RecipeError
from arrowload.core.lazy import compute as pc
from arrowload.core.registry import checks
from arrowload.models.check_config import CheckConfig
from arrowload.models.units import Duration  # noqa: TC001 - msgspec resolves field types when the program runs

_MICROSECONDS: Final = pa.timestamp("us")


class FreshnessConfig(CheckConfig, frozen=True, kw_only=True):
    """Keys of a `freshness` check."""

    column: Annotated[str, msgspec.Meta(description="Of dates or timestamps; those without a zone are taken for UTC.")]
    max_age: Duration


class Freshness:
    """Fails a load whose newest row is older than `max_age`; one without rows passes, as `row_count` is for that."""

    def __init__(self, config: FreshnessConfig) -> None:
        self._config = config

    def bind(self, schema: pa.Schema) -> BoundCheck:
        """See `Check.bind`."""
        field = require_column(schema, self._config.column)
        if not (pa.types.is_timestamp(field.type) or pa.types.is_date(field.type)):
            raise RecipeError(
                f"`{field.name}` is {field.type}, and freshness needs a date or a timestamp",
                context={"column": field.name, "type": str(field.type)},
                hint="choose another column, or cast it in a step",
            )
        return _Newest(self._config)


class _Newest:
    def __init__(self, config: FreshnessConfig) -> None:
        self._config = config
        self._newest_us: int | None = None

    def add(self, batch: pa.RecordBatch, first_row: int) -> None:
        # Microseconds, since Python has no year 10000.
        moments = batch.column(self._config.column).cast(_MICROSECONDS, safe=False).cast(pa.int64())
        newest = pc.max(moments).as_py()
        if newest is not None:
            self._newest_us = newest if self._newest_us is None else max(self._newest_us, newest)

    def problem(self, facts: LoadFacts) -> str | None:
        if self._newest_us is None:
            return None
        age_us = int(facts.now.timestamp() * 1_000_000) - self._newest_us
        if age_us <= self._config.max_age / dt.timedelta(microseconds=1):
            return None
        newest = pa.scalar(self._newest_us, pa.int64()).cast(_MICROSECONDS)
        return f"the newest `{self._config.column}`, {newest}, is {dt.timedelta(seconds=age_us // 1_000_000)} old"


@checks.register("freshness", config=FreshnessConfig)
def create_freshness(config: FreshnessConfig) -> Freshness:
    """The newest row of a load is not too old."""
    return Freshness(config)
