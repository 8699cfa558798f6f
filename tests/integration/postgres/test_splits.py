"""Parts that are read side by side: each row exactly once, all of one snapshot."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import arrowload
from arrowload.connectors.postgres import snapshot as snapshots
from arrowload.connectors.postgres import splitting
from arrowload.connectors.postgres.config import PostgresSourceConfig
from arrowload.connectors.postgres.session import connect
from arrowload.connectors.postgres.source import PostgresSource
from arrowload.connectors.postgres.splitting import free_connections
from arrowload.core.exceptions import ConnectorError, DataLoaderError, RecipeError, TransientConnectorError
from arrowload.core.secret import Secret
from arrowload.core.state import State
from arrowload.engine.splits import choose_splits
from arrowload.planning.explain import explain_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

DRIVERS = ("copy", "adbc", "connectorx")
FILLED = "SELECT g AS id, repeat('x', 200) AS pad FROM generate_series(1, {}) g"
SHAPES = {
    "table": f"CREATE TABLE t AS {FILLED.format(5000)}; DELETE FROM t WHERE id % 3 = 0;"
    "UPDATE t SET pad = 'y' WHERE id < 900;",
    "one block": f"CREATE TABLE t AS {FILLED.format(3)};",
    "empty": "CREATE TABLE t (id int, pad text);",
    "emptied": f"CREATE TABLE t AS {FILLED.format(3000)}; DELETE FROM t;",
    "matview": f"CREATE MATERIALIZED VIEW t AS {FILLED.format(3000)};",
    "partitioned": "CREATE TABLE t (id int, pad text) PARTITION BY RANGE (id);"
    "CREATE TABLE a PARTITION OF t FOR VALUES FROM (0) TO (10);"
    "CREATE TABLE b PARTITION OF t FOR VALUES FROM (10) TO (4000);"
    "CREATE TABLE none PARTITION OF t FOR VALUES FROM (-9) TO (0);"
    "CREATE TABLE c PARTITION OF t FOR VALUES FROM (4000) TO (9000) PARTITION BY LIST (id);"
    "CREATE TABLE c1 PARTITION OF c FOR VALUES IN (4000, 4500); CREATE TABLE c2 PARTITION OF c DEFAULT;"
    f"INSERT INTO t {FILLED.format(5000)};",
    "foreign": "CREATE EXTENSION file_fdw; CREATE SERVER s FOREIGN DATA WRAPPER file_fdw;"
    "CREATE TABLE t (id int, pad text) PARTITION BY RANGE (id);"
    "CREATE TABLE a PARTITION OF t FOR VALUES FROM (0) TO (9000);"
    "CREATE FOREIGN TABLE f PARTITION OF t FOR VALUES FROM (9000) TO (9999) SERVER s"
    """ OPTIONS (program 'printf "9001\\tx\\n9002\\ty\\n"');"""
    f"INSERT INTO t {FILLED.format(2000)};",
    "inherited": f"CREATE TABLE t AS {FILLED.format(2000)}; CREATE TABLE child (more int) INHERITS (t);"
    "CREATE TABLE grandchild () INHERITS (child);"
    "INSERT INTO child SELECT g, repeat('x', 300), g FROM generate_series(2001, 5000) g;"
    "INSERT INTO grandchild SELECT g, 'x', g FROM generate_series(5001, 5050) g;",
    "toasted": "CREATE TABLE t AS SELECT g AS id, repeat(md5(g::text), 900) AS pad FROM generate_series(1, 300) g;",
}


def parts_of(source: PostgresSource, n: int, state: State | None = None) -> list[list[Any]]:
    """The ids of each split."""
    with source.snapshot(state or State()) as snapshot:
        splits = snapshot.splits(snapshot.readers(n))
        assert len(splits) <= n
        assert [split.index for split in splits] == list(range(len(splits)))
        return [snapshot.read_split(split, batch_size=500).read_all().column("id").to_pylist() for split in splits]


def once(parts: list[list[Any]], expected: list[Any]) -> bool:
    return Counter(value for part in parts for value in part) == Counter(expected)


def ids(postgres: PostgresDatabase, rows: str = "FROM t") -> list[Any]:
    return [value for (value,) in postgres.query(f"SELECT id {rows}")]


@pytest.mark.parametrize("shape", SHAPES)
def test_each_row_is_in_one_split(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource], shape: str
) -> None:
    """However many are asked for, whatever the table is made of, by ranges of blocks and of keys, and with a filter."""
    postgres.execute(SHAPES[shape])
    expected = ids(postgres)

    for n in (1, 2, 3, 4, 9):
        assert once(parts_of(source(table="t"), n), expected), n
        assert once(parts_of(source(table="t", split_on="id"), n), expected), n
    some = parts_of(source(table="t", filter="id % 2 = 0 OR id > 4990 -- some"), 4)
    assert once(some, ids(postgres, "FROM t WHERE id % 2 = 0 OR id > 4990"))


@pytest.mark.parametrize("shape", ["table", "partitioned", "inherited", "matview"])
def test_splits_are_of_one_size(postgres: PostgresDatabase, source: Callable[..., PostgresSource], shape: str) -> None:
    """About; none of four has more than half of the rows."""
    postgres.execute(SHAPES[shape])

    for keys in ({}, {"split_on": "id"}):
        sizes = [len(part) for part in parts_of(source(table="t", **keys), 4)]
        assert len(sizes) == 4, keys
        assert max(sizes) < sum(sizes) / 2, keys


KEYS = {
    "int": "CASE WHEN g % 10 <> 0 THEN g END",
    "numeric": "CASE WHEN g % 7 = 0 THEN 'NaN'::numeric ELSE g / 3.0 END",
    "float8": "CASE g % 5 WHEN 0 THEN 'NaN'::float8 WHEN 1 THEN '-Infinity' ELSE g / 7.0::float8 END",
    "text": "chr(32 + g % 90) || chr(39) || CASE WHEN g % 4 = 0 THEN 'é' ELSE '\\' END",
    "citext": "CASE WHEN g % 2 = 0 THEN 'ABC' ELSE 'abc' END || g % 5",
    "char(4)": "CASE WHEN g % 2 = 0 THEN 'a' ELSE 'a  b' END",
    "bool": "g % 3 = 0",
    "date": "CASE WHEN g % 9 = 0 THEN 'infinity' ELSE date '0001-01-01 BC' + g END",
    "timestamptz": "timestamptz '2024-03-31 00:30:00 Europe/Berlin' + g * interval '1.000001 min'",
    "interval": "CASE WHEN g % 2 = 0 THEN interval '1 mon' ELSE interval '30 days' END * (g % 8)",
    "uuid": "md5(g::text)::uuid",
    "bytea": "decode(md5(g::text), 'hex')",
    "bit(3)": "(g % 8)::bit(3)",
    "mood": "(CASE WHEN g % 2 = 0 THEN 'ok' ELSE 'sad' END)::mood",
    "int[]": "ARRAY[g % 3, g]",
    "inet": "'10.0.0.0'::inet + g",
    "name": "('n' || g)::name",
}


@pytest.mark.parametrize("key", KEYS)
def test_keys_of_every_kind_split_views_and_queries(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource], key: str
) -> None:
    """NULLs, NaN, infinities, ties, values that are equal under other spellings: each row once."""
    postgres.execute(
        "CREATE TYPE mood AS ENUM ('sad', 'ok');"
        "CREATE EXTENSION citext;"
        f"CREATE TABLE t (id int, k {key}); INSERT INTO t SELECT g, {KEYS[key]} FROM generate_series(1, 400) g;"
        "INSERT INTO t VALUES (401, NULL), (402, NULL); CREATE VIEW v AS SELECT * FROM t WHERE id > 3;"
    )

    for n in (2, 5):
        views = parts_of(source(table="v", columns=("id",), split_on="k"), n)
        queries = parts_of(source(query="SELECT id, k FROM t -- all", columns=("id",), split_on="k"), n)
        assert once(views, list(range(4, 403)))
        assert once(queries, list(range(1, 403)))
        assert len(queries) > 1


@pytest.mark.parametrize("values", ["'a'", "NULL::text", "CASE WHEN g > 1 THEN 'a' END"])
def test_keys_that_do_not_differ_cannot_split(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource], values: str
) -> None:
    """Duplicates alone, or NULLs alone, are one part; no row is lost."""
    postgres.execute(f"CREATE TABLE t AS SELECT g AS id, {values} AS k FROM generate_series(1, 100) g;")

    assert once(parts_of(source(table="t", split_on="k"), 4), list(range(1, 101)))


@pytest.mark.parametrize(("key", "error"), [("nowhere", RecipeError), ("j", ConnectorError)])
def test_a_key_that_cannot_split_is_refused(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource], key: str, error: type
) -> None:
    """No such column, or one without an order."""
    postgres.execute("CREATE TABLE t (id int, j json);")

    with pytest.raises(error, match=r"nowhere|json"):
        parts_of(source(table="t", split_on=key), 3)


@pytest.mark.fault(42)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("keys", [{}, {"split_on": "id"}], ids=["blocks", "keys"])
@pytest.mark.parametrize("n", [1, 4])
def test_all_splits_see_one_snapshot(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource], driver: str, keys: dict[str, str], n: int
) -> None:
    """Rows that are added, changed, deleted or vacuumed before and between the readings are as they were."""
    postgres.execute(SHAPES["table"])
    expected = ids(postgres)

    parts = []
    with source(table="t", driver=driver, columns=("id",), **keys).snapshot(State()) as snapshot:
        splits = snapshot.splits(n)
        for split in splits:
            postgres.execute(
                "INSERT INTO t SELECT g, 'new' FROM generate_series(1, 3000) g; DELETE FROM t WHERE id % 5 = 1;"
                "UPDATE t SET id = id + 100000 WHERE id % 5 = 2; VACUUM t;"
            )
            parts.append(snapshot.read_split(split, batch_size=500).read_all().column("id").to_pylist())

    assert len(splits) == n
    assert once(parts, expected)


@pytest.mark.parametrize("keys", [{}, {"split_on": "id"}], ids=["blocks", "keys"])
def test_a_partition_that_is_attached_between_readings_is_in_no_split(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource], keys: dict[str, str]
) -> None:
    """Its rows are older than the snapshot; some splits would see them and others not."""
    postgres.execute(
        SHAPES["partitioned"] + "CREATE TABLE late AS SELECT g AS id, repeat('x', 200) AS pad"
        " FROM generate_series(9001, 12000) g;"
    )
    expected = ids(postgres)

    with source(table="t", columns=("id",), **keys).snapshot(State()) as snapshot:
        splits = snapshot.splits(3)
        parts = [snapshot.read_split(splits[0], batch_size=500).read_all().column("id").to_pylist()]
        postgres.execute("ALTER TABLE t ATTACH PARTITION late FOR VALUES FROM (9001) TO (20000);")
        parts += [snapshot.read_split(s, batch_size=500).read_all().column("id").to_pylist() for s in splits[1:]]

    assert len(splits) == 3
    assert once(parts, expected)


@pytest.mark.parametrize(
    "how", ["TRUNCATE t; INSERT INTO t SELECT 2;", "DROP TABLE t; CREATE TABLE t AS SELECT 2 AS id;"]
)
def test_a_table_that_is_emptied_while_the_snapshot_opens_is_not_read_as_empty(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The snapshot is older than the new rows, and the old ones are gone: it is opened again."""
    postgres.execute("CREATE TABLE t AS SELECT 1 AS id;")
    reading = source(table="t")
    plain = PostgresSource._relation

    def reloaded_meanwhile(self: PostgresSource, session: Any) -> Any:
        relation = plain(self, session)
        postgres.execute(f"BEGIN; {how} COMMIT;")
        return relation

    monkeypatch.setattr(PostgresSource, "_relation", reloaded_meanwhile)
    with pytest.raises(TransientConnectorError, match="emptied or made anew"):
        parts_of(reading, 1)
    monkeypatch.undo()

    assert parts_of(reading, 1) == [[2]]


