"""A dataset: a folder of parts, with what committed them in `_arrowload`.

    out/flights/
      3f2a…-0000.parquet      live parts under their final names, so that a plain glob finds them
      _arrowload/log/         the numbered entries; the link of one is the commit
      _arrowload/checkpoint   a copy of the first of them in one file
      _arrowload/staging/     parts that no reader looks at: not committed yet, or not brought to their final names yet
      _arrowload/seen/        row hashes that a load left for the next one
      _arrowload/quarantine/  rows that a load refused, a file for each load that refused any

Who reads through arrowload reads what the log says is live, and sees each load at once. Who reads with a plain glob
sees each row once, file by file, and never one that is not committed; but after a replace, from the renaming of the
first new part until the last old part is removed, old and new parts lie side by side.

A dataset in S3 has the same names below a prefix; `s3_storage.py` says what takes the place of links and renames.

Several recipes may load into one dataset. A replace by one of them takes the place of all live parts, as it would with
a table. Files that the log does not know are never touched.
"""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
from msgspec.structs import replace

from arrowload.connectors.base import SEEN_SCHEMA
from arrowload.connectors.files.log import DatasetLog, FenceRecord, LoadRecord, encode_schema, staged
from arrowload.connectors.files.storage import QUARANTINE, SEEN, STAGING
from arrowload.core.exceptions import BusyError, TransientConnectorError, another_pipeline
from arrowload.core.failpoint import failpoint
from arrowload.core.rejection import REJECTED_SCHEMA, never_replayed, with_load_id

if TYPE_CHECKING:
    from collections.abc import Callable, Set

    from arrowload.connectors.base import LedgerEntry
    from arrowload.connectors.files.log import Record
    from arrowload.connectors.files.storage import Storage


