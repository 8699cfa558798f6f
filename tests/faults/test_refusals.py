"""What a server refuses while a load goes on: locks, deadlocks, passwords; and what it says of itself that is old."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from arrowload.io.postgres import PostgresSession
from tests.faults.processes import run_recipe, start_recipe
from tests.faults.test_kill_everywhere import PostgresTarget, World
from tests.faults.test_outages import RETRIES, due, interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase


@contextmanager
def session(database: PostgresDatabase) -> Iterator[Any]:
    """A connection of its own, for a transaction that stays open."""
    opened = PostgresSession(database.dsn, lambda exc: exc)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.fault(48)
def test_a_deadlock(tmp_path: Path, postgres: PostgresDatabase) -> None:
    """Somebody has locked the ledger and waits for the target, which the run has: the run gives way, and comes back."""
    world = due(tmp_path, PostgresTarget(postgres), "append")

    with session(postgres) as other, start_recipe(world.recipe, failpoints="seal.before=hang") as run:
        run.wait_stopped()
        other.run("BEGIN")
        other.run("LOCK TABLE _arrowload.loads IN ACCESS EXCLUSIVE MODE")
        waiting = threading.Thread(target=other.run, args=("LOCK TABLE events IN ACCESS EXCLUSIVE MODE",))
        waiting.start()
        time.sleep(1.5)  # whoever has waited for `deadlock_timeout`, one second, looks for deadlocks, and gives way
        run.resume()
        waiting.join()
        other.run("COMMIT")
        outcome = run.wait()

    assert (outcome.exit_code, world.differences()) == (0, []), outcome.error
    assert outcome.report is not None
    assert outcome.report["attempts"] == 2
    assert "deadlock detected" in postgres.server.log()


@pytest.mark.slow
@pytest.mark.fault(48)
@pytest.mark.parametrize("mode", ["append", "merge"])
def test_a_lock_that_is_held_for_long(tmp_path: Path, postgres: PostgresDatabase, mode: str) -> None:
    """Longer than the run waits for it: an attempt fails, and a later one succeeds."""
    world = due(tmp_path, PostgresTarget(postgres), mode)

    with session(postgres) as other, start_recipe(world.recipe) as run:
        other.run("BEGIN")
        other.run("LOCK TABLE _arrowload.loads IN ACCESS EXCLUSIVE MODE")
        time.sleep(35)
        other.run("COMMIT")
        outcome = run.wait()

    assert (outcome.exit_code, world.differences()) == (0, []), outcome.error


@pytest.mark.fault(48)
@pytest.mark.parametrize(
    "code", ["55P03", *(pytest.param(code, marks=pytest.mark.slow) for code in ("40001", "40P01", "57014"))]
)
def test_a_statement_that_the_server_refuses_once(tmp_path: Path, postgres: PostgresDatabase, code: str) -> None:
    """A trigger of the target raises the code for the first row of all, once: begun anew, and exact."""
    world = due(tmp_path, PostgresTarget(postgres), "merge")
    postgres.execute(
        "CREATE SEQUENCE tries;"
        " CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF nextval('tries') = 1 THEN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END IF; RETURN NEW; END $$;"
        " CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON events FOR EACH ROW EXECUTE FUNCTION refuse();"
    )

    run = run_recipe(world.recipe)

    assert (run.exit_code, world.differences()) == (0, []), run.error
    assert run.report is not None
    assert run.report["attempts"] == 2


@pytest.mark.fault(49)
def test_a_password_changes_in_the_middle(tmp_path: Path, postgres: PostgresDatabase) -> None:
    """The session ends, and the next is not let in: exit 77 without further tries; when it is, the load is exact."""
    role = f"loader_{postgres.name}"
    postgres.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'first'; GRANT CREATE ON DATABASE \"{postgres.name}\" TO {role};"
        f" GRANT CREATE, USAGE ON SCHEMA public TO {role};"
    )
    world = World(tmp_path, PostgresTarget(postgres), "append")
    del world.recipe["destination"]["dsn"]
    world.recipe["destination"] |= {**postgres.keys, "user": role, "password": "first"}
    world.recipe["runtime"] = {"batch_size": 50, "retries": RETRIES}
    world.start()
    first = run_recipe(world.recipe)
    assert first.exit_code == 0, first.error
    before = sorted(world.target.rows())
    world.grow()

    def change() -> None:
        postgres.execute(
            f"ALTER ROLE {role} PASSWORD 'second';"
            f" SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '{role}';"
        )

    refused = interrupted(world.recipe, "stage.batch=hang@2", change)
    seen = sorted(world.target.rows())
    world.recipe["destination"]["password"] = "second"
    rerun = run_recipe(world.recipe)

    assert (refused.exit_code, seen) == (77, before), refused
    assert (rerun.exit_code, world.differences()) == (0, []), rerun.error


@pytest.mark.fault(50)
def test_statistics_that_lag(tmp_path: Path, postgres: PostgresDatabase) -> None:
    """The server does not count at all; a replace that takes most rows away is refused by what is really there."""
    postgres.execute(f'ALTER DATABASE "{postgres.name}" SET track_counts = off')
    world = World(tmp_path, PostgresTarget(postgres), "replace")
    world.start()
    first = run_recipe(world.recipe)
    before = sorted(world.target.rows())
    world.recipe["source"]["filter"] = "uid < 20"

    shrunk = run_recipe(world.recipe)

    assert first.report is not None
    assert (first.exit_code, first.report["rows_written"]) == (0, len(before))
    assert postgres.value("SELECT coalesce(sum(n_live_tup), 0)::int8 FROM pg_stat_user_tables") == 0
    assert (shrunk.exit_code, sorted(world.target.rows())) == (65, before), shrunk
