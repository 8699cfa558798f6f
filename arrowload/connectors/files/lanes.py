"""Several parts of one load written side by side, each by a thread of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from arrowload.connectors.files.log import DataFile
from arrowload.io.files import os_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from arrowload.connectors.files.part import PartFile, PartFormat, PartWriter


class PartLane:
    """Writes one part after the other.

    Args:
        part_format: What the parts are.
        schema: Of the rows.
        next_file: Makes the file of the next part; called by several lanes at once.
        target_bytes: A part that has reached this size is closed and the next one begun.

    Attributes:
        parts: Those that are whole.
        error: What ended the lane.
    """

    def __init__(
        self, part_format: PartFormat, schema: pa.Schema, next_file: Callable[[], PartFile], target_bytes: int
    ) -> None:
        self._format = part_format
        self._schema = schema
        self._next_file = next_file
        self._target_bytes = target_bytes
        self._open: tuple[PartFile, PartWriter] | None = None
        self.parts: list[DataFile] = []
        self.error: BaseException | None = None

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Add rows to the part that is open, or to a new one."""
        self._opened()  # a load without rows has a part too
        for batch in batches:
            file, writer = self._opened()
            with os_errors(file.location):
                writer.write(batch)
            file.rows += batch.num_rows
            if file.bytes >= self._target_bytes:
                self.finish()

    def finish(self) -> None:
        """End the part that is open, and return when it is on the disk."""
        if self._open is None:
            return
        file, writer = self._open
        with os_errors(file.location):
            writer.close()
            file.close()
        self._open = None
        self.parts.append(DataFile(name=file.name, rows=file.rows, bytes=file.bytes, sha256=file.sha256()))

    def abandon(self) -> None:
        """Give back the part that is open, without ending it."""
        if self._open is not None:
            self._open[0].abandon()
            self._open = None

    def _opened(self) -> tuple[PartFile, PartWriter]:
        if self._open is None:
            file = self._next_file()
            try:
                with os_errors(file.location):
                    self._open = file, self._format.open(file, self._schema)
            except BaseException:
                file.abandon()
                raise
        return self._open


class PartLanes:
    """Hands chunks of rows to lanes that are free; waits until one is, so that no more are held than there are lanes.

    The first lane that is free is taken, so that a load that one thread keeps up with makes one part. A lane keeps its
    thread: what an allocator has put by for a thread serves the next chunk.
    """

    def __init__(self, lanes: list[PartLane]) -> None:
        self._lanes = lanes
        self._free = set(range(len(lanes)))
        self._work: dict[int, Callable[[PartLane], None]] = {}
        self._started: set[int] = set()
        self._ended = False
        self._changed = threading.Condition()

    def write(self, batches: list[pa.RecordBatch]) -> None:
        """Have `batches` written, and return when a lane is free for more; raises what a chunk has met."""
        if len(self._lanes) == 1:
            self._lanes[0].write(batches)
            return
        self._give(None, lambda lane: lane.write(batches))
        # The caller collects the next chunk only now: it is one of as many as there are lanes, and not one more.
        with self._changed:
            self._wait_for_free(None)

    def finish(self) -> list[DataFile]:
        """End all parts; what they are, by name."""
        for number in range(len(self._lanes)):
            self._give(number, PartLane.finish)
        self._end()
        self._raise_failure()
        return sorted((part for lane in self._lanes for part in lane.parts), key=lambda part: part.name)

    def abandon(self) -> None:
        """Wait until nothing is written any more, and give back the parts that are open."""
        self._end()
        for lane in self._lanes:
            lane.abandon()

    def _give(self, number: int | None, work: Callable[[PartLane], None]) -> None:
        """Have a lane do `work` once it is free, any when `number` is None; raises a failure instead."""
        with self._changed:
            self._wait_for_free(number)
            taken = min(self._free) if number is None else number
            if taken not in self._started:
                name = f"arrowload-part-{taken}"
                threading.Thread(target=self._run, args=(taken,), name=name, daemon=True).start()
                self._started.add(taken)
            self._free.discard(taken)
            self._work[taken] = work
            self._changed.notify_all()

    def _wait_for_free(self, number: int | None) -> None:
        def come() -> bool:
            wanted = bool(self._free) if number is None else number in self._free
            return wanted or any(lane.error is not None for lane in self._lanes)

        self._changed.wait_for(come)
        self._raise_failure()

    def _end(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._free) == len(self._lanes))
            self._ended = True
            self._changed.notify_all()

    def _raise_failure(self) -> None:
        for lane in self._lanes:
            if lane.error is not None:
                raise lane.error

    def _run(self, number: int) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or number in self._work)
                if number not in self._work:
                    return
                work = self._work.pop(number)
            self._do(self._lanes[number], work)
            del work  # or its rows would be kept until there is more
            with self._changed:
                self._free.add(number)
                self._changed.notify_all()

    def _do(self, lane: PartLane, work: Callable[[PartLane], None]) -> None:
        try:
            work(lane)
        except BaseException as exc:  # noqa: BLE001 - whoever hands over the next chunk raises it
            lane.error = exc


def chunks(stream: Iterator[pa.RecordBatch], max_bytes: int) -> Iterator[list[pa.RecordBatch]]:
    """Batches in lists of about `max_bytes`; of one batch each when that is 0."""
    held: list[pa.RecordBatch] = []
    held_bytes = 0
    for batch in stream:
        held.append(batch)
        held_bytes += batch.nbytes
        if held_bytes >= max_bytes:
            yield held
            held, held_bytes = [], 0
    if held:
        yield held
