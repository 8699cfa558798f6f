"""SIGKILL in the middle of a load that is committed in chunks: what is committed stays, the rest follows, once."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from tests.faults.processes import run_recipe
from tests.faults.test_kill_everywhere import DuckDBTarget, PostgresTarget, Target, World, sampled, target

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.processes import Outcome

__all__ = ["target"]  # the fixture

SITES = ["plan.after", "stage.after", "finalize.fenced", "finalize.after", "save_state.before", "save_state.after"]
CASES = [
    ("duckdb", "append"),
    ("duckdb", "merge"),
    ("postgres", "append"),
    ("postgres", "merge"),
    ("parquet", "append"),
]
ROWS, VALUES, CHUNK = 350, 70, 50


class ChunkedWorld(World):
    """Rows that share each cursor value with four others, loaded fifty at a time."""

    def __init__(self, folder: Path, target: Target, mode: str) -> None:
        super().__init__(folder, target, mode)
        self.recipe["runtime"] = {"batch_size": 20, "commit_every": CHUNK}
        for second in range(VALUES):
            self.source.put(self.oracle.insert(range(second * 5, second * 5 + 5), second=second))

    def run(self, **how: Any) -> Outcome:
        return run_recipe(self.recipe, **how)

    def windows(self) -> list[tuple[str | None, str | None]]:
        sql = 'SELECT "lower", "upper" FROM _arrowload.loads ORDER BY generation, seq'
        if isinstance(self.target, PostgresTarget):
            return self.target.database.query(sql)
        if isinstance(self.target, DuckDBTarget):
            with duckdb.connect(str(self.target.path), read_only=True) as connection:
                return connection.execute(sql).fetchall()
        return []


def tile(windows: list[tuple[str | None, str | None]]) -> bool:
    """Each begins where the one before it ends."""
    return all(later[0] == earlier[1] for earlier, later in pairwise(windows))


@pytest.mark.fault(14)
@pytest.mark.parametrize(
    ("target", "mode", "site"), sampled([(*case, site) for case in CASES for site in SITES], 1), indirect=["target"]
)
def test_the_next_run_goes_on_behind_the_last_chunk(tmp_path: Path, target: Target, mode: str, site: str) -> None:
    """Killed in its third chunk, the run leaves two or three of them; the rerun brings the others, and no row twice."""
    world = ChunkedWorld(tmp_path, target, mode)

    killed = world.run(failpoints=f"{site}=kill9@3")
    kept = len(target.rows())
    rerun = world.run()

    assert killed.killed, killed
    assert 2 * CHUNK <= kept < ROWS
    assert rerun.exit_code == 0, rerun.error
    assert rerun.report is not None
    assert rerun.report["rows_written"] == ROWS - kept
    assert world.differences() == []
    assert tile(world.windows())


@pytest.mark.parametrize(("target", "mode"), sampled(CASES, 2), indirect=["target"])
def test_a_lost_answer_in_the_middle(tmp_path: Path, target: Target, mode: str) -> None:
    """Done or not done, the run finds out and goes on by itself."""
    world = ChunkedWorld(tmp_path, target, mode)
    first = world.run(failpoints="finalize.before=lost@3")
    world.source.put(world.oracle.insert(range(ROWS, ROWS + 3 * CHUNK), second=VALUES))
    second = world.run(failpoints="finalize.after=lost@1")

    assert (first.exit_code, second.exit_code) == (0, 0), (first.error, second.error)
    assert world.differences() == []


@pytest.mark.fault(14)
@pytest.mark.parametrize("target", ["postgres"], indirect=True)
def test_killed_again_and_again(tmp_path: Path, target: Target) -> None:
    """Each run commits one chunk and is killed; in the end all rows are there, from windows without a hole."""
    world = ChunkedWorld(tmp_path, target, "append")
    runs = 0
    while (run := world.run(failpoints="stage.before=kill9@2")).killed:
        runs += 1
        assert runs < 20

    assert run.exit_code == 0, run.error
    assert runs >= ROWS // CHUNK - 1
    assert world.differences() == []
    assert tile(world.windows())
