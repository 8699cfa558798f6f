"""COPY in binary against the real server, both ways: no value changes, whatever it is."""

from __future__ import annotations

import subprocess
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arrowload import kernels
from arrowload.core.exceptions import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


def _decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    bound = 10**precision - 1
    return st.integers(-bound, bound).map(lambda n: Decimal(f"{n}e-{scale}"))


# Column → SQL type, name on the wire, oid of the elements, Arrow type, values.
_COLUMNS: dict[str, tuple[str, str, int, pa.DataType, st.SearchStrategy[Any]]] = {
    "b": ("bool", "bool", 0, pa.bool_(), st.booleans()),
    "i2": ("int2", "int2", 0, pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    "i4": ("int4", "int4", 0, pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "i8": ("int8", "int8", 0, pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "o": ("oid", "oid", 0, pa.int64(), st.integers(0, 2**32 - 1)),
    "f4": ("float4", "float4", 0, pa.float32(), st.floats(width=32, allow_nan=False)),
    "f8": ("float8", "float8", 0, pa.float64(), st.floats(allow_nan=False)),
    "n1": ("numeric(15,2)", "numeric", 0, pa.decimal128(15, 2), _decimals(15, 2)),
    "n2": ("numeric(38,9)", "numeric", 0, pa.decimal128(38, 9), _decimals(38, 9)),
    "n3": ("numeric(70,31)", "numeric", 0, pa.decimal256(70, 31), _decimals(70, 31)),
    "t": ("text", "text", 0, pa.string(), _TEXT),
    "y": ("bytea", "bytea", 0, pa.binary(), st.binary(max_size=40)),
    "d": ("date", "date", 0, pa.date32(), st.dates()),
    "tm": ("time", "time", 0, pa.time64("us"), st.times()),
    "ts": ("timestamp", "timestamp", 0, pa.timestamp("us"), st.datetimes()),
    "tz": ("timestamptz", "timestamptz", 0, pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
    "u": ("uuid", "uuid", 0, pa.uuid(), st.uuids().map(lambda u: u.bytes)),
    "iv": (
        "interval",
        "interval",
        0,
        pa.month_day_nano_interval(),
        st.tuples(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(-(10**12), 10**12)).map(
            lambda parts: pa.MonthDayNano([parts[0], parts[1], parts[2] * 1000])
        ),
    ),
    "a1": ("int4[]", "int4[]", 23, pa.list_(pa.int32()), st.lists(st.none() | st.integers(-9, 9), max_size=4)),
    "a2": ("text[]", "text[]", 25, pa.list_(pa.string()), st.lists(st.none() | _TEXT, max_size=4)),
    "a3": (
        "numeric(6,2)[]",
        "numeric[]",
        1700,
        pa.list_(pa.decimal128(6, 2)),
        st.lists(st.none() | _decimals(6, 2), max_size=4),
    ),
}
_WIRES = [(wire, oid) for _, wire, oid, _, _ in _COLUMNS.values()]
_ROWS = st.lists(st.tuples(*(st.none() | values for *_, values in _COLUMNS.values())), max_size=20)


def _batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) or [()] * len(_COLUMNS)
    arrays = []
    for values, (*_, kind, _) in zip(columns, _COLUMNS.values(), strict=True):
        storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
        array = pa.array(values, storage)
        arrays.append(pa.ExtensionArray.from_storage(kind, array) if storage is not kind else array)
    return pa.RecordBatch.from_arrays(arrays, names=list(_COLUMNS))


def _literal(value: Any, sql: str) -> str:
    """`value` as SQL, by way of text that Python writes."""
    if value is None:
        return f"NULL::{sql}"
    if isinstance(value, list):
        return f"ARRAY[{', '.join(_literal(item, sql.removesuffix('[]')) for item in value)}]::{sql}"
    if isinstance(value, pa.MonthDayNano):
        text = f"{value.months} months {value.days} days {value.nanoseconds // 1000} microseconds"
    elif isinstance(value, bytes):
        text = value.hex() if sql == "uuid" else f"\\x{value.hex()}"
    elif isinstance(value, (date, time)) and not isinstance(value, datetime):
        text = value.isoformat()
    elif isinstance(value, float):
        text = repr(value).replace("inf", "Infinity")
    else:
        text = str(value)
    return "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + f"'::{sql}"


def _copy(database: PostgresDatabase, command: str, stdin: bytes = b"") -> bytes:
    program = database.server.bindir / "psql"
    arguments = [program, "-XAqt", "-v", "ON_ERROR_STOP=1", "-d", database.dsn, "-c", command]
    done = subprocess.run(arguments, input=stdin, capture_output=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _message(stream: bytes) -> bytes:
    return b"d" + (len(stream) + 4).to_bytes(4) + stream


@pytest.fixture
def table(postgres: PostgresDatabase) -> PostgresDatabase:
    """A database with a table `v` of all columns, and the number `i` of the row before them."""
    columns = ", ".join(f"{name} {sql}" for name, (sql, *_) in _COLUMNS.items())
    postgres.execute(f"CREATE TABLE v (i serial, {columns})")
    return postgres


_SETTINGS = settings(
    max_examples=25, deadline=timedelta(seconds=20), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
_LISTED = ", ".join(_COLUMNS)


@_SETTINGS
@given(rows=_ROWS)
def test_what_the_server_sends_is_decoded_as_pyarrow_has_it(table: PostgresDatabase, rows: list[Any]) -> None:
    """Values that the server read from text come back by COPY as they were, extension types included."""
    batch = _batch(rows)
    kinds = [sql for sql, *_ in _COLUMNS.values()]
    lines = ["(" + ", ".join(map(_literal, row, kinds)) + ")" for row in rows]
    insert = f"INSERT INTO v ({_LISTED}) VALUES " + ", ".join(lines) + ";" if rows else ""
    table.execute(f"TRUNCATE v; {insert}")

    stream = _copy(table, f"COPY (SELECT {_LISTED} FROM v ORDER BY i) TO STDOUT (FORMAT binary)")
    decoded = kernels.pg_copy_decode(_message(stream), _WIRES, batch.schema)

    assert decoded.schema.equals(batch.schema, check_metadata=True)
    assert decoded.equals(batch)
    assert kernels.pg_copy_encode(batch, _WIRES) == stream


@_SETTINGS
@given(rows=_ROWS)
def test_what_is_encoded_is_what_the_server_stores(table: PostgresDatabase, rows: list[Any], tmp_path: Path) -> None:
    """Values that came by COPY equal those that the server reads from text."""
    batch = _batch(rows)
    kinds = [sql for sql, *_ in _COLUMNS.values()]
    path = tmp_path / "rows.copy"
    path.write_bytes(kernels.pg_copy_encode(batch, _WIRES))
    table.execute("TRUNCATE v RESTART IDENTITY")

    _copy(table, f"\\copy v ({_LISTED}) FROM '{path}' (FORMAT binary)")

    assert table.value("SELECT count(*) FROM v") == len(rows)
    for place, row in enumerate(rows, 1):
        expected = ", ".join(f"{_literal(value, sql)}::text" for value, sql in zip(row, kinds, strict=True))
        stored = ", ".join(f"{name}::text" for name in _COLUMNS)
        same = f"SELECT ({stored}) IS NOT DISTINCT FROM ({expected}) FROM v WHERE i = {place}"
        assert table.server.psql(table.name, same) == "t\n", row


def test_a_refused_value_is_placed() -> None:
    """The error has column, row and value."""
    batch = pa.record_batch({"t": pa.array(["a", "b\0"])})
    with pytest.raises(DataError) as caught:
        kernels.pg_copy_encode(batch, [("text", 0)])
    assert caught.value.context == {"column": "t", "row": 1, "value": "b\\0"}
    assert caught.value.hint


def test_a_callers_mistake_is_told_apart() -> None:
    """A name that is no type of the wire, or another number of columns, is not the data's fault."""
    batch = pa.record_batch({"t": pa.array(["a"])})
    with pytest.raises(ValueError, match="`varchar` is no type of the wire"):
        kernels.pg_copy_encode(batch, [("varchar", 0)])
    with pytest.raises(ValueError, match="2 columns are given"):
        kernels.pg_copy_decode(b"", [("text", 0)] * 2, batch.schema)
