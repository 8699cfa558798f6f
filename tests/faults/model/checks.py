"""What must hold of a destination, and of a state beside it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from arrowload.engine import commit
from tests.faults.model.contracts import Contracts, applied
from tests.faults.model.values import Destination, Load, Row, Visible, last_load, position_of

if TYPE_CHECKING:
    from arrowload.core.state import State


def check(world: Contracts, destination: Destination) -> str | None:
    """What must hold of the destination at any moment: I1, I2, I3, I6."""
    loads = sorted(destination.loads, key=position_of)
    if len({load.entry.pipeline_id for load in loads}) > 1:
        return "I3: two pipelines load the same recipe into the same target"
    places = [position_of(load) for load in loads]
    if len(set(places)) < len(places):
        return f"I3: two loads have one place: {places}"
    due: Visible = ()
    for load in loads:
        due = applied(due, load)
    if sorted(due) != sorted(destination.visible):
        return f"I1: the ledger stands for {_brief(due)}, readers see {_brief(destination.visible)}"
    return _check_windows(loads) or _check_rows(world, loads, destination)


def _check_windows(loads: list[Load]) -> str | None:
    for earlier, later in zip([None, *loads], loads, strict=False):
        if earlier is None or later.entry.generation != earlier.entry.generation:
            if later.entry.seq != 1 or later.entry.lower is not None:
                return f"I2: generation {later.entry.generation} begins at {later.entry.seq}, {later.entry.lower}"
        elif later.entry.seq != earlier.entry.seq + 1 or later.entry.lower != earlier.entry.upper:
            return (
                f"I2: window {position_of(later)} begins at {later.entry.lower},"
                f" {position_of(earlier)} ended at {earlier.entry.upper}"
            )
    return None


def _check_rows(world: Contracts, loads: list[Load], destination: Destination) -> str | None:
    """Each row of the source, as it was when the last window was planned, is there once."""
    expected: Counter[Row] = Counter()
    for load in loads:
        if world.recipe != "plain" or load.entry.write_mode == "replace":
            expected.clear()
        expected.update(world.stages[load.stage])
    return difference(expected, destination)


def contradicts(state: State, destination: Destination) -> bool:
    """When a plain run must be refused: the state is ahead of the ledger, or the ledger is another pipeline's.

    Either comes about only by a destination that was restored.
    """
    if not destination.restored:
        return False
    last = last_load(destination)
    if commit.position(state) > (position_of(last) if last is not None else (0, 0)):
        return True
    stated_id = state.metadata.get("pipeline_id")
    return bool(destination.fences) and stated_id is not None and stated_id not in dict(destination.fences)


def difference(expected: Counter[Row], destination: Destination) -> str | None:
    """Which rows readers miss, or see too often."""
    visible = Counter(row for row, *_ in destination.visible)
    if visible == expected:
        return None
    return (
        f"I2, I3: rows missing: {sorted(row.uid for row in (expected - visible).elements())},"
        f" too many: {sorted(row.uid for row in (visible - expected).elements())}"
    )


def _brief(visible: Visible) -> list[int]:
    return sorted(row.uid for row, *_ in visible)
