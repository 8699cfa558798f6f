"""The commit protocol, without any I/O: `step(run, event)` gives the run's next state and the one thing to do next.

    acquire → head → (acquire) → fence → plan → stage → seal → finalize → save_state → sweep → release

Only `finalize` changes what readers of the destination see. Everything before it is garbage that can be made again;
everything after it follows from the ledger. Each run therefore starts by comparing state and ledger: the ledger, which
commits with the rows, is the truth.
"""

from __future__ import annotations

import hashlib
import uuid

import msgspec

from arrowload.connectors.base import LedgerEntry, LedgerHead, Sealed
from arrowload.core.exceptions import (
    BusyError,
    DataError,
    EngineError,
    OutcomeUnknownError,
    StateError,
    TransientConnectorError,
)
from arrowload.core.state import State
from arrowload.core.state_backend import Lease
from arrowload.engine.protocol import (
    Acquire,
    Effect,
    Event,
    Failed,
    Fence,
    Fenced,
    Finalize,
    Finalized,
    Finish,
    Found,
    HeadRead,
    Leased,
    Planned,
    PlanWindow,
    ReadBack,
    ReadHead,
    Ready,
    SaveState,
    Seal,
    SealedStage,
    Stage,
    Staged,
    StartOver,
    StateSaved,
    Status,
    Sweep,
    Swept,
    Tally,
    Terms,
)

