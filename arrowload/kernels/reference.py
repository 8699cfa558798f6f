"""The kernels once more, a value at a time in Python: the oracle of the parity tests, written from the same layout.

It needs `xxhash`, a development dependency, and is thousands of times slower than the compiled kernels.
"""

from __future__ import annotations

import math
import re
import struct
from bisect import bisect_right
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import xxhash

from arrowload.core.exceptions import DataError
from arrowload.kernels import ContentHash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from decimal import Decimal

__all__ = ["content_hash", "decimals", "numeric_to_decimal", "row_bytes", "row_hash"]


class _NoRuleError(Exception):
    """The layout has no rule for a type."""


_NULL = b"\x00"
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_NUMBER = re.compile(r"([+-]?)(?=\.?[0-9])([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?")
_EXCERPT_BYTES = 100


def row_hash(batch: pa.RecordBatch) -> pa.FixedSizeBinaryArray:
    """As `arrowload.kernels.row_hash`."""
    hashes = [xxhash.xxh3_128_intdigest(row).to_bytes(16, "little") for row in row_bytes(batch)]
    return pa.array(hashes, pa.binary(16))


def content_hash(batch: pa.RecordBatch) -> ContentHash:
    """As `arrowload.kernels.content_hash`."""
    return ContentHash(batch.num_rows, sum(map(xxhash.xxh3_128_intdigest, row_bytes(batch))) % 2**128)


def row_bytes(batch: pa.RecordBatch) -> list[bytes]:
    """The canonical bytes of each row, as `crates/README.md` lays them out."""
    columns = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        try:
            columns.append(_encode(column))
        except _NoRuleError as exc:
            raise DataError(
                f"column `{field.name}` cannot be hashed",
                context={"column": field.name, "type": str(field.type)},
                hint="cast the column or leave it out",
            ) from exc
    return [b"".join(values) for values in zip(*columns, strict=True)] if columns else [b""] * batch.num_rows


