"""Numbers to numbers and text to numbers and back, exact or not at all.

A value that does not fit raises `pyarrow.ArrowInvalid`; with `rounding`, digits that the target cannot hold are rounded
away, halves away from zero. pyarrow's own casts wrap around in silence where decimals are scaled up beyond their width,
round floats into decimals and into float32, read `0x10` as 16 and `1e400` as infinity; none of these gets through.
"""

from __future__ import annotations

import decimal
from typing import Final

import pyarrow as pa

from arrowload.core import parsing
from arrowload.core.lazy import compute as pc

_WIDE_SCALE: Final = 38
_HALF_AWAY: Final = "half_towards_infinity"


def require(holds: pa.Array, reason: str) -> None:
    """Raise `pyarrow.ArrowInvalid` unless all values of a boolean array are true or null."""
    if not pc.all(holds, min_count=0).as_py():
        raise pa.ArrowInvalid(reason)


def text_to_int(array: pa.Array, target: pa.DataType, rounding: bool) -> pa.Array:
    """Decimal digits with an optional minus; no blanks, no hexadecimal."""
    if rounding:
        return decimal_to_int(parsing.parse_decimal(pc.cast(array, pa.string()), _WIDE_SCALE), target, rounding)
    require(pc.invert(pc.or_(parsing.contains(array, "x"), parsing.contains(array, "X"))), "hexadecimal")
    return pc.cast(array, target)


def text_to_float(array: pa.Array, target: pa.DataType, _rounding: bool) -> pa.Array:
    """The nearest float; infinity only where the text says so."""
    values = pc.cast(array, target)
    infinite = pc.is_inf(values)
    if pc.any(infinite).as_py():
        written = pc.match_substring(array, "inf", ignore_case=True)
        require(pc.or_(pc.invert(infinite), written), "out of range")
    return values


def text_to_decimal(array: pa.Array, target: pa.DataType, rounding: bool) -> pa.Array:
    """Digits, point and exponent; no digit is lost."""
    scale = _WIDE_SCALE if rounding else max(target.scale, 0)
    return decimal_to_decimal(parsing.parse_decimal(pc.cast(array, pa.string()), scale), target, rounding)


def int_to_float(array: pa.Array, target: pa.DataType, rounding: bool) -> pa.Array:
    """Only integers that the float holds exactly, however large."""
    values = pc.cast(array, target, safe=False)
    if not rounding:
        # Casting back refuses what has left the range of the integers.
        require(pc.equal(pc.cast(values, array.type), array), "more digits than the float holds")
    return values


def int_to_decimal(array: pa.Array, target: pa.DataType, rounding: bool) -> pa.Array:
    """By the digits of the values, not by those that the integer type could have."""
    # 20 digits hold every uint64; pyarrow refuses narrower decimals by the type alone, whatever the values.
    return decimal_to_decimal(pc.cast(array, pa.decimal128(20, 0)), target, rounding)


def int_to_bool(array: pa.Array, target: pa.DataType, _rounding: bool) -> pa.Array:
    """0 and 1 alone."""
    require(pc.or_(pc.equal(array, 0), pc.equal(array, 1)), "neither 0 nor 1")
    return pc.cast(array, target)


def float_to_int(array: pa.Array, target: pa.DataType, rounding: bool) -> pa.Array:
    """Whole numbers in range; no NaN, no infinity."""
    return pc.cast(pc.round(array, 0, _HALF_AWAY) if rounding else array, target)


def float_to_float(array: pa.Array, target: pa.DataType, rounding: bool) -> pa.Array:
    """To a narrower float, values that it holds exactly; NaN and infinity are kept."""
    values = pc.cast(array, target)
    wide, back = pc.cast(array, pa.float64()), pc.cast(values, pa.float64())
    same = pc.equal(wide, back) if not rounding else pc.equal(pc.is_inf(wide), pc.is_inf(back))
    require(pc.or_(same, pc.is_nan(wide)), "more digits than the float holds")
    return values


def float_to_decimal(array: pa.Array, target: pa.DataType, rounding: bool) -> pa.Array:
    """The shortest decimal that reads back as the same float: 0.1, not 0.1000000000000000055…."""
    return text_to_decimal(pc.cast(array, pa.string()), target, rounding)


def decimal_to_int(array: pa.Array, target: pa.DataType, rounding: bool) -> pa.Array:
    """Whole numbers in range."""
    return pc.cast(decimal_to_decimal(array, pa.decimal256(76, 0), rounding), target)


def decimal_to_float(array: pa.Array, target: pa.DataType, rounding: bool) -> pa.Array:
    """The nearest float, if it stands for the same digits."""
    # By way of text, for pyarrow's direct cast misses the nearest float now and then.
    values = pc.cast(decimal_to_text(array, pa.string(), rounding), target)
    exact_digits = {16: 3, 32: 6, 64: 15}[target.bit_width]
    if array.type.precision > exact_digits and not rounding:
        back = pc.cast(pc.cast(values, pa.string()), _wide(array.type))
        require(pc.equal(back, pc.cast(array, _wide(array.type))), "more digits than the float holds")
    return values


def decimal_to_decimal(array: pa.Array, target: pa.DataType, rounding: bool) -> pa.Array:
    """Every digit before and after the point, or nothing."""
    if rounding and array.type.scale > target.scale:
        array = pc.round(pc.cast(array, _wide(array.type)), target.scale, _HALF_AWAY)
    return _rescale(array, target)


def _rescale(array: pa.Array, target: pa.DataType) -> pa.Array:
    # pyarrow multiplies first and checks the precision afterwards, when the product may have wrapped around; so what
    # has too many digits before the point is refused here, where nothing is multiplied.
    digits = target.precision - target.scale + array.type.scale
    if target.scale > array.type.scale and digits < array.type.precision:
        if digits < 1:
            require(pc.equal(array, pa.scalar(decimal.Decimal(0), array.type)), "too many digits")
        else:
            array = pc.cast(array, (pa.decimal128 if digits <= 38 else pa.decimal256)(digits, array.type.scale))
    return pc.cast(array, target)


def _wide(decimal: pa.DataType) -> pa.DataType:
    return pa.decimal256(76, decimal.scale)


def decimal_to_text(array: pa.Array, target: pa.DataType, _rounding: bool) -> pa.Array:
    """Plain digits with as many decimals as the scale says, never an exponent."""
    if array.type.scale < 0:
        array = pc.cast(array, pa.decimal256(76, 0))
    texts = pc.cast(array, pa.string())
    if pc.any(pc.match_substring(texts, "E")).as_py():
        texts = pa.array([None if value is None else format(value, "f") for value in array.to_pylist()], pa.string())
    return pc.cast(texts, target)
