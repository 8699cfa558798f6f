"""The tables that the jobs move: their columns in Postgres and DuckDB, and the SQL that makes their rows."""

from __future__ import annotations

from dataclasses import dataclass

LINEITEM_ROWS = 6_001_215
"""TPC-H lineitem at scale 1."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: In lower case, as every tool keeps it.
        postgres, duckdb: Its types, as `format_type` and DuckDB's `DESCRIBE` write them.
        kind: What its values are, which decides how they are compared: `canonical` in check.py.
        constraint: What follows the type in the DDL of Postgres.
        shape: Of a column of JSON, its structure as DuckDB's `from_json` takes it.
    """

    name: str
    postgres: str
    duckdb: str
    kind: str
    constraint: str = ""
    shape: str = ""

    @property
    def padded(self) -> bool:
        """Whether Postgres fills its values with blanks."""
        return self.postgres.startswith("character(")


@dataclass(frozen=True)
class Table:
    """A table and where its rows come from: `select` has the place `{rows}`; without it, from a file."""

    name: str
    columns: tuple[Column, ...]
    select: str | None = None
    quoted_newlines: bool = False

    @property
    def names(self) -> str:
        """The columns as a list in SQL; none of them needs quotes."""
        return ", ".join(column.name for column in self.columns)

    @property
    def types(self) -> dict[str, str]:
        """DuckDB's type of each column."""
        return {column.name: column.duckdb for column in self.columns}

    def ddl(self, name: str | None = None) -> str:
        """`CREATE TABLE` for Postgres."""
        columns = ", ".join(f"{c.name} {c.postgres} {c.constraint}".strip() for c in self.columns)
        return f"CREATE TABLE {name or self.name} ({columns})"


def _required(name: str, postgres: str, duckdb: str, kind: str) -> Column:
    return Column(name, postgres, duckdb, kind, "NOT NULL")


# Clause 1.4.1 of the TPC-H specification.
LINEITEM = Table(
    "lineitem",
    (
        *(_required(name, "bigint", "BIGINT", "integer") for name in ("l_orderkey", "l_partkey", "l_suppkey")),
        _required("l_linenumber", "integer", "INTEGER", "integer"),
        *(
            _required(name, "numeric(15,2)", "DECIMAL(15,2)", "decimal")
            for name in ("l_quantity", "l_extendedprice", "l_discount", "l_tax")
        ),
        _required("l_returnflag", "character(1)", "VARCHAR", "text"),
        _required("l_linestatus", "character(1)", "VARCHAR", "text"),
        *(_required(name, "date", "DATE", "time") for name in ("l_shipdate", "l_commitdate", "l_receiptdate")),
        _required("l_shipinstruct", "character(25)", "VARCHAR", "text"),
        _required("l_shipmode", "character(10)", "VARCHAR", "text"),
        _required("l_comment", "character varying(44)", "VARCHAR", "text"),
    ),
)

_DOC = '{"id": "BIGINT", "tags": ["JSON"], "who": {"name": "VARCHAR", "admin": "BOOLEAN"}}'

