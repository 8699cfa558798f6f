"""Hypothesis strategies for Arrow schemas and record batches; needs `hypothesis`, which arrowload itself does not."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.types as pt
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import SearchStrategy

# Types that every analytical store has a place for.
COMMON_TYPES: Final[tuple[pa.DataType, ...]] = (
    pa.bool_(),
    pa.int8(),
    pa.int16(),
    pa.int32(),
    pa.int64(),
    pa.uint8(),
    pa.uint16(),
    pa.uint32(),
    pa.uint64(),
    pa.float32(),
    pa.float64(),
    pa.decimal128(9, 2),
    pa.decimal128(38, 9),
    pa.string(),
    pa.binary(),
    pa.date32(),
    pa.time64("us"),
    pa.timestamp("us"),
    pa.timestamp("us", "UTC"),
)

# Neither half of a surrogate pair, which is no UTF-8, nor the NUL, which databases have no place for.
_CHARACTERS: Final = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")


def texts(*, max_size: int = 20) -> SearchStrategy[str]:
    """Any text that UTF-8 can hold, without NUL; often one that a careless writer takes for something else."""
    odd = st.sampled_from(["", "NULL", "\\N", '"', "'", "a,b", "\r\n", "\n", " ", "0", "true", "\ufeff", "🚀"])
    return odd | st.text(_CHARACTERS, max_size=max_size)


def column_names() -> SearchStrategy[str]:
    """Names that are not empty; most are plain, some have quotes, dots, spaces or emoji."""
    return st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True) | st.text(_CHARACTERS, min_size=1, max_size=8)


def values(kind: pa.DataType) -> SearchStrategy[Any]:
    """Python values that `kind` holds exactly, over its whole range.

    Raises:
        NotImplementedError: There is no strategy for the type.
    """
    if pt.is_integer(kind):
        least = -(2 ** (kind.bit_width - 1)) if pt.is_signed_integer(kind) else 0
        return st.integers(least, least + 2**kind.bit_width - 1)
    if pt.is_floating(kind):
        return st.floats(width=kind.bit_width)
    if pt.is_decimal(kind):
        limit = 10**kind.precision - 1
        # By digits: `scaleb` would round to the precision of Python's context.
        return st.integers(-limit, limit).map(lambda n: _decimal(n, kind.scale))
    if pt.is_timestamp(kind) and kind.tz is not None:
        return st.datetimes(timezones=st.just(dt.UTC))
    for holds, strategy in _SIMPLE:
        if holds(kind):
            return strategy
    raise NotImplementedError(f"there is no strategy for {kind}")


_SIMPLE: Final = (
    (pt.is_boolean, st.booleans()),
    (pt.is_string, texts()),
    (pt.is_large_string, texts()),
    (pt.is_binary, st.binary(max_size=20)),
    (pt.is_date32, st.dates()),
    (pt.is_time64, st.times()),
    (pt.is_timestamp, st.datetimes()),
)


@st.composite
def schemas(
    draw: st.DrawFn,
    types: Sequence[pa.DataType] = COMMON_TYPES,
    *,
    names: SearchStrategy[str] | None = None,
    max_columns: int = 8,
) -> pa.Schema:
    """Schemas of nullable columns; no two names are equal, not even when capitals do not count.

    Args:
        draw: Given by Hypothesis.
        types: Columns have one of these.
        names: Of columns; any by default.
        max_columns: There is at least one column.
    """
    unique = st.lists(names or column_names(), min_size=1, max_size=max_columns, unique_by=str.casefold)
    return pa.schema([(name, draw(st.sampled_from(list(types)))) for name in draw(unique)])


@st.composite
def record_batches(draw: st.DrawFn, schema: pa.Schema, *, max_rows: int = 20) -> pa.RecordBatch:
    """Batches of `schema` with NULLs, some of them slices, so that offsets are not always 0."""
    rows = draw(st.integers(0, max_rows))
    start = draw(st.integers(0, rows))
    columns = [
        pa.array(draw(st.lists(st.none() | values(field.type), min_size=rows, max_size=rows)), field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema).slice(start)


@st.composite
def tables(
    draw: st.DrawFn,
    types: Sequence[pa.DataType] = COMMON_TYPES,
    *,
    names: SearchStrategy[str] | None = None,
    max_batches: int = 3,
) -> pa.Table:
    """Tables of any schema over `types`, in up to `max_batches` batches, some of them empty."""
    schema = draw(schemas(types, names=names))
    batches = draw(st.lists(record_batches(schema), max_size=max_batches))
    return pa.Table.from_batches(batches, schema)


def _decimal(digits: int, scale: int) -> Decimal:
    return Decimal((int(digits < 0), tuple(map(int, str(abs(digits)))), -scale))
