"""What people do to the memory of a recipe: look, move the cursor, go back, mend.

The ledger in the destination is the truth, so a change is committed there first, as a load of no rows, behind the
fence and under the lease like any other; then the state backend is told.
"""

from __future__ import annotations

import datetime as dt
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from arrowload._version import __version__
from arrowload.connectors.base import LedgerEntry, LedgerHead
from arrowload.core.exceptions import RecipeError, StateError
from arrowload.core.state import State
from arrowload.core.state_backend import Lease, OperableStateBackend
from arrowload.engine.commit import load_id, position
from arrowload.engine.continuity import require_same_question
from arrowload.engine.moves import harm_of
from arrowload.engine.state_keeping import this_runner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from arrowload.connectors.adapters import AtLeastOnceDestination
    from arrowload.connectors.base import TransactionalDestination
    from arrowload.core.state_backend import StateVersion
    from arrowload.engine.job import Job


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a recipe stands.

    Attributes:
        state: As the state backend has it; None when it cannot be read.
        problem: Why it cannot be read.
        head: What the ledger has.
        verdict: `equal`; `ledger_ahead`: a run was cut off before it saved its state, and the next one adopts it;
            `state_ahead`: the destination was restored or emptied; `strangers`: they are of two pipelines;
            `unreadable`.
    """

    state: State | None
    problem: str | None
    head: LedgerHead | None
    verdict: Literal["equal", "ledger_ahead", "state_ahead", "strangers", "unreadable"]


class Operations:
    """The memory of one recipe.

    Args:
        job: The recipe with its destination and its state backend.

    Raises:
        StateError: The state backend is one that people cannot look into.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._recipe = job.recipe.name
        if not isinstance(job.state_backend, OperableStateBackend):
            raise StateError(
                f"the state backend `{job.recipe.state.type}` can only load and save",
                context={"recipe": self._recipe},
                hint="a plug-in needs `facts`, `history` and `unlock` besides",
            )
        self._backend: OperableStateBackend = job.state_backend
        if job.destination is None:
            raise RecipeError(f"`{self._recipe}` has no destination", hint="without one, nothing is remembered")
        self._destination = job.destination

    # ------------------------------------------------------------ looking

    def facts(self) -> dict[str, Any]:
        """Where the state is, its version and epoch, and who holds the lease."""
        return self._backend.facts(self._recipe)

    def state(self) -> State:
        """As the state backend has it."""
        return self._backend.load(self._recipe)

    def standing(self) -> Standing:
        """State and ledger side by side."""
        try:
            state, problem = self.state(), None
        except StateError as exc:
            state, problem = None, str(exc)
        known = state.metadata.get("pipeline_id") if state is not None else None
        head = self._destination.head(self._recipe, known)
        if state is None:
            return Standing(state=None, problem=problem, head=head, verdict="unreadable")
        last = _position(head)
        if position(state) > last:
            return Standing(state=state, problem=None, head=head, verdict="state_ahead")
        if head is not None and known is not None and head.pipeline_id != known:
            return Standing(state=state, problem=None, head=head, verdict="strangers")
        ahead = last > position(state)
        return Standing(state=state, problem=None, head=head, verdict="ledger_ahead" if ahead else "equal")

    def history(self) -> list[StateVersion]:
        """The versions of the state that are kept, newest first."""
        return self._backend.history(self._recipe)

    def loads(self) -> Sequence[LedgerEntry]:
        """The loads that the ledger knows of, oldest first."""
        head = self.standing().head
        return self._destination.entries(head.pipeline_id) if head is not None else ()

    # ------------------------------------------------------------ changing

    def change(self, bounds: State, *, force: bool = False) -> State:
        """Have the next run start from the bounds of another state; returns the state that it will find.

        Args:
            bounds: Its `cursor_values` and `watermarks` take the place of the recipe's.
            force: Also where rows would be left out or come twice.

        Raises:
            StateError: Rows would; or state and ledger contradict each other.
            BusyError: A run is under way.
        """
        with self._held() as held:
            before = held.remembered
            if not force:
                self._refuse_harm(before, bounds)
            after = msgspec.structs.replace(before, cursor_values=bounds.cursor_values, watermarks=bounds.watermarks)
            return held.commit(after)

    def seen(self) -> pa.Table | None:
        """Row hashes that the last load left for the next; None before the first load."""
        head = self.standing().head
        return self._destination.seen(head.pipeline_id) if head is not None else None

    def adopt(self, other: State, seen: pa.Table | None, *, force: bool = False) -> State:
        """Go on where another recipe stands; for a recipe that was renamed.

        Args:
            other: Its state.
            seen: Row hashes that it left for its next load.
            force: Also in the place of this recipe's own bounds.

        Raises:
            StateError: This recipe has loaded something already, or its source or cursor is another.
        """
        with self._held() as held:
            if position(held.remembered) != (0, 0) and not force:
                raise StateError(
                    f"`{self._recipe}` has loads of its own already",
                    context={"recipe": self._recipe},
                    hint="with --force, its bounds are replaced all the same",
                )
            if not force:
                recipe = self._job.recipe
                require_same_question(recipe, self._job.source.facts(), other, self._job.write_mode)
            metadata = {key: value for key, value in other.metadata.items() if key not in ("pipeline_id", "home")}
            return held.commit(msgspec.structs.replace(other, metadata=metadata), seen)

    def unlock(self, *, force: bool = False) -> str | None:
        """Take the lease away from whoever has it; returns who had it.

        Raises:
            StateError: It is held, and `force` is not given.
        """
        lease = self.facts()["lease"]
        if lease is not None and not force:
            raise StateError(
                f"`{self._recipe}` is being run by {lease['owner']} since {lease['since']}",
                context={"recipe": self._recipe, "owner": lease["owner"]},
                hint="make sure that it is dead, and say --force; if it is not, it will commit nothing",
            )
        return self._backend.unlock(self._recipe)

    def trust_ledger(self) -> State:
        """Make the state anew from what the ledger holds; when it holds nothing, the next run begins at the beginning.

        Raises:
            BusyError: A run is under way.
        """
        standing = self.standing()
        if standing.verdict == "unreadable":
            self._backend.forget(self._recipe)
        with self._held(checked=False) as held:
            last = held.head.last
            state = State.from_json(last.state) if last is not None else State()
            return held.store(state)

    def trust_state(self) -> State:
        """Have the ledger go on where the state stands; rows that only a lost part of the ledger tells of are given up.

        Raises:
            StateError: The state cannot be read.
            BusyError: A run is under way.
        """
        with self._held(checked=False) as held:
            strangers = _pipeline_of(held.stored) not in (None, held.head.pipeline_id)
            if position(held.stored) <= _position(held.head) and not strangers:
                raise StateError(
                    f"the state of `{self._recipe}` knows of nothing that the ledger does not",
                    context={"recipe": self._recipe},
                    hint="the next run goes on from the ledger; `arrowload state set` moves it elsewhere",
                )
            # Where the rows at the boundary are not known any more, the next append must not take them for new ones.
            keys = {"seen_columns"} if strangers or held.head.last is None else set()
            metadata = {key: value for key, value in held.stored.metadata.items() if key not in keys}
            return held.commit(msgspec.structs.replace(held.stored, metadata=metadata))

    def _refuse_harm(self, before: State, after: State) -> None:
        harms = harm_of(before, after, write_mode=self._job.write_mode)
        if harms:
            raise StateError(
                f"`{self._recipe}`: {'; '.join(harms)}",
                context={"recipe": self._recipe, "harms": harms},
                hint="say --force if that is what you want",
            )

    @contextmanager
    def _held(self, *, checked: bool = True) -> Iterator[_Held]:
        """The lease and the fence, held for one change."""
        owner = this_runner()
        lease = self._backend.acquire(self._recipe, owner, above=0)
        try:
            stored = self._backend.load(self._recipe)
            known = stored.metadata.get("pipeline_id")
            head = self._destination.head(self._recipe, known)
            if head is not None and head.epoch >= lease.epoch:
                lease = self._backend.acquire(self._recipe, owner, above=head.epoch)
            if checked:
                self._require_agreement()
            pipeline_id = head.pipeline_id if head is not None else known or str(uuid.uuid4())
            fenced = self._destination.fence(pipeline_id, self._recipe, lease.epoch, owner)
            if fenced is None:
                raise StateError(
                    f"the destination of `{self._recipe}` keeps no ledger",
                    hint="its state is in the state backend alone: `state export`, and a text editor",
                )
            yield _Held(self._destination, self._backend, lease, fenced, stored)
        finally:
            self._backend.release(lease)

    def _require_agreement(self) -> None:
        standing = self.standing()
        if standing.verdict in ("state_ahead", "strangers"):
            raise StateError(
                f"state and ledger of `{self._recipe}` contradict each other ({standing.verdict.replace('_', ' ')})",
                context={"recipe": self._recipe},
                hint="look at both with `arrowload state diff`, then `arrowload repair --trust ledger` or `state`",
            )


