"""How columns of a Parquet file are kept: in which types, and which are worth a dictionary or statistics."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from arrowload.core.lazy import compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# pyarrow's default for `dictionary_pagesize_limit`; a dictionary that reaches it is given up, with the work it was.
PAGE_BYTES: Final = 1024**2
_SAMPLE_ROWS: Final = 16_384
# Of so few bytes it makes no difference how they are kept.
_FEW_BYTES: Final = 64 * 1024
# So many values for each row, each as likely as the other, and half of the rows have one that no row before them has.
_VALUES_A_ROW: Final = 0.6275
# Of values that do not come back once another has come, a codec sees each as little as a dictionary does; only in runs
# longer than this is the dictionary smaller.
_LONG_RUN: Final = 64
# Runs for each value, at most, where values do not come back.
_RUNS_A_VALUE: Final = 1.1
_VARIABLE_WIDTH: Final = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
)
_COUNTED: Final = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_temporal,
    pa.types.is_fixed_size_binary,
    *_VARIABLE_WIDTH,
)
# parquet-cpp's default for `max_statistics_size`: a least or greatest value that is longer is found, and not written.
_LONGEST_BYTES: Final = 4096


def empty_file(schema: pa.Schema) -> bytes:
    """A file without rows: how pyarrow keeps each type."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink, store_decimal_as_integer=True)
    return bytes(sink.getvalue())


def dictionary_columns(rows: pa.Table, *, compressed: bool) -> bool | list[str]:
    """`use_dictionary` of pyarrow for a file that begins with `rows`: all columns, or the paths of those that gain.

    Args:
        rows: The first row group. The others are taken to be like it.
        compressed: Pages are.

    Without price, part and comment, the encoder needs up to a third less for TPC-H lineitem, and the file is a tenth
    less. Without the order's key, which comes in runs, it needs 40 ns a row less (of about 800), and the file is a
    twentieth less.
    """
    return _all_but(lambda column: _in_vain(column, compressed), rows)


def statistics_columns(rows: pa.Table) -> bool | list[str]:
    """`write_statistics` of pyarrow for a file that begins with `rows`: all columns, or the paths of those that gain.

    Args:
        rows: The first row group. The others are taken to be like it.

    While the encoder looks for the least and the greatest value it copies some, and takes six times the memory of a
    value of 256 MiB.
    """
    return _all_but(_too_long, rows)


def _all_but(is_left_out: Callable[[pa.ChunkedArray], bool], rows: pa.Table) -> bool | list[str]:
    left_out = {field.name for field in rows.schema if is_left_out(rows.column(field.name))}
    return [path for field in rows.schema if field.name not in left_out for path in _paths(field)] if left_out else True


def _too_long(column: pa.ChunkedArray) -> bool:
    """Whether most bounds of a leaf would not be written."""
    return any(
        (pc.mean(pc.binary_length(leaf)).as_py() or 0) > _LONGEST_BYTES
        for chunk in column.chunks
        for leaf in _leaves(chunk)
        if any(is_kind(leaf.type) for is_kind in _VARIABLE_WIDTH)
    )


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    """What a column holds values in, whatever they are nested in."""
    if isinstance(array, pa.ExtensionArray):
        yield from _leaves(array.storage)
    elif isinstance(array, pa.MapArray):
        yield from chain(_leaves(array.keys), _leaves(array.items))
    elif isinstance(array, pa.StructArray):
        yield from chain.from_iterable(map(_leaves, array.flatten()))
    elif pa.types.is_nested(array.type):
        yield from _leaves(array.flatten())
    else:
        yield array


def _in_vain(column: pa.ChunkedArray, compressed: bool) -> bool:
    """Whether a dictionary would not fit its page, have a value for two rows, or of runs that a codec sees as well."""
    if column.nbytes <= _FEW_BYTES or not any(is_kind(column.type) for is_kind in _COUNTED):
        return False
    fitting = min(PAGE_BYTES * len(column) / column.nbytes, _VALUES_A_ROW * (len(column) - column.null_count))
    column = column.slice(0, _SAMPLE_ROWS)
    rows = len(column) - column.null_count
    # Of `fitting` values, each as likely as the other, so many are met in a sample.
    met = fitting * -math.expm1(-rows / max(1.0, fitting))
    distinct: int = pc.count_distinct(column).as_py()
    return bool(distinct > met) or (
        compressed and rows < distinct * _LONG_RUN and _runs(column) < distinct * _RUNS_A_VALUE
    )


def _runs(column: pa.ChunkedArray) -> int:
    """Runs of equal values; NULLs end none."""
    values = column.combine_chunks().drop_null()
    changes: int = pc.sum(pc.not_equal(values[1:], values[:-1]), min_count=0).as_py()
    return changes + 1


def _paths(field: pa.Field) -> Iterator[str]:
    """What Parquet calls the leaves of a column."""
    if not pa.types.is_nested(field.type):
        yield field.name
        return
    leaves = pq.ParquetFile(pa.BufferReader(empty_file(pa.schema([field])))).schema
    yield from (leaves.column(index).path for index in range(len(leaves)))
