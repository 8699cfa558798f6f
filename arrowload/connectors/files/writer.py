"""Stages the parts of one load where no reader looks, and commits them with one entry of the log."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec

from arrowload.connectors.base import Load, Sealed
from arrowload.connectors.files.dataset import staging_name
from arrowload.connectors.files.lanes import PartLane, PartLanes, chunks
from arrowload.connectors.files.log import DataFile, LoadRecord, encode_schema
from arrowload.connectors.files.storage import STAGING
from arrowload.core.exceptions import ConnectorError, OutcomeUnknownError, TransientConnectorError
from arrowload.core.failpoint import failpoint
from arrowload.io.files import os_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

    from arrowload.connectors.base import LedgerEntry
    from arrowload.connectors.files.dataset import Dataset
    from arrowload.connectors.files.part import PartFile, PartFormat
    from arrowload.connectors.files.storage import Draft


class DatasetLoadWriter:
    """A `LoadWriter` that makes parts.

    Args:
        dataset: Where the load goes.
        part_format: What its parts are.
        load: What is loaded.
        target_bytes: A part that has reached this size is closed and the next one begun.
    """

    def __init__(self, dataset: Dataset, part_format: PartFormat, load: Load, target_bytes: int) -> None:
        self._dataset = dataset
        self._format = part_format
        self._load = load
        self._target_bytes = target_bytes
        self._name = staging_name(load.pipeline_id, load.epoch, load.load_id)
        self._folder = f"{STAGING}/{self._name}"
        self._parts: list[DataFile] = []
        self._numbers = itertools.count()
        self._existing = dataset.log.schema()
        self._committing = False
        self._rejected: pa.Table | None = None
        self._settled: Sequence[str] = ()
        with os_errors(dataset.location):
            dataset.storage.make_folder(self._folder)

    def stage(self, stream: pa.RecordBatchReader) -> None:
        """Write `stream` into parts.

        Raises:
            TransientConnectorError: The disk is full, or fails.
        """
        self._stage(chunks(iter(stream), self._format.chunk_bytes))

    def _stage(self, chunked: Iterable[list[pa.RecordBatch]]) -> None:
        lanes = PartLanes([self._lane() for _ in range(self._format.lanes)])
        try:
            for batches in chunked:
                lanes.write(batches)
                del batches  # or it would be kept while the next chunk comes together
            self._parts += lanes.finish()
        except BaseException:
            lanes.abandon()
            raise

    def _lane(self) -> PartLane:
        return PartLane(self._format, self._load.schema, self._next_file, self._target_bytes)

    def _next_file(self) -> PartFile:
        name = f"{self._folder}/{self._load.load_id}-{next(self._numbers):04}{self._format.suffix}"
        with os_errors(self._dataset.storage.where(name)):
            return self._dataset.storage.new_part(name)

    def seal(self) -> Sealed:
        """Count what is staged, and return when it is on the disk.

        A load of no rows that readers are to see as an empty dataset gets one part without rows, so that a plain glob
        finds the columns.
        """
        if not self._parts and (self._load.write_mode == "replace" or self._existing is None):
            self._stage([[]])
        with os_errors(self._dataset.location):
            self._dataset.storage.sync(self._folder)
        rows = sum(part.rows for part in self._parts)
        replaced = self._dataset.log.live if self._load.write_mode == "replace" else ()
        return Sealed(
            rows_staged=rows,
            rows_replaced=sum(file.rows for file, _ in replaced),
            detail={"files": [msgspec.to_builtins(part) for part in self._parts]},
        )

    def quarantine(self, rejected: pa.Table, settled: Sequence[str]) -> None:
        """See `QuarantiningWriter.quarantine`."""
        self._rejected = rejected if rejected.num_rows else None
        self._settled = settled

    def finalize(self, entry: LedgerEntry, seen: pa.Table | None) -> None:
        """Link the log entry, which is the commit; then bring the parts to their final names.

        A load that the log has already is committed: its answer was lost, and this attempt is dropped.

        Raises:
            BusyError: Another epoch is installed; nothing was applied.
            TransientConnectorError: The disk failed, or another recipe changed the columns; nothing was applied.
            OutcomeUnknownError: The commit may be there, and its parts may not be at their final names yet.
        """
        with os_errors(self._dataset.location):
            # A successor drops what this run staged: better to learn of the successor than of a file that is gone.
            self._check(entry)
            failpoint("finalize.applied")
            draft = self._write_record(entry, seen)
            failpoint("finalize.ledger")
            self._check(entry)
            failpoint("finalize.fenced")
        while self._dataset.log.find(entry.pipeline_id, entry.load_id) is None and not self._link(draft):
            self._check(entry)
        self._finish(entry)

    def _link(self, draft: Draft) -> bool:
        self._committing = True
        with os_errors(self._dataset.location):
            self._committing = self._dataset.log.append(draft)
        return self._committing

    def _finish(self, entry: LedgerEntry) -> None:
        try:
            self._dataset.log.sync()
            failpoint("finalize.published")
            self._dataset.roll_forward()
            self._dataset.storage.remove(self._folder)
        except (OSError, ConnectorError) as exc:
            raise OutcomeUnknownError(
                f"load `{entry.load_id}` was committed to `{self._dataset.location}`, but what follows failed: {exc}",
                context={"load_id": entry.load_id},
                hint="run again; the parts are brought to their final names then",
            ) from exc

    def _write_record(self, entry: LedgerEntry, seen: pa.Table | None) -> Draft:
        seen_name = f"{self._name}.arrow" if seen is not None else None
        if seen_name is not None:
            self._dataset.write_seen(seen_name, seen)
        rejected_name = f"{self._name}.arrow" if self._rejected is not None else None
        if rejected_name is not None:
            self._dataset.write_rejected(rejected_name, self._rejected)
        record = LoadRecord(
            entry=entry,
            files=tuple(self._parts),
            staging=self._name,
            schema=encode_schema(self._load.schema),
            seen=seen_name,
            rejected=rejected_name,
            settled=tuple(self._settled),
        )
        return self._dataset.storage.draft(f"{self._name}/entry.json", msgspec.json.encode(record))

    def _check(self, entry: LedgerEntry) -> None:
        self._dataset.check_fence(entry.pipeline_id, entry.epoch)
        found = self._dataset.log.schema()
        # Another recipe may have loaded into the dataset since its columns were looked at.
        if self._load.write_mode == "append" and found is not None and found != self._existing:
            raise TransientConnectorError(
                f"another recipe changed the columns of `{self._dataset.location}` during this load",
                context={"before": str(self._existing), "now": str(found)},
                hint="run again",
            )

    def abort(self) -> None:
        """Drop what was staged; does nothing once the commit has been tried."""
        if not self._committing:
            self._dataset.storage.remove(self._folder)