class _Held:
    """What a change is made with, while nobody else can make one."""

    def __init__(
        self,
        destination: TransactionalDestination | AtLeastOnceDestination,
        backend: OperableStateBackend,
        lease: Lease,
        head: LedgerHead,
        stored: State,
    ) -> None:
        self.head = head
        self.stored = stored
        self._destination = destination
        self._backend = backend
        self._lease = lease

    @property
    def remembered(self) -> State:
        """What a run would start from: the ledger's, unless it has none."""
        return State.from_json(self.head.last.state) if self.head.last is not None else self.stored

    def commit(self, state: State, seen: pa.Table | None = None) -> State:
        """Enter `state` in the ledger as a load of no rows, then store it; `seen` is as for `LoadWriter.finalize`."""
        last = self.head.last
        generation, seq = max(position(self.stored), _position(self.head))
        generation, seq = max(generation, 1), seq + 1
        after = msgspec.structs.replace(
            state,
            metadata={**state.metadata, "pipeline_id": self.head.pipeline_id, "home": self._lease.home},
            checkpoints={"generation": generation, "seq": seq},
        )
        entry = LedgerEntry(
            pipeline_id=self.head.pipeline_id,
            generation=generation,
            seq=seq,
            load_id=load_id(self.head.pipeline_id, generation, seq),
            epoch=self._lease.epoch,
            recipe=self._lease.recipe,
            target=self.head.target,
            write_mode="append",
            lower=None,
            upper=last.upper if last is not None else None,
            state=after.to_json().decode(),
            schema_fingerprint=last.schema_fingerprint if last is not None else "",
            rows_read=0,
            rows_written=0,
            rows_filtered=0,
            rows_rejected=0,
            rows_deduplicated=0,
            content_hash="0" * 32,
            engine_version=__version__,
            committed_at=dt.datetime.now(dt.UTC),
        )
        self._destination.amend(entry, seen)
        return self.store(after)

    def store(self, state: State) -> State:
        """Tell the state backend."""
        self._lease = self._backend.compare_and_swap(self._lease, state)
        return state


def _pipeline_of(state: State) -> str | None:
    return state.metadata.get("pipeline_id")


def _position(head: LedgerHead | None) -> tuple[int, int]:
    return (head.last.generation, head.last.seq) if head is not None and head.last is not None else (0, 0)
