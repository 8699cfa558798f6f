"""Runs a recipe under random SIGKILLs, into a target that is thrown away: what is loaded in the end must be exact.

Each run is a process of its own, forked from one that has touched no driver. It is killed at a random moment, and the
recipe is run again, and killed again, until a run comes through. Then the target must hold the very rows that a run
without kills brings.
"""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import tempfile
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from arrowload.core.exceptions import DataLoaderError, EngineError, RecipeError
from arrowload.models.units import ResourcePath

if TYPE_CHECKING:
    from collections.abc import Callable

    from arrowload.models.recipe import Recipe

# A kill comes within this many times what an undisturbed run takes, so that some runs come through; the more kills have
# come in a row, the later the next may come, since this machine may have become slower.
_REACH: Final = 1.1
_LATER: Final = 0.25
# What a child says when all is imported and made, and the run itself begins.
_READY: Final = b"\n"


class ChaosReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        kills: Runs that were killed.
        rounds: Targets that were loaded from empty to full.
        runs: In all.
        rows: In each full target.
        flaws: What was wrong, one sentence each; empty when nothing was lost, doubled, or stuck.
        seconds: In all.
    """

    recipe: str
    kills: int
    rounds: int
    runs: int
    rows: int
    flaws: tuple[str, ...]
    seconds: float


def chaos(recipe: Recipe, kills: int, *, seed: int | None = None, tell: Callable[[str], None] = print) -> ChaosReport:
    """Kill runs of `recipe` at random, `kills` times; its own target and its own state are not touched.

    Args:
        recipe: Its source is read once for each run.
        kills: How many.
        seed: Of the moments; the report of a failed call can be repeated with it.
        tell: Told of each round.

    Raises:
        RecipeError: The destination has no scratch targets, or keeps no ledger.
        EngineError: An undisturbed run fails.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret depends on it
    began = time.monotonic()
    folder = tempfile.mkdtemp(prefix="arrowload-chaos-")
    scratch = _Scratch(recipe, folder)
    try:
        undisturbed = scratch.new()
        first = _forked(partial(_run, undisturbed))
        wanted = _forked(partial(_content, undisturbed))
        seconds = first.seconds
        done, rounds, runs, flaws = 0, 0, 1, []
        while done < kills:
            target, rounds = scratch.new(), rounds + 1
            in_a_row = 0
            while True:
                runs += 1
                reach = seconds * (_REACH + _LATER * in_a_row)
                run = _forked(partial(_run, target), kill_after=chance.uniform(0, reach), may_fail=True)
                done += run.killed
                in_a_row += 1
                if not run.killed:
                    break
            if run.error is not None:
                flaws.append(f"a run after a kill ended with: {run.error}")
            else:
                found = _forked(partial(_content, target)).answer
                flaws += _differences(wanted.answer, found)
            tell(f"{done} kills, {rounds} loads, {len(flaws)} flaws")
            scratch.remove(target)
        rows = int(wanted.answer["rows"])
    finally:
        scratch.remove_all()
        shutil.rmtree(folder, ignore_errors=True)
    return ChaosReport(
        recipe=recipe.name,
        kills=done,
        rounds=rounds,
        runs=runs,
        rows=rows,
        flaws=tuple(flaws),
        seconds=round(time.monotonic() - began, 1),
    )


class _Scratch:
    """Makes recipes like one, each with a target and a state of its own."""

    def __init__(self, recipe: Recipe, folder: str) -> None:
        self._recipe = recipe
        self._folder = folder
        self._made: list[Recipe] = []

    def new(self) -> Recipe:
        name = f"arrowload_chaos_{uuid.uuid4().hex[:12]}"
        described = _forked(partial(_scratch_keys, self._recipe, name, self._folder)).answer
        config = self._recipe.destination
        if config is None:
            raise RecipeError(f"`{self._recipe.name}` has no destination")
        changed = {key: ResourcePath(value) if key == "path" else value for key, value in described.items()}
        from arrowload.state.local import LocalStateConfig

        state = LocalStateConfig(type="local", path=ResourcePath(f"{self._folder}/{name}.state"))
        made = replace(self._recipe, destination=replace(config, **changed), state=state)
        self._made.append(made)
        return made

    def remove(self, recipe: Recipe) -> None:
        self._made.remove(recipe)
        _forked(partial(_remove, recipe))

    def remove_all(self) -> None:
        for recipe in list(self._made):
            self.remove(recipe)


