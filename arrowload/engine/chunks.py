"""A long load in chunks, each committed by itself: where each ends, fixed when the run begins."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from arrowload.connectors.base import DivisibleSnapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.connectors.base import Mark
    from arrowload.core.state import State
    from arrowload.engine.job import Job
    from arrowload.engine.transfer import Counts

# Marks lie this far apart where chunks are measured in bytes or seconds, of which nobody knows beforehand how many
# rows have; several neighbours make a chunk then.
_FINE_ROWS: Final = 10_000
# A chunk is at most so many times as long as the one before it: the first rows of a load say little of the others.
_GROWTH: Final = 8


class Chunks:
    """The chunks of one run; a run that is not divided has one, without a bound.

    Args:
        job: What is loaded. It is divided when the recipe says how, and windows follow one another: not under
            `replace`, which is one step.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        size = job.recipe.runtime.commit_every
        self._size = size if job.recipe.source.incremental is not None and job.write_mode != "replace" else None
        self._marks: Sequence[Mark] | None = None
        self._taken = 1
        self._began = 0.0

    @property
    def has_more(self) -> bool:
        """Whether another chunk follows the one that was begun last."""
        return self._marks is not None and len(self._marks) > self._taken

    def begin(self, state: State) -> Mark | None:
        """Where the chunk that starts behind `state` ends; None when it has all there is."""
        if self._size is None:
            return None
        if self._marks is None:
            self._marks = self._find(state, self._size.rows or _FINE_ROWS)
        self._began = time.monotonic()
        if not self._marks:
            return None
        self._taken = min(self._taken, len(self._marks))
        return self._marks[self._taken - 1]

    def end(self, counts: Counts) -> None:
        """The chunk is committed; from what it was, the next one's length follows.

        Args:
            counts: Of its rows.
        """
        if self._size is None or not self._marks:
            return
        self._marks = self._marks[self._taken :]
        if self._size.rows is not None:
            part = counts.rows_read / self._size.rows
        elif self._size.bytes is not None:
            part = counts.bytes_read / self._size.bytes
        else:
            part = (time.monotonic() - self._began) / (self._size.seconds or 1.0)
        fitting = self._taken / part if part > 0 else self._taken * _GROWTH
        self._taken = max(1, min(round(fitting), self._taken * _GROWTH))

    def forget(self) -> None:
        """Look for the bounds again, after a failure."""
        self._marks, self._taken = None, 1

    def _find(self, state: State, rows: int) -> Sequence[Mark]:
        with self._job.source.snapshot(state) as snapshot:
            return snapshot.marks(rows) if isinstance(snapshot, DivisibleSnapshot) else ()
