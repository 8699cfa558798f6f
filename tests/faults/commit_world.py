"""A small world in which the commit protocol is explored exhaustively: source, destination, state, and two runners.

Every part is a frozen value, and every value gets a number, so that a state of the world is a tuple of small integers.
What one runner can do next depends on itself, its state backend, the destination and the source alone; it is worked
out once, with the real `commit.step`, and remembered. The exploration is breadth-first: the first flaw that it meets
has the shortest history that leads to it.

A defect is planted by replacing one method of `World`, or one function of `arrowload.engine.commit`.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec

from arrowload.connectors.base import LedgerEntry, LedgerHead, Sealed
from arrowload.core.exceptions import (
    BusyError,
    DataLoaderError,
    EngineError,
    OutcomeUnknownError,
    StateError,
    TransientConnectorError,
)
from arrowload.core.state import State
from arrowload.core.state_backend import Lease
from arrowload.engine import commit

Recipe = Literal["cursor", "plain", "merge", "replace"]
Sharing = Literal["shared", "separate"]

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TARGET = "target"
NAMES = ("A", "B")
T = TypeVar("T", bound=Hashable)


class Row(NamedTuple):
    """One row of the source."""

    uid: int
    cursor: int
    version: int = 0


# How the source looks before, between and after it has grown: each time, rows tie with the last cursor value loaded.
SOURCES: dict[Recipe, tuple[tuple[Row, ...], ...]] = {
    "cursor": (
        (Row(1, 10), Row(2, 20)),
        (Row(1, 10), Row(2, 20), Row(3, 20)),
        (Row(1, 10), Row(2, 20), Row(3, 20), Row(4, 30)),
    ),
    "merge": (
        (Row(1, 10), Row(2, 20)),
        (Row(1, 20, 1), Row(2, 20)),
        (Row(1, 20, 1), Row(2, 30, 1), Row(3, 30)),
    ),
    "plain": ((Row(1, 0), Row(2, 0)), (Row(1, 0), Row(2, 0), Row(3, 0))),
    "replace": ((Row(1, 0), Row(2, 0)), (Row(2, 0), Row(3, 0))),
}


class Load(NamedTuple):
    """One commit: what the ledger says, and what it is to be checked against.

    `stage` is how the source looked when the window was planned, `rows` are those that were applied.
    """

    entry: LedgerEntry
    rows: tuple[Row, ...]
    seen: tuple[int, ...]
    stage: int


class Destination(NamedTuple):
    """Fences (pipeline → epoch), committed loads, the rows that readers see with the load each came by, and a commit
    that was sent by runner `pending[0]` and is still under way."""

    fences: tuple[tuple[str, int], ...] = ()
    loads: tuple[Load, ...] = ()
    visible: tuple[tuple[Row, str, int], ...] = ()
    seen: tuple[int, ...] = ()
    pending: tuple[int, Load] | None = None


class Backend(NamedTuple):
    """A state backend. `owed` counts commits whose state is not stored yet; -1: nobody can know any more."""

    home: str
    version: int = 0
    epoch: int = 0
    state: bytes = b"{}"
    holder: int | None = None
    owed: int = 0


class Runner(NamedTuple):
    """A process in the middle of a run; None stands for one that has ended or died.

    `run` is the number of a `commit.Run`; `half` says how far an effect of several steps has come; `excused` that the
    destination was restored under the run, which then cannot promise anything.
    """

    index: int
    full_refresh: bool
    run: int
    planned: tuple[int, tuple[Row, ...]] | None = None
    staged: tuple[tuple[Row, ...], tuple[int, ...]] | None = None
    half: str | None = None
    excused: bool = False


class Moved(NamedTuple):
    """What one runner did: its own new value, its backend's, the destination's, at the price of so many faults."""

    label: str
    faults: int
    runner: Runner | None
    backend: Backend
    destination: Destination
    flaw: str | None = None


class Done(NamedTuple):
    """What became of an effect: an event, or the half of the way that was gone."""

    event: commit.Event | None
    runner: Runner
    backend: Backend
    destination: Destination
    flaw: str | None = None
    label: str = ""


class Numbers(Generic[T]):
    """Values to small integers and back."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self.values: list[T] = []

    def of(self, value: T, key: Hashable | None = None) -> int:
        """The number of `value`, which `key` stands for when the value itself cannot be hashed."""
        number = self._numbers.setdefault(value if key is None else key, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


class Bounds(NamedTuple):
    """What an exploration may spend: runs started, faults of all kinds, full refreshes among the runs."""

    runs: int = 3
    faults: int = 2
    full_refreshes: int = 0
    attempts: int = 2


DEFAULT = Bounds()


@dataclass
class Report:
    """What an exploration found; `trace` is the shortest history to the first flaw."""

    states: int = 0
    transitions: int = 0
    depth: int = 0
    restarts: int = 0
    refusals: int = 0
    flaw: str | None = None
    trace: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        size = f"{self.states} states, {self.transitions} transitions, depth {self.depth}"
        size += f", {self.restarts} lone runs, {self.refusals} rightly refused"
        if self.flaw is None:
            return f"no flaw in {size}"
        return f"{self.flaw}, after {len(self.trace)} steps ({size}):\n  " + "\n  ".join(self.trace)


def position_of(load: Load) -> tuple[int, int]:
    """Generation and number of a load."""
    return load.entry.generation, load.entry.seq


def last_load(destination: Destination) -> Load | None:
    """The newest load by generation and number."""
    return max(destination.loads, key=position_of, default=None)


def tag(entry: LedgerEntry) -> tuple[str, int]:
    """What marks the rows of a load."""
    return entry.load_id, entry.epoch


class World:
    """The rules; its methods are the contracts of source, destination and state backend.

    Args:
        recipe: How the rows are loaded: `cursor` appends by a cursor, `plain` appends everything at each run.
        sharing: `shared`: both runners use one state backend, whose lock dies with its process; `separate`: each has
            its own, as on two machines, and only the fence in the destination keeps them apart.
        bounds: How far the exploration goes.
    """

    def __init__(self, recipe: Recipe, sharing: Sharing, bounds: Bounds) -> None:
        self.recipe: Recipe = recipe
        self.sharing = sharing
        self.bounds = bounds
        self.stages = SOURCES[recipe]
        self.runs: Numbers[commit.Run] = Numbers()
        self.runners: Numbers[Runner | None] = Numbers()
        self.backends: Numbers[Backend] = Numbers()
        self.destinations: Numbers[Destination] = Numbers()
        self.runners.of(None)

    # ------------------------------------------------------------ contracts: state backend

    def acquire(self, runner: Runner, backend: Backend, above: int) -> Backend:
        """Lock, and raise the epoch."""
        if backend.holder not in (None, runner.index):
            raise BusyError("locked")
        return backend._replace(holder=runner.index, epoch=max(backend.epoch, above) + 1)

    def compare_and_swap(self, backend: Backend, lease: Lease, state: State) -> Backend:
        """Store, unless someone else did."""
        if (backend.version, backend.epoch) != (lease.version, lease.epoch):
            raise BusyError("the state was changed by someone else")
        return backend._replace(version=backend.version + 1, state=state.to_json())

    def unlock(self, backend: Backend, runner: Runner, *, died: bool) -> Backend:
        """The lock goes with its process."""
        return backend._replace(holder=None) if backend.holder == runner.index else backend

    # ------------------------------------------------------------ contracts: source

    def plan_window(self, state: State, stage: int) -> tuple[commit.Planned, tuple[Row, ...]]:
        """The closed window from the cursor on, or all rows."""
        rows, lower = self.stages[stage], None
        if self.recipe in ("cursor", "merge"):
            lower = state.cursor_values.get("c")
            rows = self.rows_from(rows, lower)
        upper = max((row.cursor for row in rows), default=lower)
        has_cursor = self.recipe in ("cursor", "merge")
        return commit.Planned(
            empty=not rows,
            lower=None if lower is None else str(lower),
            upper=str(upper) if has_cursor else None,
        ), rows

    def rows_from(self, rows: tuple[Row, ...], lower: int | None) -> tuple[Row, ...]:
        """Rows at the lower bound and above."""
        return rows if lower is None else tuple(row for row in rows if row.cursor >= lower)

    # ------------------------------------------------------------ contracts: destination

    def head(self, destination: Destination, pipeline_id: str | None) -> LedgerHead | None:
        """By id, else by name; all fences here are of one recipe and one target."""
        fences = dict(destination.fences)
        found = pipeline_id if pipeline_id in fences else next(iter(fences), None)
        if found is None:
            return None
        mine = (load for load in destination.loads if load.entry.pipeline_id == found)
        last = max(mine, key=position_of, default=None)
        return LedgerHead(
            pipeline_id=found,
            target=TARGET,
            epoch=fences[found],
            owner="",
            last=last.entry if last is not None else None,
        )

    def fence_waits(self, destination: Destination) -> bool:
        """A commit under way holds the fence, so a new one waits until that has ended."""
        return destination.pending is not None

    def install_fence(self, destination: Destination, pipeline_id: str, epoch: int) -> Destination:
        """Raise the fence; a second pipeline of the same recipe and target is refused."""
        fences = dict(destination.fences)
        if fences.get(pipeline_id, 0) >= epoch or fences.keys() - {pipeline_id}:
            raise BusyError("another run took over")
        return destination._replace(fences=((pipeline_id, epoch),))

    def seen_before(self, destination: Destination, rows: tuple[Row, ...], seq: int) -> tuple[Row, ...]:
        """Rows of the window that an earlier load of the generation has committed."""
        if self.recipe != "cursor" or seq == 1:
            return ()
        return tuple(row for row in rows if row.uid in destination.seen)

    def left_for_next(self, rows: tuple[Row, ...]) -> tuple[int, ...]:
        """What the next window may meet again."""
        upper = max((row.cursor for row in rows), default=0)
        return tuple(row.uid for row in rows if row.cursor >= upper) if self.recipe == "cursor" else ()

    def transport(self, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        """Rows on their way into staging."""
        return rows

    def check_fence(self, destination: Destination, entry: LedgerEntry) -> None:
        """Refuse a commit whose epoch is not the one installed."""
        if dict(destination.fences).get(entry.pipeline_id) != entry.epoch:
            raise BusyError("another run took over")

    def apply(
        self, visible: tuple[tuple[Row, str, int], ...], load: Load
    ) -> tuple[tuple[Row, str, int], ...]:
        """What readers see once `load` is applied."""
        new = tuple((row, *tag(load.entry)) for row in load.rows)
        if load.entry.write_mode == "replace":
            return new
        if load.entry.write_mode == "merge":
            keys = {row.uid for row in load.rows}
            visible = tuple(old for old in visible if old[0].uid not in keys)
        return tuple(sorted(visible + new))

    def committed(self, destination: Destination, load: Load) -> Destination:
        """Rows, ledger entry and seen rows, in one step."""
        return destination._replace(
            loads=(*destination.loads, load), visible=self.apply(destination.visible, load), seen=load.seen, pending=None
        )

    def finalize(self, runner: Runner, backend: Backend, destination: Destination, load: Load) -> Iterator[Done]:
        """Apply, enter in the ledger, check the fence, commit: atomic."""
        try:
            self.check_fence(destination, load.entry)
        except BusyError as exc:
            yield Done(commit.Failed("terminal", exc), runner, backend, destination)
            return
        yield self.commits(runner, backend, destination, load)

    def find(self, destination: Destination, effect: commit.ReadBack) -> LedgerEntry | None:
        """The entry of one load; says that it does not know while the commit may still be running."""
        if destination.pending is not None:
            raise OutcomeUnknownError("the commit may still be running")
        return next((load.entry for load in destination.loads if load.entry.load_id == effect.load_id), None)

    # ------------------------------------------------------------ effects

    def commits(self, runner: Runner, backend: Backend, destination: Destination, load: Load) -> Done:
        """The commit as such, with what must hold of it."""
        fence, flaw = dict(destination.fences).get(load.entry.pipeline_id, 0), None
        if load.entry.epoch < fence:
            flaw = f"I4: epoch {load.entry.epoch} commits behind the fence of epoch {fence}"
        elif any(load.entry.load_id == other.entry.load_id for other in destination.loads):
            flaw = f"I3: load {position_of(load)} is committed twice"
        elif self.recipe == "plain" and not runner.full_refresh and backend.owed > 0:
            flaw = "I3: what an interrupted run had committed is loaded again"
        if backend.owed >= 0:
            backend = backend._replace(owed=0 if runner.full_refresh else backend.owed + 1)
        after = self.committed(destination, load)
        return Done(commit.Finalized(), runner, backend, after, flaw)

    def perform(self, runner: Runner, backend: Backend, destination: Destination, stage: int) -> Iterator[Done]:
        """The ways in which the effect that a runner is at can go, when nothing fails."""
        run = self.runs.values[runner.run]
        effect = run.doing
        event: commit.Event
        try:
            match effect:
                case commit.Acquire():
                    backend = self.acquire(runner, backend, effect.above)
                    event = commit.Leased(self._lease(backend), State.from_json(backend.state))
                case commit.ReadHead():
                    event = commit.HeadRead(self.head(destination, effect.pipeline_id))
                case commit.Fence():
                    yield from self.fence(runner, backend, destination, effect)
                    return
                case commit.PlanWindow():
                    event, rows = self.plan_window(effect.state, stage)
                    runner = runner._replace(planned=(stage, rows))
                case commit.Stage():
                    runner, event = self._stage(runner, destination, effect, run)
                case commit.Seal():
                    staged = runner.staged or ((), ())
                    event = commit.SealedStage(Sealed(rows_staged=len(staged[0])), NOW, "1")
                case commit.Finalize():
                    if not self.fence_waits(destination):
                        yield from self.finalize(runner, backend, destination, self._load(runner, effect.entry))
                    return
                case commit.ReadBack():
                    event = commit.Found(self.find(destination, effect))
                case commit.SaveState():
                    backend = self.compare_and_swap(backend, effect.lease, effect.state)
                    yield self._saved(runner, backend, destination, effect)
                    return
                case commit.Sweep():
                    event = commit.Swept()
                case commit.StartOver():
                    runner = runner._replace(planned=None, staged=None, half=None)
                    event = commit.Ready()
                case _:
                    raise AssertionError(effect)
        except OutcomeUnknownError as exc:
            event = commit.Failed("unknown", exc)
        except DataLoaderError as exc:
            event = commit.Failed("terminal", exc)
        yield Done(event, runner, backend, destination)

    def fence(
        self, runner: Runner, backend: Backend, destination: Destination, effect: commit.Fence
    ) -> Iterator[Done]:
        """Install the epoch; then, in a second step, read the head behind it."""
        if runner.half == "fenced":
            head = self.head(destination, effect.pipeline_id)
            yield Done(commit.Fenced(head), runner._replace(half=None), backend, destination, label="head behind fence")
        elif not self.fence_waits(destination):
            installed = self.install_fence(destination, effect.pipeline_id, effect.epoch)
            yield Done(None, runner._replace(half="fenced"), backend, installed)

    def _lease(self, backend: Backend) -> Lease:
        return Lease(recipe="r", owner="", epoch=backend.epoch, version=backend.version, home=backend.home)

    def _stage(
        self, runner: Runner, destination: Destination, effect: commit.Stage, run: commit.Run
    ) -> tuple[Runner, commit.Staged]:
        if runner.planned is None:
            raise AssertionError("staged before planned")
        _, rows = runner.planned
        seen = self.seen_before(destination, rows, effect.seq)
        new = tuple(row for row in rows if row not in seen)
        tally = commit.Tally(
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
        return runner._replace(staged=staged), commit.Staged(tally, state)

    def _load(self, runner: Runner, entry: LedgerEntry) -> Load:
        if runner.planned is None or runner.staged is None:
            raise AssertionError("committed before staged")
        return Load(entry, runner.staged[0], runner.staged[1], runner.planned[0])

    def _saved(
        self, runner: Runner, backend: Backend, destination: Destination, effect: commit.SaveState
    ) -> Done:
        flaw = None
        if self.recipe == "plain" and backend.owed == 0 and not runner.full_refresh and not runner.excused:
            flaw = "I7: a state is stored although no run of this home has anything committed that was not told yet"
        backend = backend._replace(owed=0)
        return Done(commit.StateSaved(self._lease(backend)), runner, backend, destination, flaw)

    # ------------------------------------------------------------ what one runner can do

    def start(self, index: int, *, full_refresh: bool) -> Runner:
        """A new run, about to acquire."""
        mode = {"cursor": "append", "plain": "append", "merge": "merge", "replace": "replace"}[self.recipe]
        terms = commit.Terms(
            recipe="r",
            target=TARGET,
            owner="",
            new_pipeline_id=f"pipeline {NAMES[index]}",
            write_mode="replace" if full_refresh else mode,  # type: ignore[arg-type]
            starts_over=full_refresh or self.recipe == "replace",
            repeats_harm=self.recipe == "plain" and not full_refresh,
            has_ledger=True,
            max_attempts=self.bounds.attempts,
        )
        run, _ = commit.step(commit.Run(terms=terms), commit.Ready())
        return Runner(index, full_refresh, self._number(run))

    def moves(self, runner: Runner, backend: Backend, destination: Destination, stage: int) -> Iterator[Moved]:
        """Everything that a runner can do or suffer next."""
        name = f"{NAMES[runner.index]} {type(self.runs.values[runner.run].doing).__name__}"
        dead = self.unlock(backend, runner, died=True)
        yield Moved(f"{NAMES[runner.index]} is killed before {name[2:]}", 1, None, dead, destination)
        for done in self.perform(runner, backend, destination, stage):
            yield self._answer(name if not done.label else f"{name}: {done.label}", 0, done)
            if done.event is not None and not isinstance(done.event, commit.Failed):
                yield from self._failures(name, runner, backend, destination, done)

    def _failures(
        self, name: str, runner: Runner, backend: Backend, destination: Destination, done: Done
    ) -> Iterator[Moved]:
        before = Done(None, runner._replace(half=None), backend, destination)
        effect = self.runs.values[runner.run].doing
        broken = commit.Failed("retryable", TransientConnectorError("cut off"))
        yield self._answer(f"{name} fails, not done", 1, before._replace(event=broken))
        if (done.backend, done.destination) != (backend, destination):
            yield self._answer(f"{name} is done, and seems to have failed", 1, done._replace(event=broken))
        if isinstance(effect, commit.Finalize):
            lost = commit.Failed("unknown", OutcomeUnknownError("no answer"))
            yield self._answer(f"{name} is not done, and its answer is lost", 1, before._replace(event=lost))
            yield self._answer(f"{name} is done, and its answer is lost", 1, done._replace(event=lost))
            sent = destination._replace(pending=(runner.index, self._load(runner, effect.entry)))
            flying = before._replace(event=lost, destination=sent)
            yield self._answer(f"{name} is sent, and the connection is lost", 1, flying)

    def _answer(self, label: str, faults: int, done: Done) -> Moved:
        """Have the machine answer to what was done."""
        if done.event is None:
            return Moved(label, faults, done.runner, done.backend, done.destination, done.flaw)
        run, effect = commit.step(self.runs.values[done.runner.run], done.event)
        if not isinstance(effect, commit.Finish):
            if not isinstance(effect, commit.SaveState | commit.Sweep | commit.ReadBack):
                pass
            after = done.runner._replace(run=self._number(run))
            return Moved(label, faults, after, done.backend, done.destination, done.flaw)
        outcome = effect.status or f"{type(effect.error).__name__}: {effect.error}"
        flaw = done.flaw or self._dishonest(run, effect, done)
        backend = self.unlock(done.backend, done.runner, died=False)
        return Moved(f"{label} → {outcome}", faults, None, backend, done.destination, flaw)

    def _number(self, run: commit.Run) -> int:
        return self.runs.of(run, msgspec.msgpack.encode(run))

    # ------------------------------------------------------------ what must hold

    def _dishonest(self, run: commit.Run, effect: commit.Finish, done: Done) -> str | None:
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
            right = _contradicts(run.state, done.destination)
            return None if right else f"a run is refused although state and ledger agree: {error}"
        if isinstance(error, EngineError) and "lost or doubled" in str(error):
            return f"I5: {error}"
        return None

    def check(self, destination: Destination) -> str | None:
        """What must hold of the destination at any moment: I1, I2, I3, I6."""
        loads = sorted(destination.loads, key=position_of)
        places = [position_of(load) for load in loads]
        if len(set(places)) < len(places):
            return f"I3: two loads have one place: {places}"
        if len({load.entry.pipeline_id for load in loads}) > 1:
            return "I3: two pipelines load the same recipe into the same target"
        applied: tuple[tuple[Row, str, int], ...] = ()
        for load in loads:
            applied = World.apply(self, applied, load)
        if sorted(applied) != sorted(destination.visible):
            return f"I1: the ledger stands for {_brief(applied)}, readers see {_brief(destination.visible)}"
        return self._check_windows(loads) or self._check_rows(loads, destination)

    def _check_windows(self, loads: list[Load]) -> str | None:
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

    def _check_rows(self, loads: list[Load], destination: Destination) -> str | None:
        """Each row of the source, as it was when the last window was planned, is there once."""
        expected: Counter[Row] = Counter()
        for load in loads:
            if self.recipe != "plain" or load.entry.write_mode == "replace":
                expected.clear()
            expected.update(self.stages[load.stage])
        return _difference(expected, destination)

    def check_alone(self, backend: Backend, destination: Destination, stage: int) -> tuple[str | None, bool]:
        """Liveness: one plain run alone, and one full refresh, bring the destination to equal the source.

        Returns:
            The flaw, and whether the plain run was refused, as it must be when, and only when, the state is ahead.
        """
        ahead = self.recipe != "replace" and _contradicts(State.from_json(backend.state), destination)
        flaw = self._lone_run(backend, destination, stage, full_refresh=False, refused=ahead)
        if flaw is None and (ahead or self.bounds.full_refreshes):
            flaw = self._lone_run(backend, destination, stage, full_refresh=True, refused=False)
        return flaw, ahead

    def _lone_run(
        self, backend: Backend, destination: Destination, stage: int, *, full_refresh: bool, refused: bool
    ) -> str | None:
        runner, label, steps = self.start(0, full_refresh=full_refresh), "", 0
        before, kind = destination, "full refresh" if full_refresh else "plain run"
        owed = backend.owed
        backend = backend._replace(holder=None if backend.holder is None else backend.holder)
        current: Runner | None = runner
        while current is not None:
            done = next(self.perform(current, backend, destination, stage), None)
            if done is None or steps > 50:
                return f"liveness: a {kind} alone does not end"
            moved = self._answer("", 0, done)
            if moved.flaw is not None:
                return f"in a {kind} alone: {moved.flaw}"
            current, backend, destination, label = moved.runner, moved.backend, moved.destination, moved.label
            steps += 1
        ended = label.removeprefix(" → ")
        if refused:
            return None if ended.startswith("StateError") and destination.loads == before.loads else (
                f"a state ahead of the ledger is not refused, the run ends with `{ended}`"
            )
        if ended not in ("committed", "recovered", "up_to_date"):
            return f"liveness: a {kind} alone ends with `{ended}`"
        return self._arrived(before, destination, stage, full_refresh=full_refresh, owed=owed)

    def _arrived(
        self, before: Destination, after: Destination, stage: int, *, full_refresh: bool, owed: int
    ) -> str | None:
        """After a run alone: the destination equals the source; where runs add up, one run was added, or none owed."""
        flaw = self.check(after)
        if flaw is not None:
            return f"after a run alone: {flaw}"
        if self.recipe != "plain" or full_refresh:
            flaw = _difference(Counter(self.stages[stage]), after)
        elif owed >= 0 and len(after.loads) - len(before.loads) + owed != 1:
            flaw = f"{len(after.loads) - len(before.loads)} loads were added where {1 - owed} was due"
        return flaw and f"liveness: {flaw}"


def _contradicts(state: State, destination: Destination) -> bool:
    """When a plain run must be refused: the state is ahead of the ledger, or the ledger is another pipeline's."""
    last = last_load(destination)
    if commit.position(state) > (position_of(last) if last is not None else (0, 0)):
        return True
    stated_id = state.metadata.get("pipeline_id")
    return bool(destination.fences) and stated_id is not None and stated_id not in dict(destination.fences)


def _difference(expected: Counter[Row], destination: Destination) -> str | None:
    visible = Counter(row for row, *_ in destination.visible)
    if visible == expected:
        return None
    return (
        f"I2, I3: rows missing: {sorted(row.uid for row in (expected - visible).elements())},"
        f" too many: {sorted(row.uid for row in (visible - expected).elements())}"
    )


def _brief(visible: tuple[tuple[Row, str, int], ...]) -> list[int]:
    return sorted(row.uid for row, *_ in visible)


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
        while level and self.report.flaw is None:
            level = self._expand(level)
            self.report.depth += 1
        self.report.states = len(self._came_from)
        return self.report

    def _expand(self, level: list[Key]) -> list[Key]:
        after: list[Key] = []
        came_from, report = self._came_from, self.report
        for key in level:
            for label, to, flaw in self._successors(key):
                report.transitions += 1
                if flaw is None:
                    if to in came_from:
                        continue
                    flaw = self._flaw(to)
                if flaw is not None:
                    report.flaw = flaw
                    report.trace = [*self._history(key), label]
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
            to = Key(*runners, *key[2:6], key.runs - 1, key.faults, key.full_refreshes - full)
            steps.append((f"{NAMES[index]} starts a full refresh" if full else f"{NAMES[index]} starts", to, None))

    def _run_on(self, key: Key, index: int, steps: list[Step]) -> None:
        a, b, backend_a, backend_b, destination, stage, runs, faults, full = key
        for label, price, runner, backend, to, flaw in self._moves_of(key[index], key[2 + index], destination, stage):
            if price <= faults:
                backends = self._backends(backend_a, backend_b, index, backend, to != destination)
                runners = (runner, b) if index == 0 else (a, runner)
                steps.append((label, Key(*runners, *backends, to, stage, runs, faults - price, full), flaw))

    def _backends(self, a: int, b: int, index: int, changed: int, touched: bool) -> tuple[int, int]:  # noqa: FBT001
        """Both backends, after runner `index` has changed its own.

        Another load on top hides from a machine what it had committed and not told its state of. A plain append of that
        machine is then repeated: the one documented limit, so no flaw.
        """
        if self._shared:
            return changed, changed
        own, other = (a, b) if index == 0 else (b, a)
        values = self.world.backends.values
        if touched and values[changed].owed != values[own].owed and values[other].owed:
            other = self.world.backends.of(values[other]._replace(owed=-1))
        return (changed, other) if index == 0 else (other, changed)

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
            a, b = self._backends(key.backend_a, key.backend_b, index, changed, touched=True)
            landed = key._replace(destination=to, backend_a=a, backend_b=b)
            steps.append((f"the commit of {NAMES[index]} lands", landed, done.flaw))

    def _restore(self, key: Key, steps: list[Step]) -> None:
        """The destination is restored to what it was before its last load."""
        world = self.world
        if key.destination not in self._restored:
            older = _before_last_load(world, world.destinations.values[key.destination])
            self._restored[key.destination] = None if older is None else world.destinations.of(older)
        to = self._restored[key.destination]
        if to is None or self._in_session(key.runner_a) or self._in_session(key.runner_b):
            return
        runners = (world.runners.values[number] for number in key[:2])
        excused = [world.runners.of(runner and runner._replace(excused=True)) for runner in runners]
        backends = [world.backends.of(world.backends.values[number]._replace(owed=-1)) for number in key[2:4]]
        after = Key(*excused, *backends, to, key.stage, key.runs, key.faults - 1, key.full_refreshes)
        steps.append(("the destination is restored", after, None))

    def _in_session(self, number: int) -> bool:
        """Whether a runner has raised the fence and not ended its load; a restore would end it, as being killed does."""
        known = self._sessions.get(number)
        if known is None:
            runner = self.world.runners.values[number]
            between = commit.PlanWindow | commit.Stage | commit.Seal | commit.Finalize | commit.ReadBack
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
                a, b = self._backends(key.backend_a, key.backend_b, index, lost, touched=False)
                to = key._replace(backend_a=a, backend_b=b, faults=key.faults - 1)
                steps.append((f"the state of {NAMES[index]} is lost", to, None))

    # ------------------------------------------------------------ what must hold

    def _flaw(self, key: Key) -> str | None:
        """What is wrong with a state that was not met before."""
        world, destination = self.world, self.world.destinations.values[key.destination]
        if key.destination not in self._checked:
            self._checked.add(key.destination)
            flaw = world.check(destination)
            if flaw is not None:
                return flaw
        if destination.pending is not None:
            return None
        for index in (0, 1):
            # With a backend each, a run must get on however the other machine stands; with one, when the lock is free.
            idle = not key[index] and (not self._shared or not key[1 - index])
            place = (key[2 + index], key.destination, key.stage)
            if idle and place not in self._alone:
                self._alone.add(place)
                self.report.restarts += 1
                backend = world.backends.values[key[2 + index]]
                flaw, refused = world.check_alone(backend, destination, key.stage)
                self.report.refusals += refused
                if flaw is not None:
                    return flaw
        return None


def _before_last_load(world: World, destination: Destination) -> Destination | None:
    loads = destination.loads[:-1]
    if not destination.loads:
        return None
    visible: tuple[tuple[Row, str, int], ...] = ()
    for load in loads:
        visible = World.apply(world, visible, load)
    if not loads:
        return Destination()
    last = loads[-1].entry
    return Destination(((last.pipeline_id, last.epoch),), loads, visible, loads[-1].seen)


def explore(
    recipe: Recipe, sharing: Sharing, bounds: Bounds = DEFAULT, plant: Callable[[World], Any] | None = None
) -> Report:
    """Explore every history of a world into which `plant` may have put a defect."""
    world = World(recipe, sharing, bounds)
    if plant is not None:
        plant(world)
    return Explorer(world).run()