# ---------------------------------------------------------------- what children do


def _scratch_keys(recipe: Recipe, name: str, folder: str, _there: int) -> dict[str, Any]:
    """The keys of the destination that a scratch target has otherwise."""
    from arrowload.connectors.base import ScratchDestination, VerifiableDestination
    from arrowload.engine.job import opened

    with opened(recipe, needs_destination=True) as job:
        if not isinstance(job.destination, ScratchDestination) or not isinstance(
            job.destination, VerifiableDestination
        ):
            raise RecipeError(
                f"the destination of `{recipe.name}` has no targets that can be thrown away",
                context={"recipe": recipe.name},
            )
        config = job.destination.scratch(name, folder)
        keys = ((key, getattr(config, key)) for key in config.__struct_fields__)
        return {key: str(value) for key, value in keys if value != getattr(recipe.destination, key)}


def _run(recipe: Recipe, there: int) -> dict[str, Any]:
    from arrowload.engine.engine import Engine
    from arrowload.engine.job import opened

    with opened(recipe, needs_destination=True) as job:
        engine = Engine(job)
        os.write(there, _READY)
        return {"status": engine.run().status}


def _content(recipe: Recipe, _there: int) -> dict[str, Any]:
    """What is in the target, and what its ledger says of it."""
    from arrowload.engine.job import opened
    from arrowload.engine.verify import verify

    with opened(recipe, needs_destination=True) as job:
        found = verify(job)
    digest = sum(int(finding.hash_found, 16) for finding in found.findings) % 2**128
    return {
        "rows": sum(finding.rows_found for finding in found.findings),
        "hash": f"{digest:032x}",
        "verdict": found.verdict,
    }


def _remove(recipe: Recipe, _there: int) -> dict[str, Any]:
    from arrowload.connectors.base import ScratchDestination
    from arrowload.engine.job import opened

    with opened(recipe, needs_destination=True) as job:
        if isinstance(job.destination, ScratchDestination):
            job.destination.remove_scratch()
    return {}


def _differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    flaws = []
    if found["rows"] != wanted["rows"]:
        flaws.append(f"{found['rows']} rows are there, where an undisturbed run loads {wanted['rows']}")
    elif found["hash"] != wanted["hash"]:
        flaws.append(f"all {found['rows']} rows are there, and not all with the values of an undisturbed run")
    if found["verdict"] == "differs":
        flaws.append("the rows are not those that the ledger tells of")
    return flaws


# ---------------------------------------------------------------- children


class _Ended(msgspec.Struct):
    """How a child ended."""

    answer: dict[str, Any]
    error: str | None
    killed: bool
    seconds: float


def _forked(
    work: Callable[[int], dict[str, Any]], *, kill_after: float | None = None, may_fail: bool = False
) -> _Ended:
    """Have a child do `work`, and kill it so many seconds after it has said that it is ready, unless it has ended."""
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(here)
        _child(work, there)
    os.close(there)
    said = os.read(here, 1)
    began = time.monotonic()
    kills = kill_after is not None and said == _READY and not select.select([here], [], [], kill_after)[0]
    if kills:
        os.kill(pid, signal.SIGKILL)
    with os.fdopen(here, "rb") as pipe:
        said += pipe.read()
    seconds = time.monotonic() - began
    os.waitpid(pid, 0)
    # It may have done all, and said so, in the moment of the kill.
    killed = kills and not said.strip()
    answer = {} if killed else json.loads(said) if said.strip() else {"error": "it ended without a word"}
    error = answer.pop("error", None)
    if error is not None and not may_fail:
        raise EngineError(f"an undisturbed run failed: {error}", hint="run the recipe by itself first")
    return _Ended(answer, error, killed, seconds)


def _child(work: Callable[[int], dict[str, Any]], there: int) -> None:
    try:
        answer = work(there)
    except DataLoaderError as exc:
        answer = {"error": str(exc)}
    except BaseException as exc:  # noqa: BLE001 - the parent tells
        answer = {"error": f"{type(exc).__name__}: {exc}"}
    try:
        os.write(there, json.dumps(answer).encode())
    finally:
        os._exit(0)
