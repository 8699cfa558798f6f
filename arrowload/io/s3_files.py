"""Objects as files that a source reads: found by name, folder or glob, and read as they were listed."""

from __future__ import annotations

import io
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from arrowload.core.exceptions import TransientConnectorError
from arrowload.io.files import ARROWLOAD_FOLDER, FileInfo, NoFilesError, before_wildcard
from arrowload.io.s3 import SCHEME, S3Object, S3Prefix, is_s3, read_range, split_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.io.aws import AwsAccess

_MIB: Final = 1024**2


class S3File(io.RawIOBase):
    """Reads an object as it was listed; what is read in order is fetched ahead.

    Args:
        file: As listed; another content under its name is an error.
        access: Where S3 is and who asks.
    """

    _block: Final = _MIB
    _ahead: Final = 8  # blocks
    _kept: Final = 16  # blocks

    def __init__(self, file: FileInfo, access: AwsAccess) -> None:
        super().__init__()
        self._file = file
        self._access = access
        self._bucket, self._key = split_url(file.path)
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next_block = -1

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The byte that is read next."""
        return self._position

    def size(self) -> int:
        """In bytes."""
        return self._file.size

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go on reading from another byte."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        """As many bytes as are asked for; fewer at the end only."""
        left = max(0, self._file.size - self._position)
        size = left if size < 0 else min(size, left)
        if not size:
            return b""
        start, end = self._position, self._position + size
        first, last = start // self._block, (end - 1) // self._block
        self._fetch(first, last)
        data = b"".join(self._blocks[number] for number in range(first, last + 1))
        self._position = end
        while len(self._blocks) > self._kept:
            self._blocks.popitem(last=False)
        return data[start - first * self._block : end - first * self._block]

    def _fetch(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            if number in self._blocks:
                self._blocks.move_to_end(number)
        missing = [number for number in range(first, last + 1) if number not in self._blocks]
        if not missing:
            return
        start, end = missing[0], missing[-1] + 1
        if start == self._next_block:
            end = max(end, start + self._ahead)
        self._next_block = end
        begin = start * self._block
        size = min(end * self._block, self._file.size) - begin
        etag = self._file.etag
        data = read_range(self._access, self._bucket, self._key, start=begin, size=size, etag=etag)
        if data is None:
            raise TransientConnectorError(
                f"`{self._file.path}` changed after it was listed; nothing of it is committed",
                context={"path": self._file.path, "size": self._file.size, "etag": etag},
                hint="run again; do not write over objects that are being read",
            )
        for number in range(start, min(end, -(-self._file.size // self._block))):
            offset = (number - start) * self._block
            self._blocks[number] = data[offset : offset + self._block]


def open_file(file: FileInfo, access: AwsAccess) -> Any:
    """A file of this machine or an object, for Arrow to read."""
    return pa.PythonFile(S3File(file, access), "r") if file.etag else pa.OSFile(file.path)


def expand_s3(pattern: str, suffixes: Sequence[str], access: AwsAccess) -> list[FileInfo]:
    """The objects that `pattern` names: as `expand` for files; each with its URL for a path.

    Raises:
        NoFilesError: There are none.
    """
    head = before_wildcard(pattern)
    if head != pattern:
        prefix = S3Prefix(head.rpartition("/")[0], access)
        matches = re.compile(_glob_expression(pattern[len(prefix.url) + 1 :])).fullmatch
        found = [o for o in prefix.objects() if matches(o.name) and ARROWLOAD_FOLDER not in o.name.split("/")]
        what = f"no object matches `{pattern}`"
    else:
        above, _, name = pattern.rpartition("/")
        if name and is_s3(above) and above != SCHEME:
            prefix = S3Prefix(above, access)
            whole = prefix.find(name)
            if whole is not None:
                return [_as_file(prefix, whole)]
        prefix = S3Prefix(pattern, access)
        found = [o for o in prefix.objects() if o.name.lower().endswith(tuple(suffixes))]
        found = [o for o in found if not any(part[:1] in ("_", ".") for part in o.name.split("/"))]
        what = f"there is no object `{pattern}`, nor one below it that ends in {' or '.join(suffixes)}"
    if not found:
        raise NoFilesError(what, context={"path": pattern}, hint="check `path` and `aws`")
    return as_files(prefix, found)


def _as_file(prefix: S3Prefix, item: S3Object) -> FileInfo:
    path = prefix.url_of(item.name)
    return FileInfo(path=path, key=path, size=item.size, mtime_ns=item.mtime_ns, inode=0, etag=item.etag)


def as_files(prefix: S3Prefix, objects: Sequence[S3Object]) -> list[FileInfo]:
    """Objects as files that a source reads."""
    return [_as_file(prefix, item) for item in objects]


def _glob_expression(pattern: str) -> str:
    """A glob as a regular expression: `*` and `?` stay within a folder, `**/` is any number of folders."""
    pieces = re.findall(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|[^*?\[]+|\[", pattern)
    known = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        known[piece]
        if piece in known
        else f"[{'^' if piece[1] in '!^' else ''}{re.escape(piece[1:-1].lstrip('!^')).replace(chr(92) + '-', '-')}]"
        if len(piece) > 2 and piece[0] == "[" and piece[-1] == "]"
        else re.escape(piece)
        for piece in pieces
    )
