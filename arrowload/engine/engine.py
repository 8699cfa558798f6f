"""Runs a job: does what the commit protocol asks for, one effect after the other, and reports."""

from __future__ import annotations

import datetime as dt
import itertools
import time
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from arrowload._version import __version__
from arrowload.connectors.base import SEEN_SCHEMA, JudgingDestination, Load, QuarantiningWriter
from arrowload.core.exceptions import DataLoaderError, EngineError, StateError, TransientConnectorError
from arrowload.core.failpoint import failpoint
from arrowload.core.rejection import REJECTED_SCHEMA
from arrowload.core.state import State
from arrowload.engine import commit, protocol
from arrowload.engine.check_gate import CheckGate
from arrowload.engine.chunks import Chunks
from arrowload.engine.continuity import question, require_same_question, without_other_files
from arrowload.engine.events import (
    Committed,
    Recovered,
    Retrying,
    RowsMoved,
    RunEvent,
    StepStarted,
    Warned,
    WindowPlanned,
)
from arrowload.engine.overlap import SeenRows, hashed_kind
from arrowload.engine.quarantine import Quarantine
from arrowload.engine.report import RunReport, peak_memory_bytes
from arrowload.engine.retry import classify, wait_s
from arrowload.engine.sifting import Sifter
from arrowload.engine.splits import Splits
from arrowload.engine.state_keeping import StateKeeping
from arrowload.engine.storing import Storing
from arrowload.engine.transfer import Counts, Transfer
from arrowload.models.destination_config import DestinationConfig
from arrowload.models.source_config import CursorIncremental
from arrowload.planning.capabilities import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from arrowload.connectors.base import LoadWriter, Snapshot
    from arrowload.engine.events import Subscriber
    from arrowload.engine.job import Job
    from arrowload.planning.contract import Drift
    from arrowload.planning.plan import LoadPlan
    from arrowload.transforms.pipeline import BoundPipeline


