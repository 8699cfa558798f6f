"""Every Postgres type, value by value, as the source reads it."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from arrowload.core.exceptions import DataError, RecipeError
from arrowload.core.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from arrowload.connectors.postgres.source import PostgresSource
    from tests.postgres_server import PostgresDatabase

D = decimal.Decimal
UUID = uuid.UUID("123e4567-e89b-12d3-a456-426614174000")
TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, b text);
CREATE SCHEMA crm;
CREATE TYPE crm.mood AS ENUM ('high');
CREATE DOMAIN price AS numeric(12,3) CHECK (value > 0);
CREATE DOMAIN dear_price AS price CHECK (value > 1);
"""
CASES: list[tuple[str, str, pa.DataType, Any]] = [
    ("bool", "true", pa.bool_(), True),
    ("int2", "-32768", pa.int16(), -32768),
    ("int4", "2147483647", pa.int32(), 2147483647),
    ("int8", "-9223372036854775808", pa.int64(), -(2**63)),
    ("float4", "0.1", pa.float32(), pytest.approx(0.1)),
    ("float8", "0.1", pa.float64(), 0.1),
    ("float8", "'-infinity'", pa.float64(), float("-inf")),
    ("numeric(15,2)", "1234567890123.45", pa.decimal128(15, 2), D("1234567890123.45")),
    ("numeric(38,0)", "'9'::text || repeat('9', 37)", pa.decimal128(38, 0), D("9" * 38)),
    ("numeric(39,1)", "1.5", pa.decimal256(39, 1), D("1.5")),
    ("numeric(76,76)", "0.1", pa.decimal256(76, 76), D("0.1")),
    ("numeric(2,4)", "0.0012", pa.decimal128(4, 4), D("0.0012")),
    ("numeric(3,-2)", "12345", pa.decimal128(5, 0), D("12300")),
    ("numeric", "-0.00001", pa.decimal128(38, 9), D("-0.00001")),
    ("money", "1234.56", pa.decimal128(38, 9), D("1234.56")),
    ("price", "1.5", pa.decimal128(12, 3), D("1.5")),
    ("dear_price", "2.5", pa.decimal128(12, 3), D("2.5")),
    ("text", "'é😀''\"\\'", pa.string(), "é😀'\"\\"),
    ("varchar(5)", "'ab '", pa.string(), "ab "),
    ("char(5)", "'ab'", pa.string(), "ab   "),
    ("name", "'ab'", pa.string(), "ab"),
    ("bytea", r"'\x00ff'", pa.binary(), b"\x00\xff"),
    ("date", "'2024-02-29'", pa.date32(), dt.date(2024, 2, 29)),
    ("time", "'23:59:59.999999'", pa.time64("us"), dt.time(23, 59, 59, 999999)),
    ("timestamp", "'2024-02-29 01:02:03.000456'", pa.timestamp("us"), dt.datetime(2024, 2, 29, 1, 2, 3, 456)),
    (
        "timestamptz",
        "'2024-02-29 01:02:03+02'",
        pa.timestamp("us", "UTC"),
        dt.datetime(2024, 2, 28, 23, 2, 3, tzinfo=dt.UTC),
    ),
    ("interval", "'1 mon -2 days 3.000004 s'", pa.month_day_nano_interval(), pa.MonthDayNano([1, -2, 3_000_004_000])),
    ("uuid", f"'{UUID}'", pa.uuid(), UUID),
    ("json", """'{"b": 1,  "a": 2}'""", pa.json_(), '{"b": 1,  "a": 2}'),
    ("jsonb", """'{"b": 1,  "a": 2}'""", pa.json_(), '{"a": 2, "b": 1}'),
    ("mood", "'sad'", pa.string(), "sad"),
    ("crm.mood", "'high'", pa.string(), "high"),
    ("pair", "(1, 'x')", pa.string(), "(1,x)"),
    ("oid", "4294967295", pa.int64(), 4294967295),
    ("timetz", "'10:00:00+02'", pa.string(), "10:00:00+02"),
    ("inet", "'::1'", pa.string(), "::1/128"),
    ("cidr", "'10.0.0.0/8'", pa.string(), "10.0.0.0/8"),
    ("macaddr", "'08:00:2b:01:02:03'", pa.string(), "08:00:2b:01:02:03"),
    ("int4range", "'[1,5)'", pa.string(), "[1,5)"),
    ("bit(3)", "B'101'", pa.string(), "101"),
    ("varbit", "B'10'", pa.string(), "10"),
    ("point", "'(1,2)'", pa.string(), "(1,2)"),
    ("tsvector", "'a:1'", pa.string(), "'a':1"),
    ("pg_lsn", "'0/10'", pa.string(), "0/10"),
    ("jsonpath", "'$.a'", pa.string(), '$."a"'),
    ("regclass", "'pg_class'", pa.string(), "pg_class"),
    ("oidvector", "'1 2'", pa.string(), "1 2"),
    ("int4[]", "'{1,NULL}'", pa.list_(pa.int32()), [1, None]),
    ("int4[]", "'{}'", pa.list_(pa.int32()), []),
    ("numeric(5,2)[]", "'{1.25,NULL}'", pa.list_(pa.decimal128(5, 2)), [D("1.25"), None]),
    ("numeric[]", "'{1.5}'", pa.list_(pa.decimal128(38, 9)), [D("1.5")]),
    ("price[]", "'{1.5}'", pa.list_(pa.decimal128(12, 3)), [D("1.5")]),
    ("text[]", "'{a,NULL,\"b,c\"}'", pa.list_(pa.string()), ["a", None, "b,c"]),
    ("mood[]", "'{ok}'", pa.list_(pa.string()), ["ok"]),
    ("uuid[]", f"'{{{UUID}}}'", pa.list_(pa.uuid()), [UUID]),
    ("date[]", "'{2024-02-29}'", pa.list_(pa.date32()), [dt.date(2024, 2, 29)]),
    ("jsonb[]", "ARRAY['{}'::jsonb]", pa.list_(pa.json_()), ["{}"]),
    ("inet[]", "'{::1}'", pa.list_(pa.string()), ["::1/128"]),
]


