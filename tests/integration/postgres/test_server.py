"""The test server itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.postgres_server import PostgresDatabase


def test_it_runs_many_statements_and_answers_queries(postgres: PostgresDatabase) -> None:
    """`execute` takes a script, `query` gives tuples."""
    postgres.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2);")

    assert postgres.query("SELECT a, a::text AS text FROM t ORDER BY a") == [(1, "1"), (2, "2")]


def test_each_test_has_its_own_database(postgres: PostgresDatabase) -> None:
    """Nothing of another test is there."""
    assert postgres.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


def test_it_survives_a_crash(postgres: PostgresDatabase) -> None:
    """After an immediate stop it starts again and still has what was committed."""
    postgres.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1); CHECKPOINT;")

    postgres.server.stop("immediate")
    postgres.server.start()

    assert postgres.query("SELECT a FROM t") == [(1,)]
