"""State in S3 and DynamoDB that are busy, lose answers, cut them short or are away: no state is lost or doubled."""

from __future__ import annotations

import random
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.http_proxy import Action, HttpProxy, Request, running_http_proxy
from tests.faults.processes import run_recipe, start_recipe
from tests.faults.test_kill_everywhere import PostgresTarget, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.moto_server import MotoServer
    from tests.postgres_server import PostgresDatabase

    Proxied = Callable[[Callable[[Request], Action]], AbstractContextManager[HttpProxy]]

HONEST = {0, 74, 75}


class Stores:
    """S3 and DynamoDB behind a proxy; what is judged may change while runs go on."""

    def __init__(self, folder: Path, moto: MotoServer, postgres: PostgresDatabase) -> None:
        self.moto = moto
        self.world = World(folder, PostgresTarget(postgres), "append")
        self.judge: Callable[[Request], Action] = lambda request: "pass"

    def judged(self, request: Request) -> Action:
        return self.judge(request)

    def use(self, kind: str, proxy: HttpProxy, **keys: Any) -> World:
        """A world with one load done and another one due, its state behind the proxy."""
        aws = {**self.moto.keys, "endpoint_url": proxy.url}
        place = {"bucket": self.moto.make_bucket()} if kind == "s3" else {"table": f"state_{uuid.uuid4().hex}"}
        self.world.recipe["state"] = {"type": kind, **place, "aws": aws, **keys}
        self.world.recipe["runtime"]["retries"] = {"max_attempts": 3, "wait_initial": "10ms"}
        self.world.start()
        first = run_recipe(self.world.recipe)
        assert first.exit_code == 0, first.error
        self.world.grow()
        return self.world

    def more(self, number: int) -> None:
        """Five new rows."""
        first = 10_000 + 10 * number
        self.world.source.put(self.world.oracle.insert(range(first, first + 5), second=100 + number))


@pytest.fixture
def stores(tmp_path: Path, moto: MotoServer, postgres: PostgresDatabase) -> Stores:
    return Stores(tmp_path, moto, postgres)


@pytest.fixture
def proxy(stores: Stores, moto: MotoServer) -> Iterator[HttpProxy]:
    with running_http_proxy(moto.url, stores.judged) as running:
        yield running


@pytest.mark.fault(43)
def test_some_answers_are_errors(stores: Stores, proxy: HttpProxy) -> None:
    """One request in four is answered by 500 or 503, or by nothing: the client asks again, and the run ends well."""
    chance = random.Random(5)
    world = stores.use("s3", proxy)
    kinds: list[Action] = ["slow down", "unavailable", "internal", "cut"]
    stores.judge = lambda request: chance.choice(kinds) if chance.random() < 0.3 else "pass"
    for number in range(2):
        stores.more(number)
        run = run_recipe(world.recipe)
        assert (run.exit_code, world.differences()) == (0, []), run.error

    assert len(set(proxy.done)) >= 3


@pytest.mark.slow
@pytest.mark.fault(43)
@pytest.mark.parametrize("at", [1, 4, 7])
def test_a_store_that_is_away(stores: Stores, proxy: HttpProxy, at: int) -> None:
    """From one request on nothing is answered but 503: the run exits 75 after a bounded number of tries."""
    world = stores.use("s3", proxy)
    world.recipe["runtime"]["retries"] = {"max_attempts": 1}
    first = proxy.requests + at
    stores.judge = lambda request: "slow down" if request.number >= first else "pass"
    before = proxy.requests

    away = run_recipe(world.recipe, patience_s=240)
    tries = proxy.requests - before
    stores.judge = lambda request: "pass"
    rerun = run_recipe(world.recipe)

    assert away.exit_code in HONEST - {0}, away
    assert tries < 60
    assert (rerun.exit_code, world.differences()) == (0, []), rerun.error


