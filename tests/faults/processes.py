"""Runs of recipes in processes of their own, which failpoints kill, stop or make fail."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import arrowload
from arrowload.core import failpoint
from arrowload.core.exceptions import DataLoaderError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess
    from multiprocessing.synchronize import Barrier
    from types import TracebackType

_PATIENCE_S: Final = 60.0
_POLL_S: Final = 0.005

# Called in every run, before its own defect; see `plant`.
_planted: list[Callable[[], None]] = []

# A server process that has imported everything forks runners in a few milliseconds; each is a real process.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "boto3",
        "botocore.config",
        "arrowload.api",
        "arrowload.connectors.duckdb.source",
        "arrowload.connectors.duckdb.destination",
        "arrowload.connectors.parquet.destination",
        "arrowload.connectors.postgres.source",
        "arrowload.connectors.postgres.destination",
        "arrowload.state.dynamodb",
        "arrowload.state.local",
        "arrowload.state.s3",
        "arrowload.state.sql",
        "tests.faults.defects",
        "tests.faults.plugins",
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
        seconds: From the call of `arrowload.run` to its end.
        threads: Names of the threads that outlived it.
    """

    exit_code: int
    report: dict[str, Any] | None
    error: str | None
    seconds: float = 0.0
    threads: tuple[str, ...] = ()

    @property
    def killed(self) -> bool:
        return self.exit_code == -signal.SIGKILL


class Runner:
    """A run that is under way; killed at the end of the `with` block if it has not ended by then."""

    def __init__(self, process: BaseProcess, answer: Connection) -> None:
        self._process = process
        self._answer = answer

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()

    def wait(self, patience_s: float = _PATIENCE_S) -> Outcome:
        """How it ended; an error when it has not in `patience_s`."""
        if not self._answer.poll(patience_s):
            raise TimeoutError(f"the run has not ended in {patience_s} s")
        try:
            outcome: Outcome = self._answer.recv()
        except EOFError:
            self._process.join()
            return Outcome(self._process.exitcode or 0, None, None)
        self._process.join()
        return outcome

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def has_ended(self) -> bool:
        return self._answer.poll()

    def wait_stopped(self) -> None:
        """Return when it has stopped at a failpoint whose action is `hang`."""
        deadline = time.monotonic() + _PATIENCE_S
        while not self.is_stopped:
            if self.has_ended or time.monotonic() > deadline:
                raise AssertionError(f"the run did not stop: {self.wait()}")
            time.sleep(_POLL_S)

    @property
    def is_stopped(self) -> bool:
        try:
            status = Path(f"/proc/{self._process.pid}/stat").read_text()
        except FileNotFoundError:
            return False
        return status.rpartition(")")[2].split()[0] == "T"

    def resume(self) -> None:
        """Let a stopped run go on."""
        os.kill(self._process.pid or 0, signal.SIGCONT)


def run_recipe(
    recipe: Mapping[str, Any],
    *,
    failpoints: str = "",
    full_refresh: bool = False,
    defect: Callable[[], None] | None = None,
    patience_s: float = _PATIENCE_S,
) -> Outcome:
    """Run `recipe` in a process of its own, with `failpoints` armed and `defect` planted; see `Runner.wait`."""
    with start_recipe(recipe, failpoints=failpoints, full_refresh=full_refresh, defect=defect) as runner:
        return runner.wait(patience_s)


def start_recipe(
    recipe: Mapping[str, Any],
    *,
    failpoints: str = "",
    full_refresh: bool = False,
    defect: Callable[[], None] | None = None,
    together: Barrier | None = None,
) -> Runner:
    """Start `recipe` in a process of its own.

    Args:
        recipe: As a mapping.
        failpoints: To be armed.
        full_refresh: Load everything anew.
        defect: Called in the process before the run, to replace one function by a wrong one; of a module that it can
            import.
        together: Runs that share it begin at the same time.
    """
    here, there = _CONTEXT.Pipe(duplex=False)
    arguments = (dict(recipe), failpoints, full_refresh, [*_planted, *filter(None, [defect])], together, there)
    process = _CONTEXT.Process(target=_run, args=arguments, daemon=True)
    process.start()
    there.close()
    return Runner(process, here)


def plant(defect: Callable[[], None]) -> None:
    """Have every run from now on call `defect` before it begins."""
    _planted[:] = [defect]


def start_command(*arguments: str, folder: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the command line in a process of its own, in `folder`, with what is planted.

    Args:
        arguments: Behind `arrowload`.
        folder: Where it runs.
        environment: Variables that go before those of this process.
    """
    planted = [f"--planted={defect.__name__}" for defect in _planted]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.command", *planted, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "NO_COLOR": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def barrier(runs: int) -> Barrier:
    """For `start_recipe(together=…)`."""
    return _CONTEXT.Barrier(runs)


def _run(
    recipe: dict[str, Any],
    failpoints: str,
    full_refresh: bool,
    defects: list[Callable[[], None]],
    together: Barrier | None,
    answer: Connection,
) -> None:
    failpoint.arm(failpoints)
    for defect in defects:
        defect()
    if together is not None:
        together.wait()
    started = time.monotonic()
    exit_code, report, error = _end_of_run(recipe, full_refresh)
    seconds = time.monotonic() - started
    threads = tuple(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())
    answer.send(Outcome(exit_code, report, error, seconds, threads))


def _end_of_run(recipe: dict[str, Any], full_refresh: bool) -> tuple[int, dict[str, Any] | None, str | None]:
    import msgspec

    try:
        report = arrowload.run(recipe, full_refresh=full_refresh)
    except DataLoaderError as exc:
        return exc.exit_code, None, str(exc)
    except BaseException:  # noqa: BLE001 - the parent judges it
        return 70, None, traceback.format_exc()
    return 0, msgspec.to_builtins(report), None
