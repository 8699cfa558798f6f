"""Between a load that is staged and its commit: the recipe's checks, which may keep it back."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from arrowload.checks.base import LoadFacts
from arrowload.checks.suite import CheckSuite
from arrowload.connectors.base import CountableSnapshot
from arrowload.core.exceptions import DataError, RecipeError
from arrowload.core.secret import mask

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from arrowload.connectors.adapters import AtLeastOnceDestination
    from arrowload.connectors.base import Sealed, Snapshot, TransactionalDestination
    from arrowload.models.recipe import Recipe


class CheckGate:
    """The checks of one run.

    Args:
        recipe: Whose they are.
        warn: Told of each that fails and only warns.

    Attributes:
        warnings: What it was told.
    """

    def __init__(self, recipe: Recipe, warn: Callable[[str], None]) -> None:
        self._recipe = recipe
        self._warn = warn
        self._suite: CheckSuite | None = None
        self._last_rows: int | None = None
        self._source_rows: int | None = None
        self.warnings: list[str] = []

    def suite(self, schema: pa.Schema) -> CheckSuite | None:
        """The checks for rows of the next load, to be shown each batch; None when the recipe has none."""
        self._suite = CheckSuite(self._recipe.checks, schema) if self._recipe.checks else None
        return self._suite

    def look_back(self, destination: TransactionalDestination | AtLeastOnceDestination, pipeline_id: str) -> None:
        """Find out what the last load was, when a check compares with it."""
        if self._asks_for("change"):
            written = [entry.rows_written for entry in destination.entries(pipeline_id)]
            self._last_rows = next((rows for rows in reversed(written) if rows), None)

    def require_countable(self, snapshot: Snapshot) -> None:
        """Refuse, before a row is read, a check that compares with a count that the source cannot give.

        Raises:
            RecipeError: There is one.
        """
        if self._asks_for("same_as") and not isinstance(snapshot, CountableSnapshot):
            raise RecipeError(
                "the source cannot count its rows, and a check compares with that",
                context={"recipe": self._recipe.name, "path": "$.checks"},
                hint="take `same_as` out of the check",
            )

    def count_source(self, snapshot: Snapshot) -> None:
        """Have the source count, in the snapshot that was read, when a check compares with it."""
        if self._asks_for("same_as"):
            self._source_rows = snapshot.count_rows() if isinstance(snapshot, CountableSnapshot) else None

    def require(self, sealed: Sealed, rows_read: int) -> None:
        """Let the load pass.

        Raises:
            DataError: A check fails that must not.
        """
        if self._suite is None:
            return
        facts = LoadFacts(
            rows_read=rows_read,
            rows_written=sealed.rows_staged - sealed.rows_duplicate,
            last_rows=self._last_rows,
            source_rows=self._source_rows,
            now=dt.datetime.now(dt.UTC),
        )
        failed = self._suite.failed(facts)
        for check in failed:
            if check.on_fail == "warn":
                self.warnings.append(mask(f"check `{check.check}`: {check.problem}"))
                self._warn(self.warnings[-1])
        fatal = [check for check in failed if check.on_fail == "fail"]
        if fatal:
            raise DataError(
                "; ".join(f"check `{check.check}`: {check.problem}" for check in fatal),
                context={"recipe": self._recipe.name, "checks": [check.check for check in fatal]},
                hint="nothing was published; mend the rows or the check, or let it warn: `on_fail: warn`",
            )

    def _asks_for(self, key: str) -> bool:
        return any(getattr(check, key, None) is not None for check in self._recipe.checks)
