"""Values out of Postgres and into Postgres again, compared by SQL that arrowload takes no part in."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from arrowload.core.exceptions import DataError, DataLoaderError, RecipeError
from arrowload.io.sql import quote_literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postgres_server import PostgresDatabase

SETUP = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN price AS numeric(12,3) CHECK (value > 0);
"""
# Type of the column → values, as SQL texts.
VALUES = {
    "bool": ["t", "f"],
    "int2": ["-32768", "32767"],
    "int4": ["-2147483648", "2147483647"],
    "int8": ["-9223372036854775808", "9223372036854775807"],
    "float4": ["0.1", "-0", "NaN", "Infinity", "1e-45", "3.4028235e38"],
    "float8": ["0.1", "-0", "NaN", "-Infinity", "5e-324", "1.7976931348623157e308"],
    "numeric(15,2)": ["-9999999999999.99", "0", "0.01", "10000", "99990000.00"],
    "numeric(38,38)": ["0.00000000000000000000000000000000000001", "-0.1"],
    "numeric(76,10)": ["9" * 66 + ".0000000001", "-1"],
    "numeric(2,4)": ["0.0099", "-0.0001"],
    "numeric": ["1.5", "-123456789.000000001", "1e20", "0.0001"],
    "price": ["1.5", "0.001"],
    "text": ["", " ", "é😀", "a\\b'\"", "line\nbreak\ttab", "NULL"],
    "varchar(5)": ["abcde", "é😀", ""],
    "char(5)": ["a", "abcde"],
    "name": ["x" * 63],
    "bytea": ["\\x", "\\x00ff00", "\\x5c78"],
    "date": ["2024-02-29", "4713-01-01 BC", "5874897-12-31", "1970-01-01", "1969-12-31"],
    "time": ["00:00:00", "23:59:59.999999"],
    "time(0)": ["10:11:12"],
    "timestamp": ["2024-02-29 01:02:03.000456", "4713-01-01 00:00:00 BC", "294246-12-31 23:59:59.999999"],
    "timestamp(3)": ["2024-02-29 01:02:03.456"],
    "timestamptz": ["2024-02-29 01:02:03.000456+02", "1883-11-18 12:03:58-07:52:58", "0001-01-01 00:00:00+00 BC"],
    "interval": ["1 year 2 mons -3 days 04:05:06.789012", "-1 mons", "00:00:00", "-00:00:00.000001"],
    "uuid": ["123e4567-e89b-12d3-a456-426614174000"],
    "json": ['{"b": 1,  "a": [null, "é"]}', "null", '"x"'],
    "jsonb": ['{"b": 1, "a": [null, "é"]}', "1.50"],
    "mood": ["sad", "ok"],
    "pair": ['(1,"a,b")', "(,)"],
    "oid": ["0", "4294967295"],
    "timetz": ["10:00:00.5+02:30"],
    "inet": ["::1", "10.0.0.1/8"],
    "cidr": ["10.0.0.0/8"],
    "macaddr": ["08:00:2b:01:02:03"],
    "int4range": ["[1,5)", "empty"],
    "tstzrange": ['["2024-01-01 00:00:00+00",)'],
    "bit(3)": ["101"],
    "varbit(8)": ["10", ""],
    "tsvector": ["'a':1A 'b'"],
    "pg_lsn": ["0/10"],
    "int4[]": ["{1,NULL,3}", "{}"],
    "numeric(5,2)[]": ["{1.25,NULL}"],
    "price[]": ["{1.500}"],
    "text[]": ['{a,NULL,"b,c",""}'],
    "mood[]": ["{ok,sad}"],
    "uuid[]": ["{123e4567-e89b-12d3-a456-426614174000}"],
    "timestamptz[]": ['{"2024-01-01 00:00:00+00"}'],
    "jsonb[]": ['{"{\\"a\\": 1}"}'],
    "inet[]": ["{::1,10.0.0.0/8}"],
    "pair[]": ['{"(1,a)"}'],
}


def fill(postgres: PostgresDatabase, kind: str) -> None:
    values = ", ".join(f"({quote_literal(value)})" for value in VALUES[kind])
    postgres.execute(f"{SETUP} CREATE TABLE source (v {kind}); INSERT INTO source VALUES {values}, (NULL);")


def differences(postgres: PostgresDatabase, cast: str) -> list[tuple[Any, ...]]:
    both = [f"SELECT {cast} AS v, count(*) AS n FROM {table} GROUP BY 1" for table in ("source", "target")]
    return postgres.query(f"({both[0]} EXCEPT {both[1]}) UNION ALL ({both[1]} EXCEPT {both[0]})")


