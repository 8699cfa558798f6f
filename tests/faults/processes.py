"""Runs of recipes in processes of their own, which failpoints kill."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import arrowload
from arrowload.core import failpoint
from arrowload.core.exceptions import DataLoaderError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.connection import Connection

# A server process that has imported everything forks runners in a few milliseconds; each is a real process.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "arrowload.api",
        "arrowload.connectors.duckdb.source",
        "arrowload.connectors.duckdb.destination",
        "arrowload.connectors.parquet.destination",
        "arrowload.connectors.postgres.destination",
        "arrowload.state.local",
        "tests.faults.processes",
    ]
)


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        exit_code: As the command line would have it; -9 when the run was killed.
        report: Of a run that ended well.
        error: The text of the error that ended it.
    """

    exit_code: int
    report: dict[str, Any] | None
    error: str | None

    @property
    def killed(self) -> bool:
        return self.exit_code == -signal.SIGKILL


def run_recipe(recipe: Mapping[str, Any], *, failpoints: str = "", full_refresh: bool = False) -> Outcome:
    """Run `recipe` in a process of its own, with `failpoints` armed."""
    here, there = _CONTEXT.Pipe(duplex=False)
    runner = _CONTEXT.Process(target=_run, args=(dict(recipe), failpoints, full_refresh, there))
    runner.start()
    there.close()
    try:
        outcome: Outcome = here.recv()
    except EOFError:
        runner.join()
        return Outcome(runner.exitcode or 0, None, None)
    runner.join()
    return outcome


def _run(recipe: dict[str, Any], failpoints: str, full_refresh: bool, answer: Connection) -> None:
    import msgspec

    failpoint.arm(failpoints)
    try:
        report = arrowload.run(recipe, full_refresh=full_refresh)
    except DataLoaderError as exc:
        answer.send(Outcome(exc.exit_code, None, str(exc)))
    except BaseException:  # noqa: BLE001 - the parent judges it
        answer.send(Outcome(70, None, traceback.format_exc()))
    else:
        answer.send(Outcome(0, msgspec.to_builtins(report), None))
