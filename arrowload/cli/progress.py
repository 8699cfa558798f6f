"""How far a run is: a line that changes on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final, Protocol

from arrowload.cli.text import printable, rows, size, span
from arrowload.core.secret import mask
from arrowload.engine.events import Recovered, Retrying, RowsMoved, StepStarted, Warned, WindowPlanned

if TYPE_CHECKING:
    from collections.abc import Callable

    from arrowload.engine.events import RunEvent
    from arrowload.planning.plan import LoadPlan

_LINE_EVERY_S: Final = 5.0
_STEPS: Final = {
    "acquire": "taking the lease",
    "head": "reading the ledger",
    "fence": "fencing off older runs",
    "plan": "planning",
    "stage": "moving rows",
    "seal": "counting what is staged",
    "finalize": "committing",
    "read_back": "asking the ledger",
    "save_state": "saving the state",
    "sweep": "cleaning up",
    "start_over": "starting over",
}


class Progress(Protocol):
    """Follows the events of one run."""

    def event(self, event: RunEvent) -> None:
        """Something happened."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def make_progress(write_line: Callable[[str], None]) -> Progress:
    """A progress for what stderr is."""
    if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return LiveProgress()
    return LineProgress(write_line)


def _told(event: RunEvent) -> str | None:
    """What stays on the screen of an event."""
    match event:
        case WindowPlanned(plan):
            return _reading(plan)
        case Recovered(load_id):
            return f"an earlier run had committed load {load_id}; the state is brought forward"
        case Retrying(attempt, wait_s, reason):
            return f"attempt {attempt} begins in {wait_s:.1f} s, after: {reason}"
        case Warned(message):
            return f"warning: {message}"
    return None


def _reading(plan: LoadPlan) -> str:
    window = plan.window
    if window.empty:
        return f"{plan.recipe}: {plan.source.location} has nothing new"
    which = "all rows" if window.strategy == "full" else f"{window.strategy} up to {window.upper or 'the end'}"
    return f"{plan.recipe}: reading {plan.source.location} by {plan.source.route}, {which}"


class LineProgress:
    """Whole lines, at least five seconds apart while rows move.

    Args:
        write_line: Writes one.
    """

    def __init__(self, write_line: Callable[[str], None]) -> None:
        self._write_line = write_line
        self._started = self._last_line = time.monotonic()

    def event(self, event: RunEvent) -> None:
        """Write a line if one is due."""
        line = _told(event)
        if line is not None:
            self._write_line(line)
        elif isinstance(event, StepStarted) and event.step == "stage":
            self._started = self._last_line = time.monotonic()
        elif isinstance(event, RowsMoved) and time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._last_line = time.monotonic()
            self._write_line(self._figures(event, self._last_line - self._started))

    def close(self) -> None:
        """Nothing is open."""

    def _figures(self, moved: RowsMoved, seconds: float) -> str:
        return (
            f"{rows(moved.rows_read)} read, {moved.rows_staged:,} staged, {size(moved.bytes_read)},"
            f" {moved.rows_read / seconds:,.0f} rows/s, {size(moved.bytes_read / seconds)}/s, {span(seconds)}"
        )


class LiveProgress:
    """One line that shows step, rows, bytes, rates and time; gone when the run has ended."""

    def __init__(self) -> None:
        # Imported late: half of what `--help` may take.
        from rich.console import Console
        from rich.progress import Progress as Bar
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeElapsedColumn(),
            console=Console(file=sys.stderr, highlight=False),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("checking the recipe", total=None, figures="")
        self._staging_since = time.monotonic()
        self._bar.start()

    def event(self, event: RunEvent) -> None:
        """Change the line, or write one above it."""
        line = _told(event)
        if line is not None:
            self._bar.console.print(printable(mask(line)), markup=False, highlight=False, soft_wrap=True)
        elif isinstance(event, StepStarted):
            if event.step == "stage":
                self._staging_since = time.monotonic()
            self._bar.update(self._task, description=_STEPS.get(event.step, event.step), refresh=True)
        elif isinstance(event, RowsMoved):
            self._bar.update(self._task, figures=self._figures(event))

    def close(self) -> None:
        """Take the line away and give the cursor back."""
        self._bar.stop()

    def _figures(self, moved: RowsMoved) -> str:
        seconds = max(time.monotonic() - self._staging_since, 0.001)
        return (
            f"{rows(moved.rows_read)}  {size(moved.bytes_read)}  {moved.rows_read / seconds:,.0f} rows/s"
            f"  {size(moved.bytes_read / seconds)}/s"
        )
