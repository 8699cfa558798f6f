"""A dataset in S3: the same names as in a folder, with requests in the place of links and renames.

A commit is a PUT of the next entry of the log on the condition that there is none (`If-None-Match: *`). Parts are
uploaded below `_arrowload/staging`, where readers that list a prefix do not look, and copied to their final names by
the store itself once they are committed. So who lists the prefix without knowing of the log sees what they would in a
local folder: each row once, part by part, and never one that is not committed; and after a replace, old parts and new
ones until the last old part is removed.
"""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from arrowload.connectors.files.part import PartFile
from arrowload.connectors.files.storage import LOG, entry_name
from arrowload.core.exceptions import ConnectorError, TransientConnectorError
from arrowload.io.files import ARROWLOAD_FOLDER
from arrowload.io.s3 import S3Prefix
from arrowload.io.s3_files import as_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from arrowload.io.aws import AwsAccess
    from arrowload.io.files import FileInfo
    from arrowload.io.s3 import S3Upload

_READS_AT_ONCE: Final = 8


class S3Storage:
    """A `Storage` below a prefix; every request that was answered lasts.

    Args:
        url: `s3://bucket/prefix`.
        access: Where S3 is and who asks.
    """

    moves_at_once = 8

    def __init__(self, url: str, access: AwsAccess) -> None:
        self._prefix = S3Prefix(url, access)
        self.location = self._prefix.url
        self._is_proven = False

    def create(self) -> None:
        """Find out, once for a new dataset, whether the store minds conditions.

        Raises:
            ConnectorError: It writes whatever the condition, so that two runs could commit over each other.
        """
        if self._is_proven or self._prefix.read(entry_name(1)) is not None:
            self._is_proven = True
            return
        name = f"{ARROWLOAD_FOLDER}/probe-{uuid.uuid4().hex}"
        try:
            minds = self._prefix.write_new(name, b"1") and not self._prefix.write_new(name, b"2")
        finally:
            self._prefix.remove([name])
        if not minds:
            raise ConnectorError(
                f"`{self.location}`: the store wrote over an object that it was told not to",
                context={"bucket": self._prefix.bucket},
                hint="choose a store with conditional writes (`If-None-Match`), as S3 itself has",
            )
        self._is_proven = True

    def where(self, name: str) -> str:
        """The URL of an object."""
        return self._prefix.url_of(name)

    def entries(self, after: int) -> Iterator[bytes]:
        """See `Storage.entries`; a long log is listed, and several entries are read at once."""
        number = after + 1
        first = self._prefix.read(entry_name(number))
        if first is None:
            return
        yield first
        listed = self._prefix.objects(f"{LOG}/", after=entry_name(number))
        with ThreadPoolExecutor(_READS_AT_ONCE, thread_name_prefix="arrowload-log") as threads:
            known = [item.name for item in listed]
            for name, data in zip(known, threads.map(self._prefix.read, known), strict=True):
                number += 1
                if data is None or name != entry_name(number):
                    raise TransientConnectorError(
                        f"`{self.where(entry_name(number))}` is missing in the log", context={"found": name}
                    )
                yield data

    def draft(self, name: str, data: bytes) -> S3Draft:
        """Nothing is sent before it is committed."""
        return S3Draft(self._prefix, data)

    def read(self, name: str) -> bytes | None:
        """See `Storage.read`."""
        return self._prefix.read(name)

    def write(self, name: str, data: bytes) -> None:
        """See `Storage.write`."""
        self._prefix.write(name, data)

    def new_part(self, name: str) -> PartFile:
        """See `Storage.new_part`."""
        return S3Part(self._prefix, name)

    def names(self, folder: str) -> list[str]:
        """See `Storage.names`."""
        objects, folders = self._prefix.list_folder(folder)
        return [name.rpartition("/")[2] for name in [*(item.name for item in objects), *folders]]

    def find(self, names: Sequence[str]) -> dict[str, FileInfo]:
        """See `Storage.find`; asks for each object, or lists the folder where that is less work."""
        wanted = set(names)
        by_folder: dict[str, list[str]] = {}
        for name in wanted:
            by_folder.setdefault(name.rpartition("/")[0], []).append(name)
        found = []
        for folder, some in by_folder.items():
            if len(some) == 1:
                found += [item for name in some if (item := self._prefix.find(name)) is not None]
            else:
                found += [item for item in self._prefix.list_folder(folder)[0] if item.name in wanted]
        return {item.name: info for item, info in zip(found, as_files(self._prefix, found), strict=True)}

    def make_folder(self, folder: str) -> None:
        """There are none to be made."""

    def sync(self, folder: str = "") -> None:
        """What was answered lasts."""

    def move(self, source: str, target: str) -> None:
        """A copy by the store, then a removal; a part that is in both places is live once, by its name."""
        if self._prefix.copy(source, target):
            self._prefix.remove([source])

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        self._prefix.remove([name, *(item.name for item in self._prefix.objects(f"{name}/"))])

    def remove_files(self, names: Sequence[str]) -> None:
        """See `Storage.remove_files`; a thousand in one request."""
        self._prefix.remove(names)

    def unfinished(self, folder: str) -> list[str]:
        """Folders that uploads were begun into; of several parts each, so that nothing is there yet to be listed."""
        uploads = self._prefix.uploads(f"{folder}/")
        return sorted({name[len(folder) + 1 :].partition("/")[0] for name, _ in uploads})

    def end_unfinished(self, folder: str) -> None:
        """Abort the uploads into a folder; into all of them when it is empty."""
        for name, upload_id in self._prefix.uploads(f"{folder}/" if folder else ""):
            self._prefix.end_upload(name, upload_id)


class S3Draft:
    """A `Draft` that is kept in memory."""

    def __init__(self, prefix: S3Prefix, data: bytes) -> None:
        self._prefix = prefix
        self._data = data

    def commit(self, number: int) -> bool:
        """See `Draft.commit`; an entry that was written whose answer was lost is read back."""
        return self._prefix.write_new(entry_name(number), self._data)

    def discard(self) -> None:
        """Nothing was sent."""


class S3Part(PartFile):
    """A part that is sent while it is written."""

    def __init__(self, prefix: S3Prefix, name: str) -> None:
        super().__init__(name.rpartition("/")[2], prefix.url_of(name))
        self._upload: S3Upload | None = prefix.open_upload(name)

    def _send(self, rest: memoryview) -> bool:
        if self._upload is None:
            return False
        self._upload.write(rest)
        return True

    def _finish(self) -> None:
        if self._upload is not None:
            upload, self._upload = self._upload, None
            try:
                upload.close()
            except BaseException:
                upload.abandon()
                raise

    def abandon(self) -> None:
        """Have the store forget what was sent."""
        if self._upload is not None:
            upload, self._upload = self._upload, None
            upload.abandon()
