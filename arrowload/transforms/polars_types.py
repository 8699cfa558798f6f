"""Which Arrow types enter Polars, as what, and as which plain Arrow types its own come out."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
from polars.exceptions import PanicException, PolarsError

from arrowload.core.exceptions import RecipeError
from arrowload.core.types import type_name

_NARROW_DECIMALS = 128


def type_inside(data_type: pa.DataType) -> pa.DataType | None:
    """The Arrow type under which a column enters Polars, or None when Polars would lose its values or its type.

    What changes on the way in is only the layout: dictionaries are decoded, seconds become milliseconds.
    """
    if isinstance(data_type, pa.DictionaryType):
        return type_inside(data_type.value_type)
    if isinstance(data_type, pa.StructType):
        inside = [type_inside(field.type) for field in data_type]
        return None if None in inside else pa.struct(zip([f.name for f in data_type], inside, strict=True))
    if isinstance(data_type, pa.ListType | pa.LargeListType):
        value = type_inside(data_type.value_type)
        return None if value is None else pa.large_list(value)
    if isinstance(data_type, pa.TimestampType) and data_type.unit == "s":
        return pa.timestamp("ms", data_type.tz)
    if pa.types.is_date(data_type):
        return pa.date32()
    if pa.types.is_decimal(data_type):
        narrow = data_type.bit_width <= _NARROW_DECIMALS and data_type.scale >= 0
        return pa.decimal128(data_type.precision, data_type.scale) if narrow else None
    return data_type if _is_plain(data_type) else None


def _is_plain(data_type: pa.DataType) -> bool:
    tests = (
        pa.types.is_null,
        pa.types.is_boolean,
        pa.types.is_integer,
        pa.types.is_float32,
        pa.types.is_float64,
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_timestamp,
        pa.types.is_time,
        pa.types.is_duration,
    )
    return any(test(data_type) for test in tests)


def plain_type(name: str, dtype: pl.DataType) -> pa.DataType:
    """The Arrow type in which a computed column comes out: no views, no 64-bit offsets, no dictionaries.

    Raises:
        RecipeError: Arrow has no such type (128-bit integers), or the column would hold nothing but NULL.
    """
    if dtype in (pl.Int128, pl.UInt128, pl.Null):
        raise _no_column(name, dtype)
    try:
        return _narrow(pl.Series(name, [], dtype=dtype).to_arrow(compat_level=pl.CompatLevel.oldest()).type)
    except (PolarsError, PanicException) as exc:
        raise _no_column(name, dtype) from exc


def dtype_name(dtype: pl.DataType) -> str:
    """What a recipe calls a Polars type, or what Polars calls it when a recipe cannot."""
    try:
        return type_name(plain_type("", dtype))
    except RecipeError:
        return str(dtype).lower()


def _narrow(data_type: pa.DataType) -> pa.DataType:
    match data_type:
        case pa.DictionaryType():
            return _narrow(data_type.value_type)
        case pa.LargeListType() | pa.ListType():
            return pa.list_(_narrow(data_type.value_type))
        case pa.StructType():
            return pa.struct([field.with_type(_narrow(field.type)) for field in data_type])
    if pa.types.is_large_string(data_type):
        return pa.string()
    return pa.binary() if pa.types.is_large_binary(data_type) else data_type


def _no_column(name: str, dtype: pl.DataType) -> RecipeError:
    return RecipeError(
        f"column `{name}` would be of type {str(dtype).lower()}, which Arrow columns cannot hold",
        context={"column": name, "type": str(dtype).lower()},
        hint="say which type it is to have, as in `cast(… as bigint)` or `cast(null as varchar)`",
    )