@pytest.mark.parametrize("kind", VALUES)
def test_into_a_table_of_the_same_types(
    postgres: PostgresDatabase, read: Callable[..., pa.Table], loading: Callable[..., Any], kind: str
) -> None:
    """Each value is, to the last bit of its text, what it was; by COPY and by way of staging."""
    fill(postgres, kind)
    postgres.execute(f"CREATE TABLE target (v {kind}); CREATE TABLE staged (LIKE target);")
    postgres.execute(
        "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER t BEFORE INSERT ON staged FOR EACH ROW EXECUTE FUNCTION pass();"
    )

    rows = read(table="source")
    loading("target").load(rows)
    loading("staged").load(rows)

    assert differences(postgres, "v::text") == []
    postgres.execute("TRUNCATE target; INSERT INTO target SELECT * FROM staged;")
    assert differences(postgres, "v::text") == []


@pytest.mark.parametrize("kind", VALUES)
def test_into_a_table_that_is_made(
    postgres: PostgresDatabase, read: Callable[..., pa.Table], loading: Callable[..., Any], kind: str
) -> None:
    """The new column holds the same values; what Postgres alone knows becomes text."""
    fill(postgres, kind)

    loading("target").load(read(table="source"))

    cast = "trim_scale(v::text::numeric)::text" if kind == "numeric" else f"v::text::{kind}::text"
    assert differences(postgres, cast) == []


ARROW = [
    (pa.array([-128, 127, None], pa.int8()), "smallint"),
    (pa.array([255, None], pa.uint8()), "smallint"),
    (pa.array([65535], pa.uint16()), "integer"),
    (pa.array([2**32 - 1], pa.uint32()), "bigint"),
    (pa.array([2**64 - 1, 0], pa.uint64()), "numeric(20,0)"),
    (pa.array([0.1], pa.float32()), "real"),
    (pa.array([0.5], pa.float16()), "real"),
    (pa.array([decimal.Decimal("1.25")], pa.decimal128(10, 2)), "numeric(10,2)"),
    (pa.array([decimal.Decimal("1.25")], pa.decimal32(5, 2)), "numeric(5,2)"),
    (pa.array([decimal.Decimal("1e70")], pa.decimal256(76, 3)), "numeric(76,3)"),
    (pa.array(["x"], pa.large_string()), "text"),
    (pa.array(["x"], pa.string_view()), "text"),
    (pa.array(["x", None]).dictionary_encode(), "text"),
    (pa.array([b"ab"], pa.binary(2)), "bytea"),
    (pa.array([dt.date(2024, 2, 29)], pa.date64()), "date"),
    (pa.array([dt.time(1, 2, 3)], pa.time32("s")), "time without time zone"),
    (pa.array([1_000_000_000], pa.timestamp("s")), "timestamp without time zone"),
    (pa.array([1_000_000_000], pa.timestamp("ms", "Europe/Berlin")), "timestamp with time zone"),
    (pa.array([dt.timedelta(days=1)], pa.duration("s")), "interval"),
    (pa.array([[1, None], None], pa.list_(pa.int64())), "bigint[]"),
    (pa.array([[1, 2]], pa.list_(pa.int16(), 2)), "smallint[]"),
    (pa.array([None, None]), "text"),
]


@pytest.mark.parametrize(("column", "expected"), ARROW, ids=[str(column.type) for column, _ in ARROW])
def test_each_arrow_type_gets_a_column_that_holds_it(
    postgres: PostgresDatabase,
    loading: Callable[..., Any],
    read: Callable[..., pa.Table],
    column: pa.Array,
    expected: str,
) -> None:
    """The column's type and its values, read back."""
    loading("target").load(pa.table({"v": column}))

    made = postgres.value(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'target'::regclass AND attnum = 1"
    )
    assert made == expected
    got = read(table="target").column("v")
    if expected == "interval":
        assert postgres.value("SELECT v::text AS v FROM target") == "24:00:00"
    else:
        assert got.to_pylist() == column.cast(got.type).to_pylist()


@pytest.mark.parametrize(
    "column",
    [pa.array([{"a": 1}]), pa.array([[(1, 2)]], pa.map_(pa.int32(), pa.int32())), pa.array([[[1]]])],
    ids=["struct", "map", "nested"],
)
def test_what_has_no_column_is_refused(loading: Callable[..., Any], column: pa.Array) -> None:
    """Before anything is made, with the column's name and type."""
    with pytest.raises(RecipeError, match="no column for `v`"):
        loading("target").load(pa.table({"v": column}))


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("int4", pa.array(["1"])),
        ("text", pa.array([1])),
        ("date", pa.array(["2024-01-01"])),
        ("timestamptz", pa.array([0], pa.timestamp("us"))),
        ("timestamp", pa.array([0], pa.timestamp("us", "UTC"))),
        ("float8", pa.array([0], pa.timestamp("us"))),
        ("bool", pa.array([1])),
        ("int4[]", pa.array([1])),
        ("int4[]", pa.array([["1"]])),
        ("inet", pa.array([1])),
        ("money", pa.array(["1"])),
        ("timestamp(2)", pa.array([0], pa.timestamp("us"))),
        ("numeric(3,-2)", pa.array([1])),
    ],
)
def test_types_that_do_not_meet_are_refused(
    postgres: PostgresDatabase, loading: Callable[..., Any], kind: str, column: pa.Array
) -> None:
    """Both types are named; nothing is written."""
    postgres.execute(f"CREATE TABLE target (v {kind});")

    with pytest.raises(RecipeError, match="column `v` is `") as caught:
        loading("target").load(pa.table({"v": column}))

    assert str(column.type) in caught.value.message
    assert postgres.value("SELECT count(*) FROM target") == 0


