"""The destination that csv and parquet are: a dataset with a log, whose parts have one format or the other."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from arrowload.connectors.base import LedgerEntry, LedgerHead, Load, StoredRows
from arrowload.connectors.files.dataset import Dataset
from arrowload.connectors.files.log import FenceRecord, locate
from arrowload.connectors.files.storage import LocalStorage, open_storage
from arrowload.connectors.files.writer import DatasetLoadWriter
from arrowload.core.exceptions import RecipeError, TransientConnectorError
from arrowload.core.schema import refuse_repeated_names, require_storable
from arrowload.io.aws import AwsAccess
from arrowload.io.files import ARROWLOAD_FOLDER, os_errors
from arrowload.io.s3 import is_s3
from arrowload.planning.capabilities import DestinationCapabilities, TargetFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from arrowload.connectors.files.part import PartFormat
    from arrowload.core.typing import WriteMode
    from arrowload.models.destination_config import DestinationConfig

_FINALIZE: Final = (
    "link _arrowload/log/<number>.json, unless that number is taken: the commit",
    "rename the parts from _arrowload/staging to the folder",
)
_FINALIZE_S3: Final = (
    "put _arrowload/log/<number>.json, if there is none of that number: the commit",
    "have the store copy the parts from _arrowload/staging to the prefix",
)
_SCRATCH: Final = f"{ARROWLOAD_FOLDER}/scratch"


class FileDestination:
    """A `TransactionalDestination` over a folder, or a prefix in S3.

    Args:
        path: The dataset's folder or `s3://bucket/prefix`; made when it is not there. Its log lies in it, so it may be
            moved.
        part_format: What its parts are.
        target_bytes: A part that has reached this size is closed and the next one begun.
        scratch: The same keys of the recipe with another path; None when no recipe stands behind it.
        access: Where S3 is and who asks.

    Raises:
        RecipeError: `path` is a URL of another kind.
    """

    def __init__(
        self,
        path: str,
        part_format: PartFormat,
        target_bytes: int,
        scratch: Callable[[str], DestinationConfig] | None,
        access: AwsAccess = AwsAccess(),  # noqa: B008 - frozen
    ) -> None:
        self._scratch = scratch
        # The log lies in the folder and moves with it.
        self.target_name = "."
        self._format = part_format
        self._target_bytes = target_bytes
        self._access = access
        self._storage = open_storage(path, access)
        self._folder = self._storage.location
        self._dataset = Dataset(self._storage)

    def limit_memory(self, max_bytes: int) -> None:
        """Have the parts that are being written take at most about `max_bytes`."""
        self._format.limit_memory(max_bytes)

    def capabilities(self) -> DestinationCapabilities:
        """Appends and replaces, with a ledger; a file cannot update rows in place."""
        return DestinationCapabilities(write_modes=frozenset({"append", "replace"}), transactional=True)

    def target(self, schema: pa.Schema, *, write_mode: WriteMode, merge_keys: Sequence[str]) -> TargetFacts:
        """How the parts will keep rows of `schema`; looks at the log and not at the parts.

        Raises:
            RecipeError: The mode is merge, the path is a file, or a column has no place in a part or in the dataset.
        """
        if write_mode == "merge" or merge_keys:
            raise RecipeError(
                f"a {self._format.name} folder cannot merge rows by {list(merge_keys)}",
                hint="use `append` or `replace`, or merge into a database",
            )
        self._require_folder()
        refuse_repeated_names(schema)
        stored = self._format.stored_schema(schema.remove_metadata())
        existing = self._dataset.log.refresh().schema()
        if existing is not None and write_mode == "append":
            stored = self._fit(stored, existing)
        made = self._dataset.log.number > 0
        replaced = [f"remove the {len(self._dataset.log.live)} parts that are there"] if write_mode == "replace" else []
        return TargetFacts(
            location=f"{self._format.name} {self._folder}",
            exists=existing is not None,
            schema=stored,
            ddl=() if made or is_s3(self._folder) else (f"make the folder {self._folder}",),
            finalize=(
                *(_FINALIZE_S3 if is_s3(self._folder) else _FINALIZE),
                *(replaced if existing is not None else ()),
            ),
        )

    def _require_folder(self) -> None:
        folder = self._storage.folder if isinstance(self._storage, LocalStorage) else None
        if folder is not None and folder.exists() and not folder.is_dir():
            raise RecipeError(
                f"`{folder}` is a file, and the destination is a folder of parts",
                context={"path": self._folder},
                hint=f"write `path: {PurePath(self._folder).with_suffix('')}`",
            )

    def _fit(self, incoming: pa.Schema, existing: pa.Schema) -> pa.Schema:
        """`incoming` in the order and the types that the dataset has already; new columns come last."""
        new = [name for name in incoming.names if name not in existing.names]
        missing = [name for name in existing.names if name not in incoming.names]
        if not self._format.evolves and (new or missing):
            raise RecipeError(
                f"all parts of a {self._format.name} folder have the same columns, and `{self._folder}` has others",
                context={"new": new, "missing": missing},
                hint=f"new are {new}, missing are {missing}; load into another folder, or use `write_mode: replace`",
            )
        for field in incoming:
            if field.name in existing.names:
                stored = existing.field(field.name).type
                require_storable(field, stored, self._folder, hint="use `write_mode: replace`")
        kept = [incoming.field(n).with_type(existing.field(n).type) for n in existing.names if n in incoming.names]
        return pa.schema([*kept, *(incoming.field(name) for name in new)])

    def stored_schema(self) -> pa.Schema | None:
        """See `ContractDestination.stored_schema`."""
        return self._dataset.log.refresh().schema()

    def head(self, recipe: str, pipeline_id: str | None) -> LedgerHead | None:
        """What the log holds of `pipeline_id` or, when it has none of that id, of the recipe of that name."""
        return self._dataset.log.refresh().head(recipe, pipeline_id)

    def fence(self, pipeline_id: str, recipe: str, epoch: int, owner: str) -> LedgerHead:
        """Install `epoch` as an entry of the log, and finish what committed loads left to be done.

        Raises:
            BusyError: The epoch installed is not lower.
        """
        self._require_folder()
        record = FenceRecord(pipeline_id=pipeline_id, recipe=recipe, target=self.target_name, epoch=epoch, owner=owner)
        with os_errors(self._folder):
            self._dataset.install_fence(record)
        last = self._dataset.log.head(recipe, pipeline_id)
        return LedgerHead(
            pipeline_id=pipeline_id,
            target=record.target,
            epoch=epoch,
            owner=owner,
            last=last.last if last is not None else None,
        )

    def find(self, pipeline_id: str, load_id: str) -> LedgerEntry | None:
        """The entry of one load, as the log has it now, and for good.

        Raises:
            OutcomeUnknownError: A store does not answer, and has not answered a commit of ours.
        """
        self._dataset.settle(pipeline_id)
        return self._dataset.log.refresh().find(pipeline_id, load_id)

    def entries(self, pipeline_id: str) -> list[LedgerEntry]:
        """See `TransactionalDestination.entries`."""
        loads = self._dataset.log.refresh().loads
        return [load.entry for load in loads if load.entry.pipeline_id == pipeline_id]

    def all_entries(self) -> list[LedgerEntry]:
        """See `TransactionalDestination.all_entries`."""
        return [load.entry for load in self._dataset.log.refresh().loads]

    def amend(self, entry: LedgerEntry, seen: pa.Table | None) -> None:
        """See `TransactionalDestination.amend`."""
        with os_errors(self._folder):
            self._dataset.amend(entry, seen)

    def seen(self, pipeline_id: str) -> pa.Table:
        """Row hashes that the last load left for the next."""
        with os_errors(self._folder):
            return self._dataset.seen(pipeline_id)

    def quarantined(self, pipeline_id: str) -> pa.Table:
        """See `QuarantineDestination.quarantined`."""
        with os_errors(self._folder):
            return self._dataset.quarantined(pipeline_id)

    def begin(self, load: Load) -> DatasetLoadWriter:
        """Start staging a load; what earlier attempts at it staged is dropped.

        Raises:
            TransientConnectorError: Another recipe changed the columns of the dataset since `target` was asked.
        """
        with os_errors(self._folder):
            self._dataset.create()
            self._dataset.discard_attempts(load.pipeline_id, load.epoch, load.load_id)
        if self.target(load.schema, write_mode=load.write_mode, merge_keys=load.merge_keys).schema != load.schema:
            raise TransientConnectorError(
                f"another recipe changed the columns of `{self._folder}` since this load was planned", hint="run again"
            )
        return DatasetLoadWriter(self._dataset, self._format, load, self._target_bytes)

    def stored(self, columns: Sequence[str]) -> Sequence[StoredRows]:
        """See `VerifiableDestination.stored`; each load has parts of its own.

        Raises:
            DataError: A part is not there, or has another size than when it was committed.
        """
        files: dict[str, list[str]] = {}
        loads = {load.entry.load_id: load for _, load in self._dataset.log.refresh().live}
        live = self._dataset.log.live
        for (_, load), info in zip(live, locate(self._storage, live), strict=True):
            files.setdefault(load.entry.load_id, []).append(info.path)
        return [
            StoredRows(
                (load.entry,),
                self._format.source(files[load_id], load.arrow_schema(), self._access),
                load.arrow_schema(),
            )
            for load_id, load in loads.items()
        ]

    def stored_by_load(self, columns: Sequence[str], cursor: str) -> Sequence[StoredRows]:
        """As `stored`."""
        return self.stored(columns)

    def scratch(self, name: str, folder: str) -> DestinationConfig:
        """See `ScratchDestination.scratch`: a folder of its own; in S3 below the dataset, where no reader looks."""
        if self._scratch is None:
            raise RecipeError(f"`{self._folder}` was not made from a recipe")
        return self._scratch(f"{self._folder}/{_SCRATCH}/{name}" if is_s3(self._folder) else f"{folder}/{name}")

    def remove_scratch(self) -> None:
        """A folder goes with the one that it is in; in S3 all objects are removed."""
        if is_s3(self._folder) and f"/{_SCRATCH}/" in self._folder:
            self._storage.end_unfinished("")
            for name in self._storage.names(""):
                self._storage.remove(name)

    def sweep(self, pipeline_id: str, epoch: int) -> None:
        """Finish what is committed, then drop what runs with older epochs left."""
        with os_errors(self._folder):
            self._dataset.sweep(pipeline_id, epoch)

    def close(self) -> None:
        """Nothing is held open."""