@pytest.mark.fault(43, 35)
@pytest.mark.parametrize("kind", ["s3", "dynamodb"])
def test_answers_that_are_lost(stores: Stores, proxy: HttpProxy, kind: str) -> None:
    """A write is done, and its answer lost: the next try finds its own write, and takes nobody else for itself."""
    world = stores.use(kind, proxy)
    count = 0

    def judge(request: Request) -> Action:
        nonlocal count
        writes = request.method == "PUT" or "PutItem" in request.headers.get("X-Amz-Target", "")
        count += writes
        return "lose" if writes and count % 2 else "pass"

    stores.judge = judge
    run = run_recipe(world.recipe)
    stores.judge = lambda request: "pass"
    again = run_recipe(world.recipe)

    assert (run.exit_code, world.differences()) == (0, []), run.error
    assert "lose" in proxy.done
    assert again.report is not None
    assert (again.report["status"], again.report["state_before"]) == ("up_to_date", run.report["state_after"])


@pytest.mark.fault(45)
def test_an_answer_that_is_short(stores: Stores, proxy: HttpProxy) -> None:
    """Every other document comes cut, under its whole length: never taken for the state."""
    world = stores.use("s3", proxy)
    count = 0

    def judge(request: Request) -> Action:
        nonlocal count
        count += request.method == "GET"
        return "short" if request.method == "GET" and count % 2 else "pass"

    stores.judge = judge
    run = run_recipe(world.recipe)
    stores.judge = lambda request: "pass"
    rerun = run_recipe(world.recipe)

    assert "short" in proxy.done
    assert run.exit_code in HONEST, run.error
    assert (rerun.exit_code, world.differences()) == (0, []), rerun.error


@pytest.mark.fault(45)
def test_a_damaged_answer(stores: Stores, proxy: HttpProxy) -> None:
    """One bit of the document is another: refused, whatever field it is in, and nothing is committed."""
    world = stores.use("s3", proxy)
    before = sorted(world.target.rows())
    stores.judge = lambda request: "damage" if request.method == "GET" else "pass"

    run = run_recipe(world.recipe)
    seen = sorted(world.target.rows())
    stores.judge = lambda request: "pass"
    rerun = run_recipe(world.recipe)

    assert "damage" in proxy.done
    assert (run.exit_code, seen) == (78, before), run
    assert "cannot be used" in (run.error or "")
    assert (rerun.exit_code, world.differences()) == (0, []), rerun.error


@pytest.mark.fault(46)
def test_throttled_for_a_while(stores: Stores, proxy: HttpProxy) -> None:
    """Every other request is throttled: it is asked again, and the run ends well."""
    world = stores.use("dynamodb", proxy)
    stores.judge = lambda request: "pass" if request.number % 2 else "throttled"

    run = run_recipe(world.recipe, patience_s=120)

    assert proxy.done.count("throttled") > 3
    assert (run.exit_code, world.differences()) == (0, []), run.error


@pytest.mark.slow
@pytest.mark.fault(46)
def test_renewals_that_come_late(stores: Stores, proxy: HttpProxy) -> None:
    """The owner is throttled until its lease is over and a rival has loaded: of the two, one commits the window."""
    world = stores.use("dynamodb", proxy, lease="3s")
    direct = {**world.recipe["state"], "aws": stores.moto.keys}

    with start_recipe(world.recipe, failpoints="stage.batch=delay(12)") as owner:
        time.sleep(1.5)
        stores.judge = lambda request: "throttled"
        time.sleep(5)
        rival = run_recipe({**world.recipe, "state": direct})
        stores.judge = lambda request: "pass"
        late = owner.wait(120)

    assert rival.exit_code == 0, rival.error
    assert late.exit_code == 75 or (late.report is not None and late.report["commits"] == 0), late
    assert world.differences() == []


@pytest.mark.fault(49)
@pytest.mark.parametrize("at", [5, pytest.param(2, marks=pytest.mark.slow)])
def test_a_token_that_expires(stores: Stores, proxy: HttpProxy, at: int) -> None:
    """From one request on the store knows the token no more: exit 77; with another the next run is exact."""
    world = stores.use("s3", proxy)
    first = proxy.requests + at
    stores.judge = lambda request: "expired" if request.number >= first else "pass"

    expired = run_recipe(world.recipe)
    stores.judge = lambda request: "pass"
    rerun = run_recipe(world.recipe)

    assert expired.exit_code == 77, expired
    assert (rerun.exit_code, world.differences()) == (0, []), rerun.error
