"""The contracts of sources and destinations: the two that suffice, and the ones that earn exactly-once.

A plug-in that has only `read_batches` or `write_batch` runs, at least once, and the plan says so. A source that gives
a `snapshot` can be read again with the same rows; a destination that has a ledger commits rows and ledger entry in one
step. With both, the engine delivers exactly once.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

import msgspec
import pyarrow as pa

from arrowload.core.typing import WriteMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from arrowload.core.batch import Batch
    from arrowload.core.rejection import Rejection
    from arrowload.core.state import State
    from arrowload.models.destination_config import DestinationConfig
    from arrowload.planning.capabilities import DestinationCapabilities, SourceFacts, Split, TargetFacts, Window
    from arrowload.state.document import DocumentStore

# A place between two rows of a window, as the source itself writes it.
Mark: TypeAlias = Any
ORDINAL_COLUMN: Final = "_arrowload_ordinal"
CURSOR_COLUMN: Final = "_arrowload_cursor"
# Row hashes that one load leaves for the next, and how many rows have each.
SEEN_SCHEMA: Final = pa.schema([pa.field("row_hash", pa.binary(16)), pa.field("n", pa.int64())])

# Rows on their way from one server to another of its kind: as they lie on the wire, with what they are.
RELAY_SCHEMA: Final = pa.schema(
    [pa.field("rows", pa.int64()), pa.field("content_hash", pa.binary(16)), pa.field("data", pa.large_binary())]
)


@runtime_checkable
class MemoryBound(Protocol):
    """A source or destination whose engine can be told how much memory it may take."""

    def limit_memory(self, max_bytes: int) -> None:
        """Take at most about `max_bytes`; called before anything else."""


# ---------------------------------------------------------------- sources


@runtime_checkable
class Source(Protocol):
    """The smallest source: batches, given what was remembered."""

    def read_batches(self, state: State) -> Iterable[Batch]:
        """The rows to load, batch by batch."""


class Overlap(msgspec.Struct, frozen=True):
    """Which rows of a window may have been loaded before, and which the next window may meet again.

    Rows whose `column` is at most `seen_through` are looked up, by row hash, among the rows that earlier loads left in
    the ledger. Rows whose `column` is at least `seen_from` are left there for the next load.

    Attributes:
        column: The cursor column, as the source names it.
        seen_through: A scalar of the column's type, or None in the first window.
        seen_from: A scalar of the column's type, or None to leave nothing.
        late: A column that the batches have besides those of the schema: it is true for rows that the next window meets
            again wherever their cursor is. None when only the cursor counts.
    """

    column: str
    seen_through: pa.Scalar | None
    seen_from: pa.Scalar | None
    late: str | None = None


class Snapshot(Protocol):
    """One consistent view of a source: the same rows however often and in whatever order its splits are read.

    Attributes:
        schema: Of every batch that `read_split` gives.
        window: Which rows they are.
        overlap: How the window meets its neighbours; None when they cannot share rows.
        state: What to remember once the window is committed: `cursor_values`, `watermarks`; the engine adds the rest.
    """

    schema: pa.Schema
    window: Window
    overlap: Overlap | None
    state: State

    def splits(self, n: int) -> Sequence[Split]:
        """Splits, in the order of the rows, that together hold each row of the window once.

        As many as `n` readers at once have use for: one each, or fewer where the window cannot be divided so; or more
        and smaller ones where that costs nothing, so that a reader which is done sooner takes some of another's. One
        for one reader.
        """

    def read_split(self, split: Split, *, batch_size: int) -> pa.RecordBatchReader:
        """The rows of one split, in bounded memory, in batches of about `batch_size` rows.

        Splits are read by several threads at once, and a reader may be closed half way.
        """


@runtime_checkable
class SharedSnapshot(Protocol):
    """A snapshot, besides, of a source that others use too, and that may not have room for every reader."""

    def readers(self, n: int) -> int:
        """How many of `n` readers at once there is room for now; one at least."""


@runtime_checkable
class CancellableSnapshot(Protocol):
    """A snapshot, besides, whose readers can be told to end while they wait for a slow server."""

    def cancel(self) -> None:
        """Make every reader that `read_split` gave end at once, also one that waits; nothing more will be read.

        Called from another thread than the readers', when a load ends before its rows do. What a reader raises then is
        not looked at; the snapshot is closed next.
        """


@runtime_checkable
class DivisibleSnapshot(Protocol):
    """A snapshot, besides, whose window can be loaded in chunks, each a window of its own."""

    def marks(self, rows: int) -> Sequence[Mark]:
        """The upper bounds of chunks of about `rows` rows, in order; the last is that of the window itself.

        Rows of one cursor value are in one chunk. None where no bound can be told.
        """


@runtime_checkable
class CountableSnapshot(Protocol):
    """A snapshot, besides, that can count its rows without reading them out."""

    def count_rows(self) -> int:
        """Of the window."""


@runtime_checkable
class SiftingSnapshot(Protocol):
    """A snapshot, besides, that can go on behind a row whose values are not what they should be."""

    def reject_into(self, reject: Callable[[Rejection], None]) -> None:
        """Have `read_split` hand such rows to `reject` and leave them out; called before the first split is read.

        What `reject` raises ends the reading.
        """


class RelayFormat(msgspec.Struct, frozen=True, kw_only=True):
    """How rows lie on a server's wire, so that another can tell whether it takes them as they are.

    Attributes:
        protocol: Of the wire: `postgres copy binary`.
        columns: Name, type on the wire, and the modifier that its values keep to, empty for none.
    """

    protocol: str
    columns: tuple[tuple[str, str, str], ...]


@runtime_checkable
class RelaySnapshot(Protocol):
    """A snapshot, besides, that can hand over rows as they lie on the wire.

    Attributes:
        relay_format: None when these rows cannot be passed on as they are.
    """

    relay_format: RelayFormat | None

    def read_relay(self, split: Split) -> Iterator[pa.RecordBatch]:
        """The rows of one split, of `RELAY_SCHEMA`, one record for each piece of the stream."""


@runtime_checkable
class RelayDestination(Protocol):
    """A destination, besides, whose writers take a stream of `RELAY_SCHEMA`."""

    def takes_relay(self, relay: RelayFormat) -> bool:
        """Whether the target that was asked for last stores such rows as the values that they are."""


@runtime_checkable
class SnapshotSource(Protocol):
    """A source that can be planned, and read again with the same rows."""

    def facts(self) -> SourceFacts:
        """What the source says about itself."""

    def schema(self) -> pa.Schema:
        """The columns to be read, from the catalogue or the files; reads no row of a table.

        Raises:
            ConnectorError: The table, the query or the files cannot be found or described.
            RecipeError: The recipe names a column that is not there.
        """

    def snapshot(self, state: State, until: Mark | None = None) -> AbstractContextManager[Snapshot]:
        """Open a consistent view, with the bounds taken inside it.

        Args:
            state: What was remembered.
            until: The upper bound, which `DivisibleSnapshot.marks` gave; None for all that is there.

        Raises:
            DataError: NULLs in the cursor column, under `null_cursor: error`.
        """

    def close(self) -> None:
        """Give back connections and files."""


# ---------------------------------------------------------------- destinations


class StoredRows(NamedTuple):
    """Rows of a target that can be told from its others, and what the ledger says of them.

    Attributes:
        loads: The loads that brought them, oldest first.
        source: Reads them, and no others.
        schema: Of the rows when they were hashed; None where only the recipe can tell.
    """

    loads: tuple[LedgerEntry, ...]
    source: SnapshotSource
    schema: pa.Schema | None


@runtime_checkable
class VerifiableDestination(Protocol):
    """A destination, besides, whose rows can be read again and compared with what the ledger says of them."""

    def stored(self, columns: Sequence[str]) -> Sequence[StoredRows]:
        """What is in the target, in as many parts as can be told apart.

        Args:
            columns: Those that are loaded, in their order.
        """

    def stored_by_load(self, columns: Sequence[str], cursor: str) -> Sequence[StoredRows]:
        """The same, told apart by the bounds of each load on a column of the target."""


@runtime_checkable
class Destination(Protocol):
    """The smallest destination: takes batches, one at a time."""

    def write_batch(self, batch: Batch, state: State) -> None:
        """Write the rows of `batch`."""


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What the destination knows of one committed load; stored with the rows, in the same step.

    Attributes:
        pipeline_id, generation, seq: The place of the load in the life of its recipe; together the key.
        load_id: Derived from these three, so that a retry is recognised as the same load.
        epoch: The fencing token of the run that committed it.
        recipe, target: Names, for people and for a run that has lost its state.
        write_mode: How the rows were applied.
        lower, upper: The bounds of the window as text.
        state: The state after the load, as JSON.
        schema_fingerprint: Of the rows as they were written.
        rows_*: Read from the source = written + filtered + rejected + deduplicated.
        content_hash: Hexadecimal sum mod 2^128 of the row hashes of all rows staged.
        engine_version: Of arrowload.
        committed_at: By the clock of the run.
    """

    pipeline_id: str
    generation: int
    seq: int
    load_id: str
    epoch: int
    recipe: str
    target: str
    write_mode: WriteMode
    lower: str | None
    upper: str | None
    state: str
    schema_fingerprint: str
    rows_read: int
    rows_written: int
    rows_filtered: int
    rows_rejected: int
    rows_deduplicated: int
    content_hash: str
    engine_version: str
    committed_at: dt.datetime


