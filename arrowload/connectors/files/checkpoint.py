"""A copy of a log's first entries in one file, so that a long log is read by a few requests.

The log itself stays as it is. A copy that is damaged, or of another log than the one beside it, is passed over, and
every entry read.
"""

from __future__ import annotations

import zlib
from itertools import chain
from typing import TYPE_CHECKING, Final

import msgspec

from arrowload.connectors.files.storage import CHECKPOINT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arrowload.connectors.files.storage import Storage

# So many entries are read one by one at most, each by a request of its own where the log is in S3.
ENTRIES_BETWEEN: Final = 64
_CRC_BYTES: Final = 4


def read_log(storage: Storage) -> tuple[int, Iterator[bytes]]:
    """How many entries a checkpoint holds, and all entries of the log, in order; of these one is read in any case."""
    copied = _decode(storage.read(CHECKPOINT) or b"")
    entries = storage.entries(max(0, len(copied) - 1))
    if copied and next(entries, None) != copied[-1]:  # the log was restored from a copy, and is another from here on
        return 0, storage.entries(0)
    return len(copied), chain(copied, entries)


def write_checkpoint(storage: Storage, draft: str) -> None:
    """Copy the log as it is now.

    Args:
        storage: The dataset's.
        draft: A name below the dataset that nobody else uses; who reads meanwhile sees the copy before or this one.
    """
    _, entries = read_log(storage)
    storage.write(draft, _encode(list(entries)))
    storage.move(draft, CHECKPOINT)


def _encode(entries: list[bytes]) -> bytes:
    """The entries in MessagePack, and before them their CRC-32."""
    body = msgspec.msgpack.encode(entries)
    return _crc(body) + body


def _decode(data: bytes) -> list[bytes]:
    """The entries; none of what is not a checkpoint, or no longer one."""
    crc, body = data[:_CRC_BYTES], data[_CRC_BYTES:]
    return msgspec.msgpack.decode(body, type=list[bytes]) if crc == _crc(body) else []


def _crc(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(_CRC_BYTES, "little")
