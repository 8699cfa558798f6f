"""The words of the commit protocol: what is asked of the engine, and what it answers."""

from __future__ import annotations

import datetime as dt
from typing import Literal, TypeAlias

import msgspec

from arrowload.connectors.base import LedgerEntry, LedgerHead, Sealed
from arrowload.core.state import State
from arrowload.core.state_backend import Lease
from arrowload.core.typing import WriteMode

FailureKind: TypeAlias = Literal["retryable", "terminal", "unknown"]
Status: TypeAlias = Literal["committed", "up_to_date", "recovered"]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What does not change during a run.

    Attributes:
        recipe, target: Names.
        new_pipeline_id: The identity that the pipeline gets when it has none yet.
        write_mode: Of this load; `replace` for a full refresh.
        starts_over: Whatever was loaded before does not count: `replace`, or a full refresh.
        repeats_harm: A second load of the same rows would double them: append without a cursor.
        has_ledger: False for a plug-in destination with only `write_batch`.
        max_attempts: Tries in all.
        allow_empty: A replace may leave no rows where there were some.
        max_shrink: The share of its rows that a target may lose by a replace.
    """

    recipe: str
    target: str
    new_pipeline_id: str
    write_mode: WriteMode
    starts_over: bool
    repeats_harm: bool
    has_ledger: bool
    max_attempts: int
    allow_empty: bool = False
    max_shrink: float = 1.0


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one load, as the engine counted them on their way.

    Attributes:
        rows_*: read = staged + filtered + rejected + seen_before.
        content_hash: Sum mod 2^128 of the row hashes of all rows staged.
        schema_fingerprint: Of the rows staged.
    """

    rows_read: int
    rows_staged: int
    rows_filtered: int
    rows_rejected: int
    rows_seen_before: int
    content_hash: int
    schema_fingerprint: str


# ---------------------------------------------------------------- effects: what the engine is to do


class Acquire(msgspec.Struct, frozen=True, tag=True):
    """Take the lease, or raise its epoch above `above`. Answer: Leased."""

    above: int


class ReadHead(msgspec.Struct, frozen=True, tag=True):
    """Ask the destination what it knows. Answer: HeadRead."""

    pipeline_id: str | None


class Fence(msgspec.Struct, frozen=True, tag=True):
    """Install the epoch in the destination. Answer: Fenced."""

    pipeline_id: str
    epoch: int


class PlanWindow(msgspec.Struct, frozen=True, tag=True):
    """Open the source's snapshot and fix the window, starting from `state`. Answer: Planned."""

    state: State


class Stage(msgspec.Struct, frozen=True, tag=True):
    """Move the rows of the window into staging. Answer: Staged."""

    load_id: str
    pipeline_id: str
    generation: int
    seq: int
    epoch: int


class Seal(msgspec.Struct, frozen=True, tag=True):
    """Have the destination count what is staged. Answer: SealedStage."""


class Finalize(msgspec.Struct, frozen=True, tag=True):
    """Make rows and entry visible in one step. Answer: Finalized."""

    entry: LedgerEntry


class ReadBack(msgspec.Struct, frozen=True, tag=True):
    """Ask the destination, on a fresh connection, whether the load is in the ledger. Answer: Found."""

    pipeline_id: str
    load_id: str


class SaveState(msgspec.Struct, frozen=True, tag=True):
    """Store the state, if nobody stored another since the lease was taken. Answer: StateSaved."""

    lease: Lease
    state: State


class Sweep(msgspec.Struct, frozen=True, tag=True):
    """Remove what earlier runs left in staging. Answer: Swept."""

    pipeline_id: str
    epoch: int


class StartOver(msgspec.Struct, frozen=True, tag=True):
    """Drop what is staged, close the snapshot, wait as attempt number `attempt` should. Answer: Ready."""

    attempt: int


class Finish(msgspec.Struct, frozen=True, tag=True):
    """Release the lease and end; with an error, or with one that does not matter to the outcome."""

    status: Status | None
    error: BaseException | None = None
    warning: BaseException | None = None


Effect: TypeAlias = (
    Acquire
    | ReadHead
    | Fence
    | PlanWindow
    | Stage
    | Seal
    | Finalize
    | ReadBack
    | SaveState
    | Sweep
    | StartOver
    | Finish
)


# ---------------------------------------------------------------- events: what came of it


class Ready(msgspec.Struct, frozen=True):
    """The engine is ready to begin, or to begin again."""


class Leased(msgspec.Struct, frozen=True):
    """The lease is held, and the state was read under it."""

    lease: Lease
    state: State


class HeadRead(msgspec.Struct, frozen=True):
    """What the ledger holds of the recipe."""

    head: LedgerHead | None


class Fenced(msgspec.Struct, frozen=True):
    """The epoch is installed; `head` was read behind the fence, so no one can change it any more."""

    head: LedgerHead | None


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """The window is fixed.

    Attributes:
        empty: It has no rows.
        unknown: Nor are its columns known.
        more: It is a chunk, and not the last: the next window begins where it ends.
        settles: Its rows are those of a quarantine, which they leave with the commit, stored or not.
        lower, upper: Its bounds as text.
    """

    empty: bool
    unknown: bool = False
    more: bool = False
    settles: bool = False
    lower: str | None
    upper: str | None


class Staged(msgspec.Struct, frozen=True):
    """The stream has ended; `state` is what the source wants remembered."""

    tally: Tally
    state: State


class SealedStage(msgspec.Struct, frozen=True):
    """What the destination holds in staging."""

    sealed: Sealed
    now: dt.datetime
    engine_version: str


class Finalized(msgspec.Struct, frozen=True):
    """The commit was answered."""


class Found(msgspec.Struct, frozen=True):
    """What the ledger holds of the load whose commit was not answered."""

    entry: LedgerEntry | None


class StateSaved(msgspec.Struct, frozen=True):
    """The state is stored."""

    lease: Lease


class Swept(msgspec.Struct, frozen=True):
    """Staging is clean."""


class Failed(msgspec.Struct, frozen=True):
    """The effect failed; `unknown`: it may have been done all the same."""

    kind: FailureKind
    error: BaseException


Event: TypeAlias = (
    Ready
    | Leased
    | HeadRead
    | Fenced
    | Planned
    | Staged
    | SealedStage
    | Finalized
    | Found
    | StateSaved
    | Swept
    | Failed
)
