"""Servers that crash, sessions that are ended, disks that are full: the run copes or says so, and the next is exact."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import arrowload
from arrowload.core.failpoint import SITES
from tests.faults.processes import Outcome, run_recipe, start_recipe
from tests.faults.test_kill_everywhere import (
    CASES_BY_SITE,
    FILE_SITES,
    READ_BACK_SITES,
    ParquetTarget,
    PostgresTarget,
    Target,
    World,
    sampled,
    target,
)
from tests.postgres_server import PostgresDatabase, running_postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.postgres_server import PostgresServer

__all__ = ["target"]  # the fixture

RETRIES = {"max_attempts": 3, "wait_initial": "50ms"}
HONEST = {0, 74, 75}


@pytest.fixture(scope="module")
def crashing_server() -> Iterator[PostgresServer]:
    """A server of this module alone, since its crashes would hit other tests."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def fragile(crashing_server: PostgresServer) -> PostgresDatabase:
    """A fresh database of a server that may crash."""
    return crashing_server.create_database()


def due(folder: Path, target: Target, mode: str) -> World:
    """A world with one load done and another one due."""
    world = World(folder, target, mode)
    world.recipe["runtime"] = {"batch_size": 50, "retries": RETRIES}
    world.start()
    assert run_recipe(world.recipe).exit_code == 0
    world.grow()
    return world


def interrupted(recipe: dict[str, Any], failpoints: str, meanwhile: Callable[[], None]) -> Outcome:
    """A run that stops at a failpoint, and goes on when `meanwhile` has been called."""
    with start_recipe(recipe, failpoints=failpoints) as run:
        run.wait_stopped()
        meanwhile()
        run.resume()
        return run.wait()


@pytest.mark.fault(38)
@pytest.mark.parametrize(
    ("mode", "site"),
    [
        ("append", "stage.batch"),
        ("append", "finalize.fenced"),
        ("replace", "stage.batch"),
        ("replace", "finalize.applied"),
        ("merge", "seal.before"),
        ("merge", "finalize.fenced"),
    ],
)
def test_the_server_crashes_and_comes_back(tmp_path: Path, fragile: PostgresDatabase, site: str, mode: str) -> None:
    """`stop -m immediate` and start, in the middle of a load: the run begins anew by itself and is exact."""
    world = due(tmp_path, PostgresTarget(fragile), mode)

    def crash() -> None:
        fragile.server.stop("immediate")
        fragile.server.start()

    run = interrupted(world.recipe, f"{site}=hang", crash)

    assert run.exit_code == 0, run.error
    assert run.report is not None
    assert run.report["attempts"] > 1
    assert world.differences() == []


def run_too_early(recipe: dict[str, Any], server: PostgresServer) -> Outcome:
    """A run that begins a second before its server does."""
    recipe["runtime"] = {"retries": {"max_attempts": 20, "wait_initial": "200ms", "wait_max": "400ms"}}
    server.stop()
    with start_recipe(recipe) as run:
        time.sleep(1.0)
        server.start()
        return run.wait()


@pytest.mark.fault(38)
def test_the_destination_comes_up_after_the_run(tmp_path: Path, fragile: PostgresDatabase) -> None:
    """It is tried again from the first question on, within the one budget of the run."""
    world = due(tmp_path, PostgresTarget(fragile), "append")

    run = run_too_early(world.recipe, fragile.server)

    assert (run.exit_code, world.differences()) == (0, []), run.error
    assert run.report is not None
    assert 1 < run.report["attempts"] <= 20


@pytest.mark.fault(38)
def test_the_source_comes_up_after_the_run(tmp_path: Path, fragile: PostgresDatabase) -> None:
    """As with the destination."""
    fragile.execute("CREATE TABLE t AS SELECT n FROM generate_series(1, 100) AS n")
    recipe = {
        "name": "early",
        "source": {"type": "postgres", "dsn": fragile.dsn, "table": "t"},
        "destination": {"type": "parquet", "path": str(tmp_path / "out")},
        "state": {"type": "local", "path": str(tmp_path / "state")},
    }

    run = run_too_early(recipe, fragile.server)

    assert run.exit_code == 0, run.error
    assert run.report is not None
    assert (run.report["rows_written"], run.report["attempts"] > 1) == (100, True)


