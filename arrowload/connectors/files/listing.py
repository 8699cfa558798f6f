"""Which files a run reads: all that a path names, or those that are new or changed; pinned as they were listed."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from arrowload.connectors.files.log import DatasetLog, locate
from arrowload.connectors.files.storage import open_storage
from arrowload.core.exceptions import DataError, RecipeError, StateError, TransientConnectorError
from arrowload.core.state import State
from arrowload.io.aws import AwsAccess
from arrowload.io.files import ARROWLOAD_FOLDER, FileInfo, before_wildcard, describe, expand, pattern_root
from arrowload.io.s3 import SCHEME, is_s3
from arrowload.io.s3_files import expand_s3
from arrowload.models.source_config import CursorIncremental, IncrementalConfig
from arrowload.planning.capabilities import Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WATERMARK: Final = "modified"
_SECOND: Final = 1_000_000_000
_REMEMBERED: Final = 1000  # files; their names, times and sizes travel with the state and with each ledger entry
_NO_ACCESS: Final = AwsAccess()
_NAMED: Final = 20  # files that a plan lists by name


class FileWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The files of one load, oldest first, and what to remember once they are loaded."""

    files: tuple[FileInfo, ...]
    window: Window
    state: State


def list_files(paths: Sequence[str], suffixes: Sequence[str], access: AwsAccess = _NO_ACCESS) -> list[FileInfo]:
    """Every file that `paths` name, sorted; of a folder that is a dataset, the parts that its log says are live.

    Raises:
        NoFilesError: One of the paths names none.
        RecipeError: One of them is a URL of another kind than `s3://`, or some are in S3 and others are not.
    """
    root = common_root(paths)
    found = [file for path in paths for file in _files_of(path, root, suffixes, access)]
    return list({file.path: file for file in found}.values())


def _files_of(path: str, root: str, suffixes: Sequence[str], access: AwsAccess) -> list[FileInfo]:
    """The files that one path names, each with its key below `root`."""
    if parts := _live_parts(path, access):
        # By their final names: a part that was committed a moment ago may still be on its way there.
        return [
            replace(part, path=_whole(part.path), key=_key(f"{path.rstrip('/')}/{name}", root), immutable=True)
            for name, part in parts
        ]
    if is_s3(path):
        return [replace(file, key=_key(file.path, root)) for file in expand_s3(path, suffixes, access)]
    return describe(map(_whole, expand(path, suffixes)), root)


def _whole(path: str) -> str:
    return path if is_s3(path) else os.path.abspath(path)  # noqa: PTH100


def _key(path: str, root: str) -> str:
    return path[len(root) :].lstrip("/") if is_s3(path) else Path(os.path.relpath(path, root)).as_posix()


def common_root(paths: Sequence[str]) -> str:
    """The folder that all of `paths` lie in; files are remembered by their names from there.

    Raises:
        RecipeError: Some are in S3 and others are not, or they are in several buckets.
    """
    in_s3 = [is_s3(path) for path in paths]
    if not any(in_s3):
        return os.path.commonpath([os.path.abspath(pattern_root(path)) for path in paths])  # noqa: PTH100
    heads = [(before_wildcard(path), path) for path in paths]
    folders = [path.rstrip("/") if head == path else head.rpartition("/")[0] for head, path in heads]
    if not all(in_s3) or len({folder.split("/")[2] for folder in folders}) > 1:
        raise RecipeError(
            "files of one source are in one bucket, or all on this machine",
            context={"paths": list(paths)},
            hint="load them with several recipes",
        )
    return f"{SCHEME}{os.path.commonpath([folder.removeprefix(SCHEME) for folder in folders])}"


def dataset_log(path: str, access: AwsAccess = _NO_ACCESS) -> DatasetLog | None:
    """The log of `path`, read, if it is a dataset that something was loaded into."""
    return log if (log := _log(path, access)) is not None and log.loads else None


def _log(path: str, access: AwsAccess) -> DatasetLog | None:
    if is_s3(path):
        return DatasetLog(open_storage(path, access)).refresh() if before_wildcard(path) == path else None
    if "://" in path or not os.path.isdir(os.path.join(path, ARROWLOAD_FOLDER, "log")):  # noqa: PTH112, PTH118
        return None
    return DatasetLog(open_storage(path, access)).refresh()


def _live_parts(path: str, access: AwsAccess) -> list[tuple[str, FileInfo]]:
    """The parts of a dataset, each with its final name."""
    log = dataset_log(path, access)
    if log is None:
        return []
    storage = open_storage(path, access)
    while True:
        try:
            return [(file.name, info) for (file, _), info in zip(log.live, locate(storage, log.live), strict=True)]
        except DataError:
            # A load that replaced them may have come in between, and swept them away.
            known = log.number
            if log.refresh().number == known:
                raise


def refuse_cursor(incremental: IncrementalConfig | None, connector: str) -> None:
    """Raises RecipeError when the recipe asks for a cursor, which files have none of."""
    if isinstance(incremental, CursorIncremental):
        raise RecipeError(
            f"a {connector} source has no cursor to follow",
            context={"field": "strategy"},
            hint="write `incremental: {strategy: modified}` to load the files that are new or changed",
        )


