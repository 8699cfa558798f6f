"""Whatever an entry of a dataset's log holds, it is refused as such, or names files of its own folder and no others."""

from __future__ import annotations

import contextlib
import datetime as dt
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import pyarrow as pa

from arrowload.connectors.base import LedgerEntry
from arrowload.connectors.files.dataset import Dataset
from arrowload.connectors.files.listing import list_files
from arrowload.connectors.files.log import DataFile, FenceRecord, LoadRecord, encode_schema
from arrowload.connectors.files.storage import LocalStorage
from arrowload.core.exceptions import DataError, StateError
from arrowload.io.files import NoFilesError
from tests.fuzz.engine import Target, briefly
from tests.fuzz.mutations import altered

if TYPE_CHECKING:
    from collections.abc import Iterator

_FENCE: Final = msgspec.json.encode(FenceRecord(pipeline_id="p", recipe="r", target="t", epoch=1, owner="me"))
_ENTRY: Final = LedgerEntry(
    pipeline_id="p",
    generation=1,
    seq=1,
    load_id="l",
    epoch=1,
    recipe="r",
    target="t",
    write_mode="append",
    lower=None,
    upper="9",
    state="{}",
    schema_fingerprint="f",
    rows_read=1,
    rows_written=1,
    rows_filtered=0,
    rows_rejected=0,
    rows_deduplicated=0,
    content_hash="00",
    engine_version="0",
    committed_at=dt.datetime(2024, 2, 29, tzinfo=dt.UTC),
)
_LOAD: Final = msgspec.json.encode(
    LoadRecord(
        entry=_ENTRY,
        files=(DataFile(name="a.csv", rows=1, bytes=4, sha256="00"),),
        staging="s",
        schema=encode_schema(pa.schema([("a", pa.int64()), ("b", pa.timestamp("us", "UTC"))])),
        seen=None,
    )
)

_folders: list[Path] = []


@contextlib.contextmanager
def _dataset() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "outer" / "dataset"
        Dataset(LocalStorage(folder)).create()
        (folder / "a.csv").write_text("a\n1\n")
        # What no log may reach.
        (folder.parent / "outside.csv").write_text("a\n1\n")
        _folders.append(folder)
        try:
            yield
        finally:
            _folders.remove(folder)


def check(data: bytes) -> None:
    """Read a log of a fence and of `data` itself; of a fence and a load, one of the two altered by it."""
    _read(_FENCE, data)
    _read(altered(_FENCE, data), _LOAD)
    _read(_FENCE, altered(_LOAD, data))


def _read(*entries: bytes) -> None:
    folder = _folders[-1]
    names = [folder / "_arrowload" / "log" / f"{number:020}.json" for number, _ in enumerate(entries, 1)]
    for path, entry in zip(names, entries, strict=True):
        path.write_bytes(entry)
    try:
        _look(folder)
    finally:
        for path in names:
            path.unlink()
        (folder / "a.csv").write_text("a\n1\n")
    assert (folder.parent / "outside.csv").exists()


def _look(folder: Path) -> None:
    dataset = Dataset(LocalStorage(folder))
    try:
        dataset.log.refresh()
    except StateError:
        return
    log = dataset.log
    log.head("r", "p")
    log.find("p", "l")
    log.seen_file("p")
    log.rejected_files("p")
    log.schema()
    try:
        listed = list_files([str(folder)], [".csv"])
    except (DataError, NoFilesError, StateError):
        return
    assert all(Path(file.path).resolve().is_relative_to(folder.resolve()) for file in listed), listed
    dataset.roll_forward()


TARGET = Target("dataset_log", check, prepared=_dataset)


def test_any_bytes_are_refused_or_an_entry() -> None:
    """No error but the project's own; no path leads out of the dataset's folder."""
    briefly(TARGET)
