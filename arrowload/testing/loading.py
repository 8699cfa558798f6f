"""Loads by hand, through the steps of the protocol and in the order in which the engine takes them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from arrowload.connectors.base import CURSOR_COLUMN, ORDINAL_COLUMN, LedgerEntry, Load
from arrowload.core.casting import cast_batch_exact
from arrowload.core.schema import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from arrowload.connectors.base import LoadWriter, Sealed, TransactionalDestination
    from arrowload.core.typing import WriteMode

_BATCH_ROWS = 100


@dataclass
class Staged:
    """A load that is begun, with its writer; `rows` are counted once it is sealed."""

    writer: LoadWriter
    load: Load
    sealed: Sealed | None = None


@dataclass
class Pipeline:
    """One recipe that loads one place; each run has a destination and an epoch of its own, as each process would.

    Attributes:
        make: Makes a destination over the place.
        pipeline_id, recipe: Its identity.
        destination: Of the run that is under way.
    """

    make: Callable[[], TransactionalDestination]
    pipeline_id: str = "1f0e9d5e-0000-4000-8000-000000000001"
    recipe: str = "orders"
    epoch: int = 0
    seq: int = 0
    _destination: list[TransactionalDestination] = field(default_factory=list)

    @property
    def destination(self) -> TransactionalDestination:
        """Made when it is first asked for."""
        if not self._destination:
            self._destination.append(self.make())
        return self._destination[0]

    def close(self) -> None:
        """End the run, as the end of its process would: what is open is gone."""
        for destination in self._destination:
            destination.close()
        self._destination.clear()

    def fence(self, epoch: int | None = None) -> None:
        """Start a run: take over with the next epoch."""
        self.epoch = epoch or self.epoch + 1
        self.destination.fence(self.pipeline_id, self.recipe, self.epoch, f"owner {self.epoch}")

    def load(
        self, rows: pa.Table, write_mode: WriteMode = "append", merge_keys: Sequence[str] = (), **options: Any
    ) -> Sealed:
        """A whole run of one load; `seen` and changes to the ledger entry are options."""
        self.fence()
        try:
            staged = self.stage(rows, write_mode, merge_keys)
            return self.finish(staged, **options)
        finally:
            self.close()

    def begin(self, rows: pa.Table, write_mode: WriteMode = "append", merge_keys: Sequence[str] = ()) -> Staged:
        """Begin the next load, with the schema that the destination asks for; nothing is staged yet."""
        plain = rows.select([name for name in rows.schema.names if name not in (CURSOR_COLUMN, ORDINAL_COLUMN)])
        facts = self.destination.target(plain.schema, write_mode=write_mode, merge_keys=tuple(merge_keys))
        load = self._next_load(facts.schema, write_mode, merge_keys, has_cursor=CURSOR_COLUMN in rows.schema.names)
        return Staged(self.destination.begin(load), load)

    def stage(self, rows: pa.Table, write_mode: WriteMode = "append", merge_keys: Sequence[str] = ()) -> Staged:
        """Begin the next load and stage all its rows."""
        if merge_keys and ORDINAL_COLUMN not in rows.schema.names:
            rows = rows.append_column(ORDINAL_COLUMN, pa.array(range(rows.num_rows), pa.int64()))
        staged = self.begin(rows, write_mode, merge_keys)
        staged.writer.stage(stream(rows, staged.load))
        return staged

    def finish(self, staged: Staged, *, seen: pa.Table | None = None, **changes: Any) -> Sealed:
        """Seal and finalize."""
        sealed = staged.sealed or staged.writer.seal()
        written = sealed.rows_staged - sealed.rows_duplicate
        counts = {"rows_read": sealed.rows_staged, "rows_written": written, "rows_deduplicated": sealed.rows_duplicate}
        staged.writer.finalize(self.entry(staged.load, **{**counts, **changes}), seen)
        return sealed

    def amendment(self, **changes: Any) -> LedgerEntry:
        """The entry of a load of no rows."""
        return self.entry(self._next_load(pa.schema([])), **changes)

    def _next_load(
        self,
        schema: pa.Schema,
        write_mode: WriteMode = "append",
        merge_keys: Sequence[str] = (),
        *,
        has_cursor: bool = False,
    ) -> Load:
        self.seq += 1
        return Load(
            load_id=f"{self.pipeline_id[:8]}-{self.seq}",
            pipeline_id=self.pipeline_id,
            recipe=self.recipe,
            generation=1,
            seq=self.seq,
            epoch=self.epoch,
            write_mode=write_mode,
            merge_keys=tuple(merge_keys),
            schema=schema,
            has_cursor=has_cursor,
        )

    def entry(self, load: Load, **changes: Any) -> LedgerEntry:
        """The ledger entry of `load`, with texts that a careless statement would take for its own."""
        fields: dict[str, Any] = {
            "pipeline_id": load.pipeline_id,
            "generation": load.generation,
            "seq": load.seq,
            "load_id": load.load_id,
            "epoch": load.epoch,
            "recipe": load.recipe,
            "target": self.destination.target_name,
            "write_mode": load.write_mode,
            "lower": None,
            "upper": 'it\'s "quoted" \\ 東京',
            "state": '{"cursor_values":{"at":{"$type":"decimal","value":"1.20"}}}',
            "schema_fingerprint": fingerprint(load.schema),
            "rows_read": 0,
            "rows_written": 0,
            "rows_filtered": 0,
            "rows_rejected": 0,
            "rows_deduplicated": 0,
            "content_hash": "ff" * 16,
            "engine_version": "0.0",
            "committed_at": dt.datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=dt.UTC),
        }
        return LedgerEntry(**{**fields, **changes})


def stream(rows: pa.Table, load: Load, *, fails_with: Exception | None = None) -> pa.RecordBatchReader:
    """`rows` as the engine hands them over: in the schema of `load`, with the columns that a merge orders them by.

    Args:
        rows: Columns by name.
        load: What they belong to.
        fails_with: Raised by the stream after the last row.
    """
    extra = [field for field in rows.schema if field.name in (CURSOR_COLUMN, ORDINAL_COLUMN)]
    schema = pa.schema([*load.schema, *extra])

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in rows.to_batches(max_chunksize=_BATCH_ROWS):
            yield cast_batch_exact(batch, schema)
        if fails_with is not None:
            raise fails_with

    return pa.RecordBatchReader.from_batches(schema, batches())
