"""Local files: find them, pin them, and write them so that a power cut cannot take back what was promised."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from arrowload.core.exceptions import ConnectorError, CredentialsError, RecipeError, TransientConnectorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ARROWLOAD_FOLDER: Final = "_arrowload"


class FileInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was when it was listed; what is read later must still be this.

    Attributes:
        path: Where it is.
        key: Its name below the folder that the patterns share; what the state remembers it by.
        size: In bytes.
        mtime_ns: Modification time, nanoseconds since 1970 in UTC.
        inode: Tells a file that was replaced from the one that was listed.
        etag: Of an object in S3, which every request that reads it names; empty for a local file.
        immutable: Its key never stands for another content, whatever its time: it is a part of a dataset.
    """

    path: str
    key: str
    size: int
    mtime_ns: int
    inode: int
    etag: str = ""
    immutable: bool = False

    def is_unchanged(self) -> bool:
        """Whether the file at `path` is still the one that was listed; of an object, reading it finds out."""
        if self.etag:
            return True
        try:
            found = os.stat(self.path)  # noqa: PTH116 - the path is text throughout
        except FileNotFoundError:
            return False
        return (found.st_size, found.st_mtime_ns, found.st_ino) == (self.size, self.mtime_ns, self.inode)


class NoFilesError(ConnectorError):
    """Nothing is where the recipe says that files are."""

    exit_code = 78


@contextlib.contextmanager
def os_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an `OSError` of the block into an error that names `path` and says whether to try again.

    Raises:
        CredentialsError: The operating system does not let us.
        TransientConnectorError: Anything else: a full disk, a file that went away.
    """
    try:
        yield
    except PermissionError as exc:
        raise CredentialsError(
            f"no permission for `{exc.filename or path}`", context={"path": str(path), "errno": exc.errno}
        ) from exc
    except OSError as exc:
        hint = "make room and run again" if exc.errno in (errno.ENOSPC, errno.EDQUOT) else None
        raise TransientConnectorError(
            f"`{exc.filename or path}`: {exc.strerror or exc}",
            context={"path": str(path), "errno": exc.errno},
            hint=hint,
        ) from exc


def pattern_root(pattern: str) -> str:
    """The folder below which all files of `pattern` lie: the pattern up to its first wildcard."""
    if os.path.isdir(pattern):  # noqa: PTH112 - the path is text throughout
        return pattern
    if not glob.has_magic(pattern) or os.path.exists(pattern):  # noqa: PTH110
        return os.path.dirname(pattern)  # noqa: PTH120
    return os.path.dirname(before_wildcard(pattern))  # noqa: PTH120


def before_wildcard(pattern: str) -> str:
    """What stands before the first wildcard of a glob; the whole of what is none."""
    return re.split(r"[*?\[]", pattern, maxsplit=1)[0]


def expand(pattern: str, suffixes: Sequence[str]) -> list[str]:
    """The files that `pattern` names, sorted: itself, those of a folder that end in `suffixes`, or those of a glob.

    Hidden files and what lies in a folder whose name starts with `_` or `.` are not taken from a folder; from a glob,
    only what lies under `_arrowload` is left out.

    Raises:
        RecipeError: `pattern` is a URL.
        NoFilesError: There are none.
    """
    if "://" in pattern:
        raise RecipeError(f"`{pattern}` is not a local path", hint="only files on this machine and s3:// are read")
    path = Path(pattern)
    if path.is_dir():
        found = [str(p) for p in path.rglob("*") if p.name.lower().endswith(tuple(suffixes))]
        found = [p for p in found if not any(part[0] in "_." for part in Path(p).relative_to(path).parts)]
        what = f"no file that ends in {' or '.join(suffixes)} is in the folder `{pattern}`"
    elif path.exists():
        found, what = [pattern], ""
    else:
        found = [p for p in glob.glob(pattern, recursive=True) if ARROWLOAD_FOLDER not in Path(p).parts]  # noqa: PTH207
        what = f"no file matches `{pattern}`" if glob.has_magic(pattern) else f"there is no file `{pattern}`"
    found = sorted(p for p in found if os.path.isfile(p))  # noqa: PTH113
    if not found:
        raise NoFilesError(
            what or f"`{pattern}` is not a regular file",
            context={"path": pattern},
            hint="check `path`; a relative path starts from the folder of the recipe",
        )
    return found


def describe(paths: Iterable[str], root: str) -> list[FileInfo]:
    """Size and time of each path, in order; each path once.

    Raises:
        TransientConnectorError: A file went away after it was listed.
    """
    infos = []
    for path in dict.fromkeys(paths):
        with os_errors(path):
            found = os.stat(path)  # noqa: PTH116 - the path is text throughout
        key = Path(os.path.relpath(path, root)).as_posix()
        infos.append(FileInfo(path=path, key=key, size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino))
    return infos


def describe_file(path: str) -> FileInfo | None:
    """Size and time of a file; None when it is not there, or no file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - the path is text throughout
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return FileInfo(path=path, key=path, size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino)


# ---------------------------------------------------------------- writing that lasts


def sync_file(path: Path) -> None:
    """Return when the bytes of `path` are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


sync_folder = sync_file  # a folder is opened and synced in the same way


def make_folder(path: Path) -> None:
    """Make `path` and what it lies in, and return when they are on the disk."""
    if path.is_dir():
        return
    make_folder(path.parent)
    with contextlib.suppress(FileExistsError):
        path.mkdir()
    sync_folder(path.parent)


def write_file(path: Path, data: bytes) -> None:
    """Write a new file and return when its bytes are on the disk; its name may still be lost."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def link_new(source: Path, target: Path) -> bool:
    """Give `source` the second name `target`, if nothing has that name; the atomic step that everything rests on.

    Returns:
        False when `target` is there already.

    Raises:
        ConnectorError: The file system has no hard links.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError as exc:
        if exc.errno in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
            raise ConnectorError(
                f"the file system of `{target.parent}` has no hard links, which a commit needs",
                context={"path": str(target), "errno": exc.errno},
                hint="choose a folder on a local disk",
            ) from exc
        raise
    return True