# Nothing in it is special: no NaN, no infinity; but decimals of more than ten places, empty texts and line ends are.
WIDE = Table(
    "wide",
    (
        _required("id", "bigint", "BIGINT", "integer"),
        Column("small", "smallint", "SMALLINT", "integer"),
        Column("n", "integer", "INTEGER", "integer"),
        Column("f4", "real", "FLOAT", "float4"),
        Column("f8", "double precision", "DOUBLE", "float8"),
        _required("name", "text", "VARCHAR", "text"),
        Column("note", "text", "VARCHAR", "text"),
        _required("created", "timestamp with time zone", "TIMESTAMP WITH TIME ZONE", "time"),
        Column("day", "date", "DATE", "time"),
        Column("amount", "numeric(18,4)", "DECIMAL(18,4)", "decimal"),
        Column("rate", "numeric(24,12)", "DECIMAL(24,12)", "decimal"),
        Column("ok", "boolean", "BOOLEAN", "boolean"),
        Column("doc", "jsonb", "VARCHAR", "json", shape=_DOC),
        _required("uid", "uuid", "UUID", "uuid"),
        Column("tags", "integer[]", "VARCHAR", "array"),
    ),
    """
    SELECT i,
      CASE WHEN i % 11 <> 0 THEN i % 65536 - 32768 END,
      CASE WHEN i % 10 <> 0 THEN i * 7919 % 2147483647 END,
      CASE WHEN i % 12 <> 0 THEN (i % 100003) / 7.0 END,
      CASE WHEN i % 13 <> 0 THEN sin(i) * 1e6 END,
      'user ' || left(md5(i::text), 8 + (i % 13)::integer),
      CASE WHEN i % 3 = 0 THEN NULL WHEN i % 17 = 0 THEN '' WHEN i % 101 = 0 THEN E'Zoë said "no, never",\\nand went'
        ELSE left(repeat(md5((i * 31)::text), 3), 20 + (i % 60)::integer) END,
      timestamptz '2020-01-01 00:00:00+00' + i * interval '1.234567 seconds',
      CASE WHEN i % 9 <> 0 THEN date '1990-01-01' + (i % 15000)::integer END,
      CASE WHEN i % 14 <> 0 THEN (i * 104729 % 1000000000007 - 500000000000) / 10000.0 END,
      CASE WHEN i % 15 <> 0 THEN (i * 1299709 % 999999999989) / 999999999989.0 END,
      CASE WHEN i % 7 <> 0 THEN i % 2 = 0 END,
      CASE WHEN i % 6 <> 0 THEN jsonb_build_object('id', i, 'tags', jsonb_build_array(i % 5, 'b', NULL),
        'who', jsonb_build_object('name', 'Zoë ' || i % 100, 'admin', i % 2 = 0)) END,
      md5(i::text)::uuid,
      CASE WHEN i % 5 = 0 THEN NULL WHEN i % 7 = 0 THEN '{}' WHEN i % 8 = 0 THEN ARRAY[i::integer, NULL, 3]
        ELSE ARRAY[i % 1000, i % 77, 5]::integer[] END
    FROM generate_series(1::bigint, {rows}) AS i
    """,
    quoted_newlines=True,
)

_ACCOUNT = (
    _required("id", "bigint", "BIGINT", "integer"),
    _required("name", "text", "VARCHAR", "text"),
    Column("email", "text", "VARCHAR", "text"),
    _required("balance", "numeric(15,2)", "DECIMAL(15,2)", "decimal"),
    _required("active", "boolean", "BOOLEAN", "boolean"),
    _required("updated_at", "timestamp with time zone", "TIMESTAMP WITH TIME ZONE", "time"),
)

ACCOUNTS = Table(
    "accounts",
    _ACCOUNT,
    """
    SELECT i, 'account ' || i, CASE WHEN i % 10 <> 0 THEN md5(i::text) || '@example.com' END,
      (i * 7919 % 10000000) / 100.0, i % 3 <> 0, timestamptz '2025-01-01 00:00:00+00' + i * interval '1 millisecond'
    FROM generate_series(1::bigint, {rows}) AS i
    """,
)

# One in twenty of the accounts is changed, and as many come after the last; `{rows}` are those of ACCOUNTS.
CHANGES = Table(
    "changes",
    _ACCOUNT,
    """
    SELECT id, 'changed ' || id, CASE WHEN i % 7 <> 0 THEN md5(id::text) || '@example.org' END,
      (id * 104729 % 10000000) / 100.0, i % 5 <> 0, timestamptz '2026-01-01 00:00:00+00' + i * interval '1 millisecond'
    FROM (SELECT i, CASE WHEN i <= {rows} / 20 THEN i * 20 ELSE {rows} - {rows} / 20 + i END AS id
          FROM generate_series(1::bigint, {rows} / 20 * 2) AS i) AS numbered
    """,
)

TEN = Table(
    "ten",
    (
        _required("id", "bigint", "BIGINT", "integer"),
        _required("name", "text", "VARCHAR", "text"),
        Column("amount", "numeric(15,2)", "DECIMAL(15,2)", "decimal"),
        _required("created", "timestamp with time zone", "TIMESTAMP WITH TIME ZONE", "time"),
    ),
    """
    SELECT i, 'row ' || i, CASE WHEN i <> 5 THEN i * 1.25 END,
      timestamptz '2026-01-01 00:00:00+00' + i * interval '1.000001 days'
    FROM generate_series(1, 10) AS i
    """,
)
