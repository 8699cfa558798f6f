"""What one run alone must achieve, from wherever the faults have left the world."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from arrowload.core.state import State
from tests.faults.model.checks import check, contradicts, difference

if TYPE_CHECKING:
    from tests.faults.model.values import Backend, Destination, Runner
    from tests.faults.model.world import World


def check_alone(world: World, backend: Backend, destination: Destination, stage: int) -> tuple[str | None, bool]:
    """Liveness: one plain run alone, and one full refresh, bring the destination to equal the source.

    Returns:
        The flaw, and whether the plain run was refused, as it must be when, and only when, the state is ahead.
    """
    ahead = world.recipe != "replace" and contradicts(State.from_json(backend.state), destination)
    flaw = _lone_run(world, backend, destination, stage, full_refresh=False, refused=ahead)
    if flaw is None and (ahead or world.bounds.full_refreshes):
        flaw = _lone_run(world, backend, destination, stage, full_refresh=True, refused=False)
    return flaw, ahead


def _lone_run(
    world: World, backend: Backend, destination: Destination, stage: int, *, full_refresh: bool, refused: bool
) -> str | None:
    runner, label, steps = world.start(0, full_refresh=full_refresh), "", 0
    before, kind = destination, "full refresh" if full_refresh else "plain run"
    owed = backend.owed
    # Whoever holds the lock is not this run.
    backend = backend._replace(holder=None if backend.holder is None else 1)
    current: Runner | None = runner
    while current is not None:
        done = next(world.perform(current, backend, destination, stage), None)
        if done is None or steps > 50:
            return f"liveness: a {kind} alone does not end"
        moved = world.answer("", 0, done)
        if moved.flaw is not None:
            return f"in a {kind} alone: {moved.flaw}"
        current, backend, destination, label = moved.runner, moved.backend, moved.destination, moved.label
        steps += 1
    ended = label.removeprefix(" → ")
    if refused:
        return (
            None
            if ended.startswith("StateError") and destination.loads == before.loads
            else (f"a state ahead of the ledger is not refused, the run ends with `{ended}`")
        )
    if ended not in ("committed", "recovered", "up_to_date"):
        return f"liveness: a {kind} alone ends with `{ended}`"
    return _arrived(world, before, destination, stage, full_refresh=full_refresh, owed=owed)


def _arrived(
    world: World, before: Destination, after: Destination, stage: int, *, full_refresh: bool, owed: int
) -> str | None:
    """After a run alone: the destination equals the source; where runs add up, one run was added, or none owed."""
    flaw = check(world, after)
    if flaw is not None:
        return f"after a run alone: {flaw}"
    if world.recipe != "plain" or full_refresh:
        flaw = difference(Counter(world.stages[stage]), after)
    elif owed >= 0 and len(after.loads) - len(before.loads) + owed != 1:
        flaw = f"{len(after.loads) - len(before.loads)} loads were added where {1 - owed} was due"
    return flaw and f"liveness: {flaw}"