class LedgerHead(msgspec.Struct, frozen=True, kw_only=True):
    """The newest of what a destination knows about one recipe.

    Attributes:
        pipeline_id: Its identity, minted at its first run.
        target: What it loads.
        epoch, owner: The fence: no run of a lower epoch may commit.
        last: The last load committed, None before the first.
    """

    pipeline_id: str
    target: str
    epoch: int
    owner: str
    last: LedgerEntry | None


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One load, as the destination is told of it.

    Attributes:
        write_mode: `append`; `replace`: readers see all old rows or all new ones; `merge`: by `merge_keys`.
        merge_keys: Under `merge`, and under `replace` when a recipe that merges is loaded anew. When there are any, the
            staged stream carries, after the columns of `schema`, `CURSOR_COLUMN` (when `has_cursor`) and
            `ORDINAL_COLUMN` (int64): of rows with equal keys the one with the greatest (cursor, ordinal) wins, a NULL
            cursor losing to any other.
        schema: Of the rows: equal to `TargetFacts.schema`.
    """

    load_id: str
    pipeline_id: str
    recipe: str
    generation: int
    seq: int
    epoch: int
    write_mode: WriteMode
    merge_keys: tuple[str, ...]
    schema: pa.Schema
    has_cursor: bool = False


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What the destination holds of a load that is staged whole.

    Attributes:
        rows_staged: As counted by the destination, not by the engine.
        rows_duplicate: Of these, rows that lose to another row with the same merge key.
        rows_replaced: Rows whose place they take, under `replace`.
        detail: The destination's own facts: files with sizes and hashes, the staging table.
    """

    rows_staged: int
    rows_duplicate: int = 0
    rows_replaced: int = 0
    detail: dict[str, object] = {}


