"""Where a dataset lies: a local folder, or a prefix in S3 (`s3_storage.py`)."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final, Protocol

from arrowload.connectors.files.part import LocalPart
from arrowload.core.exceptions import RecipeError
from arrowload.io.files import (
    ARROWLOAD_FOLDER,
    FileInfo,
    describe_file,
    link_new,
    make_folder,
    os_errors,
    sync_folder,
    write_file,
)
from arrowload.io.s3 import is_s3

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from arrowload.connectors.files.part import PartFile
    from arrowload.io.aws import AwsAccess

LOG: Final = f"{ARROWLOAD_FOLDER}/log"
CHECKPOINT: Final = f"{ARROWLOAD_FOLDER}/checkpoint"
STAGING: Final = f"{ARROWLOAD_FOLDER}/staging"
SEEN: Final = f"{ARROWLOAD_FOLDER}/seen"
QUARANTINE: Final = f"{ARROWLOAD_FOLDER}/quarantine"


def entry_name(number: int) -> str:
    """The name of an entry of the log."""
    return f"{LOG}/{number:020}.json"


class Draft(Protocol):
    """An entry of the log that is written and not committed."""

    def commit(self, number: int) -> bool:
        """Make it entry `number` of the log, in one step.

        Returns:
            False when there is such an entry already; nothing happened.

        Raises:
            OutcomeUnknownError: It may be there, now or later.
        """

    def discard(self) -> None:
        """Forget the draft; the entry that it became stays."""


class Storage(Protocol):
    """Files below one place; a name is a path below it, with slashes.

    What is said to be lasting survives a crash of the machine.

    Attributes:
        location: The place, for people.
        moves_at_once: How many files are moved side by side.
    """

    location: str
    moves_at_once: int

    def create(self) -> None:
        """Make the place, if it has to be made.

        Raises:
            ConnectorError: Commits are not safe there.
        """

    def where(self, name: str) -> str:
        """The path or URL of a file."""

    def entries(self, after: int) -> Iterator[bytes]:
        """The entries of the log behind number `after`, in order."""

    def draft(self, name: str, data: bytes) -> Draft:
        """An entry to be; what is kept of it before it is committed is below staging, under `name`."""

    def read(self, name: str) -> bytes | None:
        """The content of a file; None when there is none of that name."""

    def write(self, name: str, data: bytes) -> None:
        """Write a new file; it is lasting."""

    def new_part(self, name: str) -> PartFile:
        """A part to be written; lasting once it is closed and its folder was synced."""

    def names(self, folder: str) -> list[str]:
        """What is directly in `folder`, files and folders; nothing when there is no such folder."""

    def find(self, names: Sequence[str]) -> dict[str, FileInfo]:
        """Those of the files that are there; each with the path that a source reads it by."""

    def make_folder(self, folder: str) -> None:
        """Make a folder, where folders have to be made."""

    def sync(self, folder: str = "") -> None:
        """Return when the names in `folder` are lasting."""

    def move(self, source: str, target: str) -> None:
        """Give a file another name, which no other file has from then on; one that is not there was moved already."""

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it; one that is gone already is as good."""

    def remove_files(self, names: Sequence[str]) -> None:
        """Remove files; those that are gone already are as good."""

    def unfinished(self, folder: str) -> list[str]:
        """Folders directly in `folder` that somebody began to write a file into, and did not end it."""

    def end_unfinished(self, folder: str) -> None:
        """Forget what was begun in such a folder; in all of them when `folder` is empty."""


class LocalStorage:
    """A `Storage` in a folder of this machine; a commit is a hard link."""

    moves_at_once = 1

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.location = str(folder)

    def create(self) -> None:
        """Make the folders of a dataset."""
        for name in (LOG, STAGING, SEEN, QUARANTINE):
            make_folder(self.folder / name)

    def where(self, name: str) -> str:
        """The path of a file."""
        return str(self.folder / name)

    def entries(self, after: int) -> Iterator[bytes]:
        """See `Storage.entries`; looks at the disk for each."""
        while (data := self.read(entry_name(after + 1))) is not None:
            after += 1
            yield data

    def draft(self, name: str, data: bytes) -> LocalDraft:
        """A file in staging, which lasts."""
        path = self.folder / STAGING / name
        write_file(path, data)
        return LocalDraft(self.folder, path)

    def read(self, name: str) -> bytes | None:
        """See `Storage.read`."""
        path = self.folder / name
        with os_errors(path):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, name: str, data: bytes) -> None:
        """See `Storage.write`."""
        path = self.folder / name
        write_file(path, data)
        sync_folder(path.parent)

    def new_part(self, name: str) -> PartFile:
        """See `Storage.new_part`."""
        return LocalPart(self.folder / name)

    def names(self, folder: str) -> list[str]:
        """See `Storage.names`."""
        path = self.folder / folder
        return [found.name for found in path.iterdir()] if path.is_dir() else []

    def find(self, names: Sequence[str]) -> dict[str, FileInfo]:
        """See `Storage.find`."""
        found = ((name, describe_file(str(self.folder / name))) for name in names)
        return {name: info for name, info in found if info is not None}

    def make_folder(self, folder: str) -> None:
        """Make a folder; it lasts."""
        make_folder(self.folder / folder)

    def sync(self, folder: str = "") -> None:
        """See `Storage.sync`."""
        sync_folder(self.folder / folder)

    def move(self, source: str, target: str) -> None:
        """See `Storage.move`; it lasts once the folder was synced."""
        try:
            (self.folder / source).rename(self.folder / target)
        except FileNotFoundError:  # or somebody removed it, which reading will report
            return

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        path = self.folder / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def remove_files(self, names: Sequence[str]) -> None:
        """See `Storage.remove_files`."""
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def unfinished(self, folder: str) -> list[str]:
        """None that `names` does not know."""
        return []

    def end_unfinished(self, folder: str) -> None:
        """There is nothing to forget."""


class LocalDraft:
    """A `Draft` in a file of its own, which gets a second name."""

    def __init__(self, folder: Path, path: Path) -> None:
        self._folder = folder
        self._path = path

    def commit(self, number: int) -> bool:
        """See `Draft.commit`; the name lasts once the log's folder was synced."""
        return link_new(self._path, self._folder / entry_name(number))

    def discard(self) -> None:
        """Remove the first name."""
        self._path.unlink(missing_ok=True)


def open_storage(path: str, access: AwsAccess) -> Storage:
    """Where `path` is.

    Raises:
        RecipeError: It is a URL of another kind than `s3://`.
    """
    if is_s3(path):
        from arrowload.connectors.files.s3_storage import S3Storage

        return S3Storage(path, access)
    from pathlib import Path

    if "://" in path:
        raise RecipeError(
            f"`{path}` is neither a local path nor a URL of S3",
            hint="write to a folder on this machine, or to s3://bucket/prefix",
        )
    return LocalStorage(Path(path))
