"""Rows that tie, arrive late, change or go while windows follow one another: each is there once, as it was last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pytest

import arrowload
from arrowload.io.postgres import PostgresSession
from tests.faults.oracle import Oracle, Row
from tests.faults.processes import run_recipe, start_recipe
from tests.faults.test_kill_everywhere import DuckDBTarget, Target, World, sampled, target

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

__all__ = ["target"]  # the fixture

TIED, CHUNK = 170, 50
SITES = ["stage.batch@2", "finalize.fenced@1", "finalize.after@1", "save_state.after@1"]


@pytest.mark.fault(19)
@pytest.mark.parametrize(
    ("target", "site"),
    sampled([(place, site) for site in SITES for place in ("duckdb", "postgres", "parquet")], 0),
    indirect=["target"],
)
def test_killed_among_rows_that_tie(tmp_path: Path, target: Target, site: str) -> None:
    """More rows share a cursor value than a batch and a chunk hold; the run is killed among them, and more come."""
    world = World(tmp_path, target, "append")
    world.recipe["runtime"] = {"batch_size": 20, "commit_every": CHUNK}
    world.source.put(world.oracle.insert(range(30), second=5) + world.oracle.insert(range(30, 30 + TIED), second=10))
    name, _, at = site.partition("@")

    killed = run_recipe(world.recipe, failpoints=f"{name}=kill9@{at}")
    world.source.put(world.oracle.insert(range(500, 500 + TIED), second=10))
    rerun = run_recipe(world.recipe)

    assert killed.killed, killed
    assert (rerun.exit_code, world.differences()) == (0, []), rerun.error


@pytest.mark.fault(22)
def test_ids_that_are_committed_out_of_order(tmp_path: Path, postgres: PostgresDatabase) -> None:
    """A row whose id was drawn earlier and committed later is behind the cursor, and found by its transaction.

    Under merge: an append needs a `lag` beside `late: xmin`, which ids have none of, and is refused.
    """
    postgres.execute("CREATE TABLE t (id bigserial PRIMARY KEY, note text)")
    recipe = {
        "name": "ids",
        "source": {
            "type": "postgres",
            "dsn": postgres.dsn,
            "table": "t",
            "incremental": {"strategy": "cursor", "cursor_column": "id", "late": "xmin"},
        },
        "destination": {
            "type": "duckdb",
            "path": str(tmp_path / "t.duckdb"),
            "table": "t",
            "write_mode": "merge",
            "merge_keys": ["id"],
        },
        "state": {"type": "local", "path": str(tmp_path / "state")},
    }
    slow = PostgresSession(postgres.dsn, lambda exc: exc)
    try:
        slow.run("BEGIN")
        slow.run("INSERT INTO t (note) VALUES ('drawn first')")
        postgres.execute("INSERT INTO t (note) VALUES ('drawn second')")
        arrowload.run(recipe)
        slow.run("COMMIT")
    finally:
        slow.close()
    postgres.execute("INSERT INTO t (note) VALUES ('drawn last')")
    arrowload.run(recipe)

    with duckdb.connect(str(tmp_path / "t.duckdb")) as connection:
        assert connection.execute("SELECT id FROM t ORDER BY id").fetchall() == [(1,), (2,), (3,)]


@pytest.mark.fault(23)
def test_a_row_is_updated_while_it_is_read(tmp_path: Path, postgres: PostgresDatabase) -> None:
    """Its new cursor lies beyond the window: it is loaded as it was, and by the next run as it is."""
    oracle, target = Oracle(), DuckDBTarget(tmp_path)
    postgres.execute("CREATE TABLE events (uid bigint, version bigint, moved_at timestamptz, crc bigint)")
    put(postgres, oracle.insert(range(30), second=10))
    recipe = {
        "name": "events",
        "source": {
            "type": "postgres",
            "dsn": postgres.dsn,
            "table": "events",
            "incremental": {"strategy": "cursor", "cursor_column": "moved_at"},
        },
        "destination": target.config("merge"),
        "state": {"type": "local", "path": str(tmp_path / "state")},
    }

    with start_recipe(recipe, failpoints="plan.after=hang") as run:
        run.wait_stopped()
        put(postgres, oracle.update(range(10), second=20))
        put(postgres, oracle.insert(range(30, 40), second=30))
        run.resume()
        assert run.wait().exit_code == 0
    rerun = run_recipe(recipe)

    assert (rerun.exit_code, oracle.differences(target.rows())) == (0, []), rerun.error


@pytest.mark.fault(30)
@pytest.mark.parametrize("target", ["duckdb", "postgres", "parquet"], indirect=True)
def test_a_lag_under_append(tmp_path: Path, target: Target) -> None:
    """The span of the lag is read again by each run; rows that came late within it are loaded, none is twice."""
    world = World(tmp_path, target, "append")
    world.recipe["source"]["incremental"]["lag"] = "30s"
    for number, seconds in enumerate([(100, 110), (85, 120), (95, 100), (125, 101)]):
        for place, second in enumerate(seconds):
            first = 100 * number + 10 * place
            world.source.put(world.oracle.insert(range(first, first + 10), second=second))
        run = run_recipe(world.recipe)
        assert (run.exit_code, world.differences()) == (0, []), run.error


@pytest.mark.fault(31)
@pytest.mark.parametrize("mode", ["append", "merge"])
@pytest.mark.parametrize("target", ["duckdb", "postgres"], indirect=True)
def test_deletions_in_the_source(tmp_path: Path, target: Target, mode: str) -> None:
    """What was loaded stays, whatever becomes of it in the source; what is new is loaded."""
    world = World(tmp_path, target, mode)
    world.start()
    assert run_recipe(world.recipe).exit_code == 0
    with duckdb.connect(str(world.source.path)) as connection:
        connection.execute("DELETE FROM events WHERE uid % 2 = 0")
    world.grow()

    run = run_recipe(world.recipe)

    assert (run.exit_code, world.differences()) == (0, []), run.error


def put(database: PostgresDatabase, rows: list[Row]) -> None:
    """Rows take the place of those with their id."""
    values = ", ".join(f"({r.uid}, {r.version}, '{r.moved_at.isoformat()}', {r.crc})" for r in rows)
    ids: Any = ", ".join(str(row.uid) for row in rows)
    database.execute(f"BEGIN; DELETE FROM events WHERE uid IN ({ids}); INSERT INTO events VALUES {values}; COMMIT;")
