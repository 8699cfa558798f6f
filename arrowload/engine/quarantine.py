"""The rows of one load that were refused, and how many may be."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa

from arrowload.core.exceptions import DataError
from arrowload.core.rejection import REJECTED_SCHEMA, Rejection, rejected_row


class Quarantine:
    """Gathers rejections, from several threads at once.

    Args:
        budget: How many it takes.
        limit: What the recipe allows a run, of which earlier loads of the run may have used some.
    """

    def __init__(self, budget: int, limit: int) -> None:
        self._budget = budget
        self._limit = limit
        self._rows: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._rows)

    def add(self, rejection: Rejection) -> None:
        """Keep one more.

        Raises:
            DataError: There are more than the budget allows.
        """
        row = rejected_row(rejection)
        with self._lock:
            self._rows.append(row)
            too_many = len(self._rows) > self._budget
        if too_many:
            raise DataError(
                f"more than {self._limit} rows are refused; the last: {rejection.place}: {rejection.reason}",
                context={
                    "max_rejected": self._limit,
                    "column": rejection.column,
                    "place": rejection.place,
                    "path": "$.runtime.max_rejected",
                },
                hint="nothing of this load was committed; mend the rows or the recipe, or raise `max_rejected` in"
                " `runtime`",
            )

    def table(self) -> pa.Table:
        """All of them, of `REJECTED_SCHEMA`."""
        return pa.Table.from_pylist(self._rows, REJECTED_SCHEMA)