@pytest.mark.fault(38)
@pytest.mark.parametrize("site", ["stage.batch", "finalize.fenced"])
def test_the_server_stays_down(tmp_path: Path, fragile: PostgresDatabase, site: str) -> None:
    """A run whose server does not come back exits 75, or 74 when its commit was under way; the next one is exact."""
    world = due(tmp_path, PostgresTarget(fragile), "append")
    try:
        run = interrupted(world.recipe, f"{site}=hang", lambda: fragile.server.stop("immediate"))
    finally:
        fragile.server.start()

    assert run.exit_code in {74, 75}, run
    assert run.threads == ()
    rerun = run_recipe(world.recipe)
    assert (rerun.exit_code, world.differences()) == (0, []), rerun.error


@pytest.mark.fault(10)
@pytest.mark.parametrize("site", ["stage.batch", "seal.before", "finalize.ledger"])
@pytest.mark.parametrize(
    ("target", "mode"), [("duckdb", "append"), ("postgres", "merge"), ("parquet", "replace")], indirect=["target"]
)
def test_an_error_that_passes(tmp_path: Path, target: Target, mode: str, site: str) -> None:
    """A transient error at one step of the load: the run begins anew by itself and is exact."""
    world = due(tmp_path, target, mode)

    run = run_recipe(world.recipe, failpoints=f"{site}=err")

    assert run.exit_code == 0, run.error
    assert run.report is not None
    assert (run.report["attempts"], world.differences()) == (2, [])


@pytest.mark.parametrize("target", ["duckdb", "parquet"], indirect=True)
def test_a_commit_that_was_not_done_in_the_last_attempt(tmp_path: Path, target: Target) -> None:
    """The ledger says that nothing was committed, so it is worth trying again later (75), and no unknown outcome."""
    world = due(tmp_path, target, "append")
    before = sorted(target.rows())
    world.recipe["runtime"] = {"retries": {"max_attempts": 1}}

    run = run_recipe(world.recipe, failpoints="finalize.before=lost")

    assert (run.exit_code, sorted(target.rows())) == (75, before), run.error
    assert (run_recipe(world.recipe).exit_code, world.differences()) == (0, [])


@pytest.mark.fault(48)
@pytest.mark.parametrize("mode", ["append", "merge"])
def test_the_destination_session_is_ended(tmp_path: Path, postgres: PostgresDatabase, mode: str) -> None:
    """`pg_terminate_backend` in the middle of the COPY into the destination: begun anew, nothing doubled."""
    world = due(tmp_path, PostgresTarget(postgres), mode)
    ended: list[int] = []

    run = interrupted(world.recipe, "stage.batch=hang@2", lambda: ended.append(_end(postgres, "arrowload:%")))

    assert ended == [1]
    assert run.exit_code == 0, run.error
    assert run.report is not None
    assert (run.report["attempts"], world.differences()) == (2, [])


@pytest.mark.fault(41)
def test_the_source_session_is_ended(tmp_path: Path, postgres: PostgresDatabase) -> None:
    """`pg_terminate_backend` in the middle of the COPY out of the source: a fresh snapshot is read, nothing doubled."""
    # More than what socket buffers and the queue hold.
    postgres.execute(
        "CREATE TABLE wide AS SELECT n AS uid, repeat(md5(n::text), 32) AS padding FROM generate_series(1, 40000) AS n"
    )
    recipe = {
        "name": "wide",
        "source": {"type": "postgres", "dsn": postgres.dsn, "table": "wide", "application_name": "reader"},
        "destination": {"type": "parquet", "path": str(tmp_path / "wide")},
        "state": {"type": "local", "path": str(tmp_path / "state")},
        "runtime": {"batch_size": 500, "max_memory": "8MiB", "retries": RETRIES},
    }
    ended: list[int] = []

    run = interrupted(recipe, "stage.batch=hang@2", lambda: ended.append(_end(postgres, "reader")))

    assert ended == [1]
    assert run.exit_code == 0, run.error
    assert run.report is not None
    assert run.report["attempts"] == 2
    back = arrowload.read({"name": "back", "source": {"type": "parquet", "path": str(tmp_path / "wide")}})
    assert sorted(back["uid"].to_pylist()) == list(range(1, 40_001))