class LoadWriter(Protocol):
    """Stages the rows of one load where no reader sees them, then makes them visible in one step."""

    def stage(self, stream: pa.RecordBatchReader) -> None:
        """Pull `stream` to its end into staging.

        The stream may raise; its error comes out of here, possibly wrapped by a driver.
        """

    def seal(self) -> Sealed:
        """Count what is staged; nothing more will be."""

    def finalize(self, entry: LedgerEntry, seen: pa.Table | None) -> None:
        """In one step: apply the rows, insert `entry`, replace what the ledger holds by `seen`, check the fence.

        Passes the failpoints `finalize.applied`, `finalize.ledger` and `finalize.fenced` in this order, the fence
        being checked last: taken first it would block a successor, and a paused runner would not notice it.

        Args:
            entry: The ledger entry.
            seen: Of `SEEN_SCHEMA`; None leaves what is there.

        Raises:
            BusyError: A newer epoch is installed; nothing was applied.
            OutcomeUnknownError: The commit was sent and its answer did not come.
        """

    def abort(self) -> None:
        """Drop what was staged; does nothing after `finalize`."""


@runtime_checkable
class StateJoiningWriter(Protocol):
    """A writer, besides, whose transaction can store the state with the rows."""

    def join_state(self, store_state: Callable[[DocumentStore], None]) -> None:
        """Have `finalize` call `store_state`, after the ledger entry, with a store that is part of its transaction."""


@runtime_checkable
class ContractDestination(Protocol):
    """A destination, besides, whose target can be compared with what comes."""

    def stored_schema(self) -> pa.Schema | None:
        """The columns that the target has now, those of type null taking anything; None when it is not there."""


@runtime_checkable
class WideningDestination(ContractDestination, Protocol):
    """A destination, besides, that can change the types of columns which are there."""

    def widen(self, types: Mapping[str, pa.DataType]) -> None:
        """Have `target`, and the loads that begin from now on, change these columns of the target to these types."""


