"""Explores the model world exhaustively: every order of two runners, every fault at every step, within bounds.

Every value has a number, so that a state of the world is a tuple of small integers. What one runner can do next depends
on itself, its state backend, the destination and the source alone; it is worked out once, with the real `commit.step`,
and remembered. The exploration is breadth-first: the first flaw that it meets has the shortest history leading to it.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, NamedTuple

from arrowload.engine import protocol
from tests.faults.model.checks import check
from tests.faults.model.contracts import applied
from tests.faults.model.liveness import check_alone, is_refused
from tests.faults.model.values import NAMES, Backend, Bounds, Destination, Recipe, Report, Sharing, Visible
from tests.faults.model.world import World

if TYPE_CHECKING:
    from collections.abc import Callable


class Key(NamedTuple):
    """A state of the whole world; runner 0 is none. With one backend `backend_b` repeats `backend_a`."""

    runner_a: int
    runner_b: int
    backend_a: int
    backend_b: int
    destination: int
    stage: int
    runs: int
    faults: int
    full_refreshes: int


Step = tuple[str, Key, "str | None"]


class Explorer:
    """Breadth-first over every history of a world.

    Args:
        world: The rules.
        max_states: A guard; going beyond it is an error.
    """

    def __init__(self, world: World, max_states: int = 3_000_000) -> None:
        self.world = world
        self.max_states = max_states
        self.report = Report()
        self._shared = world.sharing == "shared"
        self._came_from: dict[Key, tuple[Key, str] | None] = {}
        self._moves: dict[tuple[int, int, int, int], list[tuple[str, int, int, int, int, str | None]]] = {}
        self._restored: dict[int, int | None] = {}
        self._sessions: dict[int, bool] = {}
        self._checked: set[int] = set()
        self._alone: set[tuple[int, int, int]] = set()
        self._fresh = {
            (index, full): world.runners.of(world.start(index, full_refresh=full))
            for index in (0, 1)
            for full in (False, True)
        }

    def run(self) -> Report:
        """Explore everything, or up to the first flaw."""
        bounds = self.world.bounds
        a = self.world.backends.of(Backend("home A"))
        b = a if self._shared else self.world.backends.of(Backend("home B"))
        nothing = self.world.destinations.of(Destination())
        first = Key(0, 0, a, b, nothing, 0, bounds.runs, bounds.faults, bounds.full_refreshes)
        self._came_from[first] = None
        level = [first]
        # Nothing here is garbage before the end, and looking for it takes half of the time.
        gc.disable()
        try:
            while level and self.report.flaw is None:
                level = self._expand(level)
                self.report.depth += 1
        finally:
            gc.enable()
        self.report.states = len(self._came_from)
        return self.report

    def _expand(self, level: list[Key]) -> list[Key]:
        after: list[Key] = []
        came_from, report = self._came_from, self.report
        for key in level:
            for label, to, in_step in self._successors(key):
                report.transitions += 1
                if in_step is None and to in came_from:
                    continue
                alone, flaw = self._flaw(to) if in_step is None else ([], in_step)
                if flaw is not None:
                    report.flaw = flaw
                    report.trace = [*self._history(key), label, *alone]
                    return []
                came_from[to] = (key, label)
                after.append(to)
            if len(came_from) > self.max_states:
                raise AssertionError(f"more than {self.max_states} states")
        return after

    def _history(self, key: Key) -> list[str]:
        labels = []
        while (step := self._came_from[key]) is not None:
            key, label = step
            labels.append(label)
        return labels[::-1]

    # ------------------------------------------------------------ what can happen next

    def _successors(self, key: Key) -> list[Step]:
        steps: list[Step] = []
        for index in (0, 1):
            if key[index]:
                self._run_on(key, index, steps)
            elif key.runs:
                self._start(key, index, steps)
        if key.stage + 1 < len(self.world.stages):
            steps.append(("the source grows", key._replace(stage=key.stage + 1), None))
        if self.world.destinations.values[key.destination].pending is not None:
            self._land(key, steps)
        elif key.faults:
            self._restore(key, steps)
        if key.faults:
            self._lose_state(key, steps)
        return steps

    def _start(self, key: Key, index: int, steps: list[Step]) -> None:
        runners = [key.runner_a, key.runner_b]
        for full in (False, True) if key.full_refreshes else (False,):
            runners[index] = self._fresh[index, full]
            to = Key._make((*runners, *key[2:6], key.runs - 1, key.faults, key.full_refreshes - full))
            steps.append((f"{NAMES[index]} starts a full refresh" if full else f"{NAMES[index]} starts", to, None))

    def _run_on(self, key: Key, index: int, steps: list[Step]) -> None:
        a, b, backend_a, backend_b, destination, stage, runs, faults, full = key
        for label, price, runner, backend, to, flaw in self._moves_of(key[index], key[2 + index], destination, stage):
            if price <= faults:
                backends = self._backends(backend_a, backend_b, index, backend, self._adds_load(destination, to))
                runners = (runner, b) if index == 0 else (a, runner)
                steps.append((label, Key(*runners, *backends, to, stage, runs, faults - price, full), flaw))

    def _backends(self, a: int, b: int, index: int, changed: int, loaded: bool) -> tuple[int, int]:
        """Both backends, after runner `index` has changed its own.

        Another load on top hides from a machine what it had committed and not told its state of. A plain append of that
        machine is then repeated: the one documented limit, so no flaw.
        """
        if self._shared:
            return changed, changed
        other = b if index == 0 else a
        values = self.world.backends.values
        if loaded and values[other].owed:
            other = self.world.backends.of(values[other]._replace(owed=-1))
        return (changed, other) if index == 0 else (other, changed)

    def _adds_load(self, before: int, after: int) -> bool:
        values = self.world.destinations.values
        return before != after and len(values[after].loads) > len(values[before].loads)

    def _moves_of(
        self, runner: int, backend: int, destination: int, stage: int
    ) -> list[tuple[str, int, int, int, int, str | None]]:
        place = (runner, backend, destination, stage)
        known = self._moves.get(place)
        if known is not None:
            return known
        world = self.world
        who = world.runners.values[runner]
        if who is None:
            raise AssertionError("nobody moves")
        found = world.moves(who, world.backends.values[backend], world.destinations.values[destination], stage)
        numbered = [
            (
                moved.label,
                moved.faults,
                world.runners.of(moved.runner),
                world.backends.of(moved.backend),
                world.destinations.of(moved.destination),
                moved.flaw,
            )
            for moved in found
        ]
        self._moves[place] = numbered
        return numbered

    def _land(self, key: Key, steps: list[Step]) -> None:
        """The commit whose sender has lost its connection comes to nothing, or lands."""
        world = self.world
        destination = world.destinations.values[key.destination]
        if destination.pending is None:
            raise AssertionError("nothing is under way")
        index, load = destination.pending
        dropped = destination._replace(pending=None)
        to = world.destinations.of(dropped)
        steps.append((f"the commit of {NAMES[index]} comes to nothing", key._replace(destination=to), None))
        sender = world.start(index, full_refresh=load.entry.write_mode == "replace" and world.recipe != "replace")
        for done in world.finalize(sender, world.backends.values[key[2 + index]], dropped, load):
            to = world.destinations.of(done.destination)
            changed = world.backends.of(done.backend)
            a, b = self._backends(key.backend_a, key.backend_b, index, changed, loaded=True)
            landed = key._replace(destination=to, backend_a=a, backend_b=b)
            steps.append((f"the commit of {NAMES[index]} lands", landed, done.flaw))

    def _restore(self, key: Key, steps: list[Step]) -> None:
        """The destination is restored to what it was before its last load."""
        world = self.world
        if key.destination not in self._restored:
            older = _before_last_load(world.destinations.values[key.destination])
            self._restored[key.destination] = None if older is None else world.destinations.of(older)
        to = self._restored[key.destination]
        if to is None or self._in_session(key.runner_a) or self._in_session(key.runner_b):
            return
        runners = (world.runners.values[number] for number in key[:2])
        excused = [world.runners.of(runner and runner._replace(excused=True)) for runner in runners]
        backends = [world.backends.of(world.backends.values[number]._replace(owed=-1)) for number in key[2:4]]
        after = Key._make((*excused, *backends, to, *key[5:7], key.faults - 1, key.full_refreshes))
        steps.append(("the destination is restored", after, None))

    def _in_session(self, number: int) -> bool:
        """Whether a runner has raised the fence and not ended its load; a restore would end it, as a kill does."""
        known = self._sessions.get(number)
        if known is None:
            runner = self.world.runners.values[number]
            between = protocol.PlanWindow | protocol.Stage | protocol.Seal | protocol.Finalize | protocol.ReadBack
            known = runner is not None and (
                runner.half is not None or isinstance(self.world.runs.values[runner.run].doing, between)
            )
            self._sessions[number] = known
        return known

    def _lose_state(self, key: Key, steps: list[Step]) -> None:
        world = self.world
        for index in (0,) if self._shared else (0, 1):
            backend = world.backends.values[key[2 + index]]
            if backend.epoch and "'" not in backend.home:
                lost = world.backends.of(Backend(backend.home + "'", holder=backend.holder, owed=-1))
                a, b = self._backends(key.backend_a, key.backend_b, index, lost, loaded=False)
                to = key._replace(backend_a=a, backend_b=b, faults=key.faults - 1)
                steps.append((f"the state of {NAMES[index]} is lost", to, None))

    # ------------------------------------------------------------ what must hold

    def _flaw(self, key: Key) -> tuple[list[str], str | None]:
        """What is wrong with a state that was not met before, and what a run alone did to show it."""
        world, destination = self.world, self.world.destinations.values[key.destination]
        if key.destination not in self._checked:
            self._checked.add(key.destination)
            flaw = check(world, destination)
            if flaw is not None:
                return [], flaw
        if destination.pending is not None:
            return [], None
        for index in (0, 1):
            # With a backend each, a run must get on however the other machine stands; with one, when the lock is free.
            idle = not key[index] and (not self._shared or not key[1 - index])
            place = (key[2 + index], key.destination, key.stage)
            if idle and place not in self._alone:
                self._alone.add(place)
                backend = world.backends.values[key[2 + index]]
                self.report.restarts += 1
                self.report.refusals += is_refused(world, backend, destination)
                history, flaw = check_alone(world, backend, destination, key.stage)
                if flaw is not None:
                    return history, flaw
        return [], None


def _before_last_load(destination: Destination) -> Destination | None:
    loads = destination.loads[:-1]
    if not destination.loads:
        return None
    visible: Visible = ()
    for load in loads:
        visible = applied(visible, load)
    if not loads:
        return Destination(restored=True)
    last = loads[-1].entry
    return Destination(((last.pipeline_id, last.epoch),), loads, visible, loads[-1].seen, restored=True)


def explore(recipe: Recipe, sharing: Sharing, bounds: Bounds, plant: Callable[[World], Any] | None = None) -> Report:
    """Explore every history of a world into which `plant` may have put a defect."""
    world = World(recipe, sharing, bounds)
    if plant is not None:
        plant(world)
    return Explorer(world).run()
