"""Parts: what the dataset destination asks of a file format."""

from __future__ import annotations

import hashlib
import io
import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa
    from _typeshed import ReadableBuffer as Buffer

    from arrowload.connectors.base import SnapshotSource


class PartWriter(Protocol):
    """Writes one part."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; may hold them back until `close`."""

    def close(self) -> None:
        """Write what is held back and end the file."""


class PartFormat(Protocol):
    """A file format, as the dataset destination knows it.

    Attributes:
        name: For people: `parquet`.
        suffix: Of a part's name: `.parquet`.
        evolves: Parts of one dataset may have different columns.
        lanes: How many parts are written at once.
        chunk_bytes: How much a part is handed at once, in Arrow buffers; 0 for a batch.
    """

    name: str
    suffix: str
    evolves: bool
    lanes: int
    chunk_bytes: int

    def limit_memory(self, max_bytes: int) -> None:
        """Let all parts that are written at once take at most about `max_bytes`."""

    def stored_schema(self, schema: pa.Schema) -> pa.Schema:
        """The types that a part keeps rows of `schema` in.

        Raises:
            RecipeError: It cannot keep a column; says which.
        """

    def open(self, file: PartFile, schema: pa.Schema) -> PartWriter:
        """Start a part."""

    def source(self, paths: Sequence[str], schema: pa.Schema) -> SnapshotSource:
        """Reads parts of `schema`."""


class PartFile(io.RawIOBase):
    """A new file that is hashed while it is written, and is on the disk when it is closed.

    Attributes:
        rows: Rows written to it, as counted by who writes them.
        bytes: Bytes written so far.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.rows = 0
        self.bytes = 0
        self._hash = hashlib.sha256()
        self._file = path.open("xb", buffering=0)

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Bytes written so far."""
        return self.bytes

    def write(self, data: Buffer, /) -> int:
        """Write all of `data`, whatever the system takes at once."""
        if self._file.closed:  # given up; a writer that is collected later may still want to end its file
            return memoryview(data).nbytes
        rest = memoryview(data).cast("B")
        self._hash.update(rest)
        while rest.nbytes:
            written = self._file.write(rest)
            self.bytes += written
            rest = rest[written:]
        return memoryview(data).nbytes

    def sha256(self) -> str:
        """Hexadecimal digest of what was written."""
        return self._hash.hexdigest()

    def abandon(self) -> None:
        """Give the file back without making it last."""
        self._file.close()

    def close(self) -> None:
        """Return when the bytes are on the disk; the name in its folder is synced by who made the folder."""
        if not self._file.closed:
            try:
                os.fsync(self._file.fileno())
            finally:
                self._file.close()
        super().close()
