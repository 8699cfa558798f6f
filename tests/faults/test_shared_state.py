"""State that several machines share: one runner at a time, none that is dead in the way, nothing lost by a kill."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.processes import run_recipe, start_recipe
from tests.faults.test_kill_everywhere import DuckDBTarget, PostgresTarget, World, sampled
from tests.faults.test_rivals import RIVALS, contest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.moto_server import MotoServer
    from tests.postgres_server import PostgresDatabase

SITES = [
    "acquire.after",
    "fence.after",
    "stage.after",
    "finalize.ledger",
    "finalize.fenced",
    "finalize.after",
    "save_state.after",
    "release.before",
    "release.after",
]
SHARED = ["s3", "dynamodb", "sql elsewhere", "sql beside the rows"]
# For what has to wait until a lease is over.
PATIENT = ["s3", *(pytest.param(state, marks=pytest.mark.slow) for state in SHARED[1:])]


@pytest.fixture
def state(request: pytest.FixtureRequest, moto: MotoServer, postgres: PostgresDatabase) -> dict[str, Any]:
    """The section `state` of a recipe."""
    match request.param:
        case "s3":
            return {"type": "s3", "bucket": moto.make_bucket(), "aws": moto.keys}
        case "dynamodb":
            return {"type": "dynamodb", "table": f"state_{uuid.uuid4().hex}", "aws": moto.keys}
        case "sql elsewhere":
            return {"type": "sql", "database": {"type": "postgres", **postgres.keys}}
        case _:
            return {"type": "sql"}


@pytest.fixture
def world(tmp_path: Path, postgres: PostgresDatabase, state: dict[str, Any]) -> Callable[..., World]:
    """Makes a world with one load done and another one due."""

    def make(mode: str = "append", target: Any = None, **keys: Any) -> World:
        world = World(tmp_path, target or PostgresTarget(postgres), mode)
        world.recipe["state"] = {**state, **keys}
        world.start()
        first = run_recipe(world.recipe)
        assert first.exit_code == 0, first.error
        world.grow()
        return world

    return make


@pytest.mark.fault(1)
@pytest.mark.parametrize(
    ("state", "site"), sampled([(state, site) for state in SHARED for site in SITES], 0), indirect=["state"]
)
def test_a_killed_run_is_made_good_by_the_next(world: Callable[..., World], site: str) -> None:
    """The first plain rerun succeeds: the dead hold no lease."""
    killed_world = world()

    killed = run_recipe(killed_world.recipe, failpoints=f"{site}=kill9")
    rerun = run_recipe(killed_world.recipe)
    again = run_recipe(killed_world.recipe)

    assert killed.killed, f"the run did not pass {site}: {killed}"
    assert rerun.exit_code == 0, rerun.error
    assert again.report is not None
    assert again.report["status"] == "up_to_date"
    assert killed_world.differences() == []


@pytest.mark.fault(1)
@pytest.mark.parametrize(
    ("state", "site"), sampled([("sql beside the rows", site) for site in SITES], 2), indirect=["state"]
)
def test_a_killed_run_is_made_good_by_the_next_in_duckdb(
    tmp_path: Path, world: Callable[..., World], site: str
) -> None:
    """The same where rows, ledger and state are in one file."""
    killed_world = world(target=DuckDBTarget(tmp_path))

    killed = run_recipe(killed_world.recipe, failpoints=f"{site}=kill9")
    rerun = run_recipe(killed_world.recipe)

    assert killed.killed, f"the run did not pass {site}: {killed}"
    assert rerun.exit_code == 0, rerun.error
    assert killed_world.differences() == []


@pytest.mark.fault(2, 5)
@pytest.mark.parametrize("lost", ["finalize.before", "finalize.after"])
@pytest.mark.parametrize("state", ["sql beside the rows"], indirect=True)
def test_the_state_is_committed_with_the_rows_or_not_at_all(world: Callable[..., World], lost: str) -> None:
    """The answer to the commit is lost: the run finds out, and state and ledger agree."""
    lossy = world()

    run = run_recipe(lossy.recipe, failpoints=f"{lost}=lost")
    again = run_recipe(lossy.recipe)

    assert run.exit_code == 0, run.error
    assert again.report is not None
    assert (again.report["status"], again.report["state_before"]) == ("up_to_date", run.report["state_after"])
    assert lossy.differences() == []


@pytest.mark.fault(2)
@pytest.mark.parametrize("state", ["sql elsewhere", "sql beside the rows"], indirect=True)
def test_a_plain_append_is_finished_and_not_repeated(
    tmp_path: Path, postgres: PostgresDatabase, state: dict[str, Any]
) -> None:
    """Killed behind its commit: each run adds all rows, so that only a state behind the ledger tells of it."""
    world = World(tmp_path, PostgresTarget(postgres), "append")
    world.recipe["source"] = {"type": "duckdb", "path": str(world.source.path), "table": "events"}
    world.recipe["state"] = state
    world.start()

    killed = run_recipe(world.recipe, failpoints="finalize.after=kill9")
    rerun = run_recipe(world.recipe)

    assert killed.killed
    assert rerun.report is not None, rerun.error
    assert (rerun.report["status"], world.differences()) == ("recovered", [])


@pytest.mark.fault(32)
@pytest.mark.parametrize("state", SHARED, indirect=True)
def test_of_eight_runs_one_works(world: Callable[..., World]) -> None:
    """Seven are told who holds the recipe, where and since when, and exit 75.

    Alone, that takes a run less than two seconds (`test_rivals.py`); eight that start at once share two cores, with
    other tests besides.
    """
    contested = world()

    losers, winner = contest(contested.recipe)

    assert [loser.exit_code for loser in losers] == [75] * (RIVALS - 1), [loser.error for loser in losers]
    assert all("process" in (loser.error or "") and "since 20" in (loser.error or "") for loser in losers)
    assert max(loser.seconds for loser in losers) < 5
    assert winner.exit_code == 0, winner.error
    assert contested.differences() == []


@pytest.mark.fault(32)
@pytest.mark.parametrize("state", PATIENT, indirect=True)
def test_a_lease_lasts_as_long_as_its_run(world: Callable[..., World]) -> None:
    """It is renewed while a slow run goes on, whatever its time to live."""
    slow = world(lease="3s")

    with start_recipe(slow.recipe, failpoints="stage.batch=delay(9)") as runner:
        time.sleep(6)
        rival = run_recipe(slow.recipe)
        done = runner.wait()

    assert rival.exit_code == 75, rival
    assert done.exit_code == 0, done.error
    assert slow.differences() == []


@pytest.mark.fault(33)
@pytest.mark.parametrize("state", PATIENT, indirect=True)
def test_a_paused_owner_that_wakes_is_refused(world: Callable[..., World]) -> None:
    """Its lease is over, a rival has loaded in its place: it commits nothing.

    It exits 75 or, since its session was ended and it began anew, finds that all is done.
    """
    contested = world(lease="3s")

    with start_recipe(contested.recipe, failpoints="seal.before=hang") as zombie:
        zombie.wait_stopped()
        early = run_recipe(contested.recipe)
        time.sleep(4.2)  # S3 and HTTP tell the time in whole seconds
        rival = run_recipe(contested.recipe)
        zombie.resume()
        woken = zombie.wait()

    assert early.exit_code == 75, early
    assert rival.exit_code == 0, rival.error
    assert rival.report is not None
    assert rival.report["commits"] == 1
    assert woken.exit_code == 75 or (woken.report is not None and woken.report["commits"] == 0), woken
    assert contested.differences() == []


@pytest.mark.fault(33)
@pytest.mark.slow
@pytest.mark.parametrize("state", ["sql beside the rows"], indirect=True)
def test_an_owner_that_sleeps_with_the_state_in_hand(world: Callable[..., World]) -> None:
    """Its open transaction has locked the state; the server ends it, so that the next run can take over."""
    contested = world(lease="1s")

    with start_recipe(contested.recipe, failpoints="finalize.ledger=hang") as zombie:
        zombie.wait_stopped()
        time.sleep(2.2)
        rival = run_recipe(contested.recipe)
        zombie.resume()
        woken = zombie.wait()

    assert rival.exit_code == 0, rival.error
    assert rival.seconds < 25
    assert woken.exit_code in {0, 75}, woken
    assert contested.differences() == []
