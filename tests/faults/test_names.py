"""Names of any kind: quoted so that no two become one, and so that the server reads the name that was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import arrowload
from arrowload.core.exceptions import DataLoaderError, RecipeError
from arrowload.io.postgres import PostgresSession
from arrowload.io.sql import TableName, quote_identifier, quote_literal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

HOSTILE = st.text(st.sampled_from("\"'.;-\\ a\n\t%é😀`$[]"), min_size=1, max_size=12)
NAMES = HOSTILE | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
ODD = ['quo"ted', "do.ts; --", "'", "a b", "SELECT", "é😀", '"already quoted"', "$1", "%s", "tab\tnewline\n"]


@pytest.mark.fault(68)
@given(NAMES, NAMES)
def test_quoting_gives_every_name_back(schema: str, table: str) -> None:
    """DuckDB reads the very name, alone and behind a schema; a table name that is written quoted is parsed back."""
    with duckdb.connect() as connection:
        names = connection.execute(f"SELECT 1 AS {quote_identifier(table)}").description
        texts = connection.execute(f"SELECT {quote_literal(table)}").fetchall()

    assert (names[0][0], texts) == (table, [(table,)])
    name = TableName(schema, table)
    assert TableName.parse(name.sql(), default_schema="other") == name


@pytest.mark.fault(68)
@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES))
def test_no_two_names_become_one(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Quoting is injective."""
    assert (TableName(*one).sql() == TableName(*other).sql()) == (one == other)


@pytest.mark.fault(68)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=15))
def test_postgres_reads_every_name(postgres: PostgresDatabase, name: str) -> None:
    """As a name and as a text."""
    session = PostgresSession(postgres.dsn, lambda exc: exc)
    try:
        columns = session.describe(f"SELECT {quote_literal(name)}::text AS {quote_identifier(name)}")
        rows = session.execute(f"SELECT {quote_literal(name)}::text AS {quote_identifier(name)}")
    finally:
        session.close()

    assert ([column.name for column in columns], rows) == ([name], [(name,)])


@pytest.mark.fault(68)
@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    """Rather than cut off, as C would."""
    with pytest.raises(RecipeError):
        quote_identifier(name)


def recipe_of(folder: Path, database: PostgresDatabase, table: str) -> dict[str, Any]:
    return {
        "name": "names",
        "source": {"type": "duckdb", "path": str(folder / "in.duckdb"), "table": "t"},
        "destination": {"type": "postgres", "dsn": database.dsn, "table": table},
        "state": {"type": "local", "path": str(folder / "state")},
    }


@pytest.mark.fault(68)
def test_odd_names_go_to_postgres_and_come_back(tmp_path: Path, postgres: PostgresDatabase) -> None:
    """Of columns and of the table; a second load finds them again."""
    with duckdb.connect(str(tmp_path / "in.duckdb")) as connection:
        connection.execute(
            f"CREATE TABLE t AS SELECT {', '.join(f'{n} AS {quote_identifier(x)}' for n, x in enumerate(ODD))}"
        )
    table = TableName("o\"dd.sch'ema;", 't"able.; --').sql()
    recipe = recipe_of(tmp_path, postgres, table)

    arrowload.run(recipe)
    arrowload.run(recipe)
    back = arrowload.read({"name": "back", "source": {"type": "postgres", "dsn": postgres.dsn, "table": table}})

    assert back.schema.names == ODD
    assert back.num_rows == 2


@pytest.mark.fault(68)
@pytest.mark.parametrize("names", [["x" * 64], ["é" * 32], ["x" * 70 + "a", "x" * 70 + "b"]], ids=len)
def test_names_that_postgres_would_cut(tmp_path: Path, postgres: PostgresDatabase, names: list[str]) -> None:
    """Names of more than 63 bytes are refused, since the server would cut them, and find them no more."""
    with duckdb.connect(str(tmp_path / "in.duckdb")) as connection:
        connection.execute(f"CREATE TABLE t AS SELECT {', '.join(f'1 AS {quote_identifier(name)}' for name in names)}")

    with pytest.raises(DataLoaderError) as caught:
        arrowload.run(recipe_of(tmp_path, postgres, "public.t"))

    assert caught.value.exit_code == 78
    assert "63 bytes" in str(caught.value)
    assert postgres.query("SELECT 1 AS one FROM pg_tables WHERE tablename = 't'") == []
