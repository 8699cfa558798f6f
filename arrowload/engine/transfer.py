"""The way of the rows: read on threads of their own, transformed, counted, hashed, and handed on as a stream."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from arrowload import kernels
from arrowload.connectors.base import (
    CURSOR_COLUMN,
    ORDINAL_COLUMN,
    RELAY_SCHEMA,
    CancellableSnapshot,
    RelaySnapshot,
    SiftingSnapshot,
)
from arrowload.core.exceptions import DataError
from arrowload.core.lazy import compute as pc
from arrowload.core.schema import fingerprint
from arrowload.engine.events import RowsMoved
from arrowload.engine.protocol import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from arrowload.checks.suite import CheckSuite
    from arrowload.connectors.base import Snapshot
    from arrowload.core.rejection import Rejection
    from arrowload.engine.overlap import SeenRows
    from arrowload.engine.sifting import Sifter
    from arrowload.engine.splits import Splits
    from arrowload.engine.storing import Aside, Storing
    from arrowload.planning.capabilities import Split
    from arrowload.transforms.base import Transformed
    from arrowload.transforms.pipeline import BoundPipeline

_HASH_MODULUS: Final = 2**128
# More rows than a split can have.
_ROWS_OF_SPLIT: Final = 2**40
# Of `max_memory`, what batches between reading and writing may take; the rest is the drivers' and the engines'.
_QUEUE_SHARE: Final = 64
_CANCEL_AGAIN_S: Final = 0.5
# What is relayed comes and goes in pieces of half a mebibyte, and more of them in between bring nothing.
_RELAY_BYTES: Final = 2 * 2**20


@dataclass
class Counts:
    """Running totals of one attempt; guarded by the lock of its transfer."""

    rows_read: int = 0
    rows_filtered: int = 0
    rows_rejected: int = 0
    rows_seen_before: int = 0
    rows_staged: int = 0
    bytes_read: int = 0
    content_hash: int = 0

    def add(self, more: Counts) -> None:
        """Add the totals of another attempt, but for the hash."""
        self.rows_read += more.rows_read
        self.rows_filtered += more.rows_filtered
        self.rows_rejected += more.rows_rejected
        self.rows_seen_before += more.rows_seen_before
        self.rows_staged += more.rows_staged
        self.bytes_read += more.bytes_read


@dataclass
class Transfer:
    """Moves the rows of one snapshot, once.

    Attributes:
        snapshot, pipeline: Where rows come from, and what becomes of them.
        splits: The parts of the snapshot; each reader takes the next one, on a thread of its own.
        hashed: Rows are hashed for the ledger; who keeps none need not pay for it.
        relayed: Rows are passed on as they lie on the wire; nothing but their count and their hash is looked at.
        storing: Gives rows the schema that the destination wants to be handed.
        merge_keys: Columns that must not be NULL; with any, each row carries its ordinal, and its cursor if it has one.
        cursor_column: The source's cursor column, None without one.
        seen: Finds rows that an earlier load has committed; None where windows share none.
        checks: Shown every batch that is handed on; None when the recipe has none.
        sifter: Puts the rows that cannot be handed on aside; without it the first of them ends the load.
        batch_size, max_memory: As in `runtime:`.
        notify: Told of each batch, on the thread that read it and one at a time.
    """

    snapshot: Snapshot
    pipeline: BoundPipeline
    splits: Splits
    storing: Storing
    hashed: bool = True
    relayed: bool = False
    merge_keys: tuple[str, ...] = ()
    cursor_column: str | None = None
    seen: SeenRows | None = None
    checks: CheckSuite | None = None
    sifter: Sifter | None = None
    batch_size: int = 32_768
    max_memory: int = 2**29
    notify: Callable[[RowsMoved], None] = lambda _: None
    counts: Counts = field(default_factory=Counts)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)
    _reading: int = 0
    _queue: kernels.BatchQueue | None = None
    _error: BaseException | None = None

    @property
    def stream_schema(self) -> pa.Schema:
        """That of what is stored, with the columns that a merge orders rows by."""
        if self.relayed:
            return RELAY_SCHEMA
        fields = list(self.storing.schema)
        if self.merge_keys and self.cursor_column is not None:
            fields.append(pa.field(CURSOR_COLUMN, self.snapshot.schema.field(self.cursor_column).type))
        if self.merge_keys:
            fields.append(pa.field(ORDINAL_COLUMN, pa.int64()))
        return pa.schema(fields)

    @property
    def error(self) -> BaseException | None:
        """The error that ended the stream; what the consumer raised then is only its echo through Arrow or a driver.

        It may be a KeyboardInterrupt, which came while the consumer waited for rows.
        """
        interruption = self._queue.interruption if self._queue is not None else None
        return interruption or self._error

    def stream(self) -> pa.RecordBatchReader:
        """The rows, ready for the destination; reading begins now, on threads of its own.

        Pulling needs no GIL: DuckDB, Polars and pyarrow work while Python threads read.
        """
        splits, workers = deque(self.splits.parts), self.splits.readers
        max_bytes = _RELAY_BYTES if self.relayed else self.max_memory // _QUEUE_SHARE
        self._queue = kernels.BatchQueue(self.stream_schema, producers=workers, max_bytes=max_bytes)
        reader = pa.RecordBatchReader.from_stream(self._queue)
        self._reading = workers
        if self.sifter is not None and isinstance(self.snapshot, SiftingSnapshot):
            self.snapshot.reject_into(self._refused_by_source)
        self._threads = [
            threading.Thread(target=self._work, args=(splits, self._queue), name=f"arrowload-reader-{n}", daemon=True)
            for n in range(workers)
        ]
        for thread in self._threads:
            thread.start()
        return reader

    def close(self) -> None:
        """Stop reading and wait until every thread has ended; a snapshot that can be cancelled is."""
        if self._queue is not None:
            self._queue.close()
        for thread in self._threads:
            # A reader that was about to ask its server when it was cancelled is cancelled once more.
            while thread.is_alive():
                if self._reading and isinstance(self.snapshot, CancellableSnapshot):
                    self.snapshot.cancel()
                thread.join(_CANCEL_AGAIN_S)

    def tally(self) -> Tally:
        """The totals; complete once the stream has ended."""
        return Tally(
            rows_read=self.counts.rows_read,
            rows_staged=self.counts.rows_staged,
            rows_filtered=self.counts.rows_filtered,
            rows_rejected=self.counts.rows_rejected,
            rows_seen_before=self.counts.rows_seen_before,
            content_hash=self.counts.content_hash,
            schema_fingerprint=fingerprint(self.storing.schema),
        )

    def _work(self, splits: deque[Split], queue: kernels.BatchQueue) -> None:
        failure: BaseException | None = None
        try:
            self._read(splits, queue)
        except BaseException as exc:  # noqa: BLE001 - the engine raises it; Polars' panics are no Exceptions
            failure = exc
        with self._lock:
            self._error = self._error or failure
            self._reading -= 1
        queue.finish(None if failure is None else str(failure) or type(failure).__name__)

    def _read(self, splits: deque[Split], queue: kernels.BatchQueue) -> None:
        """Put every row of `splits` into `queue`, until no more are wanted."""
        for split in _taken(splits):
            with closing(self._passed_on(split) if self.relayed else self._prepared(split)) as batches:
                for batch, rows in batches:
                    if not queue.put(batch):
                        return
                    del batch
                    self._handed_over(rows)

    def _handed_over(self, rows: int) -> None:
        counts = self.counts
        with self._lock:
            counts.rows_staged += rows
            self.notify(RowsMoved(counts.rows_read, counts.rows_staged, counts.bytes_read))

    def _passed_on(self, split: Split) -> Generator[tuple[pa.RecordBatch, int]]:
        """The rows of one split as they lie on the wire, and how many they are."""
        if not isinstance(self.snapshot, RelaySnapshot):
            raise TypeError("the snapshot cannot hand over rows as they lie on the wire")
        for piece in self.snapshot.read_relay(split):
            rows = piece.column("rows")[0].as_py()
            digest = int.from_bytes(piece.column("content_hash")[0].as_py(), "little")
            with self._lock:
                self.counts.rows_read += rows
                self.counts.bytes_read += piece.nbytes
                self.counts.content_hash = (self.counts.content_hash + digest) % _HASH_MODULUS
            yield piece, rows

    def _prepared(self, split: Split) -> Generator[tuple[pa.RecordBatch, int]]:
        """The rows of one split as the destination wants them, and how many they are."""
        first_row = 1  # as people count
        with self.snapshot.read_split(split, batch_size=self.batch_size) as reader:
            for batch in reader:
                if batch.num_rows:
                    prepared = self._prepare(batch, first_row, split)
                    first_row += batch.num_rows
                    if prepared.num_rows:
                        yield prepared, prepared.num_rows
                    del prepared
                del batch  # or it would be kept while the next one is made

    def _prepare(self, batch: pa.RecordBatch, first_row: int, split: Split) -> pa.RecordBatch:
        new = batch
        if self.seen is not None:
            with self._lock:
                new = self.seen.new_rows(batch)
        overlap = self.snapshot.overlap
        if overlap is not None and overlap.late is not None:
            new = new.drop_columns(overlap.late)
        rejected = 0
        if self.sifter is None:
            out, kept = self._stored(new, first_row)
        else:
            (out, kept), rejected = self.sifter.sift(
                new, first_row, self._stored, within=split.what if len(self.splits.parts) > 1 else None
            )
        if self.checks is not None and out.num_rows:
            self.checks.add(out, first_row)
        self._count(batch, new, out, rejected)
        if self.merge_keys and self.cursor_column is not None:
            cursor = new.column(self.cursor_column)
            out = out.append_column(CURSOR_COLUMN, cursor if kept is None else cursor.take(kept))
        if self.merge_keys:
            # Splits are in the order of the rows, and this is the row's place in it, whichever is read first.
            start = split.index * _ROWS_OF_SPLIT + first_row
            out = out.append_column(ORDINAL_COLUMN, pa.arange(start, start + out.num_rows))
        return out

    def _stored(self, rows: pa.RecordBatch, first_row: int, aside: Aside | None = None) -> Transformed:
        """The rows as the destination stores them.

        Raises:
            TransformError, DataError: Of a row that cannot be stored, unless `aside` took it.
        """
        refuse = aside.row if aside is not None else None
        transformed = self.pipeline.apply(rows, first_row=first_row, refuse=refuse)
        stored = self.storing.store(transformed, first_row, aside)
        self._refuse_null_keys(stored, first_row)
        return stored

    def _refused_by_source(self, rejection: Rejection) -> None:
        """Take a row that the source read and could not make what it should be."""
        if self.sifter is None:
            raise TypeError("there is no quarantine")
        self.sifter.quarantine.add(rejection)
        with self._lock:
            self.counts.rows_read += 1
            self.counts.rows_rejected += 1

    def _refuse_null_keys(self, stored: Transformed, first_row: int) -> None:
        for key in self.merge_keys:
            column = stored.batch.column(key)
            if column.null_count:
                row = first_row + stored.place(pc.index(column.is_null(), True).as_py())
                raise DataError(
                    f"the merge key `{key}` is NULL in row {row}",
                    context={"column": key, "row": row, "merge_key": key},
                    hint="filter such rows out, or choose a key that every row has",
                )

    def _count(self, read: pa.RecordBatch, new: pa.RecordBatch, out: pa.RecordBatch, rejected: int) -> None:
        digest = kernels.content_hash(out)[1] if self.hashed else 0
        counts = self.counts
        with self._lock:
            counts.rows_read += read.num_rows
            counts.bytes_read += read.nbytes
            counts.rows_rejected += rejected
            counts.rows_seen_before += read.num_rows - new.num_rows
            counts.rows_filtered += new.num_rows - out.num_rows - rejected
            counts.content_hash = (counts.content_hash + digest) % _HASH_MODULUS


def _taken(splits: deque[Split]) -> Iterator[Split]:
    """Splits that no other worker has taken."""
    while True:
        try:
            yield splits.popleft()
        except IndexError:
            return