class Dataset:
    """Parts and their log.

    Args:
        storage: The dataset's own place; need not be there yet.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.location = storage.location
        self.log = DatasetLog(storage)

    def create(self) -> None:
        """Make the place."""
        self.storage.create()

    def install_fence(self, record: FenceRecord) -> None:
        """Commit `record` to the log and finish what committed loads left to be done.

        Raises:
            BusyError: The epoch installed is not lower.
        """
        self.create()
        name = staging_name(record.pipeline_id, record.epoch, "fence")
        self._append(replace(record, attempt=name), name, lambda: self._refuse_newer(record))
        self.roll_forward()

    def settle(self, pipeline_id: str) -> None:
        """Make sure that an entry of ours whose outcome nobody knew is in the log by now, or can never be.

        A request may reach a store long after its answer was given up; not when the number that it asks for is taken.

        Raises:
            OutcomeUnknownError: The store still does not answer.
        """
        fence = self.log.refresh().fence(pipeline_id)
        if self.log.unsettled is not None and self.log.number < self.log.unsettled and fence is not None:
            name = staging_name(pipeline_id, fence.epoch, "settled")
            self.log.append(self.storage.draft(name, msgspec.json.encode(replace(fence, attempt=name))))
        self.log.unsettled = None

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
        record = LoadRecord(entry=entry, files=(), staging=name, schema=encode_schema(columns), seen=seen_name)
        self._append(record, name, lambda: self.check_fence(entry.pipeline_id, entry.epoch))

    def _append(self, record: Record, name: str, check: Callable[[], None]) -> None:
        """Commit `record` to the log, unless `check` raises for what is in the log before it."""
        draft = self.storage.draft(name, msgspec.json.encode(record))
        try:
            check()
            while not self.log.append(draft):
                check()
        finally:
            draft.discard()
        self.log.sync()

    def _refuse_newer(self, record: FenceRecord) -> None:
        installed = self.log.refresh().fence(record.pipeline_id)
        known = self.log.head(record.recipe, None)
        if installed is None and known is not None:
            raise another_pipeline(record.recipe)
        if installed is not None and installed.epoch >= record.epoch:
            raise BusyError(
                f"a newer run of `{record.recipe}` has taken over `{self.location}`",
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
                f"another run has taken over `{self.location}`; nothing was committed",
                context={"epoch": epoch, "installed": installed and installed.epoch},
                hint="wait until it is done and run again",
            )

    def roll_forward(self) -> None:
        """Bring every live part to its final name and remove the parts that a replace took the place of.

        May run at the same time in several processes: each move and each removal happens once.
        """
        self.log.refresh()
        present = set(self.storage.names(""))
        missing = [(load, file.name) for file, load in self.log.live if file.name not in present]
        if len(missing) > 1 and self.storage.moves_at_once > 1:
            with ThreadPoolExecutor(self.storage.moves_at_once, thread_name_prefix="arrowload-move") as threads:
                list(threads.map(self._publish, missing))
        else:
            for item in missing:
                self._publish(item)
        if missing:
            self.storage.sync()
        removed = self.log.dead & present
        if removed:
            self.storage.remove_files(sorted(removed))
            self.storage.sync()

    def _publish(self, item: tuple[LoadRecord, str]) -> None:
        load, name = item
        self.storage.move(staged(load, name), name)
        failpoint("finalize.renamed")

    def seen(self, pipeline_id: str) -> pa.Table:
        """Row hashes that the last load of a pipeline left."""
        name = self.log.refresh().seen_file(pipeline_id)
        if name is None:
            return SEEN_SCHEMA.empty_table()
        return self._read_table(f"{SEEN}/{name}")

    def write_seen(self, name: str, seen: pa.Table) -> None:
        """Write row hashes to a file of their own, and return when it is on the disk."""
        self._write_table(f"{SEEN}/{name}", seen if seen.schema == SEEN_SCHEMA else seen.cast(SEEN_SCHEMA))

    def quarantined(self, pipeline_id: str) -> pa.Table:
        """The rows that loads of a pipeline refused, with the load of each."""
        tables = []
        for load_id, (name, settled) in self.log.refresh().rejected_files(pipeline_id).items():
            rejected = self._read_table(f"{QUARANTINE}/{name}")
            tables.append(with_load_id(never_replayed(rejected) if settled else rejected, load_id))
        return pa.concat_tables([with_load_id(REJECTED_SCHEMA.empty_table(), ""), *tables])

    def write_rejected(self, name: str, rejected: pa.Table) -> None:
        """Write rejected rows to a file of their own, and return when it is on the disk."""
        # A dataset of an earlier version has no such folder yet.
        self.storage.make_folder(QUARANTINE)
        self._write_table(f"{QUARANTINE}/{name}", rejected)

    def _write_table(self, name: str, table: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        self.storage.write(name, sink.getvalue().to_pybytes())

    def _read_table(self, name: str) -> pa.Table:
        data = self.storage.read(name)
        if data is None:
            path = self.storage.where(name)
            raise TransientConnectorError(f"`{path}` is not there", context={"path": path})
        with pa.ipc.open_file(pa.py_buffer(data)) as file:
            return file.read_all()

    def discard_attempts(self, pipeline_id: str, epoch: int, load_id: str) -> None:
        """Drop what earlier attempts at one load staged; what they committed is finished first."""
        self.roll_forward()
        for name in self._owned(STAGING, pipeline_id, below=epoch + 1):
            if load_id in name:
                self.storage.remove(f"{STAGING}/{name}")

    def sweep(self, pipeline_id: str, epoch: int) -> None:
        """Finish what is committed, then drop what runs of `pipeline_id` with older epochs left."""
        self.roll_forward()
        for name in self._owned(STAGING, pipeline_id, below=epoch):
            self.storage.remove(f"{STAGING}/{name}")
        current = self.log.seen_file(pipeline_id)
        outdated = {load.seen for load in self.log.loads}
        self._remove_files(SEEN, pipeline_id, epoch, committed=outdated, kept={current})
        refused = {load.rejected for load in self.log.loads}
        kept = {name for name, _ in self.log.rejected_files(pipeline_id).values()}
        self._remove_files(QUARANTINE, pipeline_id, epoch, committed=refused, kept=kept)
        for name in self.storage.unfinished(STAGING):
            if is_owned(name, pipeline_id, below=epoch):
                self.storage.end_unfinished(f"{STAGING}/{name}")
        self.log.copy(f"{STAGING}/{staging_name(pipeline_id, epoch, 'checkpoint')}")

    def _remove_files(
        self, folder: str, pipeline_id: str, epoch: int, *, committed: Set[str | None], kept: Set[str | None]
    ) -> None:
        """Remove what dead attempts wrote, and what a load committed and nobody needs any more."""
        stale = {
            name
            for name in self._owned(folder, pipeline_id, below=epoch + 1)
            if name in committed or is_owned(name, pipeline_id, below=epoch)
        }
        self.storage.remove_files([f"{folder}/{name}" for name in sorted(stale - kept)])

    def _owned(self, folder: str, pipeline_id: str, *, below: int) -> list[str]:
        return [name for name in self.storage.names(folder) if is_owned(name, pipeline_id, below=below)]


def staging_name(pipeline_id: str, epoch: int, what: str) -> str:
    """A name in staging that says whose it is and that no other attempt has."""
    return f"{pipeline_id}.{epoch}.{what}-{uuid.uuid4().hex[:12]}"


def is_owned(name: str, pipeline_id: str, *, below: int) -> bool:
    """Whether a name in staging is of a run of `pipeline_id` with an epoch below `below`."""
    owner, _, rest = name.partition(".")
    epoch = rest.partition(".")[0]
    return owner == pipeline_id and epoch.isdecimal() and int(epoch) < below