@pytest.fixture
def types(postgres: PostgresDatabase) -> PostgresDatabase:
    postgres.execute(TYPES)
    return postgres


@pytest.mark.parametrize(("sql", "value", "kind", "expected"), CASES, ids=[case[0] for case in CASES])
def test_each_type_arrives_exact(
    types: PostgresDatabase, read: Callable[..., pa.Table], sql: str, value: str, kind: pa.DataType, expected: Any
) -> None:
    """A value and a NULL come as the catalogue's type, from a table and from a query alike."""
    types.execute(f"CREATE TABLE t (n int, v {sql}); INSERT INTO t VALUES (1, ({value})::{sql}), (2, NULL);")

    table = read(table="t")
    query = read(query="SELECT n, v FROM t ORDER BY n; ")

    assert table.schema.field("v").type == kind
    assert table.column("v").to_pylist() == query.column("v").to_pylist() == [expected, None]
    if sql != "numeric(5,2)[]":  # a query does not tell the modifier of an array
        assert query.schema == table.schema


@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz"])
def test_years_before_christ_are_ordinary_values(
    postgres: PostgresDatabase, read: Callable[..., pa.Table], kind: str
) -> None:
    """4713 BC, the first year of Postgres, comes as the right number of days."""
    postgres.execute(f"CREATE TABLE t (v {kind}); INSERT INTO t VALUES ('4713-01-01 BC');")

    column = read(table="t").column("v").combine_chunks()

    days = (
        column.view(pa.int32())[0].as_py() if kind == "date" else column.view(pa.int64())[0].as_py() // 86_400_000_000
    )
    assert days == -2_440_550


