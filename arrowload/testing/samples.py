"""Rows that the suites load: a column of every kind, with the values that are most easily damaged."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

_TEXTS: Final = ["", "NULL", "\\N", " spaces ", 'a "quoted" one', "it's", "a,b;c|d\te", "two\nlines", "Grüße, 東京 🚀"]
_MOMENTS: Final = [
    dt.datetime(1, 1, 1),
    dt.datetime(1969, 12, 31, 23, 59, 59, 999_999),
    dt.datetime(2024, 2, 29, 12, 0, 0, 1),
    dt.datetime(9999, 12, 31, 23, 59, 59, 999_999),
]
_DAYS: Final = [dt.date(1, 1, 1), dt.date(1969, 12, 31), dt.date(2024, 2, 29), dt.date(9999, 12, 31)]
_TIMES: Final = [dt.time(0, 0), dt.time(12, 30, 0, 1), dt.time(23, 59, 59, 999_999)]
_BYTES: Final = [b"", b"\x00", bytes(range(256)), b"\\x00"]
_FLOATS: Final = [0.1, -0.0, 1e308, 5e-324, 123456789.12345679, float("inf"), float("-inf"), float("nan")]


def typed_columns() -> dict[str, pa.Array]:
    """One column of each Arrow type, by a name that says which; each has a NULL, and the ends of its range."""
    columns: dict[str, pa.Array] = {
        "bool": _column([True, False], pa.bool_()),
        "float32": _column([0.5, -0.0, float("inf")], pa.float32()),
        "float64": _column(_FLOATS, pa.float64()),
        "decimal_9_2": _column(["0.00", "-0.01", "9999999.99", "-9999999.99"], pa.decimal128(9, 2)),
        "decimal_38_9": _column([f"{'9' * 29}.{'9' * 9}", "0.000000001"], pa.decimal128(38, 9)),
        "decimal_60_10": _column([f"-{'9' * 50}.{'9' * 10}", "1.5"], pa.decimal256(60, 10)),
        "string": _column(_TEXTS, pa.string()),
        "large_string": _column(_TEXTS, pa.large_string()),
        "string_view": _column(_TEXTS, pa.string_view()),
        "dictionary": _column(["b", "a", "b", ""], pa.string()).dictionary_encode(),
        "binary": _column(_BYTES, pa.binary()),
        "large_binary": _column(_BYTES, pa.large_binary()),
        "fixed_binary": _column([b"\x00" * 4, b"abcd"], pa.binary(4)),
        "date32": _column(_DAYS, pa.date32()),
        "time64_us": _column(_TIMES, pa.time64("us")),
        "timestamp_us": _column(_MOMENTS, pa.timestamp("us")),
        "timestamp_ms": _column([dt.datetime(2024, 1, 1, 0, 0, 0, 1_000)], pa.timestamp("ms")),
        "timestamp_s": _column([dt.datetime(2024, 1, 1, 0, 0, 1)], pa.timestamp("s")),
        "timestamptz_us": _column([m.replace(tzinfo=dt.UTC) for m in _MOMENTS], pa.timestamp("us", "UTC")),
        "uuid": _column([uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)], pa.uuid()),
        "json": _column(['{"a": [1, null, "é"]}', "[]", '"text"'], pa.json_()),
        "interval": _column([(1, -2, 3_000), (0, 0, 0)], pa.month_day_nano_interval()),
        "duration_us": _column([dt.timedelta(days=-1, microseconds=1), dt.timedelta(0)], pa.duration("us")),
        "list": _column([[1, None, 3], []], pa.list_(pa.int64())),
        "struct": _column([{"x": 1, "y": "a"}, {"x": None, "y": None}], pa.struct({"x": pa.int64(), "y": pa.string()})),
        "null": _column([None], pa.null()),
    }
    return {**{str(kind): _integers(kind) for kind in _INTEGERS}, **columns}


_INTEGERS: Final = [
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
]

# Names that a careless statement, file or path takes for something else.
ODD_NAMES: Final = [
    *(
        'say "hi"',
        "it's",
        "a.b",
        "two words",
        " padded ",
        "Größe",
        "🚀",
        "MixedCase",
        "select",
        "percent%s",
        "semi;colon",
    ),
    *("back\\slash", "back`tick", "{brace}", "$1", "?", "-- comment", "tab\there", "[0]"),
]


def numbered(rows: int, *, start: int = 0) -> pa.Table:
    """Rows of `id` (int64, from `start` on) and `name` (string; every seventh is NULL, every fifth is empty)."""
    ids = range(start, start + rows)
    names = [None if n % 7 == 3 else "" if n % 5 == 2 else f"name {n}" for n in ids]
    return pa.table({"id": pa.array(ids, pa.int64()), "name": pa.array(names, pa.string())})


def comparable(value: Any) -> Any:
    """A Python value such that equality means the same value: NaN equals NaN, -0.0 is not 0.0, 1.0 is not 1.00."""
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [comparable(item) for item in value]
    if isinstance(value, float):
        return f"float {value!r}"
    if isinstance(value, Decimal):
        return f"decimal {value}"
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return f"moment {value.astimezone(dt.UTC).isoformat()}"
    return value


def sorted_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in an order that depends on nothing but their values, which are made comparable."""
    return sorted((comparable(row) for row in rows), key=repr)


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    """`values` and a NULL."""
    if isinstance(kind, pa.BaseExtensionType):
        storage = [value.bytes if isinstance(value, uuid.UUID) else value for value in values]
        return pa.ExtensionArray.from_storage(kind, pa.array([*storage, None], kind.storage_type))
    if pa.types.is_decimal(kind):
        values = [Decimal(value) for value in values]
    return pa.array([*values, None], kind)


def _integers(kind: pa.DataType) -> pa.Array:
    signed = pa.types.is_signed_integer(kind)
    least = -(2 ** (kind.bit_width - 1)) if signed else 0
    return pa.array([least, 0, 1, least + 2**kind.bit_width - 1, None], kind)
