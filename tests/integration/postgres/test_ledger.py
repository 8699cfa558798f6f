"""Ledger, fence, orphans and unknown outcomes, on a real server."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from arrowload.connectors.postgres import writer as writer_module
from arrowload.connectors.postgres.orphans import session_name
from arrowload.core.exceptions import BusyError, DataError, OutcomeUnknownError, TransientConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from arrowload.connectors.postgres.destination import PostgresDestination
    from tests.postgres_server import PostgresDatabase

ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int32())})
COUNT = "SELECT count(*) FROM target"


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it holds within five seconds: a server takes a moment to end a session that has said goodbye."""
    deadline = time.monotonic() + 5
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def finalize(loads: Any, writer: Any, load: Any, seen: pa.Table | None = None) -> None:
    writer.finalize(loads.entry(load, rows_written=writer.seal().rows_staged), seen)


def test_nothing_is_known_of_a_database_that_was_never_loaded(
    postgres: PostgresDatabase, destination: Callable[..., PostgresDestination]
) -> None:
    """Asking makes nothing."""
    made = destination()

    assert made.head("recipe", None) is None
    assert made.head("recipe", "id") is None
    assert made.find("id", "load") is None
    assert made.seen("id").num_rows == 0
    assert postgres.value("SELECT count(*) FROM pg_namespace WHERE nspname = '_arrowload'") == 0