# Of shares, which are floats.
_ROUNDING = 1e-6


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stands.

    Attributes:
        doing: The effect whose answer is awaited.
        attempt: Counted from 1; rises when the run starts over.
        asked: How often the outcome of a commit was asked for.
        state: As loaded, or as adopted from the ledger.
        after: The state that the load in hand leads to.
        pipeline_id, generation, seq: The load in hand.
        recovered: The ledger held a load that the state did not know of.
        committed: Loads committed by this run, one for each chunk.
        rows_written, rows_deduplicated: Of these loads.
        last: The last of them, when another chunk has begun since.
    """

    terms: Terms
    doing: Effect | None = None
    attempt: int = 1
    asked: int = 0
    lease: Lease | None = None
    state: State = State()
    after: State = State()
    pipeline_id: str = ""
    generation: int = 0
    seq: int = 0
    recovered: bool = False
    window: Planned | None = None
    tally: Tally | None = None
    entry: LedgerEntry | None = None
    committed: int = 0
    rows_written: int = 0
    rows_deduplicated: int = 0
    last: LedgerEntry | None = None


def step(run: Run, event: Event) -> tuple[Run, Effect]:
    """The answer to `event`: where the run stands now, and what to do next.

    Raises:
        EngineError: The event does not answer what was asked; a defect of the engine.
    """
    changed, effect = _answer(run, event)
    return msgspec.structs.replace(changed, doing=effect), effect


def load_id(pipeline_id: str, generation: int, seq: int) -> str:
    """The id of a load, the same at each try: a UUID made of BLAKE2b over pipeline, generation and number."""
    digest = hashlib.blake2b(f"{pipeline_id}/{generation}/{seq}".encode(), digest_size=16).digest()
    return str(uuid.UUID(bytes=digest))


def position(state: State) -> tuple[int, int]:
    """Generation and number of the last load that `state` knows of; (0, 0) when it knows of none."""
    return state.checkpoints.get("generation", 0), state.checkpoints.get("seq", 0)


def _answer(run: Run, event: Event) -> tuple[Run, Effect]:
    match event:
        case Failed():
            return _fail(run, event)
        case Ready():
            return run, Acquire(above=run.lease.epoch if run.lease else 0)
        case Leased():
            return _leased(run, event)
        case HeadRead():
            return _head_read(run, event.head)
        case Fenced():
            return _fenced(run, event.head)
        case Planned():
            return _planned(run, event)
        case Staged():
            return _staged(run, event)
        case SealedStage():
            return _sealed(run, event)
        case Finalized():
            return _committed(run)
        case Found():
            return _found(run, event.entry)
        case StateSaved():
            run = msgspec.structs.replace(run, lease=event.lease)
            return _next_chunk(run) if run.window is not None and run.window.more else (run, _sweep(run))
        case Swept():
            return run, _finish(run)


def _leased(run: Run, event: Leased) -> tuple[Run, Effect]:
    run = msgspec.structs.replace(run, lease=event.lease, state=event.state)
    return run, ReadHead(pipeline_id=event.state.metadata.get("pipeline_id"))


def _head_read(run: Run, head: LedgerHead | None) -> tuple[Run, Effect]:
    lease = _held(run)
    if head is not None and head.epoch >= lease.epoch:
        return run, Acquire(above=head.epoch)
    conflict = _conflict(run, head)
    if conflict is not None:
        return run, Finish(status=None, error=conflict)
    known = head.pipeline_id if head is not None else run.state.metadata.get("pipeline_id")
    run = msgspec.structs.replace(run, pipeline_id=known or run.terms.new_pipeline_id)
    return run, Fence(pipeline_id=run.pipeline_id, epoch=lease.epoch)


def _conflict(run: Run, head: LedgerHead | None) -> StateError | None:
    """Why state and ledger cannot both be right, or None when they can."""
    terms, (generation, seq) = run.terms, position(run.state)
    if terms.starts_over or not terms.has_ledger:
        return None
    stated_id = run.state.metadata.get("pipeline_id")
    last = (head.last.generation, head.last.seq) if head is not None and head.last is not None else (0, 0)
    if head is not None and head.target != terms.target:
        why = f"it has loaded `{head.target}` so far, and is now to load `{terms.target}`"
    elif (generation, seq) > last:
        why = f"its state knows of load {generation}.{seq}, the ledger in the destination ends at {last[0]}.{last[1]}"
    elif head is not None and stated_id is not None and head.pipeline_id != stated_id:
        why = "its state belongs to another pipeline than the ledger in the destination"
    else:
        return None
    return StateError(
        f"`{terms.recipe}` cannot go on: {why}",
        context={"recipe": terms.recipe, "state": [generation, seq], "ledger": list(last)},
        hint="if the destination was restored or emptied, `arrowload repair` with --trust ledger loads again what it"
        " lacks; --full-refresh loads everything anew; `arrowload state diff` shows both sides",
    )


def _fenced(run: Run, head: LedgerHead | None) -> tuple[Run, Effect]:
    conflict = _conflict(run, head)
    if conflict is not None:
        return run, Finish(status=None, error=conflict)
    last = head.last if head is not None else None
    stated = position(run.state)
    ahead = last is not None and (last.generation, last.seq) > stated
    state, recovered = run.state, False
    # Also at the same place: after the destination was restored, another machine may have loaded something else there.
    if last is not None and (last.generation, last.seq) >= stated:
        state = State.from_json(last.state)
        recovered = state.to_json() != run.state.to_json()
    generation, seq = max(position(state), stated)
    if run.terms.starts_over:
        generation, seq = generation + 1, 1
        begin = State(metadata=state.metadata)
    else:
        generation, seq = max(generation, 1), seq + 1
        begin = state
    run = msgspec.structs.replace(run, state=state, generation=generation, seq=seq, recovered=recovered)
    # The load that the state does not know of is this recipe's own last run, cut off after its commit: finishing it
    # is what the person asks for. One from another home was run elsewhere, or its state was lost: this is a new run.
    if ahead and run.terms.repeats_harm and state.metadata.get("home") == _held(run).home:
        return msgspec.structs.replace(run, after=state), SaveState(lease=_held(run), state=state)
    return run, PlanWindow(state=begin)


def _planned(run: Run, event: Planned) -> tuple[Run, Effect]:
    run = msgspec.structs.replace(run, window=event)
    if event.unknown or (event.empty and run.seq > 1):
        return _nothing_new(run)
    return run, Stage(
        load_id=load_id(run.pipeline_id, run.generation, run.seq),
        pipeline_id=run.pipeline_id,
        generation=run.generation,
        seq=run.seq,
        epoch=_held(run).epoch,
    )


def _staged(run: Run, event: Staged) -> tuple[Run, Effect]:
    tally = event.tally
    counted = tally.rows_staged + tally.rows_filtered + tally.rows_rejected + tally.rows_seen_before
    if tally.rows_read != counted:
        return _not_conserved(run, f"{tally.rows_read} rows were read and {counted} accounted for")
    moved = (event.state.cursor_values, event.state.watermarks) != (run.state.cursor_values, run.state.watermarks)
    moved |= run.window is not None and run.window.settles
    if not tally.rows_staged and not tally.rows_rejected and not moved and run.seq > 1:
        return _nothing_new(run)
    metadata = {**event.state.metadata, "pipeline_id": run.pipeline_id, "home": _held(run).home}
    checkpoints = {"generation": run.generation, "seq": run.seq}
    after = msgspec.structs.replace(event.state, metadata=metadata, checkpoints=checkpoints)
    return msgspec.structs.replace(run, tally=tally, after=after), Seal()


def _sealed(run: Run, event: SealedStage) -> tuple[Run, Effect]:
    tally, sealed, window = run.tally, event.sealed, run.window
    if tally is None or window is None:
        raise EngineError("sealed before anything was staged")
    if sealed.rows_staged != tally.rows_staged:
        return _not_conserved(run, f"{tally.rows_staged} rows were handed over and {sealed.rows_staged} arrived")
    shrunk = _shrunk(run.terms, sealed)
    if shrunk is not None:
        return run, Finish(status=None, error=shrunk)
    entry = LedgerEntry(
        pipeline_id=run.pipeline_id,
        generation=run.generation,
        seq=run.seq,
        load_id=load_id(run.pipeline_id, run.generation, run.seq),
        epoch=_held(run).epoch,
        recipe=run.terms.recipe,
        target=run.terms.target,
        write_mode=run.terms.write_mode,
        lower=window.lower,
        upper=window.upper,
        state=run.after.to_json().decode(),
        schema_fingerprint=tally.schema_fingerprint,
        rows_read=tally.rows_read,
        rows_written=sealed.rows_staged - sealed.rows_duplicate,
        rows_filtered=tally.rows_filtered,
        rows_rejected=tally.rows_rejected,
        rows_deduplicated=tally.rows_seen_before + sealed.rows_duplicate,
        content_hash=f"{tally.content_hash:032x}",
        engine_version=event.engine_version,
        committed_at=event.now,
    )
    return msgspec.structs.replace(run, entry=entry), Finalize(entry=entry)


def _committed(run: Run) -> tuple[Run, Effect]:
    entry = _entry(run)
    run = msgspec.structs.replace(
        run,
        committed=run.committed + 1,
        rows_written=run.rows_written + entry.rows_written,
        rows_deduplicated=run.rows_deduplicated + entry.rows_deduplicated,
    )
    return run, SaveState(lease=_held(run), state=run.after)


def _next_chunk(run: Run) -> tuple[Run, Effect]:
    """Go on where the chunk that is committed and stored ends."""
    run = msgspec.structs.replace(
        run,
        asked=0,
        state=run.after,
        seq=run.seq + 1,
        recovered=False,
        window=None,
        tally=None,
        entry=None,
        last=run.entry or run.last,
    )
    return run, PlanWindow(state=run.state)


def _found(run: Run, entry: LedgerEntry | None) -> tuple[Run, Effect]:
    """The load is in the ledger by our epoch, or is not; by another epoch, a successor has loaded in our place."""
    if entry is None:
        return _again(run)
    if entry.epoch == _entry(run).epoch:
        return _committed(run)
    error = BusyError(
        f"another run of `{run.terms.recipe}` took over and has committed load {entry.load_id} (epoch {entry.epoch})",
        context={"recipe": run.terms.recipe, "load_id": entry.load_id, "epoch": entry.epoch},
        hint="nothing was committed by this run; run it again",
    )
    return run, Finish(status=None, error=error)


def _nothing_new(run: Run) -> tuple[Run, Effect]:
    """End without a load; a state that was taken from the ledger is stored all the same."""
    if run.recovered:
        return msgspec.structs.replace(run, after=run.state), SaveState(lease=_held(run), state=run.state)
    return msgspec.structs.replace(run, after=run.state), _sweep(run)


def _fail(run: Run, event: Failed) -> tuple[Run, Effect]:
    match run.doing, event.kind:
        case (Finalize(), "unknown"):
            return run, ReadBack(pipeline_id=run.pipeline_id, load_id=_entry(run).load_id)
        case (ReadBack(), "retryable" | "unknown") if run.asked + 1 < run.terms.max_attempts:
            run = msgspec.structs.replace(run, asked=run.asked + 1)
            return run, ReadBack(pipeline_id=run.pipeline_id, load_id=_entry(run).load_id)
        case (ReadBack(), _):
            return run, Finish(status=None, error=_undecided(run, event.error))
        # What is committed is made good by the next run; from the start it must not be tried again.
        case (SaveState(), _):
            return run, Finish(status=None, error=event.error)
        case (Sweep(), _):
            return run, _finish(run, warning=event.error)
        case (_, "retryable" | "unknown") if run.attempt < run.terms.max_attempts:
            return _again(run)
        case _:
            return run, Finish(status=None, error=event.error)


def _again(run: Run) -> tuple[Run, Effect]:
    if run.attempt >= run.terms.max_attempts:
        kept = f"the {run.committed} loads before it are committed" if run.committed else "nothing was committed"
        lost = TransientConnectorError(
            f"`{run.terms.recipe}` was not committed in {run.attempt} attempts",
            context={"recipe": run.terms.recipe, "attempts": run.attempt, "committed": run.committed},
            hint=f"{kept}; run again when the destination is well",
        )
        return run, Finish(status=None, error=lost)
    fresh = Run(
        terms=run.terms,
        attempt=run.attempt + 1,
        lease=run.lease,
        committed=run.committed,
        rows_written=run.rows_written,
        rows_deduplicated=run.rows_deduplicated,
        last=run.last,
    )
    return fresh, StartOver(attempt=fresh.attempt)


def _finish(run: Run, warning: BaseException | None = None) -> Finish:
    status: Status = "committed" if run.committed else "recovered" if run.recovered else "up_to_date"
    return Finish(status=status, warning=warning)


def _sweep(run: Run) -> Effect:
    return Sweep(pipeline_id=run.pipeline_id, epoch=_held(run).epoch)


def _held(run: Run) -> Lease:
    if run.lease is None:
        raise BusyError(f"`{run.terms.recipe}` has no lease")
    return run.lease


def _entry(run: Run) -> LedgerEntry:
    if run.entry is None:
        raise EngineError(f"`{run.terms.recipe}` has no ledger entry to ask for")
    return run.entry


def _not_conserved(run: Run, why: str) -> tuple[Run, Effect]:
    return run, Finish(
        status=None,
        error=EngineError(
            f"rows of `{run.terms.recipe}` were lost or doubled on their way, nothing was committed: {why}",
            context={"recipe": run.terms.recipe},
            hint="this is a defect of arrowload or of a plug-in; please report it",
        ),
    )


def _shrunk(terms: Terms, sealed: Sealed) -> DataError | None:
    """Why these rows must not take the place of those that are there, or None when they may."""
    old, new = sealed.rows_replaced, sealed.rows_staged - sealed.rows_duplicate
    context = {"recipe": terms.recipe, "rows_before": old, "rows_after": new}
    if terms.write_mode != "replace" or new >= old:
        return None
    if not new and not terms.allow_empty:
        return DataError(
            f"the source of `{terms.recipe}` has no rows, and `{terms.target}` would lose all its {old}",
            context={**context, "path": "$.destination.allow_empty"},
            hint="nothing was changed; if that is right, set `allow_empty: true` in `destination`",
        )
    if new and old - new > old * terms.max_shrink + _ROUNDING:
        return DataError(
            f"`{terms.target}` would shrink from {old} rows to {new}, by more than {terms.max_shrink:.0%}",
            context={**context, "path": "$.destination.max_shrink"},
            hint="nothing was changed; if that is right, set a higher `max_shrink` in `destination`",
        )
    return None


def _undecided(run: Run, cause: BaseException) -> OutcomeUnknownError:
    error = OutcomeUnknownError(
        f"the commit of load {_entry(run).load_id} was sent, and whether it was done could not be found out: {cause}",
        context={"recipe": run.terms.recipe, "load_id": _entry(run).load_id},
        hint="run the recipe again when the destination answers; the ledger decides then",
    )
    error.__cause__ = cause
    return error