@pytest.mark.fault(53, 54)
@pytest.mark.parametrize("value", ["infinity", "-infinity"])
@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz", "date[]"])
def test_infinity_is_an_error_that_names_column_row_and_value(
    postgres: PostgresDatabase, read: Callable[..., pa.Table], kind: str, value: str
) -> None:
    """The driver wraps infinities into dates; the source does not let them through."""
    text = f"{{NULL,{value}}}" if kind.endswith("[]") else value
    postgres.execute(f"CREATE TABLE t (v {kind}); INSERT INTO t VALUES (NULL), (NULL), ('{text}');")

    with pytest.raises(DataError) as caught:
        read(table="t")

    assert caught.value.context["column"] == "v"
    assert caught.value.context["row"] == 3
    assert caught.value.context["value"] == value


def test_infinity_becomes_null_when_the_recipe_says_so(
    postgres: PostgresDatabase, read: Callable[..., pa.Table]
) -> None:
    """`infinity: null` covers dates, timestamps, intervals and arrays; other values stay."""
    postgres.execute(
        "CREATE TABLE t (d date, z timestamptz, i interval, a date[]);"
        "INSERT INTO t VALUES ('infinity', '-infinity', 'infinity', '{infinity,2024-01-01}');"
        "INSERT INTO t (d) VALUES ('2024-01-01');"
    )

    rows = read(table="t", infinity="null").to_pylist()

    assert rows[0] == {"d": None, "z": None, "i": None, "a": [None, dt.date(2024, 1, 1)]}
    assert rows[1]["d"] == dt.date(2024, 1, 1)


@pytest.mark.fault(54)
@pytest.mark.parametrize(
    ("kind", "value"),
    [("interval", "infinity"), ("time", "24:00:00"), ("timestamp", "294276-12-31"), ("interval", "2562047788 hours")],
)
def test_what_arrow_cannot_hold_is_an_error(
    postgres: PostgresDatabase, read: Callable[..., pa.Table], kind: str, value: str
) -> None:
    """Values beyond Arrow's ranges end the load; declared as text they are read."""
    postgres.execute(f"CREATE TABLE t (v {kind}); INSERT INTO t VALUES ('{value}');")

    with pytest.raises(DataError):
        read(table="t")

    assert read(table="t", columns={"v": "text"}).column("v").to_pylist()[0].startswith(value[:6])


@pytest.mark.parametrize("value", ["{{1,2},{3,4}}", "[2:3]={5,6}"])
def test_arrays_that_are_no_lists_are_never_flattened(
    postgres: PostgresDatabase, read: Callable[..., pa.Table], value: str
) -> None:
    """Dimensions and lower bounds end the load with the column's name; as text they are read."""
    postgres.execute(f"CREATE TABLE t (v int[]); INSERT INTO t VALUES ('{{1}}'), ('{value}');")

    with pytest.raises(DataError, match="column `v`, row 2"):
        read(table="t")

    assert read(table="t", columns={"v": "text"}).column("v").to_pylist() == ["{1}", value]


@pytest.mark.fault(53)
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("(1.5), (123456)", pa.decimal128(38, 9)),
        ("(0.1234567890123)", pa.decimal128(38, 13)),
        ("(12345678901234567890123456789012345.25)", pa.decimal128(38, 3)),
        ("(1234567890123456789012345678901234567890)", pa.decimal256(76, 9)),
        ("(repeat('9', 70)::numeric), (0.5)", pa.decimal256(76, 6)),
        ("(NULL)", pa.decimal128(38, 9)),
        ("(0.00), (-0.5)", pa.decimal128(38, 9)),
    ],
)
def test_undeclared_numerics_are_sized_from_the_data(
    postgres: PostgresDatabase, read: Callable[..., pa.Table], values: str, expected: pa.DataType
) -> None:
    """The decimal holds every value exactly, and has nine decimals where there is room."""
    postgres.execute(f"CREATE TABLE t (v numeric); INSERT INTO t VALUES {values};")

    table = read(table="t")

    assert table.schema.field("v").type == expected
    got = sorted(value for value in table.column("v").to_pylist() if value is not None)
    assert got == [D(text) for (text,) in postgres.query("SELECT v::text FROM t WHERE v IS NOT NULL ORDER BY v")]


