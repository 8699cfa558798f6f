"""A CSV file as UTF-8 bytes: unpacked, transcoded, and watched on the way."""

from __future__ import annotations

import codecs
import contextlib
import io
import sys
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from arrowload.core.exceptions import DataError
from arrowload.io.files import os_errors
from arrowload.io.s3_files import open_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arrowload.connectors.csv.config import CsvSourceConfig
    from arrowload.io.files import FileInfo

_CODECS: Final = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}
# gzip cannot pack tighter than 1 : 1032; zstd can, but data that people wrote does not get there.
_MAX_RATIO: Final = 2_000
_CHUNK: Final = 1024**2
_RATIO_COUNTS_FROM: Final = 256 * 1024**2


def compression_of(path: str, config: CsvSourceConfig) -> str | None:
    """The codec that `path` is packed with."""
    if config.compression == "auto":
        return next((codec for ending, codec in _CODECS.items() if path.lower().endswith(ending)), None)
    return None if config.compression == "none" else config.compression


class Utf8Stream(io.RawIOBase):
    """Reads UTF-8 from a file in any encoding.

    Attributes:
        quotes: How many quote characters were read.
        last: The byte read last.
    """

    def __init__(self, file: FileInfo, config: CsvSourceConfig) -> None:
        super().__init__()
        self.quotes = 0
        self.last = b""
        self._path = file.path
        self._quote = config.quote.encode() if config.quote else b'"'
        name = codecs.lookup(config.encoding).name
        self._decoder = None if name in ("utf-8", "utf-8-sig", "ascii") else codecs.getincrementaldecoder(name)()
        self._packed: Any = open_file(file, config.aws)
        codec = compression_of(file.path, config)
        self._stream: Any = self._packed if codec is None else pa.CompressedInputStream(self._packed, codec)
        self._read = 0
        self._rest = b""
        self._at_end = False

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end only.

        They do not end between a CR and an LF: pyarrow drops an LF that a block starts with when the last one ended in
        a CR, inside quotes too, where it is part of a value.

        Raises:
            DataError: The file does not have its encoding, or unpacks into far more than it is.
        """
        size = size if size >= 0 else sys.maxsize
        while len(self._rest) < size and not self._at_end:
            self._rest += self._read_on(min(size - len(self._rest), _CHUNK))
        data = self._rest[:size]
        if len(data) > 1 and data.endswith(b"\r") and not (self._at_end and len(data) == len(self._rest)):
            data = data[:-1]
        self._rest = self._rest[len(data) :]
        self.quotes += data.count(self._quote)
        self.last = data[-1:] or self.last
        return data

    def pieces(self, size: int, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The text from here on, in pieces of about `size` bytes, none empty; for who needs no `read` and no `quotes`.

        Args:
            size: Bytes read at once, before they are unpacked and transcoded.
            start: Where to begin; only in a file that is UTF-8 and not packed.
            end: Where to stop.

        Raises:
            DataError: As `read`.
        """
        if start:
            self._stream.seek(start)
        left = sys.maxsize if end is None else end - start
        while left > 0 and not self._at_end:
            data = self._read_on(min(size, left))
            left -= size
            if data:
                yield data

    def _read_on(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        self._at_end = not data
        self._read += len(data)
        self._refuse_bomb()
        return self._decode(data)

    def _decode(self, data: bytes) -> bytes:
        if self._decoder is None:
            return data
        try:
            return self._decoder.decode(data, not data).encode()
        except UnicodeError as exc:
            raise DataError(
                f"`{self._path}` is not in the encoding that the recipe says: {exc}",
                context={"path": self._path},
                hint="set `encoding` to that of the file",
            ) from exc

    def _refuse_bomb(self) -> None:
        if self._read > _RATIO_COUNTS_FROM and self._read > _MAX_RATIO * self._packed.tell():
            raise DataError(
                f"`{self._path}` unpacks into more than {_MAX_RATIO} times its size",
                context={"path": self._path, "bytes": self._read},
                hint="unpack it first, if it is to be trusted",
            )

    def close(self) -> None:
        """Give back the file."""
        self._stream.close()
        self._packed.close()
        super().close()


@contextlib.contextmanager
def open_utf8(file: FileInfo, config: CsvSourceConfig) -> Iterator[Utf8Stream]:
    """Open a file for the block.

    Raises:
        DataError: What the block reads is cut short or damaged.
        TransientConnectorError: The file system failed.
    """
    with os_errors(file.path):
        stream = Utf8Stream(file, config)
    with contextlib.closing(stream):
        try:
            yield stream
        except OSError as exc:
            if exc.errno is not None:
                with os_errors(file.path):
                    raise
            raise DataError(
                f"`{file.path}` is cut short or damaged: {exc}",
                context={"path": file.path, "size": file.size},
                hint="pack the file again",
            ) from exc


def read_head(file: FileInfo, config: CsvSourceConfig, size: int) -> tuple[str, bool]:
    """The first `size` bytes as text, and whether that is all of it.

    Bytes that are no UTF-8 come out as lone surrogates (PEP 383); where they are in rows is said when these are read.
    """
    with open_utf8(file, config) as stream:
        pieces, length = [], 0
        while length <= size and (piece := stream.read(size)):
            pieces.append(piece)
            length += len(piece)
    return b"".join(pieces)[:size].decode("utf-8-sig", "surrogateescape"), length <= size
