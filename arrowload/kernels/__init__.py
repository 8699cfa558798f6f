"""The one door to the compiled kernels: Arrow in, Arrow out, without the GIL; and to the queue between threads.

`arrowload.kernels.reference` has the same functions in Python, as the oracle of the tests; nothing falls back to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import pyarrow as pa

from arrowload import _rust
from arrowload._rust import BatchQueue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.core.typing import SupportsArrowArray, SupportsArrowSchema

__all__ = [
    "BatchQueue",
    "ContentHash",
    "ParsedTexts",
    "content_hash",
    "numeric_to_decimal",
    "parse_texts",
    "pg_copy_decode",
    "pg_copy_encode",
    "row_hash",
]


class ContentHash(NamedTuple):
    """Count and sum of row hashes: equal for equal multisets of rows, whatever their order.

    Attributes:
        rows: How many rows.
        sum: Sum of the row hashes, read as little-endian unsigned integers, mod 2^128.
    """

    rows: int
    sum: int

    def merge(self, other: ContentHash) -> ContentHash:
        """The hash of both parts together; `ContentHash(0, 0)` is the hash of nothing."""
        return ContentHash(self.rows + other.rows, (self.sum + other.sum) % 2**128)


class ParsedTexts(NamedTuple):
    """Texts as values, as far as they are surely right.

    Attributes:
        values: As many as there were texts; null where one was, and where one is not surely a value.
        unsure: The rows of the latter.
    """

    values: pa.Array
    unsure: pa.Int64Array


def row_hash(batch: SupportsArrowArray) -> pa.FixedSizeBinaryArray:
    """Hash each row of `batch` into 128 bits.

    The hash depends on the values and the order of the columns: not on their names, nor on batch boundaries, slices,
    encodings (dictionary, run-end, large, view), widths of integers, decimals and floats, units of time, or the
    machine. It is XXH3-128 over row bytes that `crates/README.md` lays out; it finds damage, not forgery.

    Args:
        batch: A record batch, or a struct array without nulls.

    Returns:
        fixed_size_binary[16], one per row, never null.

    Raises:
        DataError: A column's type cannot be hashed (union; decimal with more than 76 digits before the point).
        TypeError: `batch` is an array of something else.
    """
    return pa.array(_rust.row_hash(batch))


def content_hash(batch: SupportsArrowArray) -> ContentHash:
    """Hash `batch` as a multiset of rows, in constant memory.

    Args:
        batch: A record batch, or a struct array without nulls.

    Returns:
        The count of rows and the sum of their `row_hash`; parts of a load merge with `ContentHash.merge`.

    Raises:
        DataError: As `row_hash`.
        TypeError: As `row_hash`.
    """
    return ContentHash(*_rust.content_hash(batch))


def numeric_to_decimal(
    array: SupportsArrowArray, precision: int, scale: int, *, on_special: Literal["error", "null"] = "error"
) -> pa.Array:
    """Turn the text of Postgres numerics into decimals, exactly.

    Zeros after the point are added or dropped; digits never are. Exponents (`1e-5`) are read.

    Args:
        array: utf8, large_utf8 or utf8_view; an extension type such as `arrow.opaque` counts as its storage.
        precision: Digits in all, 1 to 76.
        scale: Digits after the point, at most `precision`; negative to end before the point, as in `numeric(3, -2)`.
        on_special: What becomes of `NaN`, `Infinity` and `-Infinity`, or `nan`, `inf` and `-inf` as drivers write them.

    Returns:
        decimal128 up to 38 digits, decimal256 above; as long as `array`, null where it is.

    Raises:
        DataError: A text is no number, is special, or does not fit; `context` has its `row` within `array` and `value`.
        TypeError: `array` holds no text.
        ValueError: No decimal has this precision and scale.
    """
    return pa.array(_rust.numeric_to_decimal(array, precision, scale, on_special=on_special))


def parse_texts(array: SupportsArrowArray, target: pa.DataType, *, exact: bool = False) -> ParsedTexts | None:
    """Turn text into values as far as they are surely right; the complete rules are those of `core.casting`.

    Args:
        array: utf8, large_utf8 or utf8_view.
        target: The type wanted.
        exact: A value has to be written as one of an inferred type is: no leading zeros, booleans as `true` and
            `false`, floats that give back every digit.

    Returns:
        None when `target` has no rule here; there are some for booleans, integers, float64, decimals, date32 and
        timestamps.

    Raises:
        TypeError: `array` holds no text.
    """
    parsed = _rust.parse_texts(array, target, exact=exact)
    return None if parsed is None else ParsedTexts(pa.array(parsed[0]), pa.array(parsed[1]))


def pg_copy_decode(
    data: bytes | bytearray,
    columns: Sequence[tuple[str, int]],
    schema: SupportsArrowSchema,
    *,
    special: Literal["error", "null"] = "error",
    infinity: Literal["error", "null"] = "error",
) -> pa.RecordBatch:
    """Turn a whole `COPY … TO STDOUT (FORMAT binary)` of Postgres into one batch, exactly.

    Args:
        data: The `CopyData` messages as the protocol frames them: `d`, i32 length, payload, for each.
        columns: For each column how it lies on the wire (`int4`, `numeric`, `text[]`, `"char"`, …; enums, varchar and
            their like are `text`), and the oid of its elements if it is an array.
        schema: The Arrow types that they become; a list as deep as an array has dimensions.
        special: What becomes of `NaN`, `Infinity` and `-Infinity` in numerics.
        infinity: What becomes of infinite dates, timestamps and intervals.

    Raises:
        DataError: `data` is no such stream, a value has no place in its Arrow type, or no conversion is exact between
            the types; `context` has `column`, `row` (from 0) and `value` where there are such.
        ValueError: A name of `columns` is none, or `schema` has another number of columns.
    """
    return pa.record_batch(_rust.pg_copy_decode(data, columns, schema, special=special, infinity=infinity))


def pg_copy_encode(batch: SupportsArrowArray, columns: Sequence[tuple[str, int]]) -> bytes:
    """Turn `batch` into a whole stream for `COPY … FROM STDIN (FORMAT binary)` of Postgres, exactly.

    Args:
        batch: A record batch, or a struct array without nulls.
        columns: As in `pg_copy_decode`; they say what the server's columns are, which it does not check.

    Returns:
        Header, rows and trailer, without the protocol's messages.

    Raises:
        DataError: The server does not have a value, or would take it for another one, or no conversion is exact between
            the types; `context` has `column`, `row` (from 0) and `value` where there are such.
        ValueError: A name of `columns` is none, or `batch` has another number of columns.
    """
    return _rust.pg_copy_encode(batch, columns)