def test_only_rows_of_the_window_size_a_numeric(postgres: PostgresDatabase, read: Callable[..., pa.Table]) -> None:
    """A filter applies to the sizing as it does to the rows."""
    postgres.execute("CREATE TABLE t (v numeric); INSERT INTO t VALUES (1.5), (repeat('9', 80)::numeric), ('NaN');")

    assert read(table="t", filter="v < 10 -- small").schema.field("v").type == pa.decimal128(38, 9)


@pytest.mark.fault(53)
def test_a_numeric_of_more_than_76_digits_asks_for_a_declaration(
    postgres: PostgresDatabase, read: Callable[..., pa.Table]
) -> None:
    """The error names the column; as text the value is read."""
    postgres.execute("CREATE TABLE t (v numeric); INSERT INTO t VALUES (repeat('9', 77)::numeric);")

    with pytest.raises(DataError, match="column `v`") as caught:
        read(table="t")

    assert "text" in str(caught.value.hint)
    assert read(table="t", columns={"v": "text"}).column("v").to_pylist() == ["9" * 77]


def test_a_declared_decimal_spares_the_sizing_and_is_checked(
    postgres: PostgresDatabase, read: Callable[..., pa.Table]
) -> None:
    """`columns: {v: numeric(10,2)}` gives that type; a value that needs more is an error with row and value."""
    postgres.execute("CREATE TABLE t (v numeric, i int); INSERT INTO t VALUES (1.50, 1), (2, 2);")

    table = read(table="t", columns={"v": "numeric(10,2)", "i": "decimal(12,0)"})
    postgres.execute("INSERT INTO t VALUES (1.005, 3);")
    with pytest.raises(DataError) as caught:
        read(table="t", columns={"v": "numeric(10,2)"})

    assert [field.type for field in table.schema] == [pa.decimal128(10, 2), pa.decimal128(12, 0)]
    assert (caught.value.context["row"], caught.value.context["value"]) == (3, "1.005")


@pytest.mark.fault(53)
@pytest.mark.parametrize("kind", ["numeric", "numeric(10,2)", "numeric[]"])
def test_nan_is_an_error_or_null_as_the_recipe_says(
    postgres: PostgresDatabase, read: Callable[..., pa.Table], kind: str
) -> None:
    """By default NaN ends the load; `numeric_special: null` reads NULL."""
    value = "{NaN,1}" if kind.endswith("[]") else "NaN"
    postgres.execute(f"CREATE TABLE t (v {kind}); INSERT INTO t VALUES ('{value}');")

    with pytest.raises(DataError, match="column `v`"):
        read(table="t")

    assert read(table="t", numeric_special="null").column("v").to_pylist() == [[None, D(1)] if "{" in value else None]


def test_a_column_cannot_be_declared_as_what_it_is_not(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """Declaring is no cast."""
    postgres.execute("CREATE TABLE t (v text);")

    with pytest.raises(RecipeError, match="cannot be declared"):
        source(table="t", columns={"v": "int"}).schema()


def test_a_view_and_a_partitioned_table_are_read_as_tables(
    postgres: PostgresDatabase, read: Callable[..., pa.Table]
) -> None:
    """The catalogue knows their types too."""
    postgres.execute(
        "CREATE TABLE t (v numeric(10,2)) PARTITION BY RANGE (v);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10); INSERT INTO t VALUES (1.5);"
        "CREATE VIEW w AS SELECT v, v * 2 AS double FROM t;"
    )

    assert read(table="t").schema.field("v").type == pa.decimal128(10, 2)
    assert read(table="public.w").to_pylist() == [{"v": D("1.5"), "double": D(3)}]


def test_the_schema_is_known_without_reading_a_row(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """It is that of the snapshot, but for numerics of unusual size; the query is not run."""
    postgres.execute("CREATE TABLE t (a int, v numeric, p numeric(10,2)); INSERT INTO t VALUES (0, 1.5, 2);")

    schema = source(query="SELECT 1 / a AS boom, v, p FROM t").schema()
    with source(table="t").snapshot(State()) as snapshot:
        assert source(table="t").schema() == snapshot.schema

    assert [field.type for field in schema] == [pa.int32(), pa.decimal128(38, 9), pa.decimal128(10, 2)]
