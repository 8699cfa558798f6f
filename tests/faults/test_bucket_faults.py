"""Parquet in an S3 that is busy, loses answers, cuts them short or is away: no row is lost or doubled."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from typing import TYPE_CHECKING

import pytest

from arrowload.core.exceptions import TransientConnectorError
from arrowload.io.s3 import S3Prefix
from tests.faults.http_proxy import Action, HttpProxy, Request, running_http_proxy
from tests.faults.processes import run_recipe
from tests.faults.test_kill_everywhere import BucketTarget, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.moto_server import MotoServer

HONEST = {0, 74, 75}
MODES = ["append", "replace"]


class ProxiedWorld(World):
    """A recipe whose destination lies behind a proxy; what the proxy does may change."""

    def __init__(self, folder: Path, moto: MotoServer, mode: str) -> None:
        super().__init__(folder, BucketTarget(moto), mode)
        self.judge: Callable[[Request], Action] = lambda request: "pass"
        self.recipe["runtime"]["retries"] = {"max_attempts": 3, "wait_initial": "10ms"}

    def judged(self, request: Request) -> Action:
        return self.judge(request)

    def lead_through(self, proxy: HttpProxy) -> None:
        """One load is done, and another due."""
        destination = self.recipe["destination"]
        self.recipe["destination"] = {**destination, "aws": {**destination["aws"], "endpoint_url": proxy.url}}
        self.start()
        assert run_recipe(self.recipe).exit_code == 0
        self.grow()

    def heal(self) -> None:
        self.judge = lambda request: "pass"


@pytest.fixture
def mode() -> str:
    return "append"


@pytest.fixture
def world(tmp_path: Path, moto: MotoServer, mode: str) -> ProxiedWorld:
    return ProxiedWorld(tmp_path, moto, mode)


@pytest.fixture
def proxy(world: ProxiedWorld, moto: MotoServer) -> Iterator[HttpProxy]:
    with running_http_proxy(moto.url, world.judged) as running:
        world.lead_through(running)
        yield running


def require_exact(world: ProxiedWorld) -> None:
    rerun = run_recipe(world.recipe)
    assert (rerun.exit_code, world.differences()) == (0, []), rerun.error


@pytest.mark.fault(43)
@pytest.mark.parametrize("mode", MODES)
def test_some_answers_are_errors(world: ProxiedWorld, proxy: HttpProxy) -> None:
    """One request in seven is answered by 500 or 503, or by nothing: the client asks again, and the run ends well."""
    chance = random.Random(5)
    kinds: list[Action] = ["slow down", "unavailable", "internal", "cut"]
    world.judge = lambda request: chance.choice(kinds) if chance.random() < 1 / 7 else "pass"

    run = run_recipe(world.recipe, patience_s=240)

    assert len(set(proxy.done)) >= 2
    assert (run.exit_code, world.differences()) == (0, []), run.error


@pytest.mark.fault(43, 5)
@pytest.mark.parametrize("mode", MODES)
def test_answers_that_are_lost(world: ProxiedWorld, proxy: HttpProxy) -> None:
    """Every other write is done, and its answer lost, that of the commit too: none is taken for another run's."""
    count = 0

    def judge(request: Request) -> Action:
        nonlocal count
        writes = request.method in ("PUT", "POST", "DELETE")
        count += writes
        return "lose" if writes and count % 2 else "pass"

    world.judge = judge
    run = run_recipe(world.recipe)
    world.heal()

    assert "lose" in proxy.done
    assert (run.exit_code, world.differences()) == (0, []), run.error


@pytest.mark.slow  # boto3 waits before it gives up
@pytest.mark.fault(5, 6)
@pytest.mark.parametrize("action", ["lose", "cut", "slow down"])
def test_a_commit_that_is_never_answered(world: ProxiedWorld, proxy: HttpProxy, action: Action) -> None:
    """Whether it is done or not: the run says what it knows, deletes nothing, and the next one is exact."""
    world.judge = lambda request: action if request.method == "PUT" and "/log/" in request.path else "pass"

    run = run_recipe(world.recipe, patience_s=240)
    world.heal()

    assert action in proxy.done
    assert run.exit_code in HONEST, run
    require_exact(world)


@pytest.mark.fault(44)
@pytest.mark.parametrize("always", [False, True], ids=["once", "always"])
def test_a_completion_that_says_200_over_an_error(moto: MotoServer, always: bool) -> None:
    """S3 answers so when it finds out late: it is tried again, and an object is never taken to be there."""
    due: list[Action] = ["error in 200"]

    def judge(request: Request) -> Action:
        completes = request.method == "POST" and "uploadId=" in request.path
        return "pass" if not completes or not due else due[0] if always else due.pop()

    data = bytes(range(256)) * (9 * 4096)  # more than a piece
    with running_http_proxy(moto.url, judge) as proxy:
        url = f"s3://{moto.make_bucket()}/out"
        upload = S3Prefix(url, dataclasses.replace(moto, url=proxy.url).access).open_upload("part")
        upload.write(memoryview(data))
        with pytest.raises(TransientConnectorError) if always else contextlib.nullcontext():
            upload.close()

        assert "error in 200" in proxy.done
        assert S3Prefix(url, moto.access).read("part") == (None if always else data)


@pytest.mark.fault(45)
def test_an_answer_that_is_short(world: ProxiedWorld, proxy: HttpProxy) -> None:
    """Every other object comes cut, under its whole length: never taken for a log entry."""
    count = 0

    def judge(request: Request) -> Action:
        nonlocal count
        count += request.method == "GET"
        return "short" if request.method == "GET" and count % 2 else "pass"

    world.judge = judge
    run = run_recipe(world.recipe, patience_s=240)
    world.heal()

    assert "short" in proxy.done
    assert run.exit_code in HONEST, run.error
    require_exact(world)


@pytest.mark.slow  # boto3 waits before it gives up
@pytest.mark.fault(43)
@pytest.mark.parametrize("at", [3, 12, 20, 24, 27])
def test_a_store_that_is_away(world: ProxiedWorld, proxy: HttpProxy, at: int) -> None:
    """From one request on nothing is answered but 503: the run ends honestly, and the next one is exact."""
    first = proxy.requests + at
    world.judge = lambda request: "slow down" if request.number >= first else "pass"

    away = run_recipe(world.recipe, patience_s=300)
    world.heal()

    assert away.exit_code in HONEST, away
    require_exact(world)
