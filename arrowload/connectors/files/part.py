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
    from arrowload.io.aws import AwsAccess


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

    def source(self, paths: Sequence[str], schema: pa.Schema, access: AwsAccess) -> SnapshotSource:
        """Reads parts of `schema`; `access` is for those in S3."""


class PartFile(io.RawIOBase):
    """A new file that is hashed while it is written, and lasts when it is closed.

    Args:
        name: Its last name, which it keeps wherever it is moved.
        location: Where it is, for people.

    Attributes:
        rows: Rows written to it, as counted by who writes them.
        bytes: Bytes written so far.
    """

    def __init__(self, name: str, location: str) -> None:
        super().__init__()
        self.name = name
        self.location = location
        self.rows = 0
        self.bytes = 0
        self._hash = hashlib.sha256()

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Bytes written so far."""
        return self.bytes

    def write(self, data: Buffer, /) -> int:
        """Write all of `data`, whatever the system takes at once."""
        rest = memoryview(data).cast("B")
        # One that was given up: a writer that is collected later may still want to end its file.
        if self._send(rest):
            self._hash.update(rest)
            self.bytes += rest.nbytes
        return rest.nbytes

    def sha256(self) -> str:
        """Hexadecimal digest of what was written."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Return when the bytes last; the name in its folder is synced by who made the folder."""
        if not self.closed:
            self._finish()
        super().close()

    def abandon(self) -> None:
        """Give the file back without making it last."""
        raise NotImplementedError

    def _send(self, rest: memoryview) -> bool:
        """Write all of `rest`; False when the file was given back."""
        raise NotImplementedError

    def _finish(self) -> None:
        """Make the bytes last and give the file back, unless that was done."""
        raise NotImplementedError


class LocalPart(PartFile):
    """A part on this machine."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.name, str(path))
        self._file = path.open("xb", buffering=0)

    def _send(self, rest: memoryview) -> bool:
        if self._file.closed:
            return False
        while rest.nbytes:
            rest = rest[self._file.write(rest) :]
        return True

    def _finish(self) -> None:
        if not self._file.closed:
            try:
                os.fsync(self._file.fileno())
            finally:
                self._file.close()

    def abandon(self) -> None:
        """See `PartFile.abandon`."""
        self._file.close()
