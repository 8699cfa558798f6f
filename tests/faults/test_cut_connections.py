"""Connections that are cut between any two messages, the one at COMMIT above all: no outcome is guessed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

import arrowload
from arrowload.core.exceptions import DataLoaderError
from tests.faults.oracle import Oracle
from tests.faults.postgres_proxy import Action, Message, PostgresProxy, running_proxy
from tests.faults.test_kill_everywhere import ParquetTarget, PostgresTarget, World

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

HONEST = {0, 74, 75}
RETRIES = {"max_attempts": 4, "wait_initial": "1ms", "wait_max": "5ms"}


def world_through(folder: Path, postgres: PostgresDatabase, proxy: PostgresProxy, mode: str) -> World:
    """A recipe whose destination is behind the proxy; its rows are looked at past it."""
    world = World(folder, PostgresTarget(postgres), mode)
    del world.recipe["destination"]["dsn"]
    world.recipe["destination"] |= {**postgres.keys, "host": "127.0.0.1", "port": proxy.port, "sslmode": "disable"}
    world.recipe["runtime"] = {"batch_size": 50, "retries": RETRIES}
    world.start()
    return world


def exit_code_of(recipe: dict[str, Any]) -> tuple[int, str]:
    """How a run ends, in this process."""
    try:
        arrowload.run(recipe)
    except DataLoaderError as exc:
        return exc.exit_code, str(exc)
    return 0, ""


def loads(postgres: PostgresDatabase) -> int:
    return int(postgres.value("SELECT count(*) FROM _arrowload.loads"))


@pytest.mark.fault(5)
@pytest.mark.parametrize("mode", ["append", "replace", "merge"])
@pytest.mark.parametrize("rounds", [3, pytest.param(70, marks=pytest.mark.slow)])
def test_an_answer_to_a_commit_is_lost(tmp_path: Path, postgres: PostgresDatabase, mode: str, rounds: int) -> None:
    """Whether it was done or not, the ledger is asked: the run ends well, with one load for each window."""
    chance = random.Random(1)
    due: list[Action] = []

    def judge(message: Message) -> Action:
        return due.pop() if message.is_query("COMMIT") and due else "pass"

    with running_proxy(postgres, judge) as proxy:
        world = world_through(tmp_path, postgres, proxy, mode)
        for number in range(rounds):
            if number:
                world.source.put(world.oracle.insert(range(1000 * number, 1000 * number + 5), second=100 + number))
            due[:] = [chance.choice(["cut", "lose answer", "lose answer"])]
            code, error = exit_code_of(world.recipe)

            assert (code, world.differences()) == (0, []), error
            assert due == []
            assert loads(postgres) == number + 1
        assert set(proxy.done) == {"cut", "lose answer"}


@pytest.mark.fault(6)
@pytest.mark.parametrize("late_s", [0.5, 4.0], ids=["soon", "after it was given up"])
def test_a_commit_that_comes_late(tmp_path: Path, postgres: PostgresDatabase, late_s: float) -> None:
    """The client has gone, and the server gets the COMMIT after a while: what the ledger says then is final."""
    due: list[Action] = ["late"]

    def judge(message: Message) -> Action:
        return due.pop() if message.is_query("COMMIT") and due else "pass"

    with running_proxy(postgres, judge, late_s) as proxy:
        world = world_through(tmp_path, postgres, proxy, "append")
        code, error = exit_code_of(world.recipe)

    assert (code, proxy.done) == (0, ["late"]), error
    assert (loads(postgres), world.differences()) == (1, [])


def messages_of_a_run(folder: Path, postgres: PostgresDatabase) -> int:
    """How many messages the client sends in a whole second run."""
    count = 0

    def judge(message: Message) -> Action:
        nonlocal count
        count += message.direction == "to server"
        return "pass"

    with running_proxy(postgres, judge) as proxy:
        world = world_through(folder, postgres, proxy, "append")
        exit_code_of(world.recipe)
        world.grow()
        count = 0
        assert exit_code_of(world.recipe)[0] == 0
    return count


@pytest.mark.fault(39)
@pytest.mark.parametrize("direction", ["to server", "to client"])
@pytest.mark.parametrize("step", [101, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "each"])
def test_a_cut_at_any_message(
    tmp_path: Path, postgres_server: Any, postgres: PostgresDatabase, direction: str, step: int
) -> None:
    """The run goes on by itself or says honestly that it did not; the next plain run leaves everything exact."""
    (tmp_path / "count").mkdir()
    most = messages_of_a_run(tmp_path / "count", postgres)
    assert most > 20
    for number in range(1, min(most, 200) + 1, step):
        database = postgres_server.create_database()
        cut_at = [number]
        counting = False

        def judge(message: Message) -> Action:
            if not counting or message.direction != direction or not cut_at:  # noqa: B023 - called within the round
                return "pass"
            cut_at[0] -= 1  # noqa: B023
            if cut_at[0]:  # noqa: B023
                return "pass"
            cut_at.clear()  # noqa: B023
            return "cut"

        with running_proxy(database, judge) as proxy:
            folder = tmp_path / f"{number}"
            folder.mkdir()
            world = world_through(folder, database, proxy, "append")
            assert exit_code_of(world.recipe)[0] == 0
            world.grow()
            counting = True
            code, error = exit_code_of(world.recipe)
            counting = False

            assert code in HONEST, f"cut at message {number}: {error}"
            if code == 0:
                assert world.differences() == [], f"cut at message {number}"
            assert exit_code_of(world.recipe)[0] == 0
            assert world.differences() == [], f"cut at message {number}"
        database.drop()


# ---------------------------------------------------------------- the source


def from_source(folder: Path, postgres: PostgresDatabase, proxy: PostgresProxy) -> dict[str, Any]:
    """A recipe whose source is behind the proxy, read in two parts."""
    return {
        "name": "events",
        "source": {
            "type": "postgres",
            **postgres.keys,
            "host": "127.0.0.1",
            "port": proxy.port,
            "sslmode": "disable",
            "table": "events",
            "split_on": "uid",
        },
        "destination": ParquetTarget(folder).config("replace"),
        "state": {"type": "local", "path": str(folder / "state")},
        "runtime": {"batch_size": 50, "parallelism": 2, "retries": RETRIES},
    }


@pytest.mark.fault(39, 41)
@pytest.mark.parametrize("direction", ["to server", "to client"])
@pytest.mark.parametrize("step", [97, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "each"])
def test_a_cut_at_any_message_of_the_source(
    tmp_path: Path, postgres: PostgresDatabase, direction: str, step: int
) -> None:
    """Readers on two connections, of which one is cut: no row is missing and none is there twice."""
    oracle, target = Oracle(), ParquetTarget(tmp_path)
    values = ", ".join(
        f"({r.uid}, {r.version}, '{r.moved_at.isoformat()}', {r.crc})" for r in oracle.insert(range(400), second=10)
    )
    postgres.execute(
        "CREATE TABLE events (uid bigint, version bigint, moved_at timestamptz, crc bigint);"
        f" INSERT INTO events VALUES {values};"
    )
    seen, cut_at = 0, 0

    def judge(message: Message) -> Action:
        nonlocal seen
        seen += message.direction == direction
        return "cut" if message.direction == direction and seen == cut_at else "pass"

    with running_proxy(postgres, judge) as proxy:
        recipe = from_source(tmp_path, postgres, proxy)
        code, error = exit_code_of(recipe)
        assert (code, oracle.differences(target.rows())) == (0, []), error
        most = min(seen, 200)
        assert most > 20
        for cut_at in range(1, most + 1, step):
            seen = 0
            code, error = exit_code_of(recipe)

            assert code in HONEST, f"cut at message {cut_at}: {error}"
            assert oracle.differences(target.rows()) == [], f"cut at message {cut_at}"
    assert "cut" in proxy.done