def test_windows_are_split_like_tables(postgres: PostgresDatabase, source: Callable[..., PostgresSource]) -> None:
    """Each row of the window once, the next window goes on where it ended."""
    postgres.execute(SHAPES["table"])
    keys = {"table": "t", "cursor": {"cursor_column": "id", "boundary": "open"}}
    expected = ids(postgres)

    for split_by in ({}, {"split_on": "pad"}, {"split_on": "id"}):
        with source(**keys, **split_by).snapshot(State()) as snapshot:
            first = [
                snapshot.read_split(s, batch_size=500).read_all().column("id").to_pylist() for s in snapshot.splits(3)
            ]
            state = snapshot.state
        assert once(first, expected)
        postgres.execute("INSERT INTO t SELECT g, 'late' FROM generate_series(6001, 6100) g;")
        assert once(parts_of(source(**keys, **split_by), 3, state), list(range(6001, 6101)))
        postgres.execute("DELETE FROM t WHERE id > 6000;")


def test_a_snapshot_is_split_after_it_was_read_whole(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """Reading over its own connection, to the end or half way, leaves nothing that keeps it from being shared."""
    postgres.execute(SHAPES["table"])

    with source(table="t").snapshot(State()) as snapshot:
        (whole,) = snapshot.splits(1)
        rows = snapshot.read_split(whole, batch_size=500).read_all().num_rows
        half = snapshot.read_split(whole, batch_size=10)
        half.read_next_batch()
        half.close()
        relayed = sum(piece.column("rows")[0].as_py() for piece in snapshot.read_relay(whole))
        next(iter(snapshot.read_relay(whole)))
        parts = [snapshot.read_split(s, batch_size=500).read_all().num_rows for s in snapshot.splits(3)]

    assert rows == relayed == sum(parts)
    assert len(parts) == 3


def test_auto_gives_small_tables_one_split_and_large_ones_a_core_each(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the server expects the query to give."""
    postgres.execute(
        f"CREATE TABLE small AS {FILLED.format(1000)}; CREATE TABLE large AS {FILLED.format(2000)};"
        "ALTER TABLE large SET (autovacuum_enabled = off); ANALYZE;"
        # What counts is the estimate, and it comes from the catalogue and the size of the file.
        "UPDATE pg_class SET reltuples = 1e6, relpages = 50 WHERE relname = 'large';"
    )
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(3)))
    found = {}
    for table in ("small", "large"):
        with source(table=table).snapshot(State()) as snapshot:
            found[table] = choose_splits(snapshot, "auto").readers

    assert found == {"small": 1, "large": 3}


@pytest.mark.parametrize("shape", ["table", "partitioned"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_large_table_has_more_splits_than_readers_and_each_reader_one_connection(
    postgres: PostgresDatabase,
    source: Callable[..., PostgresSource],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    driver: str,
    shape: str,
) -> None:
    """Each row once; the plan tells splits from readers; a split that was left half way leaves no connection behind."""
    monkeypatch.setattr(splitting, "_BLOCKS_A_PART", 8)
    monkeypatch.setattr(splitting, "_BLOCKS_A_PARTITION", 4)
    postgres.execute(SHAPES[shape])
    plain, opened = snapshots.open_reader, []
    monkeypatch.setattr(snapshots, "open_reader", lambda *of: opened.append(of) or plain(*of))
    keys = {"driver": driver, "columns": ["id"], "application_name": "the source"}
    recipe = recipe_of(postgres, tmp_path, source=keys, runtime={"parallelism": 2})

    plan = arrowload.plan(recipe)
    report = arrowload.run(recipe)

    assert len(plan.splits) > 8
    assert (plan.readers, len(opened)) == (2, 2)
    text = explain_text(plan)
    assert "2 splits at once" in text
    assert f"… {len(plan.splits) - 2} more …" in text
    assert report.rows_written == len(ids(postgres))
    assert once([ids(postgres, "FROM target")], ids(postgres))
    with source(**{**keys, "columns": ("id",), "table": "t"}).snapshot(State()) as snapshot:
        splits = snapshot.splits(2)
        half = snapshot.read_split(splits[0], batch_size=10)
        half.read_next_batch()
        half.close()
        del half
        assert once(
            [snapshot.read_split(s, batch_size=500).read_all()["id"].to_pylist() for s in splits], ids(postgres)
        )
    postgres.execute(
        "DO $$ BEGIN FOR i IN 1..100 LOOP PERFORM pg_stat_clear_snapshot();"
        " EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'the source');"
        " PERFORM pg_sleep(0.05); IF i = 100 THEN RAISE 'a connection is left'; END IF; END LOOP; END $$;"
    )


def test_few_free_connections_give_few_splits(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """Counted by an ordinary role too, which does not see what other sessions are; a limited role gets one."""
    role, limited = f"plain_{postgres.name}", f"limited_{postgres.name}"
    postgres.execute(
        f"{SHAPES['table']} CREATE ROLE {role} LOGIN PASSWORD 'few-connections';"
        f"CREATE ROLE {limited} LOGIN PASSWORD 'few-connections' CONNECTION LIMIT 3; GRANT SELECT ON t TO PUBLIC;"
    )
    keys = {"table": "t", "password": Secret("few-connections")}
    try:
        with _held(postgres, 40):
            by_role = len(parts_of(source(user=role, **keys), 9))
            few = len(parts_of(source(table="t"), 9))
            with source(user=role, **keys)._session() as session:
                free = free_connections(session)
        many = len(parts_of(source(user=role, **keys), 9))
        alone = parts_of(source(user=limited, **keys), 9)
    finally:
        postgres.execute(f"DROP OWNED BY {role}, {limited}; DROP ROLE {role}, {limited};")

    assert free < 20
    assert by_role <= few < 9
    assert many == 9
    assert len(alone) == 1


@contextmanager
def _held(postgres: PostgresDatabase, n: int) -> Iterator[None]:
    config = PostgresSourceConfig(type="postgres", table="t", **postgres.keys)
    held = [connect(config, "held") for _ in range(n)]
    try:
        yield
    finally:
        for session in held:
            session.close()


def recipe_of(postgres: PostgresDatabase, folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "r",
        "source": {"type": "postgres", **postgres.keys, "table": "t", **changes.pop("source", {})},
        "destination": {"type": "postgres", **postgres.keys, "table": "target", **changes.pop("destination", {})},
        "state": {"type": "local", "path": str(folder / "state")},
        "runtime": {"parallelism": 4},
        **changes,
    }


@pytest.mark.fault(51)
def test_of_equal_keys_the_last_row_wins_whichever_split_is_read_first(
    postgres: PostgresDatabase, tmp_path: Path
) -> None:
    """The ordinals of splits are in the order of the table's blocks."""
    postgres.execute(
        "CREATE TABLE t AS SELECT g % 50 AS id, g AS v, repeat('x', 200) AS pad FROM generate_series(1, 5000) g;"
    )

    report = arrowload.run(recipe_of(postgres, tmp_path, destination={"write_mode": "merge", "merge_keys": ["id"]}))

    assert report.rows_read == 5000
    assert postgres.query("SELECT id, v FROM target ORDER BY v") == [(v % 50, v) for v in range(4951, 5001)]


@pytest.mark.fault(42)
@pytest.mark.parametrize("driver", DRIVERS)
def test_the_exporting_session_dies_before_the_others_join(
    postgres: PostgresDatabase,
    source: Callable[..., PostgresSource],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    driver: str,
) -> None:
    """A transient error, nothing committed; the next attempt has a snapshot of its own and loads each row once."""
    postgres.execute(SHAPES["table"])
    plain, lock, killed = snapshots.open_reader, threading.Lock(), []

    def orphaned(config: Any, snapshot_id: str) -> Any:
        with lock:
            if not killed:
                killed.append(snapshot_id)
                postgres.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE application_name = 'the source' AND state = 'idle in transaction';"
                )
        return plain(config, snapshot_id)

    monkeypatch.setattr(snapshots, "open_reader", orphaned)
    keys = {"driver": driver, "columns": ["id"], "application_name": "the source"}
    with source(**{**keys, "columns": ("id",), "table": "t"}).snapshot(State()) as snapshot:
        splits = snapshot.splits(3)
        with pytest.raises(TransientConnectorError, match="snapshot"):
            snapshot.read_split(splits[0], batch_size=500).read_all()
    killed.clear()

    report = arrowload.run(recipe_of(postgres, tmp_path, source=keys))

    assert killed
    assert report.rows_written == len(ids(postgres))
    assert once([ids(postgres, "FROM target")], ids(postgres))


def test_readers_that_wait_are_cancelled(postgres: PostgresDatabase, tmp_path: Path) -> None:
    """One split fails at once, the others sleep; the load ends long before they wake."""
    postgres.execute(
        "CREATE FUNCTION slow(g int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(CASE WHEN g > 0 THEN 30 ELSE 0.3 END); RETURN 1 / g; END';"
    )
    keys = {"table": None, "query": "SELECT g AS id, slow(g) AS v FROM generate_series(0, 3) g", "split_on": "id"}
    recipe = recipe_of(postgres, tmp_path, source=keys)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            arrowload.run(recipe)
        except DataLoaderError as exc:
            errors.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    thread.join(15)
    assert not thread.is_alive()
    assert "division by zero" in str(errors[0])
    assert postgres.value("SELECT to_regclass('target') IS NULL")
