"""The queue between readers and the destination: bounded in bytes, ended in good order from either side."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest

from arrowload.engine.queue import BatchQueue

BATCH = pa.record_batch({"v": pa.array(range(100), pa.int64())})


def test_batches_come_out_in_the_order_in_which_they_went_in() -> None:
    """One reader, one consumer."""
    queue = BatchQueue(producers=1, max_bytes=1 << 20)
    made = [BATCH.slice(i, 1) for i in range(5)]
    for batch in made:
        assert queue.put(batch)
    queue.finish()

    assert [batch["v"][0].as_py() for batch in queue] == [0, 1, 2, 3, 4]


def test_a_reader_waits_while_the_queue_is_full() -> None:
    """No more is held than one batch beyond the bound."""
    queue = BatchQueue(producers=1, max_bytes=BATCH.nbytes)
    put = []

    def read() -> None:
        for number in range(10):
            queue.put(BATCH)
            put.append(number)
        queue.finish()

    reader = threading.Thread(target=read)
    reader.start()
    taken = 0
    for _ in queue:
        taken += 1
        assert len(put) <= taken + 2
    reader.join()

    assert taken == 10


def test_a_batch_larger_than_the_bound_passes() -> None:
    """The bound cannot lock the queue."""
    queue = BatchQueue(producers=1, max_bytes=1)

    assert queue.put(BATCH)
    queue.finish()

    assert len(list(queue)) == 1


def test_the_error_of_a_reader_is_raised_at_once() -> None:
    """Batches that wait are dropped: the load is lost anyway."""
    queue = BatchQueue(producers=2, max_bytes=1 << 20)
    queue.put(BATCH)
    queue.finish(ValueError("broken"))

    with pytest.raises(ValueError, match="broken"):
        next(iter(queue))


def test_readers_stop_when_the_consumer_has_gone() -> None:
    """Also one that waits for room."""
    queue = BatchQueue(producers=1, max_bytes=1)
    queue.put(BATCH)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(queue.put(BATCH)))
    waiting.start()

    queue.close()
    waiting.join(timeout=5)

    assert answers == [False]
    assert not queue.put(BATCH)