def _encode(array: pa.Array) -> list[bytes]:
    """The canonical bytes of each value."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _encode(array.storage)
    if pa.types.is_dictionary(kind):
        return _encode_picked(array.dictionary, array.indices.to_pylist())
    if pa.types.is_run_end_encoded(kind):
        ends = array.run_ends.to_pylist()
        return _encode_picked(array.values, [bisect_right(ends, array.offset + i) for i in range(len(array))])
    if pa.types.is_struct(kind):
        fields = [_encode(field) for field in array.flatten()]
        rows = zip(*fields, strict=True) if fields else [()] * len(array)
        return _nullable(array.is_valid().to_pylist(), (_count(0x12, len(fields)) + b"".join(row) for row in rows))
    if _is_list(kind) or pa.types.is_map(kind):
        return [_encode_list(scalar) for scalar in array]
    return _nullable(array.is_valid().to_pylist(), _scalars(array))


def _encode_picked(dictionary: pa.Array, indices: list[int | None]) -> list[bytes]:
    values = _encode(dictionary)
    return [_NULL if index is None else values[index] for index in indices]


def _encode_list(scalar: Any) -> bytes:
    if not scalar.is_valid:
        return _NULL
    if not pa.types.is_map(scalar.type):
        return _count(0x11, len(scalar.values)) + b"".join(_encode(scalar.values))
    keys, values = (_encode(scalar.values.field(i)) for i in (0, 1))
    return _count(0x13, len(keys)) + b"".join(chain.from_iterable(zip(keys, values, strict=True)))


def _nullable(valid: list[bool], encoded: Iterable[bytes]) -> list[bytes]:
    return [value if is_valid else _NULL for is_valid, value in zip(valid, encoded, strict=True)]


def _scalars(array: pa.Array) -> Iterable[bytes]:
    """The bytes of each value of a type without children; those of a null do not matter."""
    kind = array.type
    encode = _scalar_encoder(kind)
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        array = array.cast(pa.int32())
    elif pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        array = array.cast(pa.int64())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        array = array.cast(pa.binary_view() if pa.types.is_string_view(kind) else pa.large_binary())
    return (_NULL if value is None else encode(value) for value in array.to_pylist())


def _scalar_encoder(kind: pa.DataType) -> Callable[[Any], bytes]:
    types = pa.types
    table: list[tuple[Callable[[pa.DataType], bool], Callable[[Any], bytes]]] = [
        (types.is_null, lambda _: _NULL),
        (types.is_boolean, lambda value: b"\x02" if value else b"\x01"),
        (types.is_integer, lambda value: _number(value, 0)),
        (types.is_floating, _float),
        (_is_hashable_decimal, _decimal),
        (lambda kind: types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind), _bytes(0x0A)),
        (_is_binary, _bytes(0x0B)),
        (types.is_date32, lambda value: struct.pack("<Bq", 0x0C, value * 86_400_000)),
        (types.is_date64, lambda value: struct.pack("<Bq", 0x0C, value)),
        (types.is_time, lambda value: b"\x0d" + _seconds(value, kind.unit)),
        (types.is_timestamp, lambda value: (b"\x0e" if kind.tz is None else b"\x0f") + _seconds(value, kind.unit)),
        (types.is_duration, lambda value: _interval(0, 0, _seconds(value, kind.unit))),
        (types.is_interval, lambda value: _interval(value.months, value.days, _seconds(value.nanoseconds, "ns"))),
    ]
    for matches, encode in table:
        if matches(kind):
            return encode
    raise _NoRuleError


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    views = types.is_list_view(kind) or types.is_large_list_view(kind)
    return bool(views or types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_binary(kind: pa.DataType) -> bool:
    types = pa.types
    fixed = types.is_fixed_size_binary(kind)
    return bool(fixed or types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _is_hashable_decimal(kind: pa.DataType) -> bool:
    return bool(pa.types.is_decimal(kind) and kind.precision - min(kind.scale, 0) <= 76)


def _decimal(value: Decimal) -> bytes:
    sign, digits, exponent = value.as_tuple()
    coefficient = int("".join(map(str, digits)))
    return _number(-coefficient if sign else coefficient, -int(exponent))


def _number(coefficient: int, scale: int) -> bytes:
    """`coefficient / 10^scale`, without zeros at the end of a fraction."""
    coefficient, scale = coefficient * 10 ** max(-scale, 0), max(scale, 0)
    while scale > 0 and coefficient % 10 == 0:
        coefficient, scale = coefficient // 10, scale - 1
    size = next(size for size in range(3) if -(2 ** (64 * 2**size - 1)) <= coefficient < 2 ** (64 * 2**size - 1))
    payload = coefficient.to_bytes(8 * 2**size, "little", signed=True)
    return bytes([0x06 + size, scale]) + payload if scale else bytes([0x03 + size]) + payload


def _float(value: float) -> bytes:
    if math.isnan(value):
        return b"\x09" + bytes.fromhex("7ff8000000000000")[::-1]
    return struct.pack("<Bd", 0x09, value or 0.0)


def _bytes(tag: int) -> Callable[[bytes], bytes]:
    return lambda value: _count(tag, len(value)) + value


def _count(tag: int, count: int) -> bytes:
    encoded = [tag]
    while count >= 0x80:
        encoded.append(count % 0x80 + 0x80)
        count //= 0x80
    return bytes([*encoded, count])


def _seconds(value: int, unit: str) -> bytes:
    seconds, rest = divmod(value, _PER_SECOND[unit])
    return struct.pack("<qI", seconds, rest * (10**9 // _PER_SECOND[unit]))


def _interval(months: int, days: int, time: bytes) -> bytes:
    return struct.pack("<Bii", 0x10, months, days) + time


def numeric_to_decimal(
    array: pa.Array, precision: int, scale: int, *, on_special: Literal["error", "null"] = "error"
) -> pa.Array:
    """As `arrowload.kernels.numeric_to_decimal`."""
    kind = pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    texts = enumerate(array.to_pylist())
    unscaled = [None if text is None else _parse_numeric(text, kind, row, on_special) for row, text in texts]
    return decimals(kind, unscaled)


def decimals(kind: pa.DataType, unscaled: list[int | None]) -> pa.Array:
    """Decimals of `unscaled / 10^scale`; `pyarrow.array` refuses some that fit when the scale is negative."""
    width = kind.bit_width // 8
    data = b"".join((value or 0).to_bytes(width, "little", signed=True) for value in unscaled)
    valid = pa.array([value is not None for value in unscaled], pa.bool_()).buffers()[1]
    return pa.Array.from_buffers(kind, len(unscaled), [valid, pa.py_buffer(data)])


def _parse_numeric(text: str, kind: pa.DataType, row: int, on_special: str) -> int | None:
    if text in {"NaN", "Infinity", "-Infinity", "nan", "inf", "-inf"}:
        if on_special == "null":
            return None
        raise _refusal(text, row, "cannot be held by a decimal")
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise _refusal(text, row, "is not a number")
    sign, whole, fraction, exponent = match.groups()
    digits = (whole + fraction).lstrip("0")
    significant = digits.rstrip("0")
    power = int(exponent or 0) - len(fraction) + len(digits) - len(significant)
    if not significant:
        return 0
    if power + kind.scale < 0 or len(significant) + power + kind.scale > kind.precision:
        raise _refusal(text, row, f"does not fit `decimal({kind.precision}, {kind.scale})`")
    shift: int = power + kind.scale
    return int(f"{sign}{significant}") * int("1" + "0" * shift)


def _refusal(text: str, row: int, problem: str) -> DataError:
    shown = text if len(text) <= _EXCERPT_BYTES else text[:_EXCERPT_BYTES] + "…"
    return DataError(f"`{shown}` in row {row} {problem}", context={"row": row, "value": shown})
