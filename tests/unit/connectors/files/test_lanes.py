"""Parts written side by side."""

from __future__ import annotations

import hashlib
import itertools
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from arrowload.connectors.files.lanes import PartLane, PartLanes, chunks
from arrowload.connectors.files.part import LocalPart
from arrowload.connectors.parquet.destination import ParquetFormat
from arrowload.core.exceptions import TransientConnectorError

SCHEMA = pa.schema([("n", pa.int64())])
# Long enough for a part that hangs to be a failure.
PATIENCE_S = 30


def batch(*values):
    return pa.record_batch([pa.array(values, pa.int64())], SCHEMA)


class Gated(ParquetFormat):
    """Parts whose first write waits until `gate` opens, or fails."""

    def __init__(self, fails=None):
        super().__init__()
        self.gate = threading.Event()
        self.waiting = threading.Semaphore(0)
        self.fails = fails

    def open(self, file, schema):
        part, write = super().open(file, schema), None
        write = part.write

        def gated(rows):
            if self.fails is not None:
                raise self.fails
            self.waiting.release()
            assert self.gate.wait(PATIENCE_S)
            write(rows)

        part.write = gated
        return part


def lanes_of(folder, part_format, n, target_bytes=2**30):
    numbers = itertools.count()

    def next_file():
        return LocalPart(folder / f"{next(numbers)}.parquet")

    return PartLanes([PartLane(part_format, SCHEMA, next_file, target_bytes) for _ in range(n)])


def read(folder, parts):
    return sorted(n for part in parts for n in pq.read_table(folder / part.name)["n"].to_pylist())


def started(work, *given):
    thread = threading.Thread(target=work, args=given)
    thread.start()
    return thread


def test_two_chunks_are_written_at_once(tmp_path):
    """While the first waits the second goes to another part; counts and hashes are those of the files."""
    gated = Gated()
    lanes = lanes_of(tmp_path, gated, 2)
    lanes.write([batch(1, 2)])
    second = started(lanes.write, [batch(3)])
    assert gated.waiting.acquire(timeout=PATIENCE_S)
    assert gated.waiting.acquire(timeout=PATIENCE_S)
    gated.gate.set()
    second.join(PATIENCE_S)
    parts = lanes.finish()

    assert sorted(part.rows for part in parts) == [1, 2]
    assert read(tmp_path, parts) == [1, 2, 3]
    for part in parts:
        data = (tmp_path / part.name).read_bytes()
        assert (part.bytes, part.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_no_more_chunks_are_held_than_there_are_lanes(tmp_path):
    """Who has handed over the last that fits waits before it collects another: that is what bounds the memory."""
    gated = Gated()
    lanes = lanes_of(tmp_path, gated, 2)
    lanes.write([batch(1)])
    second = started(lanes.write, [batch(2)])
    second.join(0.2)
    assert second.is_alive()

    gated.gate.set()
    second.join(PATIENCE_S)
    lanes.write([batch(3)])
    assert read(tmp_path, lanes.finish()) == [1, 2, 3]


def test_a_lane_has_one_thread_for_all_its_chunks_and_lets_go_of_each(tmp_path):
    """What a thread's allocator has put by serves the next chunk; the rows of the last are given back."""
    threads = set()

    class Noting(ParquetFormat):
        def open(self, file, schema):
            part = super().open(file, schema)
            write = part.write

            def noted(rows):
                threads.add(threading.current_thread())
                write(rows)

            part.write = noted
            return part

    before = pa.total_allocated_bytes()
    noting = Noting()
    noting.chunk_bytes = 800_000
    lanes = lanes_of(tmp_path, noting, 2)
    for _ in range(20):
        lanes.write([pa.record_batch([pa.array(range(100_000), pa.int64())], SCHEMA)])
    parts = lanes.finish()
    assert sum(part.rows for part in parts) == 2_000_000
    assert len(threads) <= 2
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert pa.total_allocated_bytes() - before < 800_000


def test_what_a_lane_meets_is_raised(tmp_path):
    """At the end, if not before; the parts are given back once nothing is written any more."""
    lanes = lanes_of(tmp_path, Gated(OSError(28, "No space left on device")), 2)

    def write_and_finish():
        lanes.write([batch(1)])
        lanes.finish()

    with pytest.raises(TransientConnectorError, match="No space left"):
        write_and_finish()
    lanes.abandon()


def test_a_part_that_is_large_enough_is_followed_by_another(tmp_path):
    """In each lane; without rows there is one part, so that readers find the columns."""
    at_once = ParquetFormat()
    at_once.chunk_bytes = 1
    parts = lanes_of(tmp_path, at_once, 1, target_bytes=1)
    parts.write([batch(1), batch(2)])
    assert [part.rows for part in parts.finish()] == [1, 1]
    (tmp_path / "empty").mkdir()
    empty = lanes_of(tmp_path / "empty", ParquetFormat(), 2)
    empty.write([])
    assert [part.rows for part in empty.finish()] == [0]


def test_chunks_hold_all_batches_in_order():
    """Each ends with the batch that fills it."""
    rows = [batch(*range(n)) for n in (10, 1, 1, 10, 1)]
    assert [[b.num_rows for b in chunk] for chunk in chunks(iter(rows), 80)] == [[10], [1, 1, 10], [1]]
    assert [len(chunk) for chunk in chunks(iter(rows), 0)] == [1] * 5


def test_memory_bounds_the_row_groups():
    """What a lane takes is a few row groups; with room they have their usual size."""
    roomy, tight = ParquetFormat(), ParquetFormat()
    roomy.limit_memory(2**40)
    tight.limit_memory(16 * 2**20)
    assert roomy.chunk_bytes == ParquetFormat().chunk_bytes
    assert tight.chunk_bytes * tight.lanes * 4 <= 16 * 2**20
