"""A dataset: a folder of parts, with what committed them in `_arrowload`.

    out/flights/
      3f2a…-0000.parquet      live parts under their final names, so that a plain glob finds them
      _arrowload/log/         the numbered entries; the link of one is the commit
      _arrowload/staging/     parts that no reader looks at: not committed yet, or not brought to their final names yet
      _arrowload/seen/        row hashes that a load left for the next one
      _arrowload/quarantine/  rows that a load refused, a file for each load that refused any

Who reads through arrowload reads what the log says is live, and sees each load at once. Who reads with a plain glob
sees each row once, file by file, and never one that is not committed; but after a replace, from the renaming of the
first new part until the last old part is removed, old and new parts lie side by side.

Several recipes may load into one dataset. A replace by one of them takes the place of all live parts, as it would with
a table. Files that the log does not know are never touched.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from typing import TYPE_CHECKING, Final

import msgspec
import pyarrow as pa

from arrowload.connectors.base import SEEN_SCHEMA
from arrowload.connectors.files.log import DatasetLog, FenceRecord, LoadRecord, encode_schema
from arrowload.core.exceptions import BusyError, another_pipeline
from arrowload.core.failpoint import failpoint
from arrowload.core.rejection import REJECTED_SCHEMA, single_values, with_load_id
from arrowload.io.files import ARROWLOAD_FOLDER, make_folder, sync_folder, write_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from arrowload.connectors.base import LedgerEntry
    from arrowload.connectors.files.log import Record

_FOLDERS: Final = ("log", "staging", "seen", "quarantine")


class Dataset:
    """One folder of parts and its log.

    Args:
        folder: The dataset's own folder; need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = DatasetLog(folder)
        self.staging = folder / ARROWLOAD_FOLDER / "staging"
        self.seen_folder = folder / ARROWLOAD_FOLDER / "seen"
        self.quarantine_folder = folder / ARROWLOAD_FOLDER / "quarantine"

    def create(self) -> None:
        """Make the folders."""
        for name in _FOLDERS:
            make_folder(self.folder / ARROWLOAD_FOLDER / name)

    def install_fence(self, record: FenceRecord) -> None:
        """Commit `record` to the log and finish what committed loads left to be done.

        Raises:
            BusyError: The epoch installed is not lower.
        """
        self.create()
        name = staging_name(record.pipeline_id, record.epoch, "fence")
        self._append(record, name, lambda: self._refuse_newer(record))
        self.roll_forward()

    def amend(self, entry: LedgerEntry, seen: pa.Table | None) -> None:
        """Commit a load without parts to the log.

        Raises:
            BusyError: Another epoch is installed than that of `entry`.
        """
        columns = self.log.refresh().schema() or pa.schema([])
        name = staging_name(entry.pipeline_id, entry.epoch, "amended")
        seen_name = f"{staging_name(entry.pipeline_id, entry.epoch, entry.load_id)}.arrow" if seen is not None else None
        if seen_name is not None:
            self.write_seen(seen_name, seen)
        record = LoadRecord(entry=entry, files=(), staging="", schema=encode_schema(columns), seen=seen_name)
        self._append(record, name, lambda: self.check_fence(entry.pipeline_id, entry.epoch))

    def _append(self, record: Record, name: str, check: Callable[[], None]) -> None:
        """Commit `record` to the log, unless `check` raises for what is in the log before it."""
        temporary = self.staging / name
        write_file(temporary, msgspec.json.encode(record))
        try:
            check()
            while not self.log.append(temporary):
                check()
        finally:
            temporary.unlink(missing_ok=True)
        self.log.sync()

    def _refuse_newer(self, record: FenceRecord) -> None:
        installed = self.log.refresh().fence(record.pipeline_id)
        known = self.log.head(record.recipe, None)
        if installed is None and known is not None:
            raise another_pipeline(record.recipe)
        if installed is not None and installed.epoch >= record.epoch:
            raise BusyError(
                f"a newer run of `{record.recipe}` has taken over `{self.folder}`",
                context={"owner": installed.owner, "epoch": record.epoch, "installed": installed.epoch},
                hint="wait until it is done and run again",
            )

    def check_fence(self, pipeline_id: str, epoch: int) -> None:
        """Read the log on, and make sure that `epoch` still holds.

        Raises:
            BusyError: Another epoch is installed, or none.
        """
        installed = self.log.refresh().fence(pipeline_id)
        if installed is None or installed.epoch != epoch:
            raise BusyError(
                f"another run has taken over `{self.folder}`; nothing was committed",
                context={"epoch": epoch, "installed": installed and installed.epoch},
                hint="wait until it is done and run again",
            )

    def roll_forward(self) -> None:
        """Bring every live part to its final name and remove the parts that a replace took the place of.

        May run at the same time in several processes: each move and each removal happens once.
        """
        self.log.refresh()
        present = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        missing = [(load, file.name) for file, load in self.log.live if file.name not in present]
        for load, name in missing:
            self._publish(load, name)
        if missing:
            sync_folder(self.folder)
        removed = self.log.dead & present
        for name in removed:
            (self.folder / name).unlink(missing_ok=True)
        if removed:
            sync_folder(self.folder)

    def _publish(self, load: LoadRecord, name: str) -> None:
        # Not found: another process has moved it, or somebody removed it, which reading will report.
        with contextlib.suppress(FileNotFoundError):
            (self.staging / load.staging / name).rename(self.folder / name)
        failpoint("finalize.renamed")

    def seen(self, pipeline_id: str) -> pa.Table:
        """Row hashes that the last load of a pipeline left."""
        name = self.log.refresh().seen_file(pipeline_id)
        if name is None:
            return SEEN_SCHEMA.empty_table()
        return _read_table(self.seen_folder / name)

    def write_seen(self, name: str, seen: pa.Table) -> None:
        """Write row hashes to a file of their own, and return when it is on the disk."""
        _write_table(self.seen_folder / name, seen if seen.schema == SEEN_SCHEMA else seen.cast(SEEN_SCHEMA))

    def quarantined(self, pipeline_id: str) -> pa.Table:
        """The rows that loads of a pipeline refused, with the load of each."""
        tables = []
        for load_id, (name, settled) in self.log.refresh().rejected_files(pipeline_id).items():
            rejected = _read_table(self.quarantine_folder / name)
            tables.append(with_load_id(single_values(rejected) if settled else rejected, load_id))
        return pa.concat_tables([with_load_id(REJECTED_SCHEMA.empty_table(), ""), *tables])

    def write_rejected(self, name: str, rejected: pa.Table) -> None:
        """Write rejected rows to a file of their own, and return when it is on the disk."""
        # A dataset of an earlier version has no such folder yet.
        make_folder(self.quarantine_folder)
        _write_table(self.quarantine_folder / name, rejected)

    def discard_attempts(self, pipeline_id: str, epoch: int, load_id: str) -> None:
        """Drop what earlier attempts at one load staged; what they committed is finished first."""
        self.roll_forward()
        for path in self._owned(self.staging, pipeline_id, below=epoch + 1):
            if load_id in path.name:
                remove(path)

    def sweep(self, pipeline_id: str, epoch: int) -> None:
        """Finish what is committed, then drop what runs of `pipeline_id` with older epochs left."""
        self.roll_forward()
        for path in self._owned(self.staging, pipeline_id, below=epoch):
            remove(path)
        in_use = self.log.seen_file(pipeline_id)
        outdated = {load.seen for load in self.log.loads}
        stale = self._owned(self.seen_folder, pipeline_id, below=epoch)
        own = self._owned(self.seen_folder, pipeline_id, below=epoch + 1)
        for path in {*stale, *(p for p in own if p.name in outdated)}:
            if path.name != in_use:
                remove(path)
        kept = {name for name, _ in self.log.rejected_files(pipeline_id).values()}
        committed = {load.rejected for load in self.log.loads}
        dead = {path.name for path in self._owned(self.quarantine_folder, pipeline_id, below=epoch)}
        current = {path.name for path in self._owned(self.quarantine_folder, pipeline_id, below=epoch + 1)}
        for name in (dead | (current & committed)) - kept:
            remove(self.quarantine_folder / name)

    def _owned(self, folder: Path, pipeline_id: str, *, below: int) -> list[Path]:
        if not folder.is_dir():
            return []
        found = []
        for path in folder.iterdir():
            owner, _, rest = path.name.partition(".")
            epoch = rest.partition(".")[0]
            if owner == pipeline_id and epoch.isdecimal() and int(epoch) < below:
                found.append(path)
        return found


def staging_name(pipeline_id: str, epoch: int, what: str) -> str:
    """A name in staging that says whose it is and that no other attempt has."""
    return f"{pipeline_id}.{epoch}.{what}-{uuid.uuid4().hex[:12]}"


def _write_table(path: Path, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    write_file(path, sink.getvalue())
    sync_folder(path.parent)


def _read_table(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def remove(path: Path) -> None:
    """Remove a file or a folder; one that is gone already is as good."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
