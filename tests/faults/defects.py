"""Seeded defects: each replaces one function in the process of a run by one that a hurried author might write."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import msgspec

from arrowload.connectors.duckdb import source as duckdb_source
from arrowload.connectors.files.dataset import Dataset
from arrowload.connectors.files.writer import DatasetLoadWriter
from arrowload.connectors.postgres.writer import PostgresLoadWriter
from arrowload.connectors.sql_ledger import SqlLedger
from arrowload.core.state import State
from arrowload.engine import commit, protocol
from arrowload.engine.engine import Engine
from arrowload.engine.overlap import SeenRows
from arrowload.state.document import DocumentStateBackend

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from arrowload.connectors.base import LedgerEntry, LedgerHead, Snapshot
    from arrowload.core.state_backend import Lease

replaced = msgspec.structs.replace


# ---------------------------------------------------------------- the order of things


def state_before_commit() -> None:
    """The state is stored, then the rows are committed."""
    real = Engine._finalize

    def finalize(engine: Engine, effect: protocol.Finalize) -> protocol.Event:
        lease = engine._state.lease
        if lease is None:
            raise AssertionError("no lease")
        engine._state.backend.compare_and_swap(lease, State.from_json(effect.entry.state))
        return real(engine, effect)

    Engine._finalize = finalize  # type: ignore[method-assign]


def rows_before_entry() -> None:
    """Rows are committed, and the ledger entry in a transaction of its own."""
    real = SqlLedger.insert

    def insert(ledger: SqlLedger, entry: LedgerEntry, seen: pa.Table | None) -> None:
        ledger._session.execute("COMMIT")
        ledger._session.execute("BEGIN")
        real(ledger, entry, seen)

    SqlLedger.insert = insert  # type: ignore[method-assign]


def parts_before_entry() -> None:
    """Parts get their final names before the log entry is linked."""
    real = DatasetLoadWriter._write_record

    def write_record(writer: DatasetLoadWriter, entry: LedgerEntry, seen: pa.Table | None) -> Path:
        temporary = real(writer, entry, seen)
        for part in writer._parts:
            (writer._folder / part.name).rename(writer._dataset.folder / part.name)
        return temporary

    DatasetLoadWriter._write_record = write_record  # type: ignore[method-assign]


def emptied_first() -> None:
    """A replace commits the deletion of the old rows, then brings the new ones."""
    real = PostgresLoadWriter._prepare

    def prepare(writer: PostgresLoadWriter) -> None:
        real(writer)
        writer._session.run("COMMIT")
        writer._session.run("BEGIN")

    PostgresLoadWriter._prepare = prepare  # type: ignore[method-assign]


# ---------------------------------------------------------------- recovery


def cursor_of_the_ledger_ignored() -> None:
    """Recovery takes the number of the last load from the ledger, and the cursor from the state."""
    real = commit._fenced

    def fenced(run: commit.Run, head: LedgerHead | None) -> tuple[commit.Run, protocol.Effect]:
        if head is not None and head.last is not None:
            place = {"generation": head.last.generation, "seq": head.last.seq}
            own = replaced(run.state, checkpoints=place)
            head = replaced(head, last=replaced(head.last, state=own.to_json().decode()))
        return real(run, head)

    commit._fenced = fenced


def each_run_a_home() -> None:
    """An interrupted append without cursor is not recognised as this recipe's own."""
    real = DocumentStateBackend.acquire

    def acquire(backend: DocumentStateBackend, recipe_name: str, owner: str, *, above: int) -> Lease:
        return replaced(real(backend, recipe_name, owner, above=above), home=uuid.uuid4().hex)

    DocumentStateBackend.acquire = acquire  # type: ignore[method-assign]


def parts_not_rolled_forward() -> None:
    """Nobody brings the parts of a committed load to their final names when its run could not."""
    Dataset.roll_forward = lambda dataset: None  # type: ignore[method-assign]


def lost_answer_is_success() -> None:
    """A commit without an answer counts as done; nobody asks the ledger."""
    real = commit._fail

    def fail(run: commit.Run, event: protocol.Failed) -> tuple[commit.Run, protocol.Effect]:
        if isinstance(run.doing, protocol.Finalize) and event.kind == "unknown":
            return commit._committed(run)
        return real(run, event)

    commit._fail = fail


# ---------------------------------------------------------------- windows


def boundary_not_read_again() -> None:
    """`>` in the place of `>=`."""
    real = duckdb_source.find_window

    def find_window(*arguments: Any, **options: Any) -> Any:
        window = real(*arguments, **options)
        return replaced(window, predicate=window.predicate.replace(">=", ">"))

    duckdb_source.find_window = find_window  # type: ignore[attr-defined]


def seen_rows_not_stored() -> None:
    """Rows at the boundary are not left for the next load to find."""
    real = SeenRows.left_for_next
    SeenRows.left_for_next = lambda rows: real(rows).slice(0, 0)  # type: ignore[method-assign]


def overlap_not_consulted() -> None:
    """Rows at the boundary are remembered, and loaded again all the same."""

    def new_rows(rows: SeenRows, batch: pa.RecordBatch) -> pa.RecordBatch:
        rows._remember(batch, batch.column(rows._overlap.column))
        return batch

    SeenRows.new_rows = new_rows  # type: ignore[method-assign]


def upper_bound_after_the_rows() -> None:
    """The upper bound is asked for in a snapshot of its own, when the rows have been read."""
    real = Engine._state_after

    def state_after(engine: Engine, snapshot: Snapshot) -> State:
        with engine._job.source.snapshot(State()) as later:
            return real(engine, later)

    Engine._state_after = state_after  # type: ignore[method-assign]


# ---------------------------------------------------------------- the fence


def fence_not_checked() -> None:
    """A run commits although a newer one has taken over."""
    SqlLedger.check_fence = lambda ledger, entry: None  # type: ignore[method-assign]
    Dataset.check_fence = lambda dataset, pipeline_id, epoch: dataset.log.refresh()  # type: ignore[method-assign,assign,return-value]
