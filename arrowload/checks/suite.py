"""The checks of a recipe, bound to the rows of a load."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal, NamedTuple

from arrowload.core.registry import checks

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from arrowload.checks.base import BoundCheck, LoadFacts
    from arrowload.models.check_config import CheckConfig


class Failed(NamedTuple):
    """A check that failed: its type, what is wrong, and what is to become of the load."""

    check: str
    problem: str
    on_fail: Literal["fail", "warn"]


class CheckSuite:
    """Shown every batch of a load; several threads may do that.

    Args:
        configs: Of the recipe.
        schema: Of the rows.

    Raises:
        RecipeError: A check cannot look at such rows.
    """

    def __init__(self, configs: Sequence[CheckConfig], schema: pa.Schema) -> None:
        self._checks: list[tuple[CheckConfig, BoundCheck]] = [
            (config, checks.create(config.type, config).bind(schema)) for config in configs
        ]
        self._lock = threading.Lock()

    def add(self, batch: pa.RecordBatch, first_row: int) -> None:
        """See `BoundCheck.add`."""
        with self._lock:
            for _, check in self._checks:
                check.add(batch, first_row)

    def failed(self, facts: LoadFacts) -> list[Failed]:
        """The checks that failed, in the recipe's order."""
        problems = [(config, check.problem(facts)) for config, check in self._checks]
        return [Failed(config.type, problem, config.on_fail) for config, problem in problems if problem is not None]
