"""The log of a dataset: numbered files in `_arrowload/log`, each written once, each one commit.

An entry gets its number by `link()`, which fails when the number is taken; in S3 by a PUT that is told to fail when
there is such an object (`If-None-Match: *`). So of two runs that both read the log up to
number n, one writes n+1 and the other learns of it; a run that was paused while a successor installed its fence learns
of that too, as the fence is an entry like any other.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pyarrow as pa

from arrowload.connectors.base import LedgerEntry, LedgerHead
from arrowload.connectors.files.checkpoint import ENTRIES_BETWEEN, read_log, write_checkpoint
from arrowload.connectors.files.storage import LOG, STAGING, entry_name
from arrowload.core.exceptions import DataError, OutcomeUnknownError, StateError
from arrowload.core.json_errors import UNREADABLE_JSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.connectors.files.storage import Draft, Storage
    from arrowload.io.files import FileInfo

# Entries come from a disk that others may write to: what they name lies in the dataset's own folders.
Name = Annotated[str, msgspec.Meta(pattern=r"^(?!\.{1,2}\Z)[^/\0]*\Z")]


class DataFile(msgspec.Struct, frozen=True, kw_only=True):
    """One part: its final name in the dataset's folder, and what it holds."""

    name: Name
    rows: int
    bytes: int
    sha256: str


class FenceRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="fence"):
    """From here on no run of `pipeline_id` with an epoch below `epoch` commits.

    Attributes:
        attempt: Makes the entry differ from any that another run writes.
    """

    pipeline_id: str
    recipe: str
    target: str
    epoch: int
    owner: str
    attempt: str = ""


class LoadRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="load"):
    """One load, committed.

    Attributes:
        entry: What the engine wants to be remembered.
        files: The parts it brings; with `write_mode` replace they are all that is live from here on.
        staging: The folder in `_arrowload/staging` that the parts are in until they have their final names.
        schema: Of the rows: an Arrow IPC schema message, base64.
        seen: The file in `_arrowload/seen` that holds the row hashes for the next load; None keeps the last.
        rejected: The file in `_arrowload/quarantine` that holds the rows that the load refused; None when it has none.
        settled: Ids of loads whose rejected rows are kept no more; single values are.
    """

    entry: LedgerEntry
    files: tuple[DataFile, ...]
    staging: Name
    schema: str
    seen: Name | None
    rejected: Name | None = None
    settled: tuple[str, ...] = ()

    def arrow_schema(self) -> pa.Schema:
        """`schema`, decoded."""
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(self.schema)))


