"""A client is killed while the server works for it: the next run ends what goes on there, or waits, and is exact."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from arrowload.io.postgres import PostgresSession
from tests.faults.processes import start_recipe
from tests.faults.test_kill_everywhere import PostgresTarget, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

GATE = 4711
LOADING = "application_name LIKE 'arrowload:%' AND datname = current_database()"
# Less than the time after which a statement that waits for a lock gives up.
ENDED_WITHIN_S = 15


@pytest.mark.fault(7)
@pytest.mark.parametrize("mode", ["merge", pytest.param("append", marks=pytest.mark.slow)])
def test_a_statement_outlives_its_client(tmp_path: Path, postgres: PostgresDatabase, mode: str) -> None:
    """The statement waits in a trigger, and does not notice that nobody waits for it any more."""
    world = World(tmp_path, PostgresTarget(postgres), mode)
    world.start()
    with start_recipe(world.recipe) as first:
        assert first.wait().exit_code == 0
    world.grow()
    postgres.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN NEW; END $$;"
        " CREATE TRIGGER wait BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION wait();"
    )
    gate = PostgresSession(postgres.dsn, lambda exc: exc)
    try:
        gate.run("BEGIN")
        gate.execute(f"SELECT pg_advisory_xact_lock({GATE})::text")
        with start_recipe(world.recipe) as killed:
            orphan = until(
                lambda: postgres.query(f"SELECT pid FROM pg_stat_activity WHERE {LOADING} AND wait_event = 'advisory'")
            )
        assert killed.wait().killed
        assert sessions(postgres) == orphan

        with start_recipe(world.recipe) as rerun:
            until(lambda: orphan[0] not in sessions(postgres))
            gate.run("COMMIT")
            outcome = rerun.wait()
    finally:
        gate.close()

    assert (outcome.exit_code, world.differences()) == (0, []), outcome.error


def sessions(database: PostgresDatabase) -> list[tuple[int]]:
    return database.query(f"SELECT pid FROM pg_stat_activity WHERE {LOADING}")


def until(what: Callable[[], Any]) -> Any:
    """The first answer that is not empty."""
    deadline = time.monotonic() + ENDED_WITHIN_S
    while not (answer := what()):
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.05)
    return answer