@runtime_checkable
class QuarantiningWriter(Protocol):
    """A writer, besides, that can keep the rows that its load refused, in the same step as those that it loads."""

    def quarantine(self, rejected: pa.Table, settled: Sequence[str]) -> None:
        """Have `finalize` store `rejected`, and drop what the loads `settled` left, but what is never replayed.

        A load that replaces all rows drops, besides, all that earlier loads of its pipeline left.

        Args:
            rejected: Of `REJECTED_SCHEMA`.
            settled: Ids of loads.
        """


@runtime_checkable
class RereadingSource(Protocol):
    """A source, besides, that keeps of a row which it refused what it could not convert."""

    def reread(self, column: pa.Array, field: pa.Field) -> pa.Array:
        """What was kept of a column, as values of `field`, by the rules by which the source reads.

        Raises:
            CastFailure: A value still is none.
        """


@runtime_checkable
class QuarantineDestination(Protocol):
    """A destination, besides, whose writers keep rejected rows."""

    def quarantined(self, pipeline_id: str) -> pa.Table:
        """The rows that are kept, oldest first: `load_id` (text), then the columns of `REJECTED_SCHEMA`."""


@runtime_checkable
class JudgingDestination(Protocol):
    """A destination, besides, that can say of rows that it would refuse them."""

    def judge(self, rows: pa.RecordBatch) -> None:
        """Look at rows of the schema that `target` gave last.

        Raises:
            DataError: It refuses a row; context: `column`, `row` (from 0), `value`.
        """


@runtime_checkable
class ScratchDestination(Protocol):
    """A destination, besides, that can be given an empty target of its own, to be thrown away afterwards."""

    def scratch(self, name: str, folder: str) -> DestinationConfig:
        """The same destination with another target, which is not there yet.

        Args:
            name: Letters, digits and underscores; no other scratch target has it.
            folder: For what lies in files; removed by the caller.
        """

    def remove_scratch(self) -> None:
        """Drop this destination's own target, which is a scratch one, and all that the ledger says of it."""


@runtime_checkable
class TransactionalDestination(Protocol):
    """A destination whose ledger commits together with the rows that it describes.

    Attributes:
        target_name: What is loaded, by the name under which the ledger, which lies beside it, knows it.
    """

    target_name: str

    def capabilities(self) -> DestinationCapabilities:
        """What it can do."""

    def target(self, schema: pa.Schema, *, write_mode: WriteMode, merge_keys: Sequence[str]) -> TargetFacts:
        """How rows of `schema` will be stored; changes nothing.

        Args:
            schema: Of the pipeline's output.
            write_mode: Of this load. Under `replace` the types of an existing target do not bind.
            merge_keys: Of this load.

        Raises:
            RecipeError: A column, a type or the mode has no place in the target; says which and why.
        """

    def head(self, recipe: str, pipeline_id: str | None) -> LedgerHead | None:
        """What the ledger holds of `pipeline_id` or, when it knows no such id, of this recipe and target.

        None when the ledger, or the pipeline in it, is not there. Changes nothing.
        """

    def fence(self, pipeline_id: str, recipe: str, epoch: int, owner: str) -> LedgerHead:
        """Install `epoch`, making the ledger when it is not there; ends what older epochs have still running.

        A recipe and its target have one pipeline: of two first runs that each minted an id, one is told to look again.

        Raises:
            BusyError: The epoch installed is not lower.
            TransientConnectorError: The recipe has another pipeline by now.
        """

    def find(self, pipeline_id: str, load_id: str) -> LedgerEntry | None:
        """The entry of one load, from a fresh connection: what a run asks whose commit got no answer.

        Raises:
            OutcomeUnknownError: A statement of the load may still be running.
        """

    def entries(self, pipeline_id: str) -> Sequence[LedgerEntry]:
        """Every load of a pipeline that was committed, oldest first."""

    def all_entries(self) -> Sequence[LedgerEntry]:
        """Every load into the target that was committed, of whichever recipe, oldest first."""

    def amend(self, entry: LedgerEntry, seen: pa.Table | None) -> None:
        """Enter a load of no rows, which changes what is remembered and nothing else; `seen` is as for `finalize`.

        Raises:
            BusyError: The fence is no longer at the epoch of `entry`; nothing was entered.
        """

    def seen(self, pipeline_id: str) -> pa.Table:
        """What the last load left for the next, of `SEEN_SCHEMA`."""

    def begin(self, load: Load) -> LoadWriter:
        """Start staging a load; stages of the same load left by earlier attempts are dropped."""

    def sweep(self, pipeline_id: str, epoch: int) -> None:
        """Remove what loads of older epochs left in staging, and bring forward what was committed but not finished."""

    def close(self) -> None:
        """Give back connections and files."""