SAME_WIDTH = [
    ("float8", pa.array([1, 2**53], pa.int64()), ["1", "9.007199254740992e+15"]),
    ("int8", pa.array([1.0, -2.0], pa.float64()), ["1", "-2"]),
    ("int4", pa.array([3.0], pa.float32()), ["3"]),
    ("float4", pa.array([3], pa.int32()), ["3"]),
    ("int2", pa.array([3], pa.int64()), ["3"]),
    ("int8", pa.array([3], pa.int16()), ["3"]),
    ("float8", pa.array([0.5], pa.float32()), ["0.5"]),
    ("numeric(5,2)", pa.array([3], pa.int64()), ["3.00"]),
    ("numeric", pa.array([3], pa.int64()), ["3"]),
    ("float8[]", pa.array([[3]], pa.list_(pa.int64())), ["{3}"]),
    ("timestamp", pa.array([dt.date(2024, 1, 1)]), ["2024-01-01 00:00:00"]),
    ("timestamp", pa.array([1], pa.timestamp("ns")).cast(pa.timestamp("ns")), None),
    ("int8", pa.array([1.5]), None),
    ("int2", pa.array([40000]), None),
    ("float8", pa.array([2**53 + 1]), None),
    ("numeric(5,2)", pa.array([decimal.Decimal("1.234")]), None),
    ("timestamp(0)", pa.array([1], pa.timestamp("us")), None),
]


@pytest.mark.parametrize(("kind", "column", "expected"), SAME_WIDTH)
def test_a_value_is_stored_as_itself_or_not_at_all(
    postgres: PostgresDatabase, loading: Callable[..., Any], kind: str, column: pa.Array, expected: list[str] | None
) -> None:
    """The driver would take eight bytes of an integer for a float; the types asked for leave it no chance."""
    postgres.execute(f"CREATE TABLE target (v {kind});")

    if expected is None:
        with pytest.raises(DataLoaderError):
            loading("target").load(pa.table({"v": column}))
    else:
        loading("target").load(pa.table({"v": column}))

    assert postgres.query("SELECT v::text AS v FROM target") == [(text,) for text in expected or []]


@pytest.mark.fault(54)
@pytest.mark.parametrize(
    "column",
    [
        pa.array([-(2**31) + 10957], pa.int32()).cast(pa.date32()),
        pa.array([-(2**63) + 946_684_800_000_000], pa.int64()).cast(pa.timestamp("us")),
        pa.array([None, (1, 2, 1)], pa.month_day_nano_interval()),
    ],
    ids=["date", "timestamp", "interval"],
)
def test_values_that_the_driver_would_change_are_errors(
    postgres: PostgresDatabase, loading: Callable[..., Any], column: pa.Array
) -> None:
    """What would become an infinity, or lose nanoseconds, ends the load with column and row."""
    with pytest.raises(DataError) as caught:
        loading("target").load(pa.table({"v": column}))

    assert (caught.value.context["column"], caught.value.context["row"]) == ("v", len(column))
    assert postgres.value("SELECT to_regclass('target')::text") is None


@pytest.mark.fault(55)
@pytest.mark.parametrize(
    ("kind", "value", "sqlstate"),
    [("varchar(2)", "abc", "22001"), ("mood", "bad", "22P02"), ("price", "-1", "23514")],
)
def test_what_the_server_refuses_is_bad_data(
    postgres: PostgresDatabase, loading: Callable[..., Any], kind: str, value: str, sqlstate: str
) -> None:
    """The code, the place and the reason are the server's."""
    postgres.execute(f"{SETUP} CREATE TABLE target (v {kind});")

    values = [decimal.Decimal(1), decimal.Decimal(value)] if kind == "price" else ["ok", value]
    with pytest.raises(DataError) as caught:
        loading("target").load(pa.table({"v": values}))

    assert caught.value.context["sqlstate"] == sqlstate
    assert "line 2" in caught.value.context["where"]
    assert postgres.value("SELECT count(*) FROM target") == 0
