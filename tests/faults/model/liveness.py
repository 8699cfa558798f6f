"""What one run alone must achieve, from wherever the faults have left the world."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from arrowload.core.state import State
from tests.faults.model.checks import check, contradicts, difference

if TYPE_CHECKING:
    from tests.faults.model.values import Backend, Destination, Runner
    from tests.faults.model.world import World


def check_alone(world: World, backend: Backend, destination: Destination, stage: int) -> tuple[list[str], str | None]:
    """Liveness: one plain run alone, and one full refresh, bring the destination to equal the source.

    Where state and ledger contradict each other a plain run is refused, and only there.

    Returns:
        What the run did that went wrong, and what the flaw is.
    """
    refused = is_refused(world, backend, destination)
    history, flaw = _lone_run(world, backend, destination, stage, full_refresh=False, refused=refused)
    if flaw is None and (refused or world.bounds.full_refreshes):
        history, flaw = _lone_run(world, backend, destination, stage, full_refresh=True, refused=False)
    return history, flaw


def is_refused(world: World, backend: Backend, destination: Destination) -> bool:
    """Whether a plain run must end with a StateError; a `replace` starts over anyway."""
    return world.recipe != "replace" and contradicts(State.from_json(backend.state), destination)


def _lone_run(
    world: World, backend: Backend, destination: Destination, stage: int, *, full_refresh: bool, refused: bool
) -> tuple[list[str], str | None]:
    history = ["then, alone, one full refresh:" if full_refresh else "then, alone, one plain run:"]
    before, owed = destination, backend.owed
    # Whoever holds the lock is not this run.
    backend = backend._replace(holder=None if backend.holder is None else 1)
    runner: Runner | None = world.start(0, full_refresh=full_refresh)
    while runner is not None:
        done = next(world.perform(runner, backend, destination, stage), None)
        if done is None or len(history) > 50:
            return history[:15], "liveness: the run does not end"
        moved = world.answer(world.doing(runner), 0, done)
        history.append(moved.label)
        if moved.flaw is not None:
            return history, moved.flaw
        runner, backend, destination = moved.runner, moved.backend, moved.destination
    status = history[-1].rpartition(" → ")[2]
    if refused:
        rightly = history[-1].find("StateError") > 0 and destination.loads == before.loads
        return history, None if rightly else "liveness: state and ledger contradict each other, and the run goes on"
    if status not in ("committed", "recovered", "up_to_date"):
        return history, f"liveness: the run ends with `{status}`"
    return history, _arrived(world, before, destination, stage, full_refresh=full_refresh, owed=owed)


def _arrived(
    world: World, before: Destination, after: Destination, stage: int, *, full_refresh: bool, owed: int
) -> str | None:
    """The destination equals the source; where runs add up, one run was added, or none when one was owed."""
    flaw = check(world, after)
    if flaw is not None:
        return flaw
    if world.recipe != "plain" or full_refresh:
        return difference(Counter(world.stages[stage]), after)
    added = len(after.loads) - len(before.loads)
    return f"I3: {added} loads were added where {1 - owed} was due" if owed >= 0 and added + owed != 1 else None
