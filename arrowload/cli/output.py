"""What a command says on stderr: for people on a console, or as one JSON object a line for machines."""

from __future__ import annotations

import datetime as dt
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Literal, Protocol

from arrowload.cli.text import printable
from arrowload.core.secret import mask

if TYPE_CHECKING:
    from arrowload.cli.failures import Failure
    from arrowload.cli.progress import Progress
    from arrowload.engine.events import RunEvent
    from arrowload.engine.report import RunReport

LogFormat = Literal["text", "json"]


class Output(Protocol):
    """Takes everything that is not data; none of its methods raises, whatever became of stderr."""

    def event(self, event: RunEvent) -> None:
        """Something happened in a run; may come from any thread."""

    def say(self, text: str) -> None:
        """Something that a person should know, one line or more."""

    def finished(self, report: RunReport, look: str | None) -> None:
        """The run ended well; `look` is a command that shows what it loaded."""

    def failed(self, failure: Failure, *, debug: bool) -> None:
        """The command ended early."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def make_output(log_format: LogFormat) -> Output:
    """The output that `--log-format` asks for."""
    return JsonOutput() if log_format == "json" else ConsoleOutput()


class ConsoleOutput:
    """Lines of text, and on a terminal a progress line that keeps up with the run."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._lock = threading.Lock()

    def event(self, event: RunEvent) -> None:
        """Bring the progress up to date."""
        with self._lock:
            if self._progress is None:
                from arrowload.cli.progress import make_progress

                self._progress = make_progress(write_line)
            self._progress.event(event)

    def say(self, text: str) -> None:
        """The text as it stands, masked."""
        for line in text.splitlines():
            write_line(line)

    def finished(self, report: RunReport, look: str | None) -> None:
        """The summary of a run."""
        from arrowload.cli.summary import summary_lines

        self.close()
        for line in summary_lines(report, look):
            write_line(line)

    def failed(self, failure: Failure, *, debug: bool) -> None:
        """`error:` and `hint:`, a line each."""
        self.close()
        if debug:
            self.say(failure.traceback)
        write_line(f"error: {failure.message}")
        if failure.hint:
            write_line(f"hint: {failure.hint}")

    def close(self) -> None:
        """Take the progress line away."""
        with self._lock:
            if self._progress is not None:
                self._progress.close()
                self._progress = None


class JsonOutput:
    """One JSON object a line: `time`, `event`, and the fields of the event; `RowsMoved` at most once a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moved_at = float("-inf")

    def event(self, event: RunEvent) -> None:
        """The event under the name of its class."""
        from arrowload.engine.events import RowsMoved, WindowPlanned

        if isinstance(event, WindowPlanned):
            self._write("WindowPlanned", _plan_facts(event))
        elif not isinstance(event, RowsMoved):
            self._write(type(event).__name__, {name: getattr(event, name) for name in event.__struct_fields__})
        elif self._is_due():
            self._write("RowsMoved", {name: getattr(event, name) for name in event.__struct_fields__})

    def say(self, text: str) -> None:
        """The text as an event `Said`."""
        self._write("Said", {"message": text})

    def finished(self, report: RunReport, look: str | None) -> None:
        """The report as an event `Finished`."""
        self._write("Finished", {"report": report, "look": look})

    def failed(self, failure: Failure, *, debug: bool) -> None:
        """The failure as an event `Failed`."""
        self._write("Failed", failure_facts(failure) | ({"traceback": failure.traceback} if debug else {}))

    def close(self) -> None:
        """Nothing is open."""

    def _is_due(self) -> bool:
        with self._lock:
            due = time.monotonic() - self._moved_at >= 1
            if due:
                self._moved_at = time.monotonic()
            return due

    def _write(self, event: str, facts: dict[str, Any]) -> None:
        write_line(as_json({"time": dt.datetime.now(dt.UTC), "event": event, **facts}))


def failure_facts(failure: Failure) -> dict[str, Any]:
    """What logs and reports say of a failure."""
    return {
        "error": failure.kind,
        "message": failure.message,
        "hint": failure.hint,
        "exit_code": failure.exit_code,
        "context": failure.context,
    }


def as_json(value: object) -> str:
    """`value` as JSON on one line, masked; what JSON has no form for becomes text."""
    import msgspec

    return mask(msgspec.json.encode(value, enc_hook=str).decode())


def write_line(line: str) -> None:
    """One line to stderr, masked, on a best effort: a load does not fail because nobody watches it."""
    try:
        sys.stderr.write(printable(mask(line)) + "\n")
        sys.stderr.flush()
    except BrokenPipeError:
        # What is left in the buffer would make Python exit with 120.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return


def _plan_facts(event: Any) -> dict[str, Any]:
    plan = event.plan
    return {
        "recipe": plan.recipe,
        "source": plan.source.location,
        "route": plan.source.route,
        "strategy": plan.window.strategy,
        "lower": plan.window.lower,
        "upper": plan.window.upper,
        "empty": plan.window.empty,
        "destination": plan.target.location if plan.target is not None else None,
        "write_mode": plan.write_mode,
        "delivery": plan.delivery,
    }
