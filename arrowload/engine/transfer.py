"""The way of the rows: read on threads of their own, transformed, counted, hashed, and handed on as a stream."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from arrowload import kernels
from arrowload.connectors.base import CURSOR_COLUMN, ORDINAL_COLUMN
from arrowload.core.casting import cast_batch_exact
from arrowload.core.exceptions import DataError, TransformError
from arrowload.core.schema import fingerprint
from arrowload.engine.events import RowsMoved
from arrowload.engine.protocol import Tally
from arrowload.engine.queue import BatchQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from arrowload.connectors.base import Snapshot
    from arrowload.engine.overlap import SeenRows
    from arrowload.planning.capabilities import Split
    from arrowload.transforms.base import Transformed
    from arrowload.transforms.pipeline import BoundPipeline

_HASH_MODULUS: Final = 2**128
# More rows than a split can have.
_ROWS_OF_SPLIT: Final = 2**40
# Of `max_memory`, what batches between reading and writing may take; the rest is the drivers' and the engines'.
_QUEUE_SHARE: Final = 16


@dataclass
class Counts:
    """Running totals of one attempt; guarded by the lock of its transfer."""

    rows_read: int = 0
    rows_filtered: int = 0
    rows_seen_before: int = 0
    rows_staged: int = 0
    bytes_read: int = 0
    content_hash: int = 0


@dataclass
class Transfer:
    """Moves the rows of one snapshot, once.

    Attributes:
        snapshot, pipeline: Where rows come from, and what becomes of them.
        schema: What the destination wants to be handed.
        merge_keys: Columns that must not be NULL; with any, each row carries its ordinal, and its cursor if it has one.
        cursor_column: The source's cursor column, None without one.
        seen: Finds rows that an earlier load has committed; None where windows share none.
        batch_size, parallelism, max_memory: As in `runtime:`.
        notify: Told of each batch.
    """

    snapshot: Snapshot
    pipeline: BoundPipeline
    schema: pa.Schema
    merge_keys: tuple[str, ...] = ()
    cursor_column: str | None = None
    seen: SeenRows | None = None
    batch_size: int = 65_536
    parallelism: int = 1
    max_memory: int = 2**29
    notify: Callable[[RowsMoved], None] = lambda _: None
    counts: Counts = field(default_factory=Counts)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)
    _queue: BatchQueue | None = None
    _error: BaseException | None = None

    @property
    def stream_schema(self) -> pa.Schema:
        """`schema`, with the columns that a merge orders rows by."""
        fields = list(self.schema)
        if self.merge_keys and self.cursor_column is not None:
            fields.append(pa.field(CURSOR_COLUMN, self.snapshot.schema.field(self.cursor_column).type))
        if self.merge_keys:
            fields.append(pa.field(ORDINAL_COLUMN, pa.int64()))
        return pa.schema(fields)

    @property
    def error(self) -> BaseException | None:
        """The error that ended the stream; what the consumer raised then is only its echo through a driver."""
        return self._error

    def stream(self) -> pa.RecordBatchReader:
        """The rows, ready for the destination; reading begins now, on threads of its own."""
        splits = deque(self.snapshot.splits(self.parallelism))
        workers = max(1, min(self.parallelism, len(splits)))
        self._queue = BatchQueue(producers=workers, max_bytes=self.max_memory // _QUEUE_SHARE)
        self._threads = [
            threading.Thread(target=self._work, args=(splits, self._queue), name=f"arrowload-reader-{n}", daemon=True)
            for n in range(workers)
        ]
        for thread in self._threads:
            thread.start()
        return pa.RecordBatchReader.from_batches(self.stream_schema, self._handed_over(self._queue))

    def close(self) -> None:
        """Stop reading and wait until every thread has ended."""
        if self._queue is not None:
            self._queue.close()
        for thread in self._threads:
            thread.join()

    def tally(self) -> Tally:
        """The totals; complete once the stream has ended."""
        return Tally(
            rows_read=self.counts.rows_read,
            rows_staged=self.counts.rows_staged,
            rows_filtered=self.counts.rows_filtered,
            rows_rejected=0,
            rows_seen_before=self.counts.rows_seen_before,
            content_hash=self.counts.content_hash,
            schema_fingerprint=fingerprint(self.schema),
        )

    def _work(self, splits: deque[Split], queue: BatchQueue) -> None:
        try:
            for split in _taken(splits):
                for batch in self._prepared(split):
                    if not queue.put(batch):
                        return
        except BaseException as exc:  # noqa: BLE001 - the consumer raises it; Polars' panics are no Exceptions
            queue.finish(exc)
        else:
            queue.finish()

    def _prepared(self, split: Split) -> Iterator[pa.RecordBatch]:
        """The rows of one split as the destination wants them."""
        first_row = 1  # as people count
        with self.snapshot.read_split(split, batch_size=self.batch_size) as reader:
            for batch in reader:
                if batch.num_rows:
                    prepared = self._prepare(batch, first_row, split.index)
                    first_row += batch.num_rows
                    if prepared.num_rows:
                        yield prepared

    def _prepare(self, batch: pa.RecordBatch, first_row: int, split: int) -> pa.RecordBatch:
        new = batch
        if self.seen is not None:
            with self._lock:
                new = self.seen.new_rows(batch)
        transformed = self.pipeline.apply(new, first_row=first_row)
        out = self._as_stored(transformed, first_row)
        self._refuse_null_keys(out, first_row, transformed.kept)
        rows, digest = kernels.content_hash(out)
        self._count(batch, new, rows, digest)
        if self.merge_keys and self.cursor_column is not None:
            cursor = new.column(self.cursor_column)
            out = out.append_column(
                CURSOR_COLUMN, cursor if transformed.kept is None else cursor.take(transformed.kept)
            )
        if self.merge_keys:
            # Splits are in the order of the rows, and this is the row's place in it, whichever is read first.
            start = split * _ROWS_OF_SPLIT + first_row
            out = out.append_column(ORDINAL_COLUMN, pa.array(range(start, start + out.num_rows), pa.int64()))
        return out

    def _as_stored(self, transformed: Transformed, first_row: int) -> pa.RecordBatch:
        try:
            return cast_batch_exact(transformed.batch, self.schema, first_row=first_row, kept=transformed.kept)
        except TransformError as exc:
            raise TransformError(
                f"the target cannot hold it: {exc.message}",
                context=exc.context,
                hint="cast the column in a step, declare its type in the source, or load anew with --full-refresh",
            ) from exc

    def _refuse_null_keys(self, batch: pa.RecordBatch, first_row: int, kept: pa.Array | None) -> None:
        for key in self.merge_keys:
            column = batch.column(key)
            if column.null_count:
                place = pc.index(column.is_null(), True).as_py()
                row = first_row + (place if kept is None else kept[place].as_py())
                raise DataError(
                    f"the merge key `{key}` is NULL in row {row}",
                    context={"column": key, "row": row},
                    hint="filter such rows out, or choose a key that every row has",
                )

    def _count(self, read: pa.RecordBatch, new: pa.RecordBatch, rows: int, digest: int) -> None:
        counts = self.counts
        with self._lock:
            counts.rows_read += read.num_rows
            counts.bytes_read += read.nbytes
            counts.rows_seen_before += read.num_rows - new.num_rows
            counts.rows_filtered += new.num_rows - rows
            counts.content_hash = (counts.content_hash + digest) % _HASH_MODULUS

    def _handed_over(self, queue: BatchQueue) -> Iterator[pa.RecordBatch]:
        """What the destination pulls: batches in the order in which they are ready."""
        try:
            for batch in queue:
                self.counts.rows_staged += batch.num_rows
                self.notify(RowsMoved(self.counts.rows_read, self.counts.rows_staged, self.counts.bytes_read))
                yield batch
        except GeneratorExit:
            raise
        except BaseException as exc:
            self._error = exc
            raise
        finally:
            queue.close()


def _taken(splits: deque[Split]) -> Iterator[Split]:
    """Splits that no other worker has taken."""
    while True:
        try:
            yield splits.popleft()
        except IndexError:
            return
