"""Plug-ins with the least that suffices run at least once, and the plan says so; one that raises ends the run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import arrowload
from tests.faults import plugins  # noqa: F401 - registers them
from tests.faults.processes import run_recipe
from tests.faults.test_kill_everywhere import ParquetTarget, Target, World, target

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["target"]  # the fixture

RUN_ENDS_WITHIN_S = 2


def numbers_to_lines(folder: Path, **source: Any) -> dict[str, Any]:
    return {
        "name": "numbers",
        "source": {"type": "numbers", **source},
        "destination": {"type": "lines", "path": str(folder / "out.jsonl")},
        "state": {"type": "local", "path": str(folder / "state")},
    }


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("shape", ["arrow", "dict"])
def test_the_smallest_plugins_run_from_end_to_end(tmp_path: Path, shape: str) -> None:
    """A source with only `read_batches`, of Arrow or of dicts, and a destination with only `write_batch`."""
    outcome = run_recipe(numbers_to_lines(tmp_path, shape=shape))

    assert outcome.exit_code == 0, outcome.error
    assert lines(tmp_path) == [{"n": n, "name": f"number {n}"} for n in range(50)]
    assert outcome.report is not None
    assert (outcome.report["status"], outcome.report["rows_written"]) == ("committed", 50)
    assert outcome.report["delivery"] == "at_least_once"


def test_what_a_plugin_changes_in_its_state_is_remembered(tmp_path: Path) -> None:
    """The next run starts where the last one ended."""
    recipe = numbers_to_lines(tmp_path, goes_on=True)

    first, second = run_recipe(recipe), run_recipe(recipe)

    assert (first.exit_code, second.exit_code) == (0, 0), second.error
    assert [row["n"] for row in lines(tmp_path)] == list(range(100))


def test_a_plugin_source_into_a_ledger_goes_on_after_a_crash(tmp_path: Path) -> None:
    """The state of a plug-in commits with its rows: after a kill between the two the load is finished, not repeated."""
    recipe = numbers_to_lines(tmp_path, goes_on=True)
    recipe["destination"] = {"type": "parquet", "path": str(tmp_path / "target")}
    back = {"name": "back", "source": {"type": "parquet", "path": str(tmp_path / "target")}}

    assert run_recipe(recipe, failpoints="save_state.before=kill9").killed
    rerun = run_recipe(recipe)
    finished = sorted(arrowload.read(back)["n"].to_pylist())
    third = run_recipe(recipe)

    assert (rerun.exit_code, third.exit_code) == (0, 0), third.error
    assert finished == list(range(50))
    assert sorted(arrowload.read(back)["n"].to_pylist()) == list(range(100))


@pytest.mark.parametrize("weak", ["source", "destination", "both"])
def test_the_plan_says_at_least_once(tmp_path: Path, weak: str) -> None:
    """In those words, with the reason; a recipe that asks for more is refused with 78."""
    recipe = numbers_to_lines(tmp_path)
    if weak == "source":
        recipe["destination"] = {"type": "parquet", "path": str(tmp_path / "target")}
    if weak == "destination":
        World(tmp_path, ParquetTarget(tmp_path), "replace").start()
        recipe["source"] = {"type": "duckdb", "path": str(tmp_path / "source.duckdb"), "table": "events"}

    plan = arrowload.plan(recipe)
    refused = run_recipe({**recipe, "runtime": {"delivery": "exactly_once"}})

    assert plan.delivery == "at_least_once"
    assert "at_least_once" in str(plan)
    assert ("source" if weak == "source" else "destination") in plan.delivery_reason
    assert any("delivery is at least once" in note for note in plan.notes)
    assert refused.exit_code == 78
    assert "at_least_once" in (refused.error or "")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.fault(13)
@pytest.mark.parametrize("fails_at", [1, 4])
@pytest.mark.parametrize("target", ["duckdb", "postgres", "parquet"], indirect=True)
def test_a_source_that_raises_ends_the_run(tmp_path: Path, target: Target, fails_at: int) -> None:
    """An error in the middle of the stream: no commit, no thread left, the message of the plug-in, within seconds."""
    recipe = {**numbers_to_lines(tmp_path, fails_at=fails_at), "destination": target.config("append")}

    failed = run_recipe(recipe)

    assert failed.exit_code == 70
    assert f"the plug-in cannot read batch {fails_at}" in (failed.error or "")
    assert (failed.threads, failed.seconds < RUN_ENDS_WITHIN_S) == ((), True)
    assert target.rows() == []
    recipe["source"] = {"type": "numbers"}
    assert run_recipe(recipe).exit_code == 0


@pytest.mark.fault(13)
@pytest.mark.parametrize("how", ["raise", "panic"])
@pytest.mark.parametrize("target", ["duckdb", "postgres", "parquet"], indirect=True)
def test_a_python_step_that_raises_ends_the_run(tmp_path: Path, target: Target, how: str) -> None:
    """The same for a transform step, in the third of four batches; what was there stays.

    So too when Rust panics in a step, on a thread that reads.
    """
    world = World(tmp_path, target, "replace")
    world.start()
    assert run_recipe(world.recipe).exit_code == 0
    before = sorted(target.rows())
    world.grow()

    failed = run_recipe({**world.recipe, "transform": {"steps": [{"type": "stumble", "at": 2, "how": how}]}})

    assert failed.exit_code in {65, 70}
    assert ("stumbled" if how == "raise" else "PanicException") in (failed.error or "")
    assert (failed.threads, failed.seconds < RUN_ENDS_WITHIN_S) == ((), True)
    assert sorted(target.rows()) == before
    assert run_recipe(world.recipe).exit_code == 0
    assert world.differences() == []
