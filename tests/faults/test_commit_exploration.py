"""The commit protocol, explored exhaustively: the true machine has no flaw, and each planted defect is found.

The tests marked `slow` go further, with more runs, faults and attempts. `pytest -rP` shows how far each went, and the
history by which each defect was found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec
import pytest

from arrowload.connectors.base import LedgerEntry, LedgerHead
from arrowload.core.exceptions import BusyError
from arrowload.core.state_backend import Lease
from arrowload.engine import commit, protocol
from tests.faults.model.explorer import explore
from tests.faults.model.values import (
    Backend,
    Bounds,
    Destination,
    Done,
    Load,
    Recipe,
    Report,
    Runner,
    Sharing,
    Visible,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.model.world import World

RECIPES: tuple[Recipe, ...] = ("cursor", "plain", "merge", "replace")

replaced = msgspec.structs.replace


class Plant(Protocol):
    """Puts a defect into a world, or into the machine."""

    def __call__(self, patch: pytest.MonkeyPatch, world: World) -> None: ...


def show(report: Report) -> None:
    """What was explored, for `pytest -rP`."""
    print(report)


# ---------------------------------------------------------------- the true machine


QUICK: dict[str, tuple[Sharing, Bounds]] = {
    "shared": ("shared", Bounds(runs=3, faults=1)),
    "shared-two-faults": ("shared", Bounds(runs=2, faults=2)),
    "shared-full-refresh": ("shared", Bounds(runs=2, faults=1, full_refreshes=1)),
    "separate": ("separate", Bounds(runs=2, faults=1)),
}
DEEP: dict[str, tuple[Sharing, Bounds]] = {
    "shared-deep": ("shared", Bounds(runs=4, faults=2)),
    "shared-full-refresh-deep": ("shared", Bounds(runs=3, faults=2, full_refreshes=1)),
    "shared-three-attempts": ("shared", Bounds(runs=3, faults=2, attempts=3)),
    "separate-full-refresh": ("separate", Bounds(runs=2, faults=1, full_refreshes=1)),
    "separate-deep": ("separate", Bounds(runs=3, faults=1)),
    "separate-two-faults-deep": ("separate", Bounds(runs=2, faults=2)),
}


@pytest.mark.fault(1, 3, 33)
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    ("sharing", "bounds"),
    [pytest.param(*case, id=name) for name, case in QUICK.items()]
    + [pytest.param(*case, id=name, marks=pytest.mark.slow) for name, case in DEEP.items()],
)
def test_no_history_breaks_an_invariant(recipe: Recipe, sharing: Sharing, bounds: Bounds) -> None:
    """Whatever two runners, faults and a growing source do to each other, I1 to I7 hold and a lone run gets on."""
    report = explore(recipe, sharing, bounds)

    show(report)
    assert report.flaw is None, str(report)
    assert report.depth >= 14
    assert report.states > 1_000


def test_runs_are_refused_only_after_a_restore() -> None:
    """A run is refused (exit 78) when state and ledger contradict each other; that takes a restored destination."""
    report = explore("cursor", "shared", Bounds(runs=2, faults=1))

    assert report.flaw is None, str(report)
    assert 0 < report.refusals < report.restarts


def test_a_read_back_that_answers_too_early_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the ledger says `absent` while the commit is still running, the raised fence keeps the load single."""

    def plant(world: World) -> None:
        def find(destination: Destination, effect: protocol.ReadBack) -> LedgerEntry | None:
            return next((load.entry for load in destination.loads if load.entry.load_id == effect.load_id), None)

        monkeypatch.setattr(world, "find", find)

    for recipe in RECIPES[:2]:
        report = explore(recipe, "shared", Bounds(runs=2, faults=2), plant)
        assert report.flaw is None, str(report)


def test_a_row_lost_on_its_way_ends_the_run_before_the_commit() -> None:
    """The destination counts fewer rows than were handed over: I5 fails, and nothing is committed."""

    def plant(world: World) -> None:
        world.transport = lambda rows: rows[1:]  # type: ignore[method-assign]

    report = explore("cursor", "shared", Bounds(runs=1, faults=0), plant)

    assert report.flaw is not None
    assert "I5: rows of `r` were lost" in report.flaw, str(report)
    assert "nothing was committed" in report.flaw


# ---------------------------------------------------------------- defects of the machine


