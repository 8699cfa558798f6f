"""A network that is slow, thin or cut into single bytes: the load is exact; a server that is silent is given up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.processes import run_recipe
from tests.faults.slow_proxy import Line, SlowProxy, slow_line
from tests.faults.test_kill_everywhere import ParquetTarget, PostgresTarget, World

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

LINES = {
    "single bytes": Line(segment=1),
    "late": Line(latency_s=0.05),
    "very late": Line(latency_s=1.0),
    "thin": Line(bytes_per_s=64_000, segment=1_000),
}
CASES = [name if name in {"single bytes", "late"} else pytest.param(name, marks=pytest.mark.slow) for name in LINES]
# What a run takes whose rows come as fast as they can, and some.
MOST_MEMORY = 300 * 2**20


def through(proxy: SlowProxy, database: PostgresDatabase) -> dict[str, Any]:
    return {**database.keys, "host": "127.0.0.1", "port": proxy.port, "sslmode": "disable"}


@pytest.mark.fault(40)
@pytest.mark.parametrize("name", CASES)
def test_a_slow_way_to_the_destination(tmp_path: Path, postgres: PostgresDatabase, name: str) -> None:
    """Two loads, rows that tie between them, and nothing amiss."""
    world = World(tmp_path, PostgresTarget(postgres), "append")
    with slow_line((postgres.server.host, postgres.server.port), LINES[name]) as proxy:
        del world.recipe["destination"]["dsn"]
        world.recipe["destination"] |= through(proxy, postgres)
        world.start()
        first = run_recipe(world.recipe, patience_s=120)
        world.grow()
        second = run_recipe(world.recipe, patience_s=120)

    assert (first.exit_code, second.exit_code, world.differences()) == (0, 0, []), (first.error, second.error)
    assert second.report is not None
    assert (second.report["attempts"], second.report["peak_memory_bytes"] < MOST_MEMORY) == (1, True)


@pytest.mark.fault(40)
@pytest.mark.parametrize("name", CASES)
def test_a_slow_way_from_the_source(tmp_path: Path, postgres: PostgresDatabase, name: str) -> None:
    """Every row arrives, once."""
    postgres.execute("CREATE TABLE t AS SELECT n, md5(n::text) AS text FROM generate_series(1, 3000) AS n")
    target = ParquetTarget(tmp_path)
    with slow_line((postgres.server.host, postgres.server.port), LINES[name]) as proxy:
        recipe = {
            "name": "slow",
            "source": {"type": "postgres", "table": "t", **through(proxy, postgres)},
            "destination": target.config("append"),
            "state": {"type": "local", "path": str(tmp_path / "state")},
        }
        run = run_recipe(recipe, patience_s=120)

    assert run.exit_code == 0, run.error
    assert run.report is not None
    assert run.report["rows_written"] == 3000
    assert run.report["peak_memory_bytes"] < MOST_MEMORY


@pytest.mark.fault(40)
def test_a_server_that_never_answers(tmp_path: Path, postgres: PostgresDatabase) -> None:
    """It takes the connection and says nothing: given up after `connect_timeout`, at each of the tries."""
    world = World(tmp_path, PostgresTarget(postgres), "append")
    world.start()
    with slow_line((postgres.server.host, postgres.server.port), Line(silent_after=0)) as proxy:
        del world.recipe["destination"]["dsn"]
        world.recipe["destination"] |= {**through(proxy, postgres), "connect_timeout": "2s"}
        world.recipe["runtime"] = {"retries": {"max_attempts": 2, "wait_initial": "10ms"}}
        started = time.monotonic()
        run = run_recipe(world.recipe)

    assert run.exit_code == 75, run
    assert 4 <= time.monotonic() - started < 12
