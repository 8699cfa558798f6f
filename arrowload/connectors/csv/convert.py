"""Texts of one column into its type; what would come out changed is refused."""

from __future__ import annotations

from typing import Final, TypeAlias

import pyarrow as pa

from arrowload.connectors.csv.infer import INTEGER, NUMBER, SAFE_LENGTH, is_damaged_by_double
from arrowload.core import casting
from arrowload.core.casting import CastFailure, cast_exact
from arrowload.core.conversions import Options, parse_quickly
from arrowload.core.lazy import compute as pc

_Range: TypeAlias = tuple[pa.Scalar, pa.Scalar]

_LENGTH_OF_TRUE: Final = pa.scalar(4, pa.int32())
_LENGTH_OF_FALSE: Final = pa.scalar(5, pa.int32())
# From a text on and up to another, by their bytes: what starts with a zero and goes on, as `007` and `0x7` do; what
# starts with a zero and a digit (`:` follows 9 in ASCII).
_CODES_AS_INTEGERS: Final = (
    (pa.scalar("0\0"), pa.scalar("1")),
    (pa.scalar("-0"), pa.scalar("-1")),
)
_CODES_AS_NUMBERS: Final = (
    (pa.scalar("00"), pa.scalar("0:")),
    (pa.scalar("-00"), pa.scalar("-0:")),
)


def convert(texts: pa.Array, target: pa.DataType, *, inferred: bool) -> pa.Array:
    """`texts` as `target`.

    Args:
        texts: A string array.
        target: The column's type.
        inferred: The type was inferred from a sample: what the sample's rules would not have let pass is refused,
            such as `007` in a column of integers. A type that the recipe names takes what it can hold.

    Raises:
        CastFailure: A text does not fit; the first one.
    """
    try:
        converted = cast_exact(texts, target)
    except CastFailure as exc:
        if inferred:
            _refuse_changed(texts.slice(0, exc.row), target)
        raise
    if inferred:
        _refuse_changed(texts, target)
    return converted


def sift(texts: pa.Array, target: pa.DataType, *, inferred: bool) -> tuple[pa.Array, list[CastFailure]]:
    """As `convert`, with NULL in the place of each text that does not fit; and these, in their order."""
    return casting.sift(
        texts,
        target,
        lambda part: convert(part, target, inferred=inferred),
        parse_quickly(texts, target, Options(), exact=inferred),
    )


def _refuse_changed(texts: pa.Array, target: pa.DataType) -> None:
    row = _first_changed(texts, target)
    if row is not None:
        raise CastFailure(row, texts[row].as_py(), "would not stay as it is written")


def _first_changed(texts: pa.Array, target: pa.DataType) -> int | None:
    if pa.types.is_boolean(target):
        lengths = pc.binary_length(texts)
        return _first(pc.or_(pc.less(lengths, _LENGTH_OF_TRUE), pc.greater(lengths, _LENGTH_OF_FALSE)))
    if pa.types.is_integer(target):
        return _first_unlike(texts, _suspects(texts, _CODES_AS_INTEGERS), INTEGER)
    if pa.types.is_floating(target) or pa.types.is_decimal(target):
        row = _first_unlike(texts, _suspects(texts, _CODES_AS_NUMBERS), NUMBER)
        return row if row is not None or pa.types.is_decimal(target) else _first_damaged(texts)
    return None


def _suspects(texts: pa.Array, bounds: tuple[_Range, _Range]) -> pa.Array:
    """Texts in the first range or, with a minus, in the second; those with a plus or an exponent."""
    # Most columns have no minus, plus or exponent anywhere; one look at all bytes spares looking at each text.
    present = _bytes_of(texts)
    suspects = _between(texts, bounds[0])
    if b"-" in present:
        suspects = pc.or_(suspects, _between(texts, bounds[1]))
    for char in "+eE":
        if char.encode() in present:
            suspects = pc.or_(suspects, pc.match_substring(texts, char))
    return suspects


def _bytes_of(texts: pa.StringArray) -> bytes:
    """All of them, one behind the other; of a slice, those of the slice."""
    _, offsets, data = texts.buffers()
    if data is None:
        return b""
    ends = pa.Int32Array.from_buffers(pa.int32(), len(texts) + 1, [None, offsets], offset=texts.offset)
    return bytes(memoryview(data)[ends[0].as_py() : ends[-1].as_py()])


def _between(texts: pa.Array, bounds: _Range) -> pa.Array:
    return pc.and_(pc.greater_equal(texts, bounds[0]), pc.less(texts, bounds[1]))


def _first_unlike(texts: pa.Array, suspects: pa.Array, pattern: str) -> int | None:
    """The first of `suspects` that has not the form `pattern`."""
    rows = pc.indices_nonzero(suspects)
    if not len(rows):
        return None
    unlike = _first(pc.invert(pc.match_substring_regex(texts.take(rows), pattern)))
    return None if unlike is None else int(rows[unlike].as_py())


def _first_damaged(texts: pa.Array) -> int | None:
    for row in pc.indices_nonzero(pc.greater(pc.binary_length(texts), SAFE_LENGTH)).to_pylist():
        if is_damaged_by_double(texts[row].as_py()):
            return int(row)
    return None


def _first(found: pa.Array) -> int | None:
    row = pc.index(found, True).as_py()
    return None if row < 0 else int(row)
