"""Sources and destinations over a fresh database."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from arrowload.connectors.base import LedgerEntry, Load
from arrowload.connectors.postgres.config import PostgresDestinationConfig, PostgresSourceConfig
from arrowload.connectors.postgres.destination import PostgresDestination
from arrowload.connectors.postgres.source import PostgresSource
from arrowload.core.casting import cast_batch_exact
from arrowload.core.state import State
from arrowload.models.source_config import CursorIncremental

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.postgres_server import PostgresDatabase


@pytest.fixture
def source(postgres: PostgresDatabase) -> Callable[..., PostgresSource]:
    """Makes a source from the keys of a recipe; `cursor={…}` is its incremental section."""

    def make(cursor: dict[str, Any] | None = None, **keys: Any) -> PostgresSource:
        incremental = CursorIncremental(**cursor) if cursor else None
        connection = {} if "dsn" in keys else postgres.keys
        return PostgresSource(
            PostgresSourceConfig(**{"type": "postgres", "incremental": incremental, **connection, **keys})
        )

    return make


@pytest.fixture
def read(source: Callable[..., PostgresSource]) -> Callable[..., pa.Table]:
    """Reads a whole source, made from the keys of a recipe."""

    def run(batch_size: int = 1_000, **keys: Any) -> pa.Table:
        with source(**keys).snapshot(State()) as snapshot:
            (split,) = snapshot.splits(1)
            table = snapshot.read_split(split, batch_size=batch_size).read_all()
            assert table.schema.equals(snapshot.schema, check_metadata=True)
            return table

    return run


@pytest.fixture
def destination(postgres: PostgresDatabase) -> Iterator[Callable[..., PostgresDestination]]:
    """Makes a destination from the keys of a recipe."""
    made = []

    def make(table: str = "target", **keys: Any) -> PostgresDestination:
        made.append(
            PostgresDestination(PostgresDestinationConfig(**{**postgres.keys, **keys}, type="postgres", table=table))
        )
        return made[-1]

    yield make
    for each in made:
        each.close()


class Loading:
    """One destination, loaded by hand through the steps of the protocol."""

    def __init__(self, destination: PostgresDestination) -> None:
        self.destination = destination
        self.pipeline_id = str(uuid.uuid4())
        self.recipe = f"recipe-{self.pipeline_id}"
        self.seq = 0
        self.epoch = 1

    def load(self, rows: pa.Table, write_mode: str = "append", merge_keys: tuple[str, ...] = (), **entry: Any) -> Any:
        """The whole protocol for one load; what `seal` said."""
        writer, load = self.staged(rows, write_mode, merge_keys)
        sealed = writer.seal()
        written = sealed.rows_staged - sealed.rows_duplicate
        writer.finalize(self.entry(load, rows_written=written, **entry), None)
        return sealed

    def staged(self, rows: pa.Table, write_mode: str = "append", merge_keys: tuple[str, ...] = ()) -> Any:
        """A writer that holds `rows`, and the load that it was told of."""
        self.destination.fence(self.pipeline_id, self.recipe, self.epoch, "owner")
        extra = [name for name in rows.schema.names if name.startswith("_arrowload_")]
        plain = rows.drop_columns(extra) if extra else rows
        facts = self.destination.target(plain.schema, write_mode=write_mode, merge_keys=merge_keys)
        load = self.next_load(facts.schema, write_mode, merge_keys, has_cursor="_arrowload_cursor" in extra)
        writer = self.destination.begin(load)
        stream_schema = pa.schema([*facts.schema, *(rows.schema.field(name) for name in extra)])
        batches = (cast_batch_exact(batch, stream_schema) for batch in rows.to_batches(max_chunksize=100))
        try:
            writer.stage(pa.RecordBatchReader.from_batches(stream_schema, batches))
        except BaseException:
            writer.abort()
            raise
        return writer, load

    def next_load(self, schema: pa.Schema, write_mode: str, merge_keys: tuple[str, ...], *, has_cursor: bool) -> Load:
        """The load after the last; its epoch is one more too, as each run has its own."""
        self.seq += 1
        load = Load(
            load_id=f"load-{self.seq}",
            pipeline_id=self.pipeline_id,
            recipe=self.recipe,
            generation=1,
            seq=self.seq,
            epoch=self.epoch,
            write_mode=write_mode,
            merge_keys=merge_keys,
            schema=schema,
            has_cursor=has_cursor,
        )
        self.epoch += 1
        return load

    def entry(self, load: Load, rows_written: int = 0, **changes: Any) -> LedgerEntry:
        """The ledger entry of `load`."""
        fields = {
            "pipeline_id": load.pipeline_id,
            "generation": load.generation,
            "seq": load.seq,
            "load_id": load.load_id,
            "epoch": load.epoch,
            "recipe": self.recipe,
            "target": "public.target",
            "write_mode": load.write_mode,
            "lower": None,
            "upper": "it's",
            "state": "{}",
            "schema_fingerprint": "f",
            "rows_read": rows_written,
            "rows_written": rows_written,
            "rows_filtered": 0,
            "rows_rejected": 0,
            "rows_deduplicated": 0,
            "content_hash": "0",
            "engine_version": "0",
            "committed_at": dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC),
        }
        return LedgerEntry(**{**fields, **changes})


@pytest.fixture
def loading(destination: Callable[..., PostgresDestination]) -> Callable[..., Loading]:
    """Makes a `Loading` of the table of that name."""
    return lambda table="target", **keys: Loading(destination(table, **keys))
