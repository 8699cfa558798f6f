"""A table of this process as a destination; exactly once for as long as the process lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from arrowload.connectors.base import CURSOR_COLUMN, ORDINAL_COLUMN, SEEN_SCHEMA, LedgerEntry, LedgerHead, Load, Sealed
from arrowload.connectors.memory.store import MemoryStore, store
from arrowload.core.exceptions import EngineError
from arrowload.core.failpoint import failpoint
from arrowload.core.lazy import compute as pc
from arrowload.core.rejection import REJECTED_SCHEMA, never_replayed, with_load_id
from arrowload.core.schema import refuse_repeated_names, require_storable
from arrowload.planning.capabilities import DestinationCapabilities, TargetFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.connectors.memory.config import MemoryDestinationConfig
    from arrowload.core.typing import WriteMode


class MemoryDestination:
    """A table of a `MemoryStore`.

    Args:
        config: Its keys in the recipe.
        connection: The store; this process's own by default.
    """

    def __init__(self, config: MemoryDestinationConfig, connection: MemoryStore | None = None) -> None:
        self._store = connection if connection is not None else store
        self.target_name = config.name

    def capabilities(self) -> DestinationCapabilities:
        """All write modes."""
        return DestinationCapabilities(write_modes=frozenset({"append", "replace", "merge"}), transactional=True)

    def target(self, schema: pa.Schema, *, write_mode: WriteMode, merge_keys: Sequence[str]) -> TargetFacts:
        """Types that the table already has bind, except under `replace`."""
        refuse_repeated_names(schema)
        table = self._store.tables.get(self.target_name)
        if table is not None and write_mode != "replace":
            schema = pa.schema([self._bound(field, table.schema) for field in schema])
        return TargetFacts(location=f"memory {self.target_name}", exists=table is not None, schema=schema)

    def stored_schema(self) -> pa.Schema | None:
        """See `ContractDestination.stored_schema`."""
        table = self._store.tables.get(self.target_name)
        return table.schema if table is not None else None

    def head(self, recipe: str, pipeline_id: str | None) -> LedgerHead | None:
        """See `TransactionalDestination.head`."""
        return self._store.head(recipe, self.target_name, pipeline_id)

    def fence(self, pipeline_id: str, recipe: str, epoch: int, owner: str) -> LedgerHead:
        """See `TransactionalDestination.fence`."""
        self._store.install_fence(pipeline_id, recipe, self.target_name, epoch, owner)
        head = self.head(recipe, pipeline_id)
        if head is None:
            raise EngineError(f"the fence of `{recipe}` is gone as soon as it was installed")
        return head

    def find(self, pipeline_id: str, load_id: str) -> LedgerEntry | None:
        """The entry of one load."""
        pipeline = self._store.pipelines.get(pipeline_id)
        return next((e for e in pipeline.entries if e.load_id == load_id), None) if pipeline is not None else None

    def entries(self, pipeline_id: str) -> list[LedgerEntry]:
        """See `TransactionalDestination.entries`."""
        pipeline = self._store.pipelines.get(pipeline_id)
        return sorted(pipeline.entries, key=lambda e: (e.generation, e.seq)) if pipeline is not None else []

    def all_entries(self) -> list[LedgerEntry]:
        """See `TransactionalDestination.all_entries`."""
        pipelines = [p for p in self._store.pipelines.values() if p.target == self.target_name]
        return sorted((e for p in pipelines for e in p.entries), key=lambda e: (e.committed_at, e.generation, e.seq))

    def amend(self, entry: LedgerEntry, seen: pa.Table | None) -> None:
        """See `TransactionalDestination.amend`."""
        with self._store.lock:
            self._store.check_fence(entry)
            pipeline = self._store.pipelines[entry.pipeline_id]
            pipeline.entries.append(entry)
            pipeline.seen = seen if seen is not None else pipeline.seen

    def seen(self, pipeline_id: str) -> pa.Table:
        """Row hashes that the last load left for the next."""
        pipeline = self._store.pipelines.get(pipeline_id)
        return pipeline.seen if pipeline is not None and pipeline.seen is not None else SEEN_SCHEMA.empty_table()

    def quarantined(self, pipeline_id: str) -> pa.Table:
        """See `QuarantineDestination.quarantined`."""
        pipeline = self._store.pipelines.get(pipeline_id)
        kept = pipeline.quarantine if pipeline is not None else {}
        tables = [with_load_id(rows, load_id) for load_id, rows in kept.items()]
        return pa.concat_tables([with_load_id(REJECTED_SCHEMA.empty_table(), ""), *tables])

    def begin(self, load: Load) -> MemoryLoadWriter:
        """Start staging, in a list."""
        return MemoryLoadWriter(self._store, self.target_name, load)

    def sweep(self, pipeline_id: str, epoch: int) -> None:
        """Nothing is left behind."""

    def close(self) -> None:
        """Nothing is held."""

    def _bound(self, field: pa.Field, stored: pa.Schema) -> pa.Field:
        if field.name not in stored.names:
            return field
        kind = stored.field(field.name).type
        require_storable(field, kind, self.target_name, hint="load the table anew with --full-refresh")
        return pa.field(field.name, kind)


class MemoryLoadWriter:
    """Stages batches in a list; the commit puts a new table in the place of the old."""

    def __init__(self, target: MemoryStore, name: str, load: Load) -> None:
        self._store = target
        self._name = name
        self._load = load
        self._staged: list[pa.Table] = []
        self._rejected = REJECTED_SCHEMA.empty_table()
        self._settled: Sequence[str] = ()

    def stage(self, stream: pa.RecordBatchReader) -> None:
        """Keep the rows."""
        self._staged.append(stream.read_all())

    def seal(self) -> Sealed:
        """Count the rows, and with merge keys those that lose to another with the same key, which are dropped here."""
        rows = pa.concat_tables(self._staged)
        winners = _winners(rows, self._load) if self._load.merge_keys else rows
        self._staged = [winners.select(self._load.schema.names)]
        replaced = self._store.tables.get(self._name) if self._load.write_mode == "replace" else None
        return Sealed(
            rows_staged=rows.num_rows,
            rows_duplicate=rows.num_rows - winners.num_rows,
            rows_replaced=replaced.num_rows if replaced is not None else 0,
        )

    def quarantine(self, rejected: pa.Table, settled: Sequence[str]) -> None:
        """See `QuarantiningWriter.quarantine`."""
        self._rejected, self._settled = rejected, settled

    def finalize(self, entry: LedgerEntry, seen: pa.Table | None) -> None:
        """Swap the table, enter in the ledger, under the store's lock."""
        with self._store.lock:
            applied = self._applied(self._store.tables.get(self._name))
            failpoint("finalize.applied")
            failpoint("finalize.ledger")
            self._store.check_fence(entry)
            failpoint("finalize.fenced")
            pipeline = self._store.pipelines[entry.pipeline_id]
            if any(entry.load_id == known.load_id for known in pipeline.entries):
                return  # an attempt whose answer was lost has committed it
            pipeline.entries.append(entry)
            pipeline.seen = seen if seen is not None else pipeline.seen
            if entry.write_mode == "replace":
                pipeline.quarantine = {}
            for other in self._store.pipelines.values():
                settled = {load: rows for load, rows in other.quarantine.items() if load in self._settled}
                other.quarantine |= {load: never_replayed(rows) for load, rows in settled.items()}
            if self._rejected.num_rows:
                pipeline.quarantine[entry.load_id] = self._rejected
            self._store.tables[self._name] = applied

    def abort(self) -> None:
        """Forget the rows."""
        self._staged = []

    def _applied(self, old: pa.Table | None) -> pa.Table:
        new = self._staged[0]
        if old is None or self._load.write_mode == "replace":
            return new
        if self._load.write_mode == "merge":
            old = old.join(new.select(self._load.merge_keys), list(self._load.merge_keys), join_type="left anti")
        return pa.concat_tables([old, new], promote_options="default")


def _winners(rows: pa.Table, load: Load) -> pa.Table:
    """Of rows with equal keys the one with the greatest (cursor, ordinal)."""
    order = [(CURSOR_COLUMN, "ascending", "at_start")] if load.has_cursor else []
    ranked = rows.take(pc.sort_indices(rows, sort_keys=[*order, (ORDINAL_COLUMN, "ascending")])).append_column(
        "place", pa.array(range(rows.num_rows), pa.int64())
    )
    last = ranked.group_by(list(load.merge_keys), use_threads=False).aggregate([("place", "max")])["place_max"]
    return ranked.take(last.take(pc.array_sort_indices(last)))
