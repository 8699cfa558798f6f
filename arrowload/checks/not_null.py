"""`not_null`: columns without NULLs."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pyarrow as pa

from arrowload.checks.base import BoundCheck, RowCheck, require_column
from arrowload.core.lazy import compute as pc
from arrowload.core.registry import checks
from arrowload.models.check_config import CheckConfig


class NotNullConfig(CheckConfig, frozen=True, kw_only=True):
    """Keys of a `not_null` check."""

    columns: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, description="None of them may be NULL.")]


class NotNull:
    """Fails rows with a NULL in one of the columns."""

    def __init__(self, config: NotNullConfig) -> None:
        self._columns = config.columns

    def bind(self, schema: pa.Schema) -> BoundCheck:
        """See `Check.bind`."""
        for name in self._columns:
            require_column(schema, name)
        columns = " or ".join(f"`{name}`" for name in self._columns)
        return RowCheck(f"have NULL in {columns}", f"has NULL in {columns}", self._failing)

    def _failing(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        failing = pa.repeat(False, batch.num_rows)
        for name in self._columns:
            if batch.column(name).null_count:
                failing = pc.or_(failing, batch.column(name).is_null())
        return failing


@checks.register("not_null", config=NotNullConfig)
def create_not_null(config: NotNullConfig) -> NotNull:
    """Columns without NULLs."""
    return NotNull(config)