def _end(database: PostgresDatabase, name: str) -> int:
    """End the sessions of that application name; how many there were."""
    return len(
        database.query(
            "SELECT pg_terminate_backend(pid, 5000) AS gone FROM pg_stat_activity"
            f" WHERE application_name LIKE '{name}' AND datname = current_database()"
        )
    )


FULL_CASES = [
    *((name, "append", site) for name in ("duckdb", "parquet") for site in ("stage.batch", "finalize.applied")),
    *(("duckdb", "append", site) for site in ("state.temporary", "state.temporary@2", "finalize.fenced")),
    *(("postgres", "merge", site) for site in ("stage.batch", "finalize.ledger")),
    *(("parquet", "replace", site) for site in ("stage.batch", "finalize.ledger", *sorted(FILE_SITES))),
]


@pytest.mark.fault(47)
@pytest.mark.parametrize(("target", "mode", "site"), sampled(FULL_CASES, 0, one_in=2), indirect=["target"])
def test_the_disk_is_full(tmp_path: Path, target: Target, mode: str, site: str) -> None:
    """ENOSPC ends the run in good order or is overcome: readers see the old rows or the new, and a rerun is exact."""
    world = due(tmp_path, target, mode)
    before = sorted(target.rows())
    name, _, at = site.partition("@")

    full = run_recipe(world.recipe, failpoints=f"{name}=enospc{'@' if at else ''}{at}")

    assert full.exit_code in HONEST, full.error
    assert full.threads == ()
    if name in {"stage.batch", "state.temporary"}:
        assert full.exit_code == 75
        assert "No space left" in (full.error or "")
    committed = full.exit_code == 0 or site == "state.temporary@2"
    assert full.exit_code == 0 or ("the load is committed" in (full.error or "")) == committed, full.error
    assert world.differences() == [] if committed else sorted(target.rows()) == before
    rerun = run_recipe(world.recipe)
    assert (rerun.exit_code, world.differences()) == (0, []), rerun.error


@pytest.mark.fault(47)
def test_the_disk_stays_full(tmp_path: Path) -> None:
    """The old rows stay, and so does the old state."""
    target = ParquetTarget(tmp_path)
    world = due(tmp_path, target, "append")
    before, state = sorted(target.rows()), (tmp_path / "state" / "events.json").read_bytes()

    for _ in range(3):
        assert run_recipe(world.recipe, failpoints="state.temporary=enospc").exit_code == 75

    assert (sorted(target.rows()), (tmp_path / "state" / "events.json").read_bytes()) == (before, state)
    assert (run_recipe(world.recipe).exit_code, world.differences()) == (0, [])


# ---------------------------------------------------------------- the catalogue of failpoints


def test_every_failpoint_is_hit() -> None:
    """The kill suite kills at each site, in each destination that has it; what is called in the code is known."""
    package = Path(arrowload.__file__).parent
    called = {
        site for file in package.rglob("*.py") for site in re.findall(r'failpoint\("([a-z_.]+)"\)', file.read_text())
    }
    steps = {name.partition(".")[0] for name in SITES if name.endswith((".before", ".after"))}

    assert {site for _, _, site in CASES_BY_SITE} | READ_BACK_SITES == SITES
    assert called - SITES == set()
    assert {site for site in SITES - called if site.partition(".")[2] not in {"before", "after"}} == set()
    assert {f"{step}.{moment}" for step in steps for moment in ("before", "after")} <= SITES