class Engine:
    """Runs one job, once.

    Args:
        job: The recipe with everything that it names.
        subscribers: Told of every event, on the thread where it happens.
    """

    def __init__(self, job: Job, subscribers: tuple[Subscriber, ...] = ()) -> None:
        if job.destination is None:
            raise EngineError(f"`{job.recipe.name}` has no destination to run into")
        self._job = job
        self._destination = job.destination
        self._state = StateKeeping(job.state_backend, job.recipe.name)
        self._gate = CheckGate(job.recipe, lambda warning: self._emit(Warned(warning)))
        self._subscribers = subscribers
        self._reading = ExitStack()
        self._attempt = ExitStack()
        self._snapshot: Snapshot | None = None
        self._splits = Splits()
        self._pipeline: BoundPipeline | None = None
        self._plan: LoadPlan | None = None
        self._drift: tuple[Drift, ...] = ()
        self._writer: LoadWriter | None = None
        self._seen: SeenRows | None = None
        self._quarantine: Quarantine | None = None
        self._remembered = State()
        self._counts = Counts()
        # Of the chunks that are committed.
        self._totals = Counts()
        self._chunks = Chunks(job)
        self._last_error: DataLoaderError | None = None

    def run(self) -> RunReport:
        """Load the window that is due, exactly once, and report.

        Raises:
            DataLoaderError: What ended the run; its `exit_code` says of what kind it was. Unless it is an
                OutcomeUnknownError, either nothing was committed, or the next run finds what was.
        """
        started = time.monotonic()
        run = commit.Run(terms=self._terms(), attempt=self._check())
        before: State | None = None
        event: protocol.Event = protocol.Ready()
        try:
            while True:
                run, effect = commit.step(run, event)
                if isinstance(effect, protocol.Finish):
                    break
                event = self._performed(effect)
                self._announce(run, event)
                if before is None and isinstance(event, protocol.Leased):
                    before = event.state
        except BaseException:
            self._clean_up()
            raise
        warning = self._clean_up() or effect.warning
        if effect.error is not None:
            raise effect.error
        if warning is not None:
            self._emit(Warned(f"clean-up was left to the next run: {warning}"))
        return self._report(run, effect, before or State(), time.monotonic() - started)

    def _check(self) -> int:
        """Make the plan that the catalogues allow, before anything is changed; the attempt in which that was possible.

        A source that can be read only once is asked when it is read.
        """
        if not self._job.source.facts().replayable:
            return 1
        for attempt in itertools.count(1):
            try:
                self._plan = self._job.check()
            except DataLoaderError as exc:
                if classify(exc) != "retryable" or attempt >= self._job.recipe.runtime.retries.max_attempts:
                    raise
                self._pause(attempt + 1, exc)
            else:
                break
        return attempt

    # ------------------------------------------------------------ effects

    def _performed(self, effect: protocol.Effect) -> protocol.Event:
        """As `_perform`; when the state is saved, nothing turns the load into a failure, not even a signal."""
        try:
            return self._perform(effect)
        except BaseException as exc:
            if isinstance(effect, protocol.Sweep):
                return protocol.Failed("terminal", exc)
            raise

    def _perform(self, effect: protocol.Effect) -> protocol.Event:
        """Do `effect`, between its two failpoints; what it raises becomes the event `Failed`."""
        step, action = self._actions()[type(effect)]
        self._emit(StepStarted(step))
        try:
            failpoint(f"{step}.before")
            event: protocol.Event = action(effect)
            failpoint(f"{step}.after")
        except DataLoaderError as exc:
            self._last_error = exc
            return protocol.Failed(classify(exc), exc)
        except OSError as exc:
            error = TransientConnectorError(
                f"{exc.strerror or exc}: {exc.filename}" if exc.filename else f"{exc.strerror or exc}",
                context={"errno": exc.errno, "step": step},
                hint=f"{_so_far(step)}make room or mend the file system, and run again",
            )
            error.__cause__ = exc
            self._last_error = error
            # A full disk does not empty itself within a run.
            return protocol.Failed("unknown" if step == "finalize" else "terminal", error)
        return event

    def _actions(self) -> dict[type, tuple[str, Callable[[Any], protocol.Event]]]:
        return {
            protocol.Acquire: ("acquire", self._acquire),
            protocol.ReadHead: ("head", self._read_head),
            protocol.Fence: ("fence", self._fence),
            protocol.PlanWindow: ("plan", self._plan_window),
            protocol.Stage: ("stage", self._stage),
            protocol.Seal: ("seal", self._seal),
            protocol.Finalize: ("finalize", self._finalize),
            protocol.ReadBack: ("read_back", self._read_back),
            protocol.SaveState: ("save_state", self._save_state),
            protocol.Sweep: ("sweep", self._sweep),
            protocol.StartOver: ("start_over", self._start_over),
        }

    def _acquire(self, effect: protocol.Acquire) -> protocol.Event:
        return protocol.Leased(*self._state.take(effect.above))

    def _read_head(self, effect: protocol.ReadHead) -> protocol.Event:
        return protocol.HeadRead(self._destination.head(self._job.recipe.name, effect.pipeline_id))

    def _fence(self, effect: protocol.Fence) -> protocol.Event:
        head = self._destination.fence(effect.pipeline_id, self._job.recipe.name, effect.epoch, self._state.owner)
        self._gate.look_back(self._destination, effect.pipeline_id)
        return protocol.Fenced(head)

    def _plan_window(self, effect: protocol.PlanWindow) -> protocol.Event:
        self._remembered = effect.state
        facts = self._job.source.facts()
        require_same_question(self._job.recipe, facts, effect.state, self._job.write_mode)
        state = without_other_files(self._job.recipe, facts, effect.state)
        snapshot = self._opened_chunk(state)
        while snapshot.window.empty and self._chunks.has_more:
            # What was there when the chunks were cut has gone since: a file was changed, and belongs to a later one.
            self._reading.close()
            self._chunks.end(Counts())
            snapshot = self._opened_chunk(state)
        window = snapshot.window
        self._gate.require_countable(snapshot)
        unknown = window.empty and not snapshot.schema.names
        if unknown:
            self._plan = self._job.plan_nothing(window)
        else:
            self._splits = self._job.splits(snapshot)
            self._plan, self._pipeline = self._job.plan_snapshot(snapshot, self._splits)
        self._snapshot = snapshot
        # The first chunk changes the target, and the next ones find it as they need it.
        self._drift = self._drift or self._plan.drift
        self._emit(WindowPlanned(self._plan))
        more = self._chunks.has_more and not window.empty
        return protocol.Planned(
            empty=window.empty,
            unknown=unknown,
            more=more,
            settles=bool(self._job.settles),
            lower=window.lower,
            upper=window.upper,
        )

    def _opened_chunk(self, state: State) -> Snapshot:
        until = self._chunks.begin(state)
        bound = {} if until is None else {"until": until}
        return self._reading.enter_context(self._job.source.snapshot(state, **bound))

    def _stage(self, effect: protocol.Stage) -> protocol.Event:
        snapshot, pipeline, target = self._planned()
        load = Load(
            load_id=effect.load_id,
            pipeline_id=effect.pipeline_id,
            recipe=self._job.recipe.name,
            generation=effect.generation,
            seq=effect.seq,
            epoch=effect.epoch,
            write_mode=self._job.write_mode,
            merge_keys=self._job.merge_keys,
            schema=target,
            has_cursor=bool(self._job.merge_keys) and self._cursor_column() is not None,
        )
        self._seen = self._seen_rows(snapshot, effect)
        self._quarantine = self._new_quarantine()
        transfer = self._transfer(snapshot, pipeline, target)
        writer = self._writer = self._destination.begin(load)
        self._attempt.callback(writer.abort)
        self._counts = transfer.counts
        try:
            writer.stage(transfer.stream())
        except BaseException as exc:
            if transfer.error is not None and transfer.error is not exc:
                raise transfer.error from exc
            raise
        finally:
            transfer.close()
        self._gate.count_source(snapshot)
        staged = protocol.Staged(transfer.tally(), self._state_after(snapshot))
        # A source that is the destination's own server must not hold its snapshot while the destination commits.
        self._reading.close()
        return staged

    def _seal(self, effect: protocol.Seal) -> protocol.Event:
        sealed = self._writing().seal()
        self._gate.require(sealed, self._counts.rows_read)
        return protocol.SealedStage(sealed, dt.datetime.now(dt.UTC), __version__)

    def _finalize(self, effect: protocol.Finalize) -> protocol.Event:
        seen = self._seen.left_for_next() if self._seen is not None else SEEN_SCHEMA.empty_table()
        if self._job.settles:
            seen = None
        self._state.check()
        writer = self._writing()
        if not self._repeats_harm:
            self._state.join(writer, State.from_json(effect.entry.state))
        if isinstance(writer, QuarantiningWriter) and (
            self._quarantine is not None or self._job.write_mode == "replace"
        ):
            rejected = self._quarantine.table() if self._quarantine is not None else REJECTED_SCHEMA.empty_table()
            writer.quarantine(rejected, self._job.settles)
        writer.finalize(effect.entry, seen)
        return protocol.Finalized()

    def _read_back(self, effect: protocol.ReadBack) -> protocol.Event:
        return protocol.Found(self._destination.find(effect.pipeline_id, effect.load_id))

    def _save_state(self, effect: protocol.SaveState) -> protocol.Event:
        lease = self._state.save(effect.lease, effect.state)
        self._end_of_load()
        return protocol.StateSaved(lease)

    def _end_of_load(self) -> None:
        """Let go of what belongs to the load that is committed and stored; a next chunk brings its own."""
        self._chunks.end(self._counts)
        self._totals.add(self._counts)
        self._counts = Counts()
        self._attempt.close()
        self._snapshot = self._pipeline = self._writer = self._seen = self._quarantine = None

    def _sweep(self, effect: protocol.Sweep) -> protocol.Event:
        self._destination.sweep(effect.pipeline_id, effect.epoch)
        return protocol.Swept()

    def _start_over(self, effect: protocol.StartOver) -> protocol.Event:
        self._abandon_attempt()
        self._chunks.forget()
        self._pause(effect.attempt, self._last_error)
        return protocol.Ready()

    # ------------------------------------------------------------ parts of effects

    def _pause(self, attempt: int, error: BaseException | None) -> None:
        """Wait before an attempt, and say for what."""
        pause = wait_s(attempt, self._job.recipe.runtime.retries)
        self._emit(Retrying(attempt, pause, str(error)))
        time.sleep(pause)

    def _terms(self) -> protocol.Terms:
        recipe, mode = self._job.recipe, self._job.write_mode
        destination = recipe.destination or DestinationConfig(type="")
        return protocol.Terms(
            recipe=recipe.name,
            target=self._destination.target_name,
            new_pipeline_id=str(uuid.uuid4()),
            write_mode=mode,
            starts_over=mode == "replace",
            repeats_harm=self._repeats_harm,
            has_ledger=self._destination.capabilities().transactional,
            max_attempts=recipe.runtime.retries.max_attempts,
            allow_empty=destination.allow_empty,
            max_shrink=destination.max_shrink,
        )

    @property
    def _repeats_harm(self) -> bool:
        """Each run adds all rows, so that only a state behind the ledger tells of one that died behind its commit."""
        return self._job.write_mode == "append" and self._job.recipe.source.incremental is None

    def _transfer(self, snapshot: Snapshot, pipeline: BoundPipeline, schema: pa.Schema) -> Transfer:
        runtime = self._job.recipe.runtime
        checks = self._gate.suite(schema)
        sifter = None
        if self._quarantine is not None:
            judge = self._destination.judge if isinstance(self._destination, JudgingDestination) else None
            sifter = Sifter(self._quarantine, schema, checks, judge)
        return Transfer(
            snapshot=snapshot,
            pipeline=pipeline,
            storing=Storing(schema, self._job.agreement),
            merge_keys=self._job.merge_keys,
            cursor_column=self._cursor_column() if self._job.merge_keys else None,
            seen=self._seen,
            checks=checks,
            sifter=sifter,
            batch_size=runtime.batch_size,
            splits=self._splits,
            relayed=self._plan is not None and self._plan.relayed,
            max_memory=int(runtime.max_memory),
            notify=self._batch_moved,
        )

    def _new_quarantine(self) -> Quarantine | None:
        limit = self._job.recipe.runtime.max_rejected
        return Quarantine(limit - self._totals.rows_rejected, limit) if limit or self._job.settles else None

    def _seen_rows(self, snapshot: Snapshot, effect: protocol.Stage) -> SeenRows | None:
        """None where windows share no rows, or where a merge absorbs, by key, the many that a lag reads again."""
        incremental = self._job.recipe.source.incremental
        lags = incremental is not None and incremental.lag is not None
        if snapshot.overlap is None or (self._job.merge_keys and lags and snapshot.overlap.late is None):
            return None
        columns = self._remembered.metadata.get("seen_columns")
        if snapshot.overlap.seen_through is None:
            return SeenRows(SEEN_SCHEMA.empty_table(), columns, snapshot.overlap)
        if columns is None and self._job.write_mode == "append":
            raise StateError(
                f"`{self._job.recipe.name}` cannot tell which rows at the boundary it has loaded: its last run left no"
                " hashes of them",
                context={"recipe": self._job.recipe.name, "path": "$.source.incremental"},
                hint="keep the `boundary` and the write mode of that run, or load everything anew with --full-refresh",
            )
        absorbed = bool(self._job.merge_keys)
        return SeenRows(self._destination.seen(effect.pipeline_id), columns, snapshot.overlap, absorbed=absorbed)

    def _state_after(self, snapshot: Snapshot) -> State:
        if self._job.settles:
            return self._remembered
        metadata = {key: value for key, value in snapshot.state.metadata.items() if key != "seen_columns"}
        metadata |= question(self._job.recipe, self._job.source.facts())
        if self._seen is not None:
            metadata["seen_columns"] = [[field.name, hashed_kind(field.type)] for field in snapshot.schema]
        return State(
            cursor_values=snapshot.state.cursor_values, watermarks=snapshot.state.watermarks, metadata=metadata
        )

    def _cursor_column(self) -> str | None:
        incremental = self._job.recipe.source.incremental
        return incremental.cursor_column if isinstance(incremental, CursorIncremental) else None

    def _planned(self) -> tuple[Snapshot, BoundPipeline, pa.Schema]:
        if self._snapshot is None or self._pipeline is None or self._plan is None or self._plan.target is None:
            raise EngineError("rows were to be moved before the window was planned")
        return self._snapshot, self._pipeline, self._plan.target.schema

    def _writing(self) -> LoadWriter:
        if self._writer is None:
            raise EngineError("a load was to be committed before it was staged")
        return self._writer

    def _abandon_attempt(self) -> None:
        """Drop what is staged and close the snapshot; does nothing after a commit."""
        try:
            self._attempt.close()
        finally:
            self._reading.close()
        self._snapshot = self._pipeline = self._writer = self._seen = self._quarantine = None
        self._state.forget_load()

    def _clean_up(self) -> BaseException | None:
        """Give back everything; what fails in doing so does not change the outcome."""
        failure: BaseException | None = None
        for step in (self._abandon_attempt, self._state.give_back):
            try:
                step()
            except Exception as exc:  # noqa: BLE001 - told as a warning
                failure = exc
        return failure

    # ------------------------------------------------------------ telling

    def _emit(self, event: RunEvent) -> None:
        for subscriber in self._subscribers:
            subscriber(event)

    def _batch_moved(self, event: RowsMoved) -> None:
        failpoint("stage.batch")
        self._state.check()
        done = self._totals
        self._emit(
            RowsMoved(
                done.rows_read + event.rows_read,
                done.rows_staged + event.rows_staged,
                done.bytes_read + event.bytes_read,
            )
        )

    def _announce(self, run: commit.Run, event: protocol.Event) -> None:
        if isinstance(event, protocol.Failed) and isinstance(run.doing, protocol.Finalize) and event.kind == "unknown":
            self._emit(Warned(f"the commit got no answer; asking the ledger: {event.error}"))
        if isinstance(run.doing, protocol.SaveState) and run.recovered and not run.committed:
            self._emit(Recovered(commit.load_id(run.pipeline_id, *commit.position(run.state))))
        if isinstance(event, protocol.Finalized) and run.entry is not None:
            self._emit(Committed(run.entry.load_id, run.entry.rows_written))

    def _report(self, run: commit.Run, finish: protocol.Finish, before: State, seconds: float) -> RunReport:
        plan, entry = self._plan or self._job.plan_nothing(Window()), run.entry or run.last
        counts = self._totals
        counts.add(self._counts)
        if finish.status is None:
            raise EngineError("a run that did not end well has no report")
        return RunReport(
            recipe=plan.recipe,
            load_id=entry.load_id if entry is not None else None,
            status=finish.status,
            delivery=plan.delivery,
            write_mode=plan.write_mode,
            rows_read=counts.rows_read,
            rows_written=run.rows_written,
            rows_filtered=counts.rows_filtered,
            rows_rejected=counts.rows_rejected,
            rows_deduplicated=run.rows_deduplicated if run.committed else counts.rows_seen_before,
            bytes_read=counts.bytes_read,
            seconds=round(seconds, 3),
            rows_per_second=round(counts.rows_read / seconds, 1) if seconds else 0.0,
            peak_memory_bytes=peak_memory_bytes(),
            commits=run.committed,
            state_before=_as_json(before),
            state_after=_as_json(run.after),
            route=plan.source.route,
            source=plan.source.location,
            destination=plan.target.location if plan.target is not None else "",
            attempts=run.attempt,
            content_hash=entry.content_hash if entry is not None else None,
            drift=tuple(map(str, self._drift)),
            notes=(*plan.notes, *self._gate.warnings),
        )


def _so_far(step: str) -> str:
    """What is known of the load when the operating system fails in a step; of a commit, the ledger is asked."""
    if step in ("finalize", "read_back"):
        return ""
    done = step in ("save_state", "sweep")
    return "the load is committed, and the next run finds it; " if done else "nothing of this load was committed; "


def _as_json(state: State) -> dict[str, Any]:
    import msgspec

    decoded: dict[str, Any] = msgspec.json.decode(state.to_json())
    return decoded
