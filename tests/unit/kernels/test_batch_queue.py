"""The queue between readers and the destination: bounded in bytes, ended in good order from either side."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
import uuid

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from arrowload.core.exceptions import DataError
from arrowload.kernels import BatchQueue

BATCH = pa.record_batch({"v": pa.array(range(100), pa.int64())})


def queue_of(*batches: pa.RecordBatch, producers: int = 1) -> BatchQueue:
    queue = BatchQueue(batches[0].schema, producers=producers, max_bytes=1 << 20)
    for batch in batches:
        assert queue.put(batch)
    return queue


def read(queue: BatchQueue) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_stream(queue)


def test_batches_come_out_in_the_order_in_which_they_went_in() -> None:
    """One reader, one consumer."""
    queue = queue_of(*[BATCH.slice(i, 1) for i in range(5)])
    queue.finish()

    assert read(queue).read_all()["v"].to_pylist() == [0, 1, 2, 3, 4]


def test_the_end_comes_when_every_reader_has_finished() -> None:
    """The last one ends the stream."""
    queue = queue_of(BATCH, producers=2)
    queue.finish()
    threading.Timer(0.15, lambda: (queue.put(BATCH), queue.finish())).start()

    assert read(queue).read_all().num_rows == 200


def test_a_reader_waits_while_the_queue_is_full() -> None:
    """No more is held than one batch beyond the bound."""
    queue = BatchQueue(BATCH.schema, producers=1, max_bytes=BATCH.nbytes)
    put = []

    def produce() -> None:
        for number in range(10):
            queue.put(BATCH)
            put.append(number)
        queue.finish()

    producer = threading.Thread(target=produce)
    producer.start()
    taken = 0
    for _ in read(queue):
        taken += 1
        assert len(put) <= taken + 2
    producer.join()

    assert taken == 10


def test_a_batch_larger_than_the_bound_passes() -> None:
    """The bound cannot lock the queue."""
    queue = BatchQueue(BATCH.schema, producers=1, max_bytes=1)

    assert queue.put(BATCH)
    queue.finish()

    assert read(queue).read_all().num_rows == 100


def test_a_slice_counts_as_its_own_bytes() -> None:
    """Slices of one large batch fit where the batch would not."""
    large = pa.record_batch({"v": pa.array(range(100_000), pa.int64()), "t": ["ä" * 10] * 100_000})
    queue = BatchQueue(large.schema, producers=1, max_bytes=4096)

    for start in range(0, 100_000, 10_000):
        assert queue.put(large.slice(start, 10))
    queue.finish()

    assert read(queue).read_all()["v"].to_pylist()[::10] == list(range(0, 100_000, 10_000))


def test_the_error_of_a_reader_is_raised_at_once() -> None:
    """Batches that wait are dropped, the load is lost anyway; the first error counts."""
    queue = queue_of(BATCH, producers=3)
    queue.finish("bro\0ken")
    queue.finish("later")

    assert not queue.put(BATCH)
    with pytest.raises(pa.ArrowException, match="bro\N{REPLACEMENT CHARACTER}ken"):
        read(queue).read_next_batch()


def test_readers_stop_when_the_consumer_has_gone() -> None:
    """Also one that waits for room."""
    queue = BatchQueue(BATCH.schema, producers=1, max_bytes=1)
    stream = read(queue)
    queue.put(BATCH)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(queue.put(BATCH)))
    waiting.start()

    del stream
    waiting.join(timeout=5)

    assert answers == [False]
    assert not queue.put(BATCH)


def test_a_stream_that_is_cut_off_does_not_look_complete() -> None:
    """A consumer that is still there gets an error when the queue is closed before its end."""
    queue = queue_of(BATCH)
    stream = read(queue)

    queue.close()

    with pytest.raises(pa.ArrowException, match="closed before its end"):
        stream.read_all()


def test_a_closed_queue_that_was_read_to_its_end_has_just_ended() -> None:
    """Closing late harms nothing."""
    queue = queue_of(BATCH)
    stream = read(queue)
    queue.finish()
    assert stream.read_next_batch().num_rows == 100

    queue.close()

    with pytest.raises(StopIteration):
        stream.read_next_batch()


def test_rows_come_once() -> None:
    """A second reader is refused."""
    queue = queue_of(BATCH)
    stream = read(queue)

    with pytest.raises(ValueError, match="has a reader already"):
        read(queue)
    del stream


@pytest.mark.parametrize(
    "batch",
    [
        pa.record_batch({"v": pa.array([1], pa.int32())}),
        pa.record_batch({"v": pa.array([1]), "w": [2]}),
        pa.record_batch({"v": pa.array([None], pa.int64())}),
    ],
)
def test_a_batch_of_another_schema_is_refused(batch: pa.RecordBatch) -> None:
    """Consumers believe the schema of the stream, so a batch that differs would be read as something else."""
    queue = BatchQueue(pa.schema([pa.field("v", pa.int64(), nullable=False)]), producers=1, max_bytes=1)

    with pytest.raises(DataError, match="column"):
        queue.put(batch)


def test_extension_types_and_metadata_pass() -> None:
    """The schema goes as it came: uuid, json, field and schema metadata."""
    schema = pa.schema(
        [
            pa.field("u", pa.uuid(), metadata={"k": "v"}),
            pa.field("j", pa.json_()),
            pa.field("l", pa.list_(pa.field("element", pa.int32(), metadata={"a": "b"}))),
        ],
        metadata={"m": "n"},
    )
    storage = pa.array([uuid.uuid4().bytes], pa.binary(16))
    columns = [
        pa.ExtensionArray.from_storage(pa.uuid(), storage),
        pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}"])),
        pa.array([[1]], schema.field("l").type),
    ]
    batch = pa.RecordBatch.from_arrays(columns, schema=schema)
    queue = queue_of(batch)
    queue.finish()

    stream = read(queue)

    assert stream.schema.equals(schema, check_metadata=True)
    assert stream.read_all().to_batches() == [batch]


@pytest.mark.parametrize(
    "consume",
    [
        lambda queue: duckdb.connect().from_arrow(queue).aggregate("sum(v)").fetchall()[0][0],
        lambda queue: duckdb.connect().from_arrow(read(queue)).aggregate("sum(v)").fetchall()[0][0],
        lambda queue: pl.DataFrame(queue)["v"].sum(),
        lambda queue: sum(read(queue).read_all()["v"].to_pylist()),
    ],
    ids=["duckdb", "duckdb from pyarrow", "polars", "pyarrow"],
)
def test_consumers_wait_for_python_threads_that_are_late(consume) -> None:
    """No consumer keeps the GIL from the producers while it waits."""
    queue = BatchQueue(BATCH.schema, producers=1, max_bytes=1)

    def produce() -> None:
        for _ in range(3):
            time.sleep(0.15)
            queue.put(BATCH)
        queue.finish()

    producer = threading.Thread(target=produce)
    producer.start()
    assert consume(queue) == 3 * sum(range(100))
    producer.join()


_WAITER = """
import sys, threading, time
import pyarrow as pa
from arrowload.kernels import BatchQueue
queue = BatchQueue(pa.schema([("v", pa.int64())]), producers=1, max_bytes=1)
def consume():
    if sys.argv[1] == "pyarrow":
        pa.RecordBatchReader.from_stream(queue).read_all()
    elif sys.argv[1] == "polars":
        import polars
        polars.DataFrame(queue)
    else:
        import duckdb
        connection = duckdb.connect(config={"threads": 1})
        rows = pa.RecordBatchReader.from_stream(queue)
        connection.execute("CREATE TABLE t AS FROM rows")
print("ready", flush=True)
try:
    consume()
except BaseException as exc:
    print(type(exc).__name__, type(queue.interruption).__name__, flush=True)
"""


@pytest.mark.parametrize("consumer", ["pyarrow", "polars", "duckdb"])
def test_a_consumer_that_waits_answers_control_c(consumer: str) -> None:
    """The stream ends, and the KeyboardInterrupt is to be had from the queue or comes out by itself.

    DuckDB has one thread here: when another one than the main thread waits for rows, the main thread waits for it.
    """
    waiter = subprocess.Popen([sys.executable, "-c", _WAITER, consumer], stdout=subprocess.PIPE, text=True)
    with waiter:
        try:
            assert waiter.stdout is not None
            assert waiter.stdout.readline() == "ready\n"
            time.sleep(1)
            waiter.send_signal(signal.SIGINT)
            answer, _ = waiter.communicate(timeout=5)
        finally:
            waiter.kill()

    assert "KeyboardInterrupt" in answer
