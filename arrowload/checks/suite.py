"""The checks of a recipe, bound to the rows of a load."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal, NamedTuple

from arrowload.checks.base import SiftingCheck
from arrowload.core.exceptions import RecipeError
from arrowload.core.lazy import compute as pc
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
    on_fail: Literal["fail", "warn", "quarantine"]


class CheckSuite:
    """Shown every batch of a load; several threads may do that.

    Args:
        configs: Of the recipe.
        schema: Of the rows.

    Raises:
        RecipeError: A check cannot look at such rows.
    """

    def __init__(self, configs: Sequence[CheckConfig], schema: pa.Schema) -> None:
        bound = [(config, checks.create(config.type, config).bind(schema)) for config in configs]
        self._checks: list[tuple[CheckConfig, BoundCheck]] = [
            (config, check) for config, check in bound if config.on_fail != "quarantine"
        ]
        self._sifting = [(config, _sifting(config, check)) for config, check in bound if config.on_fail == "quarantine"]
        self._lock = threading.Lock()

    def refused(self, batch: pa.RecordBatch) -> list[tuple[int, str]]:
        """The rows that a check with `on_fail: quarantine` refuses: position in `batch`, and why; each row once."""
        refused: dict[int, str] = {}
        for config, check in self._sifting:
            for position in pc.indices_nonzero(check.failing(batch)).to_pylist():
                refused.setdefault(position, f"check `{config.type}`: the row {check.why}")
        return sorted(refused.items())

    def add(self, batch: pa.RecordBatch, first_row: int) -> None:
        """See `BoundCheck.add`."""
        with self._lock:
            for _, check in self._checks:
                check.add(batch, first_row)

    def failed(self, facts: LoadFacts) -> list[Failed]:
        """The checks that failed, in the recipe's order."""
        problems = [(config, check.problem(facts)) for config, check in self._checks]
        return [Failed(config.type, problem, config.on_fail) for config, problem in problems if problem is not None]


def _sifting(config: CheckConfig, check: BoundCheck) -> SiftingCheck:
    if isinstance(check, SiftingCheck):
        return check
    raise RecipeError(
        f"the check `{config.type}` looks at all rows together, and cannot put single ones in quarantine",
        context={"path": "$.checks", "type": config.type},
        hint="write `on_fail: fail` or `on_fail: warn`",
    )