def choose_files(
    files: Sequence[FileInfo], incremental: IncrementalConfig | None, state: State, until: tuple[int, str] | None = None
) -> FileWindow:
    """The files to load now; with `until`, those that are not newer than that time, and by their name not behind it.

    Without `incremental`, all of them. With it, those that are new or changed since the last load, whatever their
    modification time: name, time and size of the newest thousand files loaded are remembered, and of any more that are
    at most `lag` (and the rest of a second, as some file systems count in seconds) older than the newest. Once older
    ones had to be forgotten, a file as old as these is taken for loaded. A time that lies in the future does not count
    as the newest, or it would make `lag` forget what comes before it.

    Raises:
        StateError: The state holds something else under the watermark's name.
    """
    if incremental is None:
        window = Window(statements=_named(files), empty=not files, bytes=_bytes(files))
        return FileWindow(files=tuple(files), window=window, state=State())
    lag_ns = int((incremental.lag or dt.timedelta()) / dt.timedelta(microseconds=1)) * 1000
    newest, forgotten, seen = _remembered(state)
    chosen = [
        file
        for file in files
        if not _is_loaded(file, seen)
        and (file.key in seen or file.mtime_ns >= forgotten)
        and (until is None or (file.mtime_ns, file.key) <= until)
    ]
    chosen.sort(key=lambda file: (file.mtime_ns, file.key))
    now = time.time_ns()
    reached = max([newest, *(min(file.mtime_ns, now) for file in chosen)])
    seen |= {file.key: [file.mtime_ns, file.size] for file in chosen}
    forgotten, kept = _forget(seen, forgotten, keep_from=_second(reached) - lag_ns)
    window = Window(
        strategy="modified",
        empty=not chosen,
        statements=_named(chosen),
        lower=_as_text(forgotten) if forgotten else None,
        upper=_as_text(reached) if reached else None,
        bytes=_bytes(chosen),
        notes=tuple(f"`{f.key}` has a modification time in the future" for f in chosen if f.mtime_ns > now),
    )
    return FileWindow(
        files=tuple(chosen),
        window=window,
        state=State(
            watermarks={WATERMARK: {"newest_ns": reached, "forgotten_ns": forgotten, "files": kept}} if reached else {}
        ),
    )


def _is_loaded(file: FileInfo, seen: dict[str, list[int]]) -> bool:
    return file.key in seen if file.immutable else seen.get(file.key) == [file.mtime_ns, file.size]


def _bytes(files: Sequence[FileInfo]) -> int:
    return sum(file.size for file in files)


def _named(files: Sequence[FileInfo]) -> tuple[str, ...]:
    more = (f"and {len(files) - _NAMED} more",) if len(files) > _NAMED else ()
    return (*(file.path for file in files[:_NAMED]), *more)


def _remembered(state: State) -> tuple[int, int, dict[str, list[int]]]:
    """The newest time loaded, the time before which files were forgotten (0: none were), and the files."""
    mark: Any = state.watermarks.get(WATERMARK)
    if mark is None:
        return 0, 0, {}
    try:
        seen = {key: [int(mtime), int(size)] for key, (mtime, size) in mark["files"].items()}
        return int(mark["newest_ns"]), int(mark["forgotten_ns"]), seen
    except (TypeError, KeyError, ValueError) as exc:
        raise StateError(
            f"the watermark `{WATERMARK}` is not one of files", hint="run with --full-refresh to start over"
        ) from exc


def _forget(seen: dict[str, list[int]], forgotten: int, *, keep_from: int) -> tuple[int, dict[str, list[int]]]:
    """Bound what is remembered; files of one second are kept or forgotten together, so that ties stay exact."""
    times = sorted((mtime for mtime, _ in seen.values()), reverse=True)
    if len(times) > _REMEMBERED:
        forgotten = max(forgotten, min(_second(times[_REMEMBERED - 1]), keep_from))
    return forgotten, {key: pin for key, pin in sorted(seen.items()) if pin[0] >= forgotten}


def _second(time_ns: int) -> int:
    return time_ns // _SECOND * _SECOND


def _as_text(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, _SECOND)
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


# ---------------------------------------------------------------- splits


def partition(weights: Sequence[int], n: int) -> list[range]:
    """At most `n` runs of neighbours that together cover all items, of about equal weight; none is empty."""
    total, start, done = sum(weights), 0, 0
    runs: list[range] = []
    for index, weight in enumerate(weights):
        done += weight
        items_left, runs_left = len(weights) - index - 1, n - len(runs) - 1
        full = done * n >= total * (len(runs) + 1)
        if not items_left or (runs_left and (full or items_left <= runs_left)):
            runs.append(range(start, index + 1))
            start = index + 1
    return runs


@contextlib.contextmanager
def pinned(file: FileInfo) -> Iterator[None]:
    """Make sure, before and after the block reads it, that a file is the one that was listed.

    Raises:
        TransientConnectorError: It was changed, replaced or removed since.
    """
    try:
        _require_unchanged(file)
        yield
    except Exception:
        # What cannot be parsed because somebody is writing to it is no fault of the data.
        _require_unchanged(file)
        raise
    _require_unchanged(file)


def _require_unchanged(file: FileInfo) -> None:
    if not file.is_unchanged():
        raise TransientConnectorError(
            f"`{file.path}` changed after it was listed; nothing of it is committed",
            context={"path": file.path, "size": file.size, "mtime_ns": file.mtime_ns},
            hint="run again; put files in place by renaming them, so that they appear whole",
        )
