"""A queue of record batches that is bounded in bytes and ends in good order from either side."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


class BatchQueue:
    """Readers put batches, one consumer iterates over them.

    A reader waits while the batches in the queue hold `max_bytes` or more; a single batch may be larger.

    Args:
        producers: How many readers will call `finish`.
        max_bytes: Bytes of Arrow buffers.
    """

    def __init__(self, *, producers: int, max_bytes: int) -> None:
        self._batches: deque[pa.RecordBatch] = deque()
        self._bytes = 0
        self._max_bytes = max_bytes
        self._producers = producers
        self._closed = False
        self._changed = threading.Condition()
        self.error: BaseException | None = None

    def put(self, batch: pa.RecordBatch) -> bool:
        """Add `batch`, waiting for room; False when the consumer has gone and nothing more is wanted."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._batches or self._bytes < self._max_bytes)
            if self._closed:
                return False
            self._batches.append(batch)
            self._bytes += batch.nbytes
            self._changed.notify_all()
            return True

    def finish(self, error: BaseException | None = None) -> None:
        """One reader has come to its end, or to `error`, which the consumer raises at once."""
        with self._changed:
            self._producers -= 1
            self.error = self.error or error
            self._changed.notify_all()

    def close(self) -> None:
        """The consumer has gone; readers stop at their next `put`."""
        with self._changed:
            self._closed = True
            self._batches.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._batches or self.error is not None or not self._producers)
                if self.error is not None:
                    raise self.error
                if not self._batches:
                    return
                batch = self._batches.popleft()
                self._bytes -= batch.nbytes
                self._changed.notify_all()
            yield batch
