"""What the driver hands over, made into the types of the catalogue; values that Arrow cannot hold are found here."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import pyarrow as pa

from arrowload import kernels
from arrowload.core.exceptions import ConnectorError, DataError
from arrowload.core.lazy import compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The driver moves the epoch from 2000 to 1970 without a look at overflow: infinities wrap to these values, and so does
# what a timestamp[us] cannot hold (after 294246-12-31). No true date or timestamp lies below 4714-11-24 BC.
_EARLIEST_DAY: Final = -2_440_588
_EARLIEST_MICROSECOND: Final = _EARLIEST_DAY * 86_400_000_000
_WRAPPED: Final = {
    -(2**31) + 10_956: "infinity",
    -(2**31) + 10_957: "-infinity",
    -(2**63) + 946_684_799_999_999: "infinity",
    -(2**63) + 946_684_800_000_000: "-infinity",
}
_MIDNIGHT_AFTER: Final = 86_400_000_000


class Conversion(msgspec.Struct, frozen=True):
    """Turns the driver's batches into batches of `schema`.

    Attributes:
        schema: The columns, in the order in which they are selected.
        null_special: NaN and infinite numerics become NULL; otherwise they are errors.
        null_infinity: Infinite dates and timestamps become NULL; otherwise they are errors.
    """

    schema: pa.Schema
    null_special: bool = False
    null_infinity: bool = False

    def apply(self, batch: pa.RecordBatch, *, first_row: int) -> pa.RecordBatch:
        """`batch` with the types of `schema`, without a copy where the driver's are the same.

        Args:
            batch: As the driver made it.
            first_row: How many rows came before it.

        Raises:
            DataError: A value has no place in its column's type; names column, row and value.
        """
        columns = []
        for field, column in zip(self.schema, batch.columns, strict=True):
            try:
                columns.append(self._convert(column, field.type))
            except DataError as exc:
                raise _placed(exc, field.name, first_row) from exc
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _convert(self, array: pa.Array, target: pa.DataType) -> pa.Array:
        if pa.types.is_decimal(target):
            return self._to_decimal(array, target)
        if pa.types.is_list(target):
            return self._convert_list(array, target)
        if not array.type.equals(target):
            raise ConnectorError(
                f"the driver hands over {array.type} where {target} was expected",
                hint="the table may have been altered meanwhile; run again",
            )
        if pa.types.is_date32(target):
            return self._without_infinity(array, pa.int32(), _EARLIEST_DAY)
        if pa.types.is_timestamp(target):
            return self._without_infinity(array, pa.int64(), _EARLIEST_MICROSECOND)
        if pa.types.is_time64(target):
            _refuse(array, pc.greater_equal(array.view(pa.int64()), _MIDNIGHT_AFTER), lambda _: "24:00:00")
        return array

    def _to_decimal(self, array: pa.Array, target: pa.DataType) -> pa.Array:
        text = array.storage if isinstance(array, pa.ExtensionArray) else array
        on_special: Literal["null", "error"] = "null" if self.null_special else "error"
        try:
            return kernels.numeric_to_decimal(text, target.precision, target.scale, on_special=on_special)
        except DataError as exc:
            value = exc.context["value"]
            raise DataError(f"`{value}` has no place in {target}", context=exc.context, hint=exc.hint) from exc

    def _convert_list(self, array: pa.ListArray, target: pa.ListType) -> pa.ListArray:
        try:
            values = self._convert(array.values, target.value_type)
        except DataError as exc:
            ends = array.offsets[1:]
            row = pc.sum(pc.less_equal(ends, pa.scalar(exc.context["row"], ends.type))).as_py()
            raise DataError(exc.message, context=exc.context | {"row": row}, hint=exc.hint) from exc
        return pa.ListArray.from_arrays(array.offsets, values, type=target, mask=array.is_null())

    def _without_infinity(self, array: pa.Array, storage: pa.DataType, earliest: int) -> pa.Array:
        raw = array.view(storage)
        least = pc.min(raw).as_py()
        if least is None or least >= earliest:
            return array
        wrapped = pc.less(raw, earliest)
        if self.null_infinity:
            infinite = pc.is_in(raw, pa.array([v for v in _WRAPPED if v >= -(2 ** (storage.bit_width - 1))], storage))
            array, wrapped = pc.if_else(infinite, None, array), pc.and_not(wrapped, infinite)
        _refuse(array, wrapped, lambda row: _WRAPPED.get(raw[row].as_py(), "a time after the year 294246"))
        return array


def _refuse(array: pa.Array, bad: pa.BooleanArray, value: Callable[[int], str]) -> None:
    """Raise DataError for the first row that is marked in `bad`."""
    row = pc.index(bad, True).as_py()
    if row >= 0:
        raise DataError(f"`{value(row)}` has no place in {array.type}", context={"row": row, "value": value(row)})


def _placed(exc: DataError, column: str, first_row: int) -> DataError:
    """`exc` with its column, and its row counted from the first of the window."""
    row = first_row + int(exc.context.get("row", 0)) + 1
    return DataError(
        f"column `{column}`, row {row}: {exc.message}",
        context=exc.context | {"column": column, "row": row},
        hint=exc.hint or "leave such rows out with `filter`, read NULL in their place, or declare the column as `text`",
    )


def recut(batch: pa.RecordBatch, rows: int) -> Sequence[pa.RecordBatch]:
    """`batch` in even slices of about `rows` rows; copies nothing."""
    pieces = max(1, round(batch.num_rows / rows))
    cuts = [batch.num_rows * i // pieces for i in range(pieces + 1)]
    return [batch.slice(start, end - start) for start, end in pairwise(cuts) if end > start]
