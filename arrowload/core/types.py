"""Recipe type names ↔ `pyarrow.DataType`: what a `cast` step may ask for, and what a plan prints.

| name | Arrow type |
| --- | --- |
| `string` (`str`, `text`), `large_string`, `string_view` | utf8 |
| `int` (= `int64`), `int8` … `int64`, `uint8` … `uint64` | integers |
| `float` (= `float64`), `float16`, `float32`, `float64` | floats |
| `decimal(p,s)` | decimal128 up to 38 digits, decimal256 up to 76; `decimal32(p,s)` … `decimal256(p,s)` fix the width |
| `bool`, `binary`, `binary(n)`, `large_binary`, `uuid`, `json`, `null` | as they say |
| `date`, `date64` | date32, date64 |
| `time` (= `time[us]`), `time[s|ms|us|ns]` | time32, time64 |
| `datetime`, `timestamp` (= `timestamp[us]`), `timestamp[ns]` | timestamp without zone |
| `timestamptz` (= `timestamp[us, UTC]`), `timestamp[ms, Europe/Berlin]` | timestamp with zone |
| `duration[us]`, `interval` | duration, month_day_nano_interval |
| `list<int>`, `list<int>(3)`, `large_list<int>`, `map<string, int>` | nested |
| `struct<a: int, "odd name": string not null>` | struct |
| `dictionary<int32, string>` | dictionary of index and value type |
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from arrowload.core.exceptions import RecipeError
from arrowload.core.names import did_you_mean, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DECIMAL_DIGITS: Final = 76

_PLAIN: Final[dict[str, pa.DataType]] = {
    **{
        name: getattr(pa, name)() for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
    **{name: getattr(pa, name)() for name in ("float16", "float32", "float64", "large_string", "string_view")},
    **{name: getattr(pa, name)() for name in ("string", "binary", "large_binary", "binary_view", "date64", "uuid")},
    "bool": pa.bool_(),
    "date": pa.date32(),
    "interval": pa.month_day_nano_interval(),
    "json": pa.json_(),
    "null": pa.null(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "duration": pa.duration("us"),
}
_ALIASES: Final[dict[str, pa.DataType]] = {
    "str": pa.string(),
    "text": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "datetime": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}
_ARGUMENTS: Final = {
    "decimal": "decimal(10,2)",
    **{f"decimal{bits}": f"decimal{bits}(p,s)" for bits in (32, 64, 128, 256)},
    "list": "list<int>",
    "large_list": "large_list<int>",
    "struct": "struct<a: int>",
    "map": "map<string, int>",
    "dictionary": "dictionary<int32, string>",
}
# What other systems call these types; used for hints alone, so that a recipe has one way to say a thing.
_ELSEWHERE: Final = {
    **dict.fromkeys(("varchar", "char", "character", "utf8", "object"), "string"),
    **dict.fromkeys(("bigint", "long", "integer"), "int64"),
    "smallint": "int16",
    "tinyint": "int8",
    "real": "float32",
    "boolean": "bool",
    **dict.fromkeys(("double", "double precision"), "float64"),
    **dict.fromkeys(("numeric", "number", "money"), "decimal(p,s)"),
    **dict.fromkeys(("bytea", "blob", "bytes"), "binary"),
    "jsonb": "json",
    "array": "list<int>",
    "date32": "date",
}
_FIXED_DECIMALS: Final[dict[str, Callable[[int, int], pa.DataType]]] = {
    "decimal32": pa.decimal32,
    "decimal64": pa.decimal64,
    "decimal128": pa.decimal128,
    "decimal256": pa.decimal256,
}


def parse_type(text: str) -> pa.DataType:
    """The Arrow type that a recipe calls `text`.

    Raises:
        RecipeError: `text` is no type; the hint gives the nearest name, or the form that the type is written in.
    """
    parser = _Parser(text)
    parsed = parser.type()
    parser.end()
    return parsed


def decimal_type(precision: int, scale: int) -> pa.DataType:
    """The narrower of decimal128 and decimal256 that holds `precision` digits.

    Raises:
        RecipeError: More than 76 digits, none, or a scale greater than the precision.
    """
    if not 1 <= precision <= MAX_DECIMAL_DIGITS or not -precision <= scale <= precision:
        raise RecipeError(
            f"`decimal({precision},{scale})` is no type",
            context={"type": f"decimal({precision},{scale})"},
            hint=f"give 1 to {MAX_DECIMAL_DIGITS} digits, of which at most as many after the point",
        )
    return (pa.decimal128 if precision <= 38 else pa.decimal256)(precision, scale)


def type_name(data_type: pa.DataType) -> str:
    """What a recipe or a plan calls `data_type`; `parse_type` reads it back.

    A type that recipes cannot name (a union, a foreign extension type) comes out as Arrow writes it.
    """
    for name, plain in _PLAIN.items():
        if data_type == plain and name not in ("timestamp", "time", "duration"):
            return name
    parametric = _temporal_name(data_type) or _decimal_name(data_type) or _nested_name(data_type)
    return parametric or str(data_type)


def _temporal_name(data_type: pa.DataType) -> str | None:
    if pa.types.is_timestamp(data_type):
        return f"timestamp[{data_type.unit}{', ' + data_type.tz if data_type.tz else ''}]"
    if pa.types.is_time(data_type):
        return "time" if data_type == pa.time64("us") else f"time[{data_type.unit}]"
    return f"duration[{data_type.unit}]" if pa.types.is_duration(data_type) else None


def _decimal_name(data_type: pa.DataType) -> str | None:
    if pa.types.is_fixed_size_binary(data_type) and not pa.types.is_decimal(data_type):
        return f"binary({data_type.byte_width})"
    if not pa.types.is_decimal(data_type):
        return None
    name = f"decimal({data_type.precision},{data_type.scale})"
    if data_type.bit_width == (128 if data_type.precision <= 38 else 256):
        return name
    return name.replace("decimal", f"decimal{data_type.bit_width}")


def _nested_name(data_type: pa.DataType) -> str | None:
    match data_type:
        case pa.LargeListType():
            return f"large_list<{type_name(data_type.value_type)}>"
        case pa.FixedSizeListType():
            return f"list<{type_name(data_type.value_type)}>({data_type.list_size})"
        case pa.ListType():
            return f"list<{type_name(data_type.value_type)}>"
        case pa.MapType():
            return f"map<{type_name(data_type.key_type)}, {type_name(data_type.item_type)}>"
        case pa.DictionaryType():
            return f"dictionary<{type_name(data_type.index_type)}, {type_name(data_type.value_type)}>"
        case pa.StructType():
            return f"struct<{', '.join(_field_name(field) for field in data_type)}>"
    return None


def _field_name(field: pa.Field) -> str:
    plain = re.fullmatch(r"[A-Za-z_]\w*", field.name, re.ASCII)
    name = field.name if plain else '"' + field.name.replace('"', '""') + '"'
    return f"{name}: {type_name(field.type)}{'' if field.nullable else ' not null'}"


class _Parser:
    """Reads one type by recursive descent; `at` is the position in `text`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def type(self) -> pa.DataType:
        name = self._take(r"[A-Za-z_]\w*")
        if name is None:
            raise self._error(
                f"`{self.text}` is no type", "write a name such as `int`, `decimal(10,2)` or `timestamptz`"
            )
        name = name.lower()
        if self._take(r"<"):
            return self._nested(name)
        if numbers := self._take(r"\(\s*-?\d+\s*(?:,\s*-?\d+\s*)?\)"):
            return self._sized(name, [int(number) for number in re.findall(r"-?\d+", numbers)])
        if unit := self._take(r"\[[^\]]*\]"):
            return self._temporal(name, *[part.strip() for part in unit[1:-1].partition(",")[::2]])
        if name in _PLAIN or name in _ALIASES:
            return _PLAIN.get(name) or _ALIASES[name]
        raise self._unknown(name)

    def end(self) -> None:
        if self.text[self.at :].strip():
            raise self._error(f"`{self.text}` is no type", f"nothing may follow `{self.text[: self.at].strip()}`")

    def _nested(self, name: str) -> pa.DataType:
        if name == "struct":
            fields = [] if self._peek(">") else [self._field()]
            while self._take(","):
                fields.append(self._field())
            self._expect(">")
            return pa.struct(fields)
        inner = [self.type()]
        while self._take(","):
            inner.append(self.type())
        self._expect(">")
        if name == "list" and len(inner) == 1:
            size = self._take(r"\(\s*\d+\s*\)")
            return pa.list_(inner[0], int(size.strip("() "))) if size else pa.list_(inner[0])
        if name == "large_list" and len(inner) == 1:
            return pa.large_list(inner[0])
        if name in ("map", "dictionary") and len(inner) == 2:
            return self._pair(name, *inner)
        raise self._unknown(name)

    def _pair(self, name: str, first: pa.DataType, second: pa.DataType) -> pa.DataType:
        if name == "map":
            return pa.map_(first, second)
        if not pa.types.is_integer(first):
            raise self._error(f"`{self.text}` is no type", "the index of a dictionary is an integer type")
        return pa.dictionary(first, second)

    def _field(self) -> pa.Field:
        name = self._take(r'"(?:[^"]|"")*"|[A-Za-z_]\w*')
        if name is None:
            raise self._error(f"`{self.text}` is no type", "write a struct as `struct<a: int, b: string>`")
        self._expect(":")
        field_type = self.type()
        plain = name[1:-1].replace('""', '"') if name.startswith('"') else name
        required = self._take(r"not\s+null") is not None
        if required and pa.types.is_null(field_type):
            raise self._error(f"`{self.text}` is no type", f"`{plain}` can hold nothing but NULL")
        return pa.field(plain, field_type, nullable=not required)

    def _sized(self, name: str, numbers: list[int]) -> pa.DataType:
        if name == "binary" and len(numbers) == 1 and numbers[0] > 0:
            return pa.binary(numbers[0])
        precision, scale = (*numbers, 0)[:2]
        if name == "decimal":
            return decimal_type(precision, scale)
        if name not in _FIXED_DECIMALS:
            raise self._unknown(name)
        try:
            return _FIXED_DECIMALS[name](precision, scale)
        except ValueError as exc:
            raise self._error(f"`{self.text}` is no type", "write decimal(p,s) and the width follows from p") from exc

    def _temporal(self, name: str, unit: str, zone: str) -> pa.DataType:
        if unit not in ("s", "ms", "us", "ns"):
            raise self._error(f"`{unit}` in `{self.text}` is no unit of time", "units are s, ms, us and ns")
        if name in ("timestamp", "datetime") or (name == "timestamptz" and not zone):
            return pa.timestamp(unit, self._zone("UTC" if name == "timestamptz" else zone))
        if name == "duration" and not zone:
            return pa.duration(unit)
        if name == "time" and not zone:
            return pa.time32(unit) if unit in ("s", "ms") else pa.time64(unit)
        raise self._unknown(name)

    def _zone(self, zone: str) -> str | None:
        check_zone(zone)
        return zone or None

    def _peek(self, pattern: str) -> bool:
        return re.compile(r"\s*(?:" + pattern + ")").match(self.text, self.at) is not None

    def _take(self, pattern: str) -> str | None:
        match = re.compile(r"\s*(" + pattern + ")").match(self.text, self.at)
        if match is None:
            return None
        self.at = match.end()
        return match[1]

    def _expect(self, token: str) -> None:
        if self._take(token) is None:
            raise self._error(f"`{self.text}` is no type", f"`{token}` is missing after `{self.text[: self.at]}`")

    def _unknown(self, name: str) -> RecipeError:
        if name in _ARGUMENTS:
            return self._error(f"`{self.text}` is no type", f"write it as `{_ARGUMENTS[name]}`")
        names = sorted({*_PLAIN, *_ALIASES, *_ARGUMENTS})
        near = _ELSEWHERE.get(name) or nearest(name, names)
        hint = f"did you mean `{near}`?" if near and near != name else f"known are: {', '.join(names)}"
        return self._error(f"`{self.text}` is no type", hint)

    def _error(self, message: str, hint: str) -> RecipeError:
        return RecipeError(message, context={"type": self.text}, hint=hint)


def check_zone(zone: str) -> None:
    """Refuse a time zone that the zone database does not know; offsets such as `+02:00` and the empty text pass.

    Raises:
        RecipeError: The zone is unknown.
    """
    from zoneinfo import ZoneInfo, available_timezones

    if not zone or re.fullmatch(r"[+-]\d{2}:\d{2}", zone):
        return
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as exc:
        hint = did_you_mean(zone, available_timezones(), "write a zone as `UTC` or `Europe/Berlin`")
        raise RecipeError(f"`{zone}` is no time zone", context={"zone": zone}, hint=hint) from exc
