"""The way of the rows between threads: what the destination pulls, what is counted, and how it ends early."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from arrowload import kernels
from arrowload.connectors.base import CURSOR_COLUMN, ORDINAL_COLUMN, CancellableSnapshot
from arrowload.core.exceptions import DataError
from arrowload.core.state import State
from arrowload.engine.splits import Splits
from arrowload.engine.storing import Storing
from arrowload.engine.transfer import Transfer
from arrowload.planning.capabilities import Split, Window
from arrowload.transforms.pipeline import TransformPipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEMA = pa.schema([("id", pa.int64()), ("c", pa.int64())])


def rows(*numbers: int | None) -> pa.RecordBatch:
    return pa.record_batch([pa.array(numbers, pa.int64())] * 2, schema=SCHEMA)


class Served:
    """A snapshot whose splits are what functions yield."""

    schema = SCHEMA
    window = Window()
    overlap = None
    state = State()

    def __init__(self, *splits: Callable[[], Iterator[pa.RecordBatch]]) -> None:
        self._splits = splits

    def splits(self, n: int) -> list[Split]:
        return [Split(index=index, spec={}) for index in range(len(self._splits))]

    @contextmanager
    def read_split(self, split: Split, *, batch_size: int) -> Iterator[Iterator[pa.RecordBatch]]:
        yield self._splits[split.index]()


class Slow(Served):
    """Waits for its server until it is cancelled."""

    def __init__(self) -> None:
        super().__init__(self._wait)
        self.cancelled = threading.Event()

    def _wait(self) -> Iterator[pa.RecordBatch]:
        yield rows(1)
        if self.cancelled.wait(30):
            raise ConnectionError("cancelled")

    def cancel(self) -> None:
        self.cancelled.set()


def transfer(snapshot: Any, **more: Any) -> Transfer:
    pipeline = TransformPipeline([]).bind(SCHEMA)
    parts = snapshot.splits(8)
    splits = Splits(parts, len(parts))
    return Transfer(snapshot=snapshot, pipeline=pipeline, splits=splits, storing=Storing(SCHEMA), **more)


def test_rows_are_counted_and_hashed_as_they_are_handed_over() -> None:
    """With the place of each row in the order of the splits, whichever is read first."""
    parts = [[rows(1, 2), rows(3)], [rows(4)]]
    moved = []
    moving = transfer(
        Served(*[lambda part=part: iter(part) for part in parts]),
        merge_keys=("id",),
        cursor_column="c",
        notify=moved.append,
    )

    table = moving.stream().read_all().sort_by("id")
    moving.close()

    assert table.schema.names == ["id", "c", CURSOR_COLUMN, ORDINAL_COLUMN]
    assert table[CURSOR_COLUMN].to_pylist() == [1, 2, 3, 4]
    assert table[ORDINAL_COLUMN].to_pylist() == [1, 2, 3, 2**40 + 1]
    tally = moving.tally()
    assert (tally.rows_read, tally.rows_staged) == (4, 4)
    assert tally.content_hash == kernels.content_hash(rows(1, 2, 3, 4)).sum
    assert sorted(event.rows_staged for event in moved)[-1] == 4
    assert moving.error is None


def test_rows_that_go_to_no_ledger_are_counted_and_not_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash is a tenth of the work of a read, and nobody would keep it."""

    def hashed(batch: pa.RecordBatch) -> None:
        raise AssertionError(f"{batch.num_rows} rows were hashed")

    monkeypatch.setattr(kernels, "content_hash", hashed)
    moving = transfer(Served(lambda: iter([rows(1, 2), rows(3)])), hashed=False)

    table = moving.stream().read_all()
    moving.close()

    assert table.num_rows == 3
    assert moving.tally().rows_read == moving.tally().rows_staged == 3


def test_the_error_of_a_reader_is_kept_as_it_was_raised() -> None:
    """What comes through the stream is its text."""

    def broken() -> Iterator[pa.RecordBatch]:
        yield rows(1)
        raise DataError("row 7 is broken", hint="mend it")

    moving = transfer(Served(broken))

    with pytest.raises(pa.ArrowException, match="row 7 is broken"):
        moving.stream().read_all()
    moving.close()

    assert isinstance(moving.error, DataError)
    assert moving.error.hint == "mend it"


def test_what_notify_raises_ends_the_load() -> None:
    """Failpoints and subscribers fail on the thread of the reader."""
    moving = transfer(Served(lambda: iter([rows(1)])), notify=lambda _: 1 / 0)

    with pytest.raises(pa.ArrowException, match="division by zero"):
        moving.stream().read_all()
    moving.close()

    assert isinstance(moving.error, ZeroDivisionError)


def test_a_snapshot_that_waits_is_cancelled() -> None:
    """A consumer that fails does not wait for the server."""
    snapshot = Slow()
    assert isinstance(snapshot, CancellableSnapshot)
    moving = transfer(snapshot)
    stream = moving.stream()
    assert stream.read_next_batch() == rows(1)

    moving.close()

    assert snapshot.cancelled.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("arrowload-reader")]


def test_a_snapshot_that_was_read_to_its_end_is_not_cancelled() -> None:
    """It may be read again."""

    class Whole(Slow):
        def _wait(self) -> Iterator[pa.RecordBatch]:
            yield rows(1)

    snapshot = Whole()
    moving = transfer(snapshot)

    assert moving.stream().read_all().num_rows == 1
    moving.close()

    assert not snapshot.cancelled.is_set()


def test_a_consumer_that_goes_ends_the_readers() -> None:
    """Also readers that have far more to give than the queue may hold."""
    given = []

    def endless() -> Iterator[pa.RecordBatch]:
        while True:
            given.append(1)
            yield rows(*range(1000))

    moving = transfer(Served(endless), max_memory=2**16)
    stream = moving.stream()
    stream.read_next_batch()

    del stream
    moving.close()

    assert len(given) < 10
    assert moving.error is None