def test_an_entry_comes_back_as_it_was_written(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """Found by its load, by its pipeline, and by recipe and target."""
    loads = loading()
    writer, load = loads.staged(ROWS)
    entry = loads.entry(load, rows_written=3)
    writer.seal()
    seen = pa.table({"row_hash": pa.array([b"\0" * 15 + b"x"], pa.binary(16)), "n": pa.array([2], pa.int64())})
    writer.finalize(entry, seen)

    head = loads.destination.head(loads.recipe, None)

    assert loads.destination.find(loads.pipeline_id, load.load_id) == entry
    assert loads.destination.find(loads.pipeline_id, "another") is None
    assert head.last == entry
    assert head == loads.destination.head("other name", loads.pipeline_id)
    assert (head.epoch, head.owner, head.pipeline_id) == (1, "owner", loads.pipeline_id)
    assert loads.destination.seen(loads.pipeline_id).equals(seen)
    assert loads.destination.head("other name", None) is None


def test_seen_rows_take_the_place_of_those_before(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """None leaves them, an empty table clears them."""
    loads = loading()
    first = pa.table({"row_hash": pa.array([b"a" * 16, b"b" * 16], pa.binary(16)), "n": pa.array([1, 1], pa.int64())})
    left = []
    for seen in (first, None, first.slice(1), first.slice(0, 0)):
        writer, load = loads.staged(ROWS)
        finalize(loads, writer, load, seen)
        left.append(loads.destination.seen(loads.pipeline_id).num_rows)

    assert left == [2, 2, 1, 0]


def test_a_lower_or_equal_epoch_does_not_get_the_fence(
    postgres: PostgresDatabase, destination: Callable[..., PostgresDestination]
) -> None:
    """The error says who holds it."""
    made = destination()
    made.fence("p", "recipe", 5, "first")

    for epoch in (4, 5):
        with pytest.raises(BusyError, match="first"):
            made.fence("p", "recipe", epoch, "second")
    assert made.fence("p", "recipe", 6, "second").owner == "second"


def test_a_run_that_was_overtaken_does_not_commit(
    postgres: PostgresDatabase, loading: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer epoch that could not end its session still keeps it from committing."""
    loads = loading()
    writer, load = loads.staged(ROWS)
    sealed = writer.seal()
    postgres.execute("UPDATE _arrowload.fence SET epoch = 99, owner = 'newer';")

    with pytest.raises(BusyError, match="newer"):
        writer.finalize(loads.entry(load, rows_written=sealed.rows_staged), None)

    assert postgres.value("SELECT to_regclass('target')::text AS t") is None
    assert postgres.value("SELECT count(*) FROM _arrowload.loads") == 0


@pytest.mark.fault(7)
def test_a_successor_ends_what_its_predecessor_left_running(
    postgres: PostgresDatabase, loading: Callable[..., Any], destination: Callable[..., PostgresDestination]
) -> None:
    """A paused run holds locks on the target; the new one ends it in well under the time of a lock timeout."""
    postgres.execute("CREATE TABLE target (id int); INSERT INTO target VALUES (0);")
    zombie = loading()
    paused, paused_load = zombie.staged(ROWS, "replace")

    start = time.monotonic()
    successor = loading()
    successor.pipeline_id, successor.recipe, successor.epoch = zombie.pipeline_id, zombie.recipe, 50
    successor.load(ROWS, "replace")
    took = time.monotonic() - start

    assert took < 10
    with pytest.raises(TransientConnectorError):
        finalize(zombie, paused, paused_load)
    assert postgres.value(COUNT) == 3


def test_other_pipelines_are_left_alone(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """Only sessions of the same pipeline and a lower epoch are ended."""
    one, other = loading("one"), loading("other")
    writer, load = one.staged(ROWS)
    other.epoch = 70
    other.load(ROWS)

    finalize(one, writer, load)

    assert postgres.value("SELECT count(*) FROM one") == 3


def test_the_loading_session_carries_pipeline_and_epoch(
    postgres: PostgresDatabase, loading: Callable[..., Any]
) -> None:
    """By which a successor finds it; no session stays when all is closed."""
    loads = loading()
    writer, _ = loads.staged(ROWS)
    named = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{session_name(loads.pipeline_id, 1)}'"

    during = postgres.value(named)
    writer.abort()
    loads.destination.close()

    assert during == 1
    assert eventually(lambda: postgres.value(named) == 0)
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'arrowload%'"
    assert eventually(lambda: postgres.value(ours) == 0)


def test_eight_first_runs_at_once_make_one_ledger(
    postgres: PostgresDatabase, destination: Callable[..., PostgresDestination]
) -> None:
    """None fails for another's having made it; pipelines of their own get a fence each."""
    made = [destination(f"t{i}") for i in range(8)]
    together = threading.Barrier(8)

    def run(i: int) -> str:
        together.wait()
        return made[i].fence(f"pipeline-{i}", f"recipe-{i}", 1, "owner").pipeline_id

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(run, range(8))) == [f"pipeline-{i}" for i in range(8)]


def test_of_eight_runs_of_one_epoch_one_gets_the_fence(
    postgres: PostgresDatabase, destination: Callable[..., PostgresDestination]
) -> None:
    """The others are told that it is busy."""
    made = [destination() for _ in range(8)]
    together = threading.Barrier(8)

    def run(i: int) -> bool:
        together.wait()
        try:
            made[i].fence("p", "recipe", 1, f"owner-{i}")
        except BusyError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(run, range(8))) == 1


def test_a_second_identity_for_one_recipe_and_target_is_told_to_look_again(
    postgres: PostgresDatabase, destination: Callable[..., PostgresDestination]
) -> None:
    """Two first runs mint an identity each; the second finds the first's in the ledger when it starts again."""
    destination().fence("first", "recipe", 1, "owner")

    with pytest.raises(TransientConnectorError):
        destination().fence("second", "recipe", 1, "owner")


def cut_at_commit(monkeypatch: pytest.MonkeyPatch, postgres: PostgresDatabase, name: str, *, before: bool) -> None:
    """Lose the connection when COMMIT is sent: before it reaches the server, or before its answer comes back."""
    plain = writer_module.PostgresLoadWriter._commit

    def commit(self: Any) -> None:
        session = self._session

        def run(sql: str, *_: Any) -> int:
            if not before:
                type(session).run(session, sql)
            postgres.execute(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}';"
                "SELECT pg_sleep(0.2);"
            )
            return int(type(session).run(session, "SELECT 1" if not before else sql))

        session.run = run
        plain(self)

    monkeypatch.setattr(writer_module.PostgresLoadWriter, "_commit", commit)


