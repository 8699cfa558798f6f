"""Several parts of one load written side by side, each by a thread of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from arrowload.connectors.files.log import DataFile
from arrowload.connectors.files.part import PartFile
from arrowload.io.files import os_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from arrowload.connectors.files.part import PartFormat, PartWriter


class PartLane:
    """Writes one part after the other.

    Args:
        part_format: What the parts are.
        schema: Of the rows.
        next_path: Gives the next part its name; called by several lanes at once.
        target_bytes: A part that has reached this size is closed and the next one begun.

    Attributes:
        parts: Those that are whole.
        error: What ended the lane.
    """

    def __init__(
        self, part_format: PartFormat, schema: pa.Schema, next_path: Callable[[], Path], target_bytes: int
    ) -> None:
        self._format = part_format
        self._schema = schema
        self._next_path = next_path
        self._target_bytes = target_bytes
        self._open: tuple[PartFile, PartWriter] | None = None
        self.parts: list[DataFile] = []
        self.error: BaseException | None = None

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Add rows to the part that is open, or to a new one."""
        self._opened()  # a load without rows has a part too
        for batch in batches:
            file, writer = self._opened()
            with os_errors(file.path):
                writer.write(batch)
            file.rows += batch.num_rows
            if file.bytes >= self._target_bytes:
                self.finish()

    def finish(self) -> None:
        """End the part that is open, and return when it is on the disk."""
        if self._open is None:
            return
        file, writer = self._open
        with os_errors(file.path):
            writer.close()
            file.close()
        self._open = None
        self.parts.append(DataFile(name=file.path.name, rows=file.rows, bytes=file.bytes, sha256=file.sha256()))

    def abandon(self) -> None:
        """Give back the part that is open, without ending it."""
        if self._open is not None:
            self._open[0].abandon()
            self._open = None

    def _opened(self) -> tuple[PartFile, PartWriter]:
        if self._open is None:
            path = self._next_path()
            with os_errors(path):
                file = PartFile(path)
            try:
                with os_errors(path):
                    self._open = file, self._format.open(file, self._schema)
            except BaseException:
                file.abandon()
                raise
        return self._open


class PartLanes:
    """Hands chunks of rows to lanes that are free; waits when none is, so that memory is bounded.

    The first lane that is free is taken, so that a load that one thread keeps up with makes one part.
    """

    def __init__(self, lanes: list[PartLane]) -> None:
        self._lanes = lanes
        self._free = set(range(len(lanes)))
        self._changed = threading.Condition()

    def write(self, batches: list[pa.RecordBatch]) -> None:
        """Have `batches` written; raises what an earlier chunk met."""
        if len(self._lanes) == 1:
            self._lanes[0].write(batches)
        else:
            self._start(self._take(), lambda lane: lane.write(batches))

    def finish(self) -> list[DataFile]:
        """End all parts; what they are, by name."""
        for number in range(len(self._lanes)):
            self._start(self._take(number), PartLane.finish)
        with self._changed:
            self._changed.wait_for(self._all_free)
        self._raise_failure()
        return sorted((part for lane in self._lanes for part in lane.parts), key=lambda part: part.name)

    def abandon(self) -> None:
        """Wait until nothing is written any more, and give back the parts that are open."""
        with self._changed:
            self._changed.wait_for(self._all_free)
        for lane in self._lanes:
            lane.abandon()

    def _all_free(self) -> bool:
        return len(self._free) == len(self._lanes)

    def _take(self, number: int | None = None) -> int:
        """Wait for a lane, any when `number` is None, or for a failure, which is raised."""

        def come() -> bool:
            wanted = bool(self._free) if number is None else number in self._free
            return wanted or any(lane.error is not None for lane in self._lanes)

        with self._changed:
            self._changed.wait_for(come)
            self._raise_failure()
            taken = min(self._free) if number is None else number
            self._free.discard(taken)
        return taken

    def _raise_failure(self) -> None:
        for lane in self._lanes:
            if lane.error is not None:
                raise lane.error

    def _start(self, number: int, work: Callable[[PartLane], None]) -> None:
        thread = threading.Thread(target=self._run, args=(number, work), name=f"arrowload-part-{number}", daemon=True)
        try:
            thread.start()
        except BaseException:
            with self._changed:
                self._free.add(number)
            raise

    def _run(self, number: int, work: Callable[[PartLane], None]) -> None:
        lane = self._lanes[number]
        try:
            work(lane)
        except BaseException as exc:  # noqa: BLE001 - whoever hands over the next chunk raises it
            lane.error = exc
        with self._changed:
            self._free.add(number)
            self._changed.notify_all()


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
