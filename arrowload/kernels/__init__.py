"""The one door to the compiled kernels: Arrow in, Arrow out, without the GIL.

`arrowload.kernels.reference` has the same functions in Python, as the oracle of the tests; nothing falls back to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import pyarrow as pa

from arrowload import _rust

if TYPE_CHECKING:
    from arrowload.core.typing import SupportsArrowArray

__all__ = ["ContentHash", "content_hash", "numeric_to_decimal", "row_hash"]


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
