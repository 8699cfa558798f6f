"""The contracts of state backend, source and destination, in a few lines each; a defect replaces one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrowload.connectors.base import LedgerEntry, LedgerHead
from arrowload.core.exceptions import BusyError, OutcomeUnknownError
from arrowload.engine import protocol
from tests.faults.model.values import (
    SOURCES,
    TARGET,
    Backend,
    Bounds,
    Destination,
    Done,
    Load,
    Recipe,
    Row,
    Runner,
    Sharing,
    Visible,
    position_of,
    tag,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arrowload.core.state import State
    from arrowload.core.state_backend import Lease


class Contracts:
    """What the engine may rely on.

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

    # ------------------------------------------------------------ state backend

    def acquire(self, runner: Runner, backend: Backend, above: int) -> Backend:
        """Lock, and raise the epoch."""
        if backend.holder not in (None, runner.side):
            raise BusyError("locked")
        return backend._replace(holder=runner.side, epoch=max(backend.epoch, above) + 1)

    def compare_and_swap(self, backend: Backend, lease: Lease, state: State) -> Backend:
        """Store, unless someone else did."""
        if (backend.version, backend.epoch) != (lease.version, lease.epoch):
            raise BusyError("the state was changed by someone else")
        return backend._replace(version=backend.version + 1, state=state.to_json())

    def unlock(self, backend: Backend, runner: Runner, *, died: bool) -> Backend:
        """The lock goes with its process."""
        return backend._replace(holder=None) if backend.holder == runner.side else backend

    # ------------------------------------------------------------ source

    def plan_window(self, state: State, stage: int) -> tuple[protocol.Planned, tuple[Row, ...]]:
        """The closed window from the cursor on, or all rows."""
        rows, lower = self.stages[stage], None
        if self.recipe in ("cursor", "merge"):
            lower = state.cursor_values.get("c")
            rows = self.rows_from(rows, lower)
        upper = max((row.cursor for row in rows), default=lower)
        has_cursor = self.recipe in ("cursor", "merge")
        return protocol.Planned(
            empty=not rows,
            lower=None if lower is None else str(lower),
            upper=str(upper) if has_cursor else None,
        ), rows

    def rows_from(self, rows: tuple[Row, ...], lower: int | None) -> tuple[Row, ...]:
        """Rows at the lower bound and above."""
        return rows if lower is None else tuple(row for row in rows if row.cursor >= lower)

    # ------------------------------------------------------------ destination

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

    def apply(self, visible: Visible, load: Load) -> Visible:
        """What readers see once `load` is applied."""
        return applied(visible, load)

    def committed(self, destination: Destination, load: Load) -> Destination:
        """Rows, ledger entry and seen rows, in one step."""
        return destination._replace(
            loads=(*destination.loads, load),
            visible=self.apply(destination.visible, load),
            seen=load.seen,
            pending=None,
        )

    def finalize(self, runner: Runner, backend: Backend, destination: Destination, load: Load) -> Iterator[Done]:
        """Apply, enter in the ledger, check the fence, commit: atomic."""
        try:
            self.check_fence(destination, load.entry)
        except BusyError as exc:
            yield Done(protocol.Failed("terminal", exc), runner, backend, destination)
            return
        yield self.commits(runner, backend, destination, load)

    def find(self, destination: Destination, effect: protocol.ReadBack) -> LedgerEntry | None:
        """The entry of one load; says that it does not know while the commit may still be running."""
        if destination.pending is not None:
            raise OutcomeUnknownError("the commit may still be running")
        return next((load.entry for load in destination.loads if load.entry.load_id == effect.load_id), None)

    def commits(self, runner: Runner, backend: Backend, destination: Destination, load: Load) -> Done:
        """The commit as such, with what must hold of it: I3, I4."""
        fence, flaw = dict(destination.fences).get(load.entry.pipeline_id, 0), None
        if load.entry.epoch < fence:
            flaw = f"I4: epoch {load.entry.epoch} commits behind the fence of epoch {fence}"
        elif any(load.entry.load_id == other.entry.load_id for other in destination.loads):
            flaw = f"I3: load {position_of(load)} is committed twice"
        elif self.recipe == "plain" and not runner.full_refresh and backend.owed > 0:
            flaw = "I3: what an interrupted run had committed is loaded again"
        if backend.owed >= 0:
            backend = backend._replace(owed=1 if runner.full_refresh else backend.owed + 1)
        after = self.committed(destination, load)
        return Done(protocol.Finalized(), runner, backend, after, flaw)


def applied(visible: Visible, load: Load) -> Visible:
    """What readers must see once `load` is applied."""
    new = tuple((row, *tag(load.entry)) for row in load.rows)
    if load.entry.write_mode == "replace":
        return new
    if load.entry.write_mode == "merge":
        keys = {row.uid for row in load.rows}
        visible = tuple(old for old in visible if old[0].uid not in keys)
    return tuple(sorted(visible + new))
