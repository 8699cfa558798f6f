"""How staged rows are merged into a DuckDB table, and what decides it."""

from __future__ import annotations

from contextlib import closing

import duckdb
import pyarrow as pa
import pytest

from arrowload.connectors.duckdb import DuckDBDestinationConfig
from arrowload.connectors.duckdb.merge import replaces_rows
from arrowload.connectors.duckdb.session import DuckDBSession
from arrowload.connectors.registry import get_destination
from arrowload.io.sql import TableName
from arrowload.models.units import ResourcePath
from arrowload.testing.loading import Pipeline

OLD = "(1, 'one'), (2, 'two'), (3, 'three')"
NEW = pa.table({"id": pa.array([2, 4, 4], pa.int32()), "text": ["TWO", "lost", "FOUR"]})
MERGED = [(1, "one"), (2, "TWO"), (3, "three"), (4, "FOUR")]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.duckdb"


def make(path, connection=None):
    config = DuckDBDestinationConfig(type="duckdb", path=ResourcePath(path), table="t")
    return get_destination("duckdb", config, connection)


def prepare(path, *statements):
    with duckdb.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)


def merge(path, rows=NEW):
    """Merge by `id`; the statements that were planned, and what the load counted."""
    with closing(make(path)) as destination:
        planned = destination.target(rows.schema, write_mode="merge", merge_keys=("id",)).finalize
    return planned, Pipeline(lambda: make(path)).load(rows, "merge", ("id",))


def rows(path, query="FROM t ORDER BY ALL"):
    with duckdb.connect(path) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("key", ["INT NOT NULL", "INT PRIMARY KEY"])
def test_rows_are_replaced_where_nothing_looks_at_them(path, key):
    """Deleting and inserting costs less than updating; NOT NULL and a primary key do not stand in the way."""
    prepare(path, f"CREATE TABLE t (id {key}, text VARCHAR)", f"INSERT INTO t VALUES {OLD}")
    planned, sealed = merge(path)
    assert [statement.split()[0] for statement in planned] == ["DELETE", "INSERT", "DROP"]
    assert (sealed.rows_staged, sealed.rows_duplicate) == (3, 1)
    assert rows(path) == MERGED


@pytest.mark.parametrize(
    "made",
    [
        ["CREATE TABLE t (id INT, text VARCHAR, PRIMARY KEY (id, text))"],
        ["CREATE TABLE t (id INT PRIMARY KEY, text VARCHAR UNIQUE)"],
        ["CREATE TABLE t (id INT UNIQUE, text VARCHAR)"],
        ["CREATE TABLE t (id INT, text VARCHAR CHECK (text <> ''))"],
        ["CREATE TABLE t (id INT, text VARCHAR)", "CREATE INDEX i ON t (text)"],
    ],
)
def test_rows_are_updated_where_an_index_or_a_constraint_looks_at_them(path, made):
    """They go on to hold, and find the rows."""
    prepare(path, *made, f"INSERT INTO t VALUES {OLD}")
    planned, _ = merge(path)
    assert [statement.split()[0] for statement in planned] == ["MERGE", "DROP"]
    assert rows(path) == MERGED
    assert rows(path, "SELECT id FROM t WHERE text = 'TWO'") == [(2,)]


def test_rows_that_others_refer_to_are_updated(path):
    """A foreign key forbids that they are deleted, if only for a moment."""
    prepare(
        path,
        "CREATE TABLE t (id INT PRIMARY KEY, text VARCHAR)",
        f"INSERT INTO t VALUES {OLD}",
        "CREATE TABLE child (id INT REFERENCES t (id))",
        "INSERT INTO child VALUES (2)",
    )
    planned, _ = merge(path)
    assert planned[0].startswith("MERGE")
    assert rows(path) == MERGED


@pytest.mark.parametrize(("changed", "replaced"), [(10_000, True), (20_000, False)])
def test_few_rows_of_a_row_group_are_replaced_and_many_updated(path, changed, replaced):
    """An update has all of it compressed anew, and replacing costs an entry in the index for each row."""
    prepare(
        path,
        "CREATE TABLE t (id INT PRIMARY KEY, text VARCHAR)",
        "INSERT INTO t SELECT i, 'old' FROM range(30000) r(i)",
    )
    session = DuckDBSession(str(path))
    with closing(session):
        session.execute(f"CREATE TEMP TABLE _arrowload_staging AS SELECT i::INT AS id FROM range({changed}) r(i)")
        assert replaces_rows(session, TableName("main", "t"), ["id"]) is replaced


def test_the_primary_key_holds_after_its_rows_were_replaced(path):
    """It finds the new rows, and takes no other of their keys, now and when the file is opened anew."""
    prepare(path, "CREATE TABLE t (id INT PRIMARY KEY, text VARCHAR)", f"INSERT INTO t VALUES {OLD}")
    merge(path)
    assert rows(path) == MERGED
    assert rows(path, "FROM t WHERE id = 2") == [(2, "TWO")]
    with pytest.raises(duckdb.ConstraintException):
        prepare(path, "INSERT INTO t VALUES (2, 'again')")


def test_columns_that_the_load_lacks_keep_their_values(path):
    """Of a row that is there already."""
    prepare(path, "CREATE TABLE t (id INT, text VARCHAR, note VARCHAR)", "INSERT INTO t VALUES (2, 'two', 'kept')")
    merge(path)
    assert rows(path) == [(2, "TWO", "kept"), (4, "FOUR", None)]


def test_a_key_that_the_target_has_twice_stays_there_twice(path):
    """A merge updates rows; it does not tidy up a table that somebody filled otherwise."""
    prepare(path, "CREATE TABLE t (id INT, text VARCHAR)", f"INSERT INTO t VALUES {OLD}, (2, 'zwei')")
    merge(path)
    assert rows(path) == sorted([*MERGED, (2, "TWO")])


def test_a_new_column_does_not_stand_in_the_way(path):
    """Rows that are not in the load have NULL in it."""
    prepare(path, "CREATE TABLE t (id INT, text VARCHAR)", f"INSERT INTO t VALUES {OLD}")
    planned, _ = merge(path, NEW.append_column("more", pa.array([1.5, 2.5, 3.5])))
    assert planned[0].startswith("DELETE")
    assert rows(path) == [(1, "one", None), (2, "TWO", 1.5), (3, "three", None), (4, "FOUR", 3.5)]


def test_settings_of_a_given_connection_are_left_alone(path):
    """Whoever hands over a connection goes on to use it."""
    settings = "SELECT current_setting('preserve_insertion_order'), current_setting('memory_limit')"
    with duckdb.connect(path) as connection:
        before = connection.execute(settings).fetchall()
        Pipeline(lambda: make(path, connection)).load(NEW, "merge", ("id",))
        assert connection.execute(settings).fetchall() == before
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(2,)]


def test_the_limit_leaves_room_for_what_duckdb_takes_beside_it(path):
    """`memory_limit` bounds its buffers only, so it is set lower than what all of it may take."""
    destination = make(path)
    destination.limit_memory(256 * 1024**2)
    with closing(destination):
        destination.fence("1f0e9d5e-0000-4000-8000-000000000001", "r", 1, "me")
        limit = destination._session.execute("SELECT current_setting('memory_limit')")
    assert limit == [("192.0 MiB",)]
