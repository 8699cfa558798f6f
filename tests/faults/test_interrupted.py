"""A run is told to end, or runs out of memory: nothing is committed, and the next run loads all."""

from __future__ import annotations

import json
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.processes import run_recipe, start_command, start_recipe
from tests.faults.test_kill_everywhere import PostgresTarget, Target, World, target

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.postgres_server import PostgresDatabase

__all__ = ["target"]  # the fixture

CGROUPS = Path("/sys/fs/cgroup/memory")
MEMORY = 2**26
PLACES = ["duckdb", pytest.param("parquet", marks=pytest.mark.slow)]


def due(folder: Path, target: Target, mode: str) -> World:
    """A world with one load done and another one due."""
    world = World(folder, target, mode)
    world.start()
    assert run_recipe(world.recipe).exit_code == 0
    world.grow()
    (folder / "recipe.json").write_text(json.dumps(world.recipe))
    return world


@contextmanager
def in_a_batch(folder: Path, *, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """A run that has written its first batch, and takes so long over the second."""
    slow = {"ARROWLOAD_FAILPOINTS": f"stage.batch=delay({seconds})@2"}
    with start_command("run", "recipe.json", "--log-format", "json", folder=folder, environment=slow) as process:
        for line in process.stderr or ():
            if '"RowsMoved"' in line:
                break
        yield process


@pytest.mark.fault(11)
@pytest.mark.parametrize("target", PLACES, indirect=True)
def test_a_run_is_told_to_end(tmp_path: Path, target: Target) -> None:
    """SIGTERM in the middle of a batch: exit 75, as before, the lease given back."""
    world = due(tmp_path, target, "append")
    before = sorted(target.rows())

    with in_a_batch(tmp_path, seconds=1.5) as process:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)

    assert process.returncode == 75, err
    assert sorted(target.rows()) == before
    assert "lease" not in json.loads((tmp_path / "state" / "events.json").read_text())
    assert (run_recipe(world.recipe).exit_code, world.differences()) == (0, [])


@pytest.mark.fault(11)
@pytest.mark.parametrize("target", PLACES, indirect=True)
def test_a_run_that_is_told_to_end_and_then_killed(tmp_path: Path, target: Target) -> None:
    """SIGKILL while it cleans up: the next plain run loads all."""
    world = due(tmp_path, target, "append")
    before = sorted(target.rows())

    with in_a_batch(tmp_path, seconds=20) as process:
        time.sleep(1)  # so that the second batch is waiting, and the clean-up waits for it
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        process.kill()
        process.communicate(timeout=60)

    assert process.returncode == -signal.SIGKILL
    assert sorted(target.rows()) == before
    assert (run_recipe(world.recipe).exit_code, world.differences()) == (0, [])


@pytest.fixture
def cgroup(tmp_path: Path) -> Iterator[Path]:
    """A group of processes that has `MEMORY` bytes."""
    group = CGROUPS / f"arrowload-{tmp_path.name}"
    try:
        group.mkdir()
    except OSError as exc:
        pytest.skip(f"no memory cgroup can be made: {exc}")
    (group / "memory.limit_in_bytes").write_text(str(MEMORY))
    yield group
    for pid in (group / "cgroup.procs").read_text().split():
        (CGROUPS / "cgroup.procs").write_text(pid)
    group.rmdir()


def hungry(world: World, how: str) -> dict[str, Any]:
    return {**world.recipe, "transform": {"steps": [{"type": "stumble", "at": 2, "how": how}]}}


@pytest.mark.fault(12)
def test_memory_runs_out(tmp_path: Path, postgres: PostgresDatabase) -> None:
    """The system refuses memory in the third batch: an error like others; the old rows stay."""
    world = due(tmp_path, PostgresTarget(postgres), "replace")
    before = sorted(world.target.rows())

    failed = run_recipe(hungry(world, "limit"))

    assert failed.exit_code not in {0, 74}, failed
    assert sorted(world.target.rows()) == before
    assert (run_recipe(world.recipe).exit_code, world.differences()) == (0, [])


@pytest.mark.fault(12)
def test_the_kernel_kills_for_memory(tmp_path: Path, postgres: PostgresDatabase, cgroup: Path) -> None:
    """The run takes more than its group has, and is killed in the third batch; the old rows stay."""
    world = due(tmp_path, PostgresTarget(postgres), "replace")
    before = sorted(world.target.rows())

    with start_recipe(hungry(world, "cgroup"), failpoints="plan.after=hang") as run:
        run.wait_stopped()
        (cgroup / "cgroup.procs").write_text(str(run.pid))
        run.resume()
        killed = run.wait()

    assert killed.killed, killed
    assert sorted(world.target.rows()) == before
    assert (run_recipe(world.recipe).exit_code, world.differences()) == (0, [])
