"""One runner in the world: the real `commit.step` decides, the contracts perform, faults come in between."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, cast

import msgspec

from arrowload.connectors.base import Sealed
from arrowload.core.exceptions import (
    DataLoaderError,
    EngineError,
    OutcomeUnknownError,
    StateError,
    TransientConnectorError,
)
from arrowload.core.state import State
from arrowload.core.state_backend import Lease
from arrowload.engine import commit, protocol
from tests.faults.model.checks import contradicts
from tests.faults.model.contracts import Contracts
from tests.faults.model.values import (
    NAMES,
    TARGET,
    Backend,
    Bounds,
    Destination,
    Done,
    Load,
    Moved,
    Numbers,
    Recipe,
    Runner,
    Sharing,
    last_load,
    position_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arrowload.connectors.base import LedgerEntry
    from arrowload.core.typing import WriteMode

NOW: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
MODES: Final = {"cursor": "append", "plain": "append", "merge": "merge", "replace": "replace"}


class World(Contracts):
    """What a runner can do and suffer, from anywhere; every value that occurs gets a number."""

    def __init__(self, recipe: Recipe, sharing: Sharing, bounds: Bounds) -> None:
        super().__init__(recipe, sharing, bounds)
        self.runs: Numbers[commit.Run] = Numbers()
        self.runners: Numbers[Runner | None] = Numbers()
        self.backends: Numbers[Backend] = Numbers()
        self.destinations: Numbers[Destination] = Numbers()
        self.runners.of(None)

    # ------------------------------------------------------------ effects

    def perform(self, runner: Runner, backend: Backend, destination: Destination, stage: int) -> Iterator[Done]:
        """The ways in which the effect that a runner is at can go, when nothing fails."""
        run = self.runs.values[runner.run]
        effect = run.doing
        event: protocol.Event
        try:
            match effect:
                case protocol.Acquire():
                    backend = self.acquire(runner, backend, effect.above)
                    event = protocol.Leased(self._lease(backend), State.from_json(backend.state))
                case protocol.ReadHead():
                    event = protocol.HeadRead(self.head(destination, effect.pipeline_id))
                case protocol.Fence():
                    yield from self.fence(runner, backend, destination, effect)
                    return
                case protocol.PlanWindow():
                    event, rows = self.plan_window(effect.state, stage)
                    runner = runner._replace(planned=(stage, rows))
                case protocol.Stage():
                    runner, event = self._stage(runner, destination, effect, run)
                case protocol.Seal():
                    staged = runner.staged or ((), ())
                    event = protocol.SealedStage(Sealed(rows_staged=len(staged[0])), NOW, "1")
                case protocol.Finalize():
                    if not self.fence_waits(destination):
                        yield from self.finalize(runner, backend, destination, self._load(runner, effect.entry))
                    return
                case protocol.ReadBack():
                    event = protocol.Found(self.find(destination, effect))
                case protocol.SaveState():
                    backend = self.compare_and_swap(backend, effect.lease, effect.state)
                    yield self._saved(runner, backend, destination, effect)
                    return
                case protocol.Sweep():
                    event = protocol.Swept()
                case protocol.StartOver():
                    runner = runner._replace(planned=None, staged=None, half=None)
                    event = protocol.Ready()
                case _:
                    raise AssertionError(effect)
        except OutcomeUnknownError as exc:
            event = protocol.Failed("unknown", exc)
        except DataLoaderError as exc:
            event = protocol.Failed("terminal", exc)
        yield Done(event, runner, backend, destination)

    def fence(
        self, runner: Runner, backend: Backend, destination: Destination, effect: protocol.Fence
    ) -> Iterator[Done]:
        """Install the epoch; then, in a second step, read the head behind it."""
        if runner.half == "fenced":
            head = self.head(destination, effect.pipeline_id)
            yield Done(
                protocol.Fenced(head), runner._replace(half=None), backend, destination, label="head behind fence"
            )
        elif not self.fence_waits(destination):
            installed = self.install_fence(destination, effect.pipeline_id, effect.epoch)
            yield Done(None, runner._replace(half="fenced"), backend, installed)

    def _lease(self, backend: Backend) -> Lease:
        return Lease(recipe="r", owner="", epoch=backend.epoch, version=backend.version, home=backend.home)

    def _stage(
        self, runner: Runner, destination: Destination, effect: protocol.Stage, run: commit.Run
    ) -> tuple[Runner, protocol.Staged]:
        if runner.planned is None:
            raise AssertionError("staged before planned")
        _, rows = runner.planned
        seen = self.seen_before(destination, rows, effect.seq)
        new = tuple(row for row in rows if row not in seen)
        tally = protocol.Tally(
            rows_read=len(rows),
            rows_staged=len(new),
            rows_filtered=0,
            rows_rejected=0,
            rows_seen_before=len(seen),
            content_hash=0,
            schema_fingerprint="",
        )
        upper = run.window.upper if run.window is not None else None
        state = State(cursor_values={"c": int(upper)} if upper is not None else {})
        staged = (self.transport(new), self.left_for_next(rows))
        return runner._replace(staged=staged), protocol.Staged(tally, state)

    def _load(self, runner: Runner, entry: LedgerEntry) -> Load:
        if runner.planned is None or runner.staged is None:
            raise AssertionError("committed before staged")
        return Load(entry, runner.staged[0], runner.staged[1], runner.planned[0])

    def _saved(self, runner: Runner, backend: Backend, destination: Destination, effect: protocol.SaveState) -> Done:
        flaw, place = None, commit.position(effect.state)
        if place not in map(position_of, destination.loads) and not destination.restored:
            flaw = f"I7: the state of load {place} is stored, and the ledger does not know of it"
        elif self.recipe == "plain" and backend.owed == 0 and not runner.excused:
            flaw = "I7: a state is stored although no run of this home has anything committed that was not told yet"
        backend = backend._replace(owed=0)
        return Done(protocol.StateSaved(self._lease(backend)), runner, backend, destination, flaw)

    # ------------------------------------------------------------ what one runner can do

    def start(self, index: int, *, full_refresh: bool) -> Runner:
        """A new run, about to acquire."""
        mode = cast("WriteMode", "replace" if full_refresh else MODES[self.recipe])
        terms = protocol.Terms(
            recipe="r",
            target=TARGET,
            new_pipeline_id=f"pipeline {NAMES[index]}",
            write_mode=mode,
            starts_over=full_refresh or self.recipe == "replace",
            repeats_harm=self.recipe == "plain" and not full_refresh,
            has_ledger=True,
            max_attempts=self.bounds.attempts,
        )
        run, _ = commit.step(commit.Run(terms=terms), protocol.Ready())
        return Runner(index, full_refresh, self._number(run))

    def doing(self, runner: Runner) -> str:
        """Whose effect is next, and which."""
        return f"{NAMES[runner.side]} {type(self.runs.values[runner.run].doing).__name__}"

    def moves(self, runner: Runner, backend: Backend, destination: Destination, stage: int) -> Iterator[Moved]:
        """Everything that a runner can do or suffer next."""
        name = self.doing(runner)
        dead = self.unlock(backend, runner, died=True)
        yield Moved(f"{NAMES[runner.side]} is killed before {name[2:]}", 1, None, dead, destination)
        for done in self.perform(runner, backend, destination, stage):
            yield self.answer(name if not done.label else f"{name}: {done.label}", 0, done)
            if done.event is not None and not isinstance(done.event, protocol.Failed):
                yield from self._failures(name, runner, backend, destination, done)

    def _failures(
        self, name: str, runner: Runner, backend: Backend, destination: Destination, done: Done
    ) -> Iterator[Moved]:
        before = Done(None, runner._replace(half=None), backend, destination)
        effect = self.runs.values[runner.run].doing
        broken = protocol.Failed("retryable", TransientConnectorError("cut off"))
        yield self.answer(f"{name} fails, not done", 1, before._replace(event=broken))
        if (done.backend, done.destination) != (backend, destination):
            yield self.answer(f"{name} is done, and seems to have failed", 1, done._replace(event=broken))
        if isinstance(effect, protocol.Finalize):
            lost = protocol.Failed("unknown", OutcomeUnknownError("no answer"))
            yield self.answer(f"{name} is not done, and its answer is lost", 1, before._replace(event=lost))
            yield self.answer(f"{name} is done, and its answer is lost", 1, done._replace(event=lost))
            sent = destination._replace(pending=(runner.side, self._load(runner, effect.entry)))
            flying = before._replace(event=lost, destination=sent)
            yield self.answer(f"{name} is sent, and the connection is lost", 1, flying)

    def answer(self, label: str, faults: int, done: Done) -> Moved:
        """Have the machine answer to what was done."""
        if done.event is None:
            return Moved(label, faults, done.runner, done.backend, done.destination, done.flaw)
        run, effect = commit.step(self.runs.values[done.runner.run], done.event)
        if not isinstance(effect, protocol.Finish):
            after = done.runner._replace(run=self._number(run))
            return Moved(label, faults, after, done.backend, done.destination, done.flaw)
        outcome = effect.status or f"{type(effect.error).__name__}: {effect.error}"
        flaw = done.flaw or self._dishonest(run, effect, done)
        backend = self.unlock(done.backend, done.runner, died=False)
        return Moved(f"{label} → {outcome}", faults, None, backend, done.destination, flaw)

    def _number(self, run: commit.Run) -> int:
        return self.runs.of(run, msgspec.msgpack.encode(run))

    # ------------------------------------------------------------ what must hold

    def _dishonest(self, run: commit.Run, effect: protocol.Finish, done: Done) -> str | None:
        """I7: what a run says when it ends is what the ledger says."""
        if done.runner.excused:
            return None
        if effect.error is not None:
            return self._wrongly_failed(run, effect.error, done)
        loads, planned = done.destination.loads, done.runner.planned
        if effect.status == "committed" and all(load.entry != run.entry for load in loads):
            return "I7: a run says that it committed a load, and the ledger does not have it"
        if all(position_of(load) != commit.position(run.after) for load in loads):
            return f"I7: a run ends well with a state that the ledger does not know, {commit.position(run.after)}"
        last = last_load(done.destination)
        if planned is not None and last is not None and last.stage < planned[0]:
            return f"I7: a run says `{effect.status}`, and rows that it was to load are not there"
        return None

    def _wrongly_failed(self, run: commit.Run, error: BaseException, done: Done) -> str | None:
        if isinstance(error, StateError):
            right = contradicts(run.state, done.destination)
            return None if right else f"a run is refused although state and ledger agree: {error}"
        if isinstance(error, EngineError) and "lost or doubled" in str(error):
            return f"I5: {error}"
        return None