@pytest.mark.parametrize("before", [True, False])
def test_a_commit_without_an_answer_is_looked_up(
    postgres: PostgresDatabase, loading: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    """It is of unknown outcome until the ledger tells."""
    loads = loading()
    writer, load = loads.staged(ROWS)
    cut_at_commit(monkeypatch, postgres, session_name(load.pipeline_id, load.epoch), before=before)

    with pytest.raises(OutcomeUnknownError):
        finalize(loads, writer, load)
    found = loads.destination.find(loads.pipeline_id, load.load_id)

    assert (found is None) == before
    assert postgres.value("SELECT count(*) FROM _arrowload.loads") == (0 if before else 1)


@pytest.mark.fault(6)
def test_a_session_that_is_still_open_is_ended_before_the_ledger_is_read(
    postgres: PostgresDatabase, loading: Callable[..., Any], destination: Callable[..., PostgresDestination]
) -> None:
    """Its COMMIT might be on the way; after `find` has answered, it can have no effect any more."""
    loads = loading()
    writer, load = loads.staged(ROWS)
    writer.seal()

    assert loads.destination.find(load.pipeline_id, load.load_id) is None

    with pytest.raises((OutcomeUnknownError, TransientConnectorError)):
        writer.finalize(loads.entry(load, rows_written=3), None)
    assert postgres.value("SELECT to_regclass('target')::text AS t") is None


def test_find_leaves_the_sessions_of_a_successor_alone(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """A run that was overtaken must not end the one that overtook it."""
    old = loading()
    old.destination.fence(old.pipeline_id, old.recipe, 1, "owner")
    new = loading()
    new.pipeline_id, new.recipe, new.epoch = old.pipeline_id, old.recipe, 2
    writer, load = new.staged(ROWS)

    old.destination.find(old.pipeline_id, "load-1")
    finalize(new, writer, load)

    assert postgres.value(COUNT) == 3


def test_a_constraint_that_fails_at_the_commit_is_bad_data(
    postgres: PostgresDatabase, loading: Callable[..., Any]
) -> None:
    """The server has answered: nothing is unknown."""
    postgres.execute(
        "CREATE TABLE target (id int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO target VALUES (1);"
    )

    with pytest.raises(DataError) as caught:
        loading().load(ROWS)

    assert caught.value.context["sqlstate"] == "23505"
    assert postgres.value(COUNT) == 1


@pytest.mark.fault(38)
def test_a_crash_of_the_server_leaves_all_or_nothing(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """Before the commit nothing stays; after it everything, though the server's default commits asynchronously."""
    loads = loading()
    loads.load(ROWS)
    loads.destination.close()
    postgres.server.stop("immediate")
    postgres.server.start()
    after_commit = postgres.value(COUNT)
    writer, load = loads.staged(ROWS)
    postgres.server.stop("immediate")
    with pytest.raises(TransientConnectorError):
        finalize(loads, writer, load)
    postgres.server.start()

    assert after_commit == 3
    assert postgres.value(COUNT) == 3
    assert postgres.value("SELECT count(*) FROM _arrowload.loads") == 1


@pytest.mark.fault(65)
def test_a_table_altered_while_rows_are_staged_is_not_written(
    postgres: PostgresDatabase, loading: Callable[..., Any]
) -> None:
    """Rounding into the new type would change values; the load starts again instead."""
    postgres.execute("CREATE TABLE target (id int PRIMARY KEY, v numeric(10,4));")
    rows = pa.table({"id": pa.array([1], pa.int32()), "v": pa.array(["1.2345"]).cast(pa.decimal128(10, 4))})
    rows = rows.append_column("_arrowload_ordinal", pa.array([0], pa.int64()))
    loads = loading()
    writer, load = loads.staged(rows, "merge", ("id",))
    postgres.execute("ALTER TABLE target ALTER v TYPE numeric(10,2);")

    with pytest.raises(TransientConnectorError, match="altered"):
        finalize(loads, writer, load)

    assert postgres.value(COUNT) == 0


@pytest.mark.fault(38)
def test_a_server_that_lost_rows_is_found_out(
    postgres: PostgresDatabase, loading: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent is compared with what the server itself counts."""
    loads = loading()
    writer, _ = loads.staged(ROWS)
    writer._session.run("DELETE FROM target WHERE id = 1")
    writer._staged += 1

    with pytest.raises(TransientConnectorError, match="3 rows of 4"):
        writer.seal()

    writer.abort()
