"""`accepted_values`: a column that holds nothing but these values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from arrowload.checks.base import BoundCheck, RowCheck, require_column, scalars
from arrowload.core.lazy import compute as pc
from arrowload.core.registry import checks
from arrowload.models.check_config import CheckConfig

if TYPE_CHECKING:
    import pyarrow as pa


class AcceptedValuesConfig(CheckConfig, frozen=True, kw_only=True):
    """Keys of an `accepted_values` check."""

    column: str
    values: Annotated[tuple[Any, ...], msgspec.Meta(min_length=1, description="NULL is accepted besides.")]


class AcceptedValues:
    """Fails rows with another value; NULL passes, as `not_null` is for that."""

    def __init__(self, config: AcceptedValuesConfig) -> None:
        self._column = config.column
        self._values = config.values

    def bind(self, schema: pa.Schema) -> BoundCheck:
        """See `Check.bind`."""
        accepted = scalars(self._values, require_column(schema, self._column))

        def failing(batch: pa.RecordBatch) -> pa.BooleanArray:
            column = batch.column(self._column)
            return pc.and_(column.is_valid(), pc.invert(pc.is_in(column, value_set=accepted)))

        what = f"another value in `{self._column}` than is accepted"
        return RowCheck(f"have {what}", f"has {what}", failing)


@checks.register("accepted_values", config=AcceptedValuesConfig)
def create_accepted_values(config: AcceptedValuesConfig) -> AcceptedValues:
    """A column that holds nothing but these values."""
    return AcceptedValues(config)