def encode_schema(schema: pa.Schema) -> str:
    """`schema` as the text that a `LoadRecord` holds."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


Record = FenceRecord | LoadRecord
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


class DatasetLog:
    """The log of one dataset and what follows from it; reads on from where it stopped.

    Attributes:
        number: Of the last entry read; 0 before the first.
        loads: Every committed load, oldest first.
        live: The committed parts that readers are to see, oldest first, with the load that brought each.
        dead: Names of parts that a later replace took the place of.
        unsettled: The number of an entry of ours of which nobody could say whether it was written; it may yet appear.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.unsettled: int | None = None
        self.number = 0
        self._copied = 0
        self.loads: list[LoadRecord] = []
        self.live: list[tuple[DataFile, LoadRecord]] = []
        self.dead: set[str] = set()
        self._fences: dict[str, FenceRecord] = {}

    def refresh(self) -> DatasetLog:
        """Read the entries written since; returns the log itself.

        Raises:
            StateError: An entry cannot be read.
        """
        if self.number:
            entries = self._storage.entries(self.number)
        else:
            self._copied, entries = read_log(self._storage)
        for data in entries:
            self._apply(self._decode(self.number + 1, data))
            self.number += 1
        return self

    def copy(self, draft: str) -> None:
        """Write a checkpoint, by way of a file named `draft`, if the log has grown by many entries since the last."""
        if self.number - self._copied >= ENTRIES_BETWEEN:
            write_checkpoint(self._storage, draft)
            self._copied = self.number

    def append(self, draft: Draft) -> bool:
        """Make `draft` the next entry; the entry itself is read by `refresh`.

        Returns:
            False when another run wrote the next entry; nothing happened.

        Raises:
            OutcomeUnknownError: It may be there, now or later.
        """
        try:
            return draft.commit(self.number + 1)
        except OutcomeUnknownError:
            self.unsettled = self.number + 1
            raise

    def sync(self) -> None:
        """Return when the names of all entries are on the disk."""
        self._storage.sync(LOG)

    def fence(self, pipeline_id: str) -> FenceRecord | None:
        """The last fence of a pipeline."""
        return self._fences.get(pipeline_id)

    def head(self, recipe: str, pipeline_id: str | None) -> LedgerHead | None:
        """The newest that is known of a pipeline, or of the recipe of that name when there is none of that id."""
        fence = self._fences.get(pipeline_id or "")
        if fence is None:
            fence = next((f for f in reversed(self._fences.values()) if f.recipe == recipe), None)
        if fence is None:
            return None
        last = next((load.entry for load in reversed(self.loads) if load.entry.pipeline_id == fence.pipeline_id), None)
        return LedgerHead(
            pipeline_id=fence.pipeline_id, target=fence.target, epoch=fence.epoch, owner=fence.owner, last=last
        )

    def find(self, pipeline_id: str, load_id: str) -> LedgerEntry | None:
        """The entry of one load."""
        wanted = (pipeline_id, load_id)
        return next((r.entry for r in reversed(self.loads) if (r.entry.pipeline_id, r.entry.load_id) == wanted), None)

    def seen_file(self, pipeline_id: str) -> str | None:
        """The file that holds the row hashes a pipeline left for its next load."""
        mine = (load.seen for load in reversed(self.loads) if load.entry.pipeline_id == pipeline_id)
        return next((name for name in mine if name is not None), None)

    def rejected_files(self, pipeline_id: str) -> dict[str, tuple[str, bool]]:
        """Load id → the file with what it refused, and whether its rows are settled; oldest first."""
        files: dict[str, tuple[str, bool]] = {}
        for load in self.loads:
            # What a backfill left is settled by a load of the recipe itself.
            files |= {load_id: (files[load_id][0], True) for load_id in load.settled if load_id in files}
            if load.entry.pipeline_id != pipeline_id:
                continue
            if load.entry.write_mode == "replace":
                files = {}
            if load.rejected is not None:
                files[load.entry.load_id] = (load.rejected, False)
        return files

    def schema(self) -> pa.Schema | None:
        """Every column of the live parts in the type that it was first written in; None before the first load."""
        # Before the first rows come, the log may have entries that know of no columns.
        known = [load for load in self.loads if load.arrow_schema().names]
        live = list({id(load): load for _, load in self.live}.values()) or known[-1:]
        fields: dict[str, Any] = {}
        for load in live:
            for field in load.arrow_schema():
                fields.setdefault(field.name, field)
        return pa.schema(fields.values()) if live else None

    def _decode(self, number: int, data: bytes) -> Record:
        try:
            record = _decoder.decode(data)
            if isinstance(record, LoadRecord):
                # Names are decoded only when they are asked for.
                list(record.arrow_schema().names)
        except (*UNREADABLE_JSON, ValueError, OSError, pa.ArrowException) as exc:
            path = self._storage.where(entry_name(number))
            raise StateError(
                f"`{path}` is not an entry of a log",
                context={"path": path},
                hint="restore the folder from a copy, or load into a new one",
            ) from exc
        return record

    def _apply(self, record: Record) -> None:
        if isinstance(record, FenceRecord):
            self._fences.pop(record.pipeline_id, None)
            self._fences[record.pipeline_id] = record
            return
        if record.entry.write_mode == "replace":
            self.dead.update(file.name for file, _ in self.live)
            self.live = []
        self.loads.append(record)
        self.live.extend((file, record) for file in record.files)


def locate(storage: Storage, live: Sequence[tuple[DataFile, LoadRecord]]) -> list[FileInfo]:
    """Where committed parts are now: under their final names or, when their run died early, still in staging.

    Raises:
        DataError: One is in neither place, or has another size.
    """
    found = storage.find([file.name for file, _ in live])
    missing = {file.name: staged(load, file.name) for file, load in live if file.name not in found}
    in_staging = storage.find(list(missing.values())) if missing else {}
    moved = [name for name, place in missing.items() if place not in in_staging]  # in between
    found |= {name: in_staging[place] for name, place in missing.items() if place in in_staging}
    found |= storage.find(moved) if moved else {}
    for file, load in live:
        info = found.get(file.name)
        if info is None or info.size != file.bytes:
            path = storage.where(file.name)
            raise DataError(
                f"`{path}` is not as it was committed: {file.bytes} bytes of {file.rows} rows",
                context={"path": path, "load_id": load.entry.load_id},
                hint="restore the file, or load the dataset again with --full-refresh",
            )
    return [found[file.name] for file, _ in live]


def staged(load: LoadRecord, name: str) -> str:
    """Where a part of `load` is until it has its final name."""
    return f"{STAGING}/{load.staging}/{name}"
