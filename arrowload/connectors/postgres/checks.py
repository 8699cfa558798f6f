"""Values that the driver would turn into other ones on their way into the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from arrowload.core.exceptions import DataError
from arrowload.core.lazy import compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator

# Below the server's least timestamp (4714-11-24 BC) lie the values that would be written as its infinities.
_EARLIEST_DAY: Final = -2_440_588
_SECONDS_PER_DAY: Final = 86_400
_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6}


def checked(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches as they are.

    Raises:
        DataError: A date or timestamp lies before 4714 BC, or an interval has a part of a microsecond.
    """
    first_row = 0
    for batch in batches:
        for field, column in zip(batch.schema, batch.columns, strict=True):
            values = column.values if pa.types.is_list(field.type) else column
            if (bad := _first_bad(values)) is not None:
                where = f"row {first_row + bad + 1}" if values is column else f"rows {first_row + 1} and on"
                raise DataError(
                    f"column `{field.name}`, {where}: a {field.type} that Postgres cannot hold",
                    context={"column": field.name, "row": first_row + bad + 1},
                    hint="leave such rows out with a `filter` step",
                )
        first_row += batch.num_rows
        yield batch


def _first_bad(values: pa.Array) -> int | None:
    kind = values.type
    if pa.types.is_date32(kind):
        return _first_below(values.view(pa.int32()), _EARLIEST_DAY)
    if pa.types.is_timestamp(kind):
        return _first_below(values.view(pa.int64()), _EARLIEST_DAY * _SECONDS_PER_DAY * _PER_SECOND[kind.unit])
    if kind == pa.month_day_nano_interval():
        return _first_with_nanoseconds(values)
    return None


def _first_below(values: pa.Array, least: int) -> int | None:
    lowest = pc.min(values).as_py()
    if lowest is None or lowest >= least:
        return None
    return int(pc.index(pc.less(values, least), True).as_py())


def _first_with_nanoseconds(values: pa.Array) -> int | None:
    """An interval is 16 bytes: months and days in the first eight, nanoseconds in the last."""
    if not len(values):
        return None
    words = pa.Array.from_buffers(pa.int64(), 2 * (values.offset + len(values)), [None, values.buffers()[1]])
    pairs = pa.FixedSizeListArray.from_arrays(words, 2).slice(values.offset)
    nanoseconds = pc.if_else(values.is_valid(), pc.list_element(pairs, 1), 0)
    exact = pc.equal(pc.multiply(pc.divide(nanoseconds, 1000), 1000), nanoseconds)
    place = int(pc.index(exact, False).as_py())
    return None if place < 0 else place