def _wrap(patch: pytest.MonkeyPatch, answer: Any) -> None:
    """Have `answer(real step, run, event)` take the place of `commit.step`."""
    real = commit.step

    def step(run: commit.Run, event: protocol.Event) -> tuple[commit.Run, protocol.Effect]:
        changed, effect = answer(real, run, event)
        return replaced(changed, doing=effect), effect

    patch.setattr(commit, "step", step)


def state_before_data(patch: pytest.MonkeyPatch, world: World) -> None:
    def answer(step: Any, run: commit.Run, event: protocol.Event) -> tuple[commit.Run, protocol.Effect]:
        changed, effect = step(run, event)
        if isinstance(effect, protocol.Finalize):
            effect = protocol.SaveState(lease=changed.lease, state=changed.after)
        elif isinstance(event, protocol.StateSaved) and run.entry is not None and not run.committed:
            changed, effect = replaced(run, lease=event.lease), protocol.Finalize(entry=run.entry)
        elif isinstance(event, protocol.Finalized):
            effect = protocol.Sweep(pipeline_id=changed.pipeline_id, epoch=changed.lease.epoch)
        return changed, effect

    _wrap(patch, answer)


def absent_is_success(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(commit, "_found", lambda run, entry: commit._committed(run))


def anyones_commit_is_ours(patch: pytest.MonkeyPatch, world: World) -> None:
    def found(run: commit.Run, entry: LedgerEntry | None) -> tuple[commit.Run, protocol.Effect]:
        return commit._again(run) if entry is None else commit._committed(run)

    patch.setattr(commit, "_found", found)


def finalize_again_without_asking(patch: pytest.MonkeyPatch, world: World) -> None:
    def answer(step: Any, run: commit.Run, event: protocol.Event) -> tuple[commit.Run, protocol.Effect]:
        if isinstance(event, protocol.Failed) and isinstance(run.doing, protocol.Finalize) and event.kind == "unknown":
            return run, run.doing
        changed, effect = step(run, event)
        return changed, effect

    _wrap(patch, answer)


def _as_stated(run: commit.Run, head: LedgerHead | None, *, only_at_same_place: bool) -> LedgerHead | None:
    """The head, as a machine takes it that trusts its state instead."""
    if head is None or head.last is None:
        return head
    place = commit.position(run.state)
    if only_at_same_place and (head.last.generation, head.last.seq) != place:
        return head
    stated = replaced(head.last, generation=place[0], seq=place[1], state=run.state.to_json().decode())
    return replaced(head, last=stated)


def ledger_ignored(patch: pytest.MonkeyPatch, world: World) -> None:
    real = commit._fenced
    patch.setattr(commit, "_fenced", lambda run, head: real(run, _as_stated(run, head, only_at_same_place=False)))


def own_state_trusted_at_the_same_place(patch: pytest.MonkeyPatch, world: World) -> None:
    real = commit._fenced
    patch.setattr(commit, "_fenced", lambda run, head: real(run, _as_stated(run, head, only_at_same_place=True)))


def old_state_saved(patch: pytest.MonkeyPatch, world: World) -> None:
    real = commit._committed

    def committed(run: commit.Run) -> tuple[commit.Run, protocol.Effect]:
        changed, effect = real(run)
        assert isinstance(effect, protocol.SaveState)
        return changed, replaced(effect, state=run.state)

    patch.setattr(commit, "_committed", committed)


def full_refresh_keeps_the_generation(patch: pytest.MonkeyPatch, world: World) -> None:
    real = commit._fenced

    def fenced(run: commit.Run, head: LedgerHead | None) -> tuple[commit.Run, protocol.Effect]:
        changed, effect = real(run, head)
        if run.terms.starts_over and changed.generation > 1:
            generation, seq = commit.position(changed.state)
            changed = replaced(changed, generation=generation, seq=seq + 1)
        return changed, effect

    patch.setattr(commit, "_fenced", fenced)


def conservation_unchecked(patch: pytest.MonkeyPatch, world: World) -> None:
    real = commit._sealed

    def sealed(run: commit.Run, event: protocol.SealedStage) -> tuple[commit.Run, protocol.Effect]:
        assert run.tally is not None
        return real(run, replaced(event, sealed=replaced(event.sealed, rows_staged=run.tally.rows_staged)))

    patch.setattr(commit, "_sealed", sealed)
    patch.setattr(world, "transport", lambda rows: rows[1:])


def commit_failed_for_good_is_reported_done(patch: pytest.MonkeyPatch, world: World) -> None:
    def answer(step: Any, run: commit.Run, event: protocol.Event) -> tuple[commit.Run, protocol.Effect]:
        changed, effect = step(run, event)
        if isinstance(effect, protocol.Finish) and isinstance(run.doing, protocol.Finalize):
            effect = protocol.Finish(status="committed")
        return changed, effect

    _wrap(patch, answer)


# ---------------------------------------------------------------- defects of the contracts


def boundary_open_without_seen(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(world, "rows_from", lambda rows, lower: tuple(r for r in rows if lower is None or r.cursor > lower))


def boundary_closed_without_seen(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(world, "seen_before", lambda destination, rows, seq: ())


def one_row_a_tick_remembered(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(world, "left_for_next", lambda rows: tuple(row.uid for row in rows)[-1:])


def fence_unchecked(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(world, "check_fence", lambda destination, entry: None)


def _in_two_steps(patch: pytest.MonkeyPatch, world: World, first: Any) -> None:
    """Have `finalize` check the fence and do `first`; and commit later, whatever has happened meanwhile."""
    real = world.finalize

    def finalize(runner: Runner, backend: Backend, destination: Destination, load: Load) -> Iterator[Done]:
        if runner.half == "first":
            yield world.commits(runner._replace(half=None), backend, destination, load)
            return
        for done in real(runner, backend, destination, load):
            if isinstance(done.event, protocol.Finalized):
                half = runner._replace(half="first")
                yield Done(None, half, backend, first(destination, load), label="first half")
            else:
                yield done

    patch.setattr(world, "finalize", finalize)


def fence_checked_and_not_held(patch: pytest.MonkeyPatch, world: World) -> None:
    _in_two_steps(patch, world, lambda destination, load: destination)


def rows_before_entry(patch: pytest.MonkeyPatch, world: World) -> None:
    def rows_only(destination: Destination, load: Load) -> Destination:
        return destination._replace(visible=world.apply(destination.visible, load))

    _in_two_steps(patch, world, rows_only)


def replace_empties_first(patch: pytest.MonkeyPatch, world: World) -> None:
    _in_two_steps(patch, world, lambda destination, load: destination._replace(visible=()))


def fence_taken_at_any_epoch(patch: pytest.MonkeyPatch, world: World) -> None:
    def install(destination: Destination, pipeline_id: str, epoch: int) -> Destination:
        if dict(destination.fences).keys() - {pipeline_id}:
            raise BusyError("another pipeline")
        return destination._replace(fences=((pipeline_id, epoch),))

    patch.setattr(world, "install_fence", install)


def two_pipelines_of_one_recipe(patch: pytest.MonkeyPatch, world: World) -> None:
    def install(destination: Destination, pipeline_id: str, epoch: int) -> Destination:
        fences = dict(destination.fences)
        if fences.get(pipeline_id, 0) >= epoch:
            raise BusyError("another run took over")
        return destination._replace(fences=tuple(sorted((fences | {pipeline_id: epoch}).items())))

    patch.setattr(world, "install_fence", install)


def head_read_before_the_fence(patch: pytest.MonkeyPatch, world: World) -> None:
    decoder = msgspec.json.Decoder(LedgerHead | None)

    def fence(runner: Runner, backend: Backend, destination: Destination, effect: protocol.Fence) -> Iterator[Done]:
        if runner.half is None:
            head = msgspec.json.encode(world.head(destination, effect.pipeline_id)).decode()
            yield Done(None, runner._replace(half=head), backend, destination, label="head before fence")
        elif not world.fence_waits(destination):
            head_then, runner = decoder.decode(runner.half), runner._replace(half=None)
            try:
                installed = world.install_fence(destination, effect.pipeline_id, effect.epoch)
            except BusyError as exc:
                yield Done(protocol.Failed("terminal", exc), runner, backend, destination)
                return
            if head_then is None:
                head_then = LedgerHead(pipeline_id=effect.pipeline_id, target="target", epoch=0, owner="", last=None)
            yield Done(protocol.Fenced(head_then), runner, backend, installed)

    patch.setattr(world, "fence", fence)


def epoch_does_not_rise(patch: pytest.MonkeyPatch, world: World) -> None:
    def acquire(runner: Runner, backend: Backend, above: int) -> Backend:
        if backend.holder not in (None, runner.side):
            raise BusyError("locked")
        return backend._replace(holder=runner.side, epoch=max(backend.epoch, above, 1))

    patch.setattr(world, "acquire", acquire)


def lock_outlives_its_process(patch: pytest.MonkeyPatch, world: World) -> None:
    real = world.unlock
    patch.setattr(world, "unlock", lambda backend, runner, died: backend if died else real(backend, runner, died=False))


def merge_keeps_the_first(patch: pytest.MonkeyPatch, world: World) -> None:
    real = world.apply

    def apply(visible: Visible, load: Load) -> Visible:
        known = {row.uid for row, *_ in visible}
        return real(visible, load._replace(rows=tuple(row for row in load.rows if row.uid not in known)))

    patch.setattr(world, "apply", apply)


def all_homes_alike(patch: pytest.MonkeyPatch, world: World) -> None:
    _homes(patch, world, lambda backend: "")


def each_run_a_home(patch: pytest.MonkeyPatch, world: World) -> None:
    _homes(patch, world, lambda backend: f"{backend.home} {backend.epoch}")


def _homes(patch: pytest.MonkeyPatch, world: World, home: Any) -> None:
    def lease(backend: Backend) -> Lease:
        return Lease(recipe="r", owner="", epoch=backend.epoch, version=backend.version, home=home(backend))

    patch.setattr(world, "_lease", lease)


# ---------------------------------------------------------------- each is found


class Defect(NamedTuple):
    """A defect, the smallest world that it shows in, and how the flaw begins that it must be found by."""

    plant: Plant
    flaw: str
    recipe: Recipe = "cursor"
    sharing: Sharing = "shared"
    bounds: Bounds = Bounds(runs=2, faults=1)


DEFECTS = [
    Defect(state_before_data, "I7: the state of load (1, 1) is stored"),
    Defect(absent_is_success, "I7: the state of load (1, 1) is stored"),
    Defect(anyones_commit_is_ours, "I7: a run says that it committed", sharing="separate"),
    Defect(finalize_again_without_asking, "I3: load (1, 1) is committed twice"),
    Defect(ledger_ignored, "I3: load (1, 1) is committed twice"),
    Defect(
        own_state_trusted_at_the_same_place, "I2: window (1, 2) begins at 20, (1, 1) ended at 30", sharing="separate"
    ),
    Defect(old_state_saved, "I7: the state of load (0, 0) is stored", recipe="plain"),
    Defect(full_refresh_keeps_the_generation, "I2: window", bounds=Bounds(runs=2, faults=0, full_refreshes=1)),
    Defect(conservation_unchecked, "I2, I3: rows missing"),
    Defect(commit_failed_for_good_is_reported_done, "I7: a run says that it committed", sharing="separate"),
    Defect(boundary_open_without_seen, "I7: a run says `recovered`, and rows that it was to load"),
    Defect(boundary_closed_without_seen, "I2, I3: rows missing: [], too many: [2]"),
    Defect(one_row_a_tick_remembered, "I2, I3: rows missing: [], too many: [2]"),
    Defect(fence_unchecked, "I4", sharing="separate"),
    Defect(fence_checked_and_not_held, "I4", sharing="separate"),
    Defect(rows_before_entry, "I1"),
    Defect(replace_empties_first, "I1", recipe="replace"),
    Defect(fence_taken_at_any_epoch, "I3: load (1, 1) is committed twice", sharing="separate"),
    Defect(two_pipelines_of_one_recipe, "I3: two pipelines", sharing="separate"),
    Defect(head_read_before_the_fence, "I3: load (1, 1) is committed twice", sharing="separate"),
    Defect(epoch_does_not_rise, "liveness: the run does not end"),
    Defect(lock_outlives_its_process, "liveness: the run ends with `BusyError"),
    Defect(merge_keeps_the_first, "I1", recipe="merge"),
    Defect(all_homes_alike, "I7: a state is stored although", recipe="plain", sharing="separate"),
    Defect(each_run_a_home, "I3: what an interrupted run had committed", recipe="plain"),
]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.plant.__name__)
def test_every_planted_defect_is_found(defect: Defect, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one function replaced by a wrong one, the exploration turns red, by the invariant that is broken."""
    report = explore(defect.recipe, defect.sharing, defect.bounds, lambda world: defect.plant(monkeypatch, world))

    show(report)
    assert report.flaw is not None, f"not found: {report}"
    assert report.flaw.startswith(defect.flaw), str(report)
