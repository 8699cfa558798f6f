"""Clocks that go wrong: summer time, a source that steps back, a host that is a day off."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

import arrowload
from tests.faults import clocks
from tests.faults.processes import run_recipe, start_recipe
from tests.faults.test_kill_everywhere import PostgresTarget, Target, World, sampled, target
from tests.faults.test_shared_state import state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

__all__ = ["state", "target"]  # the fixtures

# The night in which each zone puts its clocks back, and that in which it puts them forward; in UTC.
NIGHTS = {
    "America/New_York": ["2025-11-02T05:00Z", "2026-03-08T06:00Z"],
    "Europe/Berlin": ["2025-10-26T00:00Z", "2026-03-29T00:00Z"],
    "Australia/Lord_Howe": ["2026-04-04T14:00Z", "2025-10-04T14:30Z"],  # by half an hour
}
STEPS, STEP = 12, dt.timedelta(minutes=20)


def recipe_of(folder: Path, database: PostgresDatabase, **incremental: Any) -> dict[str, Any]:
    return {
        "name": "nights",
        "source": {
            "type": "postgres",
            "dsn": database.dsn,
            "table": "nights",
            "incremental": {"strategy": "cursor", **incremental},
        },
        "destination": {"type": "duckdb", "path": str(folder / "nights.duckdb"), "table": "nights"},
        "state": {"type": "local", "path": str(folder / "state")},
    }


@pytest.mark.fault(26)
@pytest.mark.parametrize(
    ("cursor", "zone"), sampled([(cursor, zone) for cursor in ("moment", "wall_clock") for zone in NIGHTS], 0)
)
def test_summer_time(
    tmp_path: Path, postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, cursor: str, zone: str
) -> None:
    """A run after each row, through hours that are there twice and hours that are not; server and client in the zone.

    A cursor without a zone falls when clocks are put back; a lag of more than that finds the rows.
    """
    monkeypatch.setenv("PGTZ", zone)
    monkeypatch.setenv("TZ", zone)
    postgres.execute(f"ALTER DATABASE \"{postgres.name}\" SET timezone TO '{zone}'")
    postgres.execute("CREATE TABLE nights (id bigint, moment timestamptz, wall_clock timestamp)")
    recipe = recipe_of(tmp_path, postgres, cursor_column=cursor, **({"lag": "3h"} if cursor == "wall_clock" else {}))
    number = 0
    for night in sorted(NIGHTS[zone]):
        for step in range(STEPS):
            moment = dt.datetime.fromisoformat(night) + step * STEP
            number += 1
            postgres.execute(f"INSERT INTO nights SELECT {number}, m, m FROM (SELECT timestamptz '{moment}' AS m) AS x")
            arrowload.run(recipe)

    columns = "id, extract(epoch FROM moment)::bigint, wall_clock::text"
    with duckdb.connect(str(tmp_path / "nights.duckdb")) as connection:
        loaded = connection.execute(f"SELECT {columns} FROM nights ORDER BY id").fetchall()
    assert loaded == postgres.query(f"SELECT {columns} FROM nights ORDER BY id")
    assert number == len(loaded) == 2 * STEPS


@pytest.mark.fault(27)
@pytest.mark.parametrize(
    "target",
    ["duckdb", *(pytest.param(name, marks=pytest.mark.slow) for name in ("postgres", "parquet"))],
    indirect=True,
)
def test_the_clock_of_the_source_steps_back(tmp_path: Path, target: Target) -> None:
    """By ten minutes: rows are stamped behind the cursor, within the lag, until the clock has caught up."""
    world = World(tmp_path, target, "append")
    world.recipe["source"]["incremental"]["lag"] = "15m"
    for number, second in enumerate([10_000, 10_060, 9_460, 9_520, 10_059, 10_060, 10_120]):
        world.source.put(world.oracle.insert(range(100 * number, 100 * number + 20), second=second))

        run = run_recipe(world.recipe)

        assert (run.exit_code, world.differences()) == (0, []), run.error


@pytest.mark.fault(27)
@pytest.mark.parametrize(
    ("state", "off"),
    sampled([(state, off) for state in ("s3", "dynamodb") for off in ("ahead", "behind")], 0),
    indirect=["state"],
)
def test_a_host_whose_clock_is_a_day_off(
    tmp_path: Path, postgres: PostgresDatabase, state: dict[str, Any], off: str
) -> None:
    """It neither takes the lease of a run that goes on, nor waits longer for one that is over."""
    wrong: Callable[[], None] = clocks.a_day_ahead if off == "ahead" else clocks.a_day_behind
    world = World(tmp_path, PostgresTarget(postgres), "append")
    world.recipe["state"] = {**state, "lease": "6s"}
    world.start()
    assert run_recipe(world.recipe).exit_code == 0
    world.grow()

    with start_recipe(world.recipe, failpoints="stage.batch=delay(9)") as owner:
        time.sleep(2)
        rival = run_recipe(world.recipe, defect=wrong)
        assert owner.wait().exit_code == 0
    world.source.put(world.oracle.insert(range(900, 910), second=50))
    with start_recipe(world.recipe, failpoints="stage.before=hang") as paused:
        paused.wait_stopped()
        time.sleep(7.5)  # stores tell the time in whole seconds
        successor = run_recipe(world.recipe, defect=wrong)

    assert (rival.exit_code, successor.exit_code) == (75, 0), (rival.error, successor.error)
    assert world.differences() == []
