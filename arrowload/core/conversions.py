"""One conversion for each pair of kinds of type, exact or not at all; whole arrays at a time.

A value that does not fit raises `pyarrow.ArrowInvalid`; a pair of types that has no exact conversion raises
`NoConversion`. `casting` turns both into errors that name row and value.

pyarrow's own safe casts are trusted where they are exact and corrected where they are not: besides what `numbers` says
of them, they cut the time off a timestamp and put nulls in the place of struct fields whose names differ.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa

from arrowload import kernels
from arrowload.core import numbers, parsing
from arrowload.core.lazy import compute as pc
from arrowload.core.numbers import require
from arrowload.core.types import type_name

if TYPE_CHECKING:
    from collections.abc import Callable


class Options(NamedTuple):
    """How a conversion is done where the types alone do not say.

    Attributes:
        form: How texts write dates and times, in the codes of `strptime`; without it, ISO 8601.
        zone: The zone of local times, where one side of the conversion has a zone and the other has none.
        rounding: Digits that the target cannot hold are rounded away, halves away from zero.
    """

    form: str | None = None
    zone: str | None = None
    rounding: bool = False


class NoConversion(Exception):  # noqa: N818 - never leaves the package
    """No exact conversion leads from one type to the other."""

    def __init__(self, source: pa.DataType, target: pa.DataType, hint: str | None = None) -> None:
        super().__init__(f"{type_name(source)} cannot be cast to {type_name(target)}")
        self.hint = hint


def convert(array: pa.Array, target: pa.DataType, options: Options) -> pa.Array:
    """`array` as `target`, null where it was and nowhere else; the same object when it has that type already.

    Raises:
        pyarrow.ArrowInvalid: A value does not fit.
        NoConversion: The types have no exact conversion.
    """
    if array.type == target:
        return array
    array = plain(array)
    if array.type == target:
        return array
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), target)
    parsed = parse_quickly(array, target, options)
    if parsed is not None and not len(parsed.unsure):
        return parsed.values
    converter = _CONVERTERS.get((kind(array.type), kind(target)))
    if converter is None:
        raise NoConversion(array.type, target, _advice(array.type, target))
    try:
        converted = converter(array, target, options)
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError) as exc:
        raise NoConversion(array.type, target) from exc
    if converted.null_count != array.null_count:
        raise pa.ArrowInvalid("a value became null")
    return converted


def parse_quickly(
    array: pa.Array, target: pa.DataType, options: Options, *, exact: bool = False
) -> kernels.ParsedTexts | None:
    """Texts as `kernels.parse_texts` reads them, which is as the slower rules do; None where it has no rule."""
    # Of no rows Rust hands over no buffers, and pyarrow's cast to lists of a fixed size reads them all the same.
    if len(array) and options.form is None and kind(array.type) == "string" and kind(target) in _PARSED:
        return kernels.parse_texts(array, target, exact=exact)
    return None


def kind(data_type: pa.DataType) -> str:
    """The family of a type: all integers are `int`, all string layouts `string`, and so on."""
    if isinstance(data_type, pa.UuidType | pa.JsonType):
        return "uuid" if isinstance(data_type, pa.UuidType) else "json"
    for name, belongs in _KINDS.items():
        if belongs(data_type):
            return name
    return str(data_type)


_KINDS: Final[dict[str, Callable[[pa.DataType], bool]]] = {
    "bool": pa.types.is_boolean,
    "int": pa.types.is_integer,
    "float": pa.types.is_floating,
    "decimal": pa.types.is_decimal,
    "string": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t),
    "binary": lambda t: (
        pa.types.is_binary(t)
        or pa.types.is_large_binary(t)
        or pa.types.is_binary_view(t)
        or pa.types.is_fixed_size_binary(t)
    ),
    "date": pa.types.is_date,
    "time": pa.types.is_time,
    "timestamp": pa.types.is_timestamp,
    "duration": pa.types.is_duration,
    "list": lambda t: pa.types.is_list(t) or pa.types.is_large_list(t) or pa.types.is_fixed_size_list(t),
    "struct": pa.types.is_struct,
    "dictionary": pa.types.is_dictionary,
}


# An extension type may have the storage of one of them, and is of another kind.
_PARSED: Final = frozenset({"bool", "int", "float", "decimal", "date", "timestamp"})


def plain(array: pa.Array) -> pa.Array:
    """`array` without the encodings that change no value: dictionaries, runs, views, foreign extension types."""
    if isinstance(array, pa.ExtensionArray) and kind(array.type) not in ("uuid", "json"):
        return plain(array.storage)
    if isinstance(array, pa.DictionaryArray):
        return plain(array.dictionary_decode())
    if pa.types.is_run_end_encoded(array.type):
        return plain(pc.run_end_decode(array))
    if pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type):
        return pc.cast(array, pa.string() if pa.types.is_string_view(array.type) else pa.binary())
    return array


def _advice(source: pa.DataType, target: pa.DataType) -> str | None:
    kinds = {kind(source), kind(target)}
    if "int" in kinds and kinds & {"date", "time", "timestamp", "duration"}:
        return "an integer does not say what it counts and since when; compute the value in a `derive` step"
    if kinds == {"timestamp", "time"}:
        return "a time would lose the date; compute it in a `derive` step"
    return None


def _safe(array: pa.Array, target: pa.DataType, _: Options) -> pa.Array:
    return pc.cast(array, target)


def _number(function: Callable[..., pa.Array]) -> Callable[[pa.Array, pa.DataType, Options], pa.Array]:
    return lambda array, target, options: function(array, target, options.rounding)


# ---------------------------------------------------------------- texts


def _texts(array: pa.Array) -> pa.Array:
    return pc.cast(array, pa.string())


def _text_to_bool(array: pa.Array, _: pa.DataType, __: Options) -> pa.Array:
    return parsing.parse_bool(_texts(array))


def _text_to_date(array: pa.Array, target: pa.DataType, options: Options) -> pa.Array:
    texts = parsing.to_iso(_texts(array), options.form) if options.form else array
    days = pc.cast(texts, pa.date32())
    require(pc.greater_equal(days, dt.date.min), "before the year 1")
    return pc.cast(days, target)


def _text_to_time(array: pa.Array, target: pa.DataType, options: Options) -> pa.Array:
    texts = _texts(array)
    return parsing.parse_time(parsing.to_iso(texts, options.form) if options.form else texts, target)


def _text_to_timestamp(array: pa.Array, target: pa.DataType, options: Options) -> pa.Array:
    texts = _texts(array)
    moments = parsing.parse_timestamp(
        parsing.to_iso(texts, options.form) if options.form else texts, target, options.zone
    )
    if target.unit != "ns":  # nanoseconds begin in 1677
        first = pa.scalar(dt.datetime(1, 1, 1), pa.timestamp(target.unit))
        require(pc.greater_equal(pc.cast(moments, pa.int64()), first.value), "before the year 1")
    return moments


def _text_to_uuid(array: pa.Array, _: pa.DataType, __: Options) -> pa.Array:
    return parsing.parse_uuid(_texts(array))


def _text_to_json(array: pa.Array, _: pa.DataType, __: Options) -> pa.Array:
    return parsing.parse_json(_texts(array))


# ---------------------------------------------------------------- dates and times


def _date_to_date(array: pa.Array, target: pa.DataType, options: Options) -> pa.Array:
    return _timestamp_to_date(pc.cast(array, pa.timestamp("ms")), target, options)


def _date_to_timestamp(array: pa.Array, target: pa.DataType, options: Options) -> pa.Array:
    return _timestamp_to_timestamp(pc.cast(array, pa.timestamp(target.unit)), target, options)


def _timestamp_to_date(array: pa.Array, target: pa.DataType, options: Options) -> pa.Array:
    local = _timestamp_to_timestamp(array, pa.timestamp(array.type.unit), options)
    days = pc.cast(local, pa.date32())
    require(pc.equal(pc.cast(days, local.type), local), "a time of day")
    return pc.cast(days, target)


def _timestamp_to_timestamp(array: pa.Array, target: pa.DataType, options: Options) -> pa.Array:
    if (array.type.tz is None) == (target.tz is None):
        return pc.cast(array, target)
    if options.zone is None:
        raise NoConversion(array.type, target, "say with `zone:` which zone the local times are in")
    if array.type.tz is None:
        return pc.cast(pc.assume_timezone(array, options.zone), target)
    return pc.cast(pc.local_timestamp(pc.cast(array, pa.timestamp(array.type.unit, options.zone))), target)


# ---------------------------------------------------------------- bytes, nested


def _uuid_to_text(array: pa.Array, target: pa.DataType, _: Options) -> pa.Array:
    return pc.cast(parsing.format_uuid(array), target)


def _storage(array: pa.Array, target: pa.DataType, _: Options) -> pa.Array:
    return pc.cast(array.storage, target)


def _binary_to_binary(array: pa.Array, target: pa.DataType, _: Options) -> pa.Array:
    fixed = [t for t in (array.type, target) if pa.types.is_fixed_size_binary(t)]
    if len(fixed) == 2 and array.type != target:
        raise NoConversion(array.type, target, "the widths differ")
    return pc.cast(array, target)


def _binary_to_uuid(array: pa.Array, target: pa.DataType, options: Options) -> pa.Array:
    return pa.ExtensionArray.from_storage(target, _binary_to_binary(array, target.storage_type, options))


def _to_dictionary(array: pa.Array, target: pa.DataType, options: Options) -> pa.Array:
    return pc.cast(pc.dictionary_encode(convert(array, target.value_type, options)), target)


def _list_to_list(array: pa.Array, target: pa.DataType, options: Options) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(array), 0)
    ends = pc.cumulative_sum(pc.cast(lengths, pa.int64()))
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), ends])
    values = convert(array.flatten(), target.value_type, options)
    made = pa.LargeListArray.from_arrays(offsets, values, mask=pc.is_null(array))
    return pc.cast(made, target)


def _struct_to_struct(array: pa.Array, target: pa.DataType, options: Options) -> pa.Array:
    names = [field.name for field in array.type]
    if sorted(names) != sorted(field.name for field in target) or len(set(names)) < len(names):
        raise NoConversion(array.type, target, "the fields of both must have the same names, each once")
    parts = dict(zip(names, array.flatten(), strict=True))
    columns = [convert(parts[field.name], field.type, options) for field in target]
    return pa.StructArray.from_arrays(columns, fields=list(target), mask=pc.is_null(array))


_CONVERTERS: Final[dict[tuple[str, str], Callable[[pa.Array, pa.DataType, Options], pa.Array]]] = {
    ("string", "string"): _safe,
    ("string", "binary"): _safe,
    ("string", "int"): _number(numbers.text_to_int),
    ("string", "float"): _number(numbers.text_to_float),
    ("string", "decimal"): _number(numbers.text_to_decimal),
    ("string", "bool"): _text_to_bool,
    ("string", "date"): _text_to_date,
    ("string", "time"): _text_to_time,
    ("string", "timestamp"): _text_to_timestamp,
    ("string", "uuid"): _text_to_uuid,
    ("string", "json"): _text_to_json,
    ("json", "string"): _storage,
    ("uuid", "string"): _uuid_to_text,
    ("uuid", "binary"): _storage,
    ("binary", "uuid"): _binary_to_uuid,
    ("binary", "binary"): _binary_to_binary,
    ("binary", "string"): _safe,
    ("bool", "int"): _safe,
    ("bool", "string"): _safe,
    ("int", "int"): _safe,
    ("int", "float"): _number(numbers.int_to_float),
    ("int", "decimal"): _number(numbers.int_to_decimal),
    ("int", "bool"): _number(numbers.int_to_bool),
    ("int", "string"): _safe,
    ("float", "float"): _number(numbers.float_to_float),
    ("float", "int"): _number(numbers.float_to_int),
    ("float", "decimal"): _number(numbers.float_to_decimal),
    ("float", "string"): _safe,
    ("decimal", "decimal"): _number(numbers.decimal_to_decimal),
    ("decimal", "int"): _number(numbers.decimal_to_int),
    ("decimal", "float"): _number(numbers.decimal_to_float),
    ("decimal", "string"): _number(numbers.decimal_to_text),
    ("date", "date"): _date_to_date,
    ("date", "timestamp"): _date_to_timestamp,
    ("date", "string"): _safe,
    ("time", "time"): _safe,
    ("time", "string"): _safe,
    ("timestamp", "timestamp"): _timestamp_to_timestamp,
    ("timestamp", "date"): _timestamp_to_date,
    ("timestamp", "string"): _safe,
    ("duration", "duration"): _safe,
    ("list", "list"): _list_to_list,
    ("struct", "struct"): _struct_to_struct,
    **{(source, "dictionary"): _to_dictionary for source in ("string", "int", "binary")},
}
