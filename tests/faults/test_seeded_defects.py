"""The suite can fail: with one function replaced by a wrong one, the smallest scenario that should turn red does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import pytest

from tests.faults import defects
from tests.faults.oracle import Oracle
from tests.faults.processes import run_recipe, start_recipe
from tests.faults.test_kill_everywhere import ParquetTarget, Target, World, target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

__all__ = ["target"]  # the fixture

Defect: TypeAlias = "Callable[[], None] | None"


class Case(NamedTuple):
    """A defect, the scenario that finds it, and how it shows.

    Attributes:
        flaw: A pattern; one of the flaws that the scenario reports matches it.
        site: Where the scenario kills or stops a run.
    """

    defect: Callable[[], None]
    scenario: Callable[..., list[str]]
    target: str
    mode: str
    flaw: str
    site: str = ""

    def __str__(self) -> str:
        return f"{self.defect.__name__}-{self.target}-{self.mode}"


def judged(world: World, exit_code: int) -> list[str]:
    """What is wrong when all is over."""
    return [*([f"exit {exit_code}"] if exit_code else []), *world.differences()]


def killed(world: World, case: Case, defect: Defect) -> list[str]:
    """A second run is killed; readers see all of it or none, and the next run makes it good."""
    world.start()
    assert run_recipe(world.recipe).exit_code == 0
    before = sorted(world.target.rows())
    world.grow()

    assert run_recipe(world.recipe, failpoints=f"{case.site}=kill9", defect=defect).killed
    seen = sorted(world.target.rows())
    torn = seen != before and bool(world.oracle.differences(seen)) and case.site != "finalize.published"
    rerun = run_recipe(world.recipe, defect=defect)

    return [*(["torn"] if torn else []), *judged(world, rerun.exit_code)]


def killed_then_refreshed(world: World, case: Case, defect: Defect) -> list[str]:
    """A second run is killed, and everything is loaded anew, under other names than those of the killed run."""
    world.start()
    assert run_recipe(world.recipe).exit_code == 0
    world.grow()
    assert run_recipe(world.recipe, failpoints=f"{case.site}=kill9", defect=defect).killed

    return judged(world, run_recipe(world.recipe, full_refresh=True, defect=defect).exit_code)


def killed_without_cursor(world: World, case: Case, defect: Defect) -> list[str]:
    """A plain append is killed after its commit; the next run finishes it."""
    world.recipe["source"] = {"type": "duckdb", "path": str(world.source.path), "table": "events"}
    world.start()
    assert run_recipe(world.recipe, failpoints=f"{case.site}=kill9", defect=defect).killed

    return judged(world, run_recipe(world.recipe, defect=defect).exit_code)


def answer_lost(world: World, case: Case, defect: Defect) -> list[str]:
    """The answer to a commit is lost, and the commit was not done."""
    world.start()

    return judged(world, run_recipe(world.recipe, failpoints=f"{case.site}=lost", defect=defect).exit_code)


def grown(world: World, case: Case, defect: Defect) -> list[str]:
    """Two runs without any fault; rows that tie with the last one loaded arrive in between."""
    world.start()
    assert run_recipe(world.recipe, defect=defect).exit_code == 0
    world.grow()

    return judged(world, run_recipe(world.recipe, defect=defect).exit_code)


def overtaken(world: World, case: Case, defect: Defect) -> list[str]:
    """A run stops before it stages; another, elsewhere, loads everything anew; the first goes on."""
    world.start()
    assert run_recipe(world.recipe).exit_code == 0
    world.grow()

    with start_recipe(world.recipe, failpoints=f"{case.site}=hang", defect=defect) as zombie:
        zombie.wait_stopped()
        assert run_recipe(elsewhere(world), full_refresh=True).exit_code == 0
        zombie.resume()
        refused = zombie.wait()

    return [*([] if refused.exit_code == 75 else [f"the zombie exits {refused.exit_code}"]), *world.differences()]


def elsewhere(world: World) -> dict[str, Any]:
    """The same recipe on another machine: with a state folder of its own."""
    folder = world.recipe["state"]["path"] + "-elsewhere"
    return {**world.recipe, "state": {"type": "local", "path": folder}}


CASES = [
    Case(defects.state_before_commit, killed, "duckdb", "append", "lost", "finalize.applied"),
    Case(defects.state_before_commit, killed, "postgres", "merge", "lost", "finalize.applied"),
    Case(defects.state_before_commit, killed, "parquet", "append", "lost", "finalize.applied"),
    Case(defects.rows_before_entry, killed, "duckdb", "append", "2 times", "finalize.ledger"),
    Case(defects.rows_before_entry, killed, "postgres", "append", "2 times", "finalize.ledger"),
    Case(defects.parts_before_entry, killed_then_refreshed, "parquet", "append", "2 times", "finalize.ledger"),
    Case(defects.emptied_first, killed, "postgres", "replace", "torn", "stage.batch"),
    Case(defects.cursor_of_the_ledger_ignored, killed, "duckdb", "append", "2 times", "save_state.before"),
    Case(defects.cursor_of_the_ledger_ignored, killed, "postgres", "append", "2 times", "save_state.before"),
    Case(defects.cursor_of_the_ledger_ignored, killed, "parquet", "append", "2 times", "save_state.before"),
    Case(defects.parts_not_rolled_forward, killed, "parquet", "append", "lost", "finalize.published"),
    Case(defects.each_run_a_home, killed_without_cursor, "duckdb", "append", "2 times", "save_state.before"),
    Case(defects.lost_answer_is_success, answer_lost, "duckdb", "append", "lost", "finalize.before"),
    Case(defects.lost_answer_is_success, answer_lost, "postgres", "merge", "lost", "finalize.before"),
    Case(defects.lost_answer_is_success, answer_lost, "parquet", "replace", "lost", "finalize.before"),
    Case(defects.boundary_not_read_again, grown, "duckdb", "append", "lost"),
    Case(defects.seen_rows_not_stored, grown, "duckdb", "append", "2 times"),
    Case(defects.overlap_not_consulted, grown, "parquet", "append", "2 times"),
    Case(defects.fence_not_checked, overtaken, "postgres", "append", "2 times", "stage.before"),
    Case(defects.fence_not_checked, overtaken, "parquet", "append", "2 times", "stage.before"),
]


SOUND = list({(case.scenario, case.target, case.mode): case for case in CASES}.values())


@pytest.mark.parametrize(("case", "target"), [pytest.param(c, c.target, id=str(c)) for c in CASES], indirect=["target"])
def test_a_planted_defect_is_found(tmp_path: Path, case: Case, target: Target) -> None:
    """Rows are lost, doubled or torn."""
    flaws = case.scenario(World(tmp_path, target, case.mode), case, case.defect)

    assert any(re.match(case.flaw, flaw) for flaw in flaws), f"not found: {flaws[:5]}"


@pytest.mark.parametrize(
    ("case", "target"), [pytest.param(c, c.target, id=f"no-{c}") for c in SOUND], indirect=["target"]
)
def test_nothing_is_found_without_a_defect(tmp_path: Path, case: Case, target: Target) -> None:
    """The same scenarios, with arrowload as it is."""
    assert case.scenario(World(tmp_path, target, case.mode), case, None) == []


@pytest.mark.fault(20)
@pytest.mark.parametrize("planted", [False, True], ids=["sound", "planted"])
def test_rows_that_come_while_a_window_is_read(tmp_path: Path, postgres: PostgresDatabase, planted: bool) -> None:
    """Bounds and rows are of one snapshot: what commits after it is the next window's; else it is lost."""
    oracle, recipe = Oracle(), _from_postgres_to_parquet(tmp_path, postgres)
    _insert(postgres, oracle, range(20), second=10)
    defect = defects.upper_bound_after_the_rows if planted else None

    with start_recipe(recipe, failpoints="plan.after=hang", defect=defect) as run:
        run.wait_stopped()
        _insert(postgres, oracle, range(20, 30), second=10)
        _insert(postgres, oracle, range(30, 40), second=20)
        _insert(postgres, oracle, range(40, 50), second=30)
        run.resume()
        assert run.wait().exit_code == 0
    assert run_recipe(recipe).exit_code == 0

    differences = oracle.differences(ParquetTarget(tmp_path).rows())
    assert any(flaw.startswith("lost") for flaw in differences) if planted else differences == []


def _from_postgres_to_parquet(folder: Path, database: PostgresDatabase) -> dict[str, Any]:
    database.execute("CREATE TABLE events (uid bigint, version bigint, moved_at timestamptz, crc bigint)")
    source = {"type": "postgres", "dsn": database.dsn, "table": "events"}
    return {
        "name": "events",
        "source": {**source, "incremental": {"strategy": "cursor", "cursor_column": "moved_at"}},
        "destination": {"type": "parquet", "path": str(folder / "target")},
        "state": {"type": "local", "path": str(folder / "state")},
    }


def _insert(database: PostgresDatabase, oracle: Oracle, uids: range, *, second: int) -> None:
    rows = oracle.insert(uids, second=second)
    values = ", ".join(f"({r.uid}, {r.version}, '{r.moved_at.isoformat()}', {r.crc})" for r in rows)
    database.execute(f"INSERT INTO events VALUES {values}")
