"""Runs of one recipe at the same time: one loads, the others say that they could not, and a zombie commits nothing."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.processes import barrier, run_recipe, start_recipe
from tests.faults.test_kill_everywhere import (
    DuckDBTarget,
    ParquetTarget,
    PostgresTarget,
    Target,
    World,
    sampled,
    target,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.processes import Outcome, Runner
    from tests.postgres_server import PostgresDatabase

__all__ = ["target"]  # the fixture

RIVALS = 8


def elsewhere(world: World, name: str = "elsewhere") -> dict[str, Any]:
    """The same recipe on another machine: with a state folder of its own."""
    folder = f"{world.recipe['state']['path']}-{name}"
    return {**world.recipe, "state": {"type": "local", "path": folder}}


def loaded(folder: Path, target: Target, mode: str = "append") -> World:
    """A world with one load done and another one due."""
    world = World(folder, target, mode)
    world.start()
    assert run_recipe(world.recipe).exit_code == 0
    world.grow()
    return world


def wait_until_one_is_left(runners: list[Runner]) -> Runner:
    """The one that has stopped at its failpoint, once all others have ended."""
    deadline = time.monotonic() + 30
    while sum(runner.has_ended for runner in runners) < len(runners) - 1:
        assert time.monotonic() < deadline, f"{sum(r.is_stopped for r in runners)} of {len(runners)} runs hold on"
        time.sleep(0.01)
    (left,) = [runner for runner in runners if not runner.has_ended]
    left.wait_stopped()
    return left


def contest(recipe: dict[str, Any]) -> tuple[list[Outcome], Outcome]:
    """Eight runs start together; all but one end while that one holds the recipe, then it goes on: losers, winner."""
    together = barrier(RIVALS)
    with ExitStack() as running:
        runners = [
            running.enter_context(start_recipe(recipe, failpoints="seal.before=hang", together=together))
            for _ in range(RIVALS)
        ]
        worker = wait_until_one_is_left(runners)
        losers = [runner.wait() for runner in runners if runner is not worker]
        worker.resume()
        return losers, worker.wait()


@pytest.mark.fault(32)
@pytest.mark.parametrize("target", ["duckdb", "postgres", "parquet"], indirect=True)
def test_of_eight_runs_one_works(tmp_path: Path, target: Target) -> None:
    """Eight runs start together with one state: seven exit 75 within two seconds while the eighth holds the recipe."""
    world = loaded(tmp_path, target)

    losers, winner = contest(world.recipe)

    assert [loser.exit_code for loser in losers] == [75] * (RIVALS - 1), [loser.error for loser in losers]
    assert max(loser.seconds for loser in losers) < 2
    assert winner.exit_code == 0, winner.error
    assert world.differences() == []


@pytest.mark.fault(32)
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_eight_machines_with_states_of_their_own(tmp_path: Path, postgres: PostgresDatabase, first: bool) -> None:
    """Without a common lock the fence alone decides: whoever says 0 is right, all others say 75, nothing is doubled."""
    target = PostgresTarget(postgres)
    world = World(tmp_path, target, "append")
    world.start()
    if not first:
        assert run_recipe(world.recipe).exit_code == 0
        world.grow()
    together = barrier(RIVALS)

    with ExitStack() as running:
        recipes = [elsewhere(world, str(n)) for n in range(RIVALS)]
        runners = [running.enter_context(start_recipe(recipe, together=together)) for recipe in recipes]
        outcomes = [runner.wait() for runner in runners]

    assert {outcome.exit_code for outcome in outcomes} <= {0, 75}, [(o.exit_code, o.error) for o in outcomes]
    committed = [outcome for outcome in outcomes if outcome.report and outcome.report["commits"]]
    loads = postgres.value("SELECT count(*) FROM _arrowload.loads")
    assert loads == len(committed) + (not first)
    assert run_recipe(elsewhere(world, "last")).exit_code == 0
    assert world.differences() == []


def overtaken(world: World, site: str, *, full_refresh: bool) -> tuple[Outcome, Outcome]:
    """A run stops at `site`, another one elsewhere runs from start to end, the first goes on; rival, zombie."""
    with start_recipe(world.recipe, failpoints=f"{site}=hang") as zombie:
        zombie.wait_stopped()
        rival = run_recipe(elsewhere(world), full_refresh=full_refresh)
        zombie.resume()
        return rival, zombie.wait()


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    ("target", "site", "rival_loads"),
    sampled(
        [
            (place, site, rival_loads)
            for place in ("postgres", "parquet")
            for site in ("stage.before", "seal.before", "finalize.ledger")
            for rival_loads in ("next", "anew")
        ],
        0,
        one_in=3,
    ),
    indirect=["target"],
)
def test_a_zombie_commits_nothing(tmp_path: Path, target: Target, site: str, rival_loads: str) -> None:
    """A run stops after its window is fixed, a rival finishes, the run goes on: it is refused, and nothing is doubled.

    Where the rival has taken away what was staged, session or files, the zombie may begin anew, and find all done.
    """
    world = loaded(tmp_path, target)

    rival, zombie = overtaken(world, site, full_refresh=rival_loads == "anew")

    assert rival.exit_code == 0, rival.error
    assert world.differences() == []
    may_begin_anew = site != "stage.before"
    assert zombie.exit_code == 75 or (may_begin_anew and zombie.exit_code == 0), (zombie.exit_code, zombie.error)
    assert zombie.report is None or zombie.report["commits"] == 0


@pytest.mark.fault(33)
def test_a_duckdb_file_keeps_the_rival_out(tmp_path: Path) -> None:
    """DuckDB locks its file: while one run has it open, though stopped, a rival exits 75, and the run goes on."""
    world = loaded(tmp_path, DuckDBTarget(tmp_path))

    rival, owner = overtaken(world, "seal.before", full_refresh=False)

    assert rival.exit_code == 75, rival.error
    assert rival.seconds < 2
    assert owner.exit_code == 0, owner.error
    assert world.differences() == []


def test_a_zombie_before_its_fence_takes_over_in_good_order(tmp_path: Path) -> None:
    """A run that stops before it installs its fence has read an old head: it looks again, and loads what is left."""
    world = loaded(tmp_path, ParquetTarget(tmp_path))

    rival, late = overtaken(world, "fence.before", full_refresh=False)

    assert rival.exit_code == 0, rival.error
    assert late.exit_code in (0, 75), late.error
    assert world.differences() == []


# ---------------------------------------------------------------- many rounds

ROUNDS = 50


def more(world: World, number: int) -> None:
    """Five new rows."""
    first = 1000 * (number + 1)
    world.source.put(world.oracle.insert(range(first, first + 5), second=100 + number))


@pytest.mark.fault(32)
@pytest.mark.slow
@pytest.mark.parametrize("target", ["duckdb", "postgres", "parquet"], indirect=True)
def test_fifty_contests(tmp_path: Path, target: Target) -> None:
    """In each, one run commits one load, and seven say that they could not."""
    world = loaded(tmp_path, target)
    for number in range(ROUNDS):
        more(world, number)
        losers, winner = contest(world.recipe)

        assert {loser.exit_code for loser in losers} == {75}, [loser.error for loser in losers]
        assert winner.report is not None, winner.error
        assert (winner.report["commits"], world.differences()) == (1, [])


@pytest.mark.fault(33)
@pytest.mark.slow
@pytest.mark.parametrize("target", ["postgres", "parquet"], indirect=True)
def test_fifty_zombies(tmp_path: Path, target: Target) -> None:
    """Each is stopped somewhere in its load, and woken when a rival has loaded in its place: none commits anything."""
    world = loaded(tmp_path, target)
    sites = ["stage.before", "stage.after", "seal.after", "finalize.applied", "finalize.ledger"]
    for number in range(ROUNDS):
        more(world, number)
        rival, zombie = overtaken(world, sites[number % len(sites)], full_refresh=False)

        assert rival.exit_code == 0, rival.error
        assert zombie.report is None or zombie.report["commits"] == 0, zombie
        assert world.differences() == []
