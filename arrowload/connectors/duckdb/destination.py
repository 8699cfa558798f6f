"""DuckDB as a destination: rows, ledger entry and fence in one transaction of one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from msgspec.structs import replace

from arrowload.connectors.base import SEEN_SCHEMA, StoredRows
from arrowload.connectors.duckdb.errors import translated_errors
from arrowload.connectors.duckdb.ledger import DuckDBLedger
from arrowload.connectors.duckdb.merge import may_replace_rows
from arrowload.connectors.duckdb.session import DuckDBSession
from arrowload.connectors.duckdb.state import DuckDBStateStore
from arrowload.connectors.duckdb.types import bind, column_types, stored_types
from arrowload.connectors.duckdb.writer import DuckDBLoadWriter, apply_statements, built_table
from arrowload.connectors.sql_ledger import told_apart
from arrowload.core.exceptions import EngineError
from arrowload.core.schema import refuse_repeated_names, require_demanded
from arrowload.io.sql import TableName, quote_identifier
from arrowload.models.units import ResourcePath
from arrowload.planning.capabilities import DestinationCapabilities, TargetFacts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from arrowload.connectors.base import LedgerEntry, LedgerHead, Load
    from arrowload.connectors.duckdb.config import DuckDBDestinationConfig
    from arrowload.connectors.duckdb.source import DuckDBSource
    from arrowload.core.typing import WriteMode


class DuckDBDestination:
    """A table of a DuckDB file.

    Args:
        config: Its keys in the recipe.
        connection: Used in place of opening the file; stays open.
    """

    def __init__(self, config: DuckDBDestinationConfig, connection: duckdb.DuckDBPyConnection | None = None) -> None:
        self._config = config
        self._session = DuckDBSession(config.path, connection)
        self._table = TableName.parse(config.table, default_schema="main")
        self.target_name = str(self._table)
        self._ledger = DuckDBLedger(self._session, self.target_name)
        self._widened: Mapping[str, pa.DataType] = {}
        # The file was made by this load and is ours alone. To ask DuckDB for a table that is not there takes as long as
        # all else that a small load asks of it: it looks for similar names, and makes every system view for that.
        self._is_new = False
        # Whoever has a file open for writing has it alone.
        self.state_is_exclusive = True

    def limit_memory(self, max_bytes: int) -> None:
        """Have DuckDB's own buffers stay below `max_bytes`."""
        self._session.limit_memory(max_bytes)

    def capabilities(self) -> DestinationCapabilities:
        """All write modes, in transactions."""
        return DestinationCapabilities(write_modes=frozenset({"append", "replace", "merge"}), transactional=True)

    def target(self, schema: pa.Schema, *, write_mode: WriteMode, merge_keys: Sequence[str]) -> TargetFacts:
        """How rows of `schema` will be stored; types that the table already has bind, except under `replace`.

        Raises:
            RecipeError: A column has a type that DuckDB lacks or the table contradicts, or the table demands a
                column that `schema` lacks.
        """
        refuse_repeated_names(schema)
        incoming = column_types(schema)
        demanded = self._demanded_columns()
        replace_rows = not demanded or (
            write_mode == "merge" and may_replace_rows(self._session, self._table, schema.names, merge_keys)
        )
        new = write_mode == "replace" or not demanded
        if not new:
            require_demanded((name for name, needed in demanded.items() if needed), schema, str(self._table))
            schema = bind(schema, self._stored_types() | dict(self._widened), str(self._table))
        return TargetFacts(
            location=f"duckdb {self._session.path} {self._table}",
            exists=bool(demanded),
            schema=schema,
            ddl=self._creation(incoming, write_mode) if new else self._changes(incoming, demanded),
            finalize=apply_statements(self._table, write_mode, merge_keys, schema.names, replace_rows=replace_rows),
        )

    def stored_schema(self) -> pa.Schema | None:
        """See `ContractDestination.stored_schema`."""
        return pa.schema(self._stored_types().items()) if self._demanded_columns() else None

    def widen(self, types: Mapping[str, pa.DataType]) -> None:
        """See `WideningDestination.widen`."""
        self._widened = types

    def head(self, recipe: str, pipeline_id: str | None) -> LedgerHead | None:
        """See `TransactionalDestination.head`."""
        return None if self._session.is_absent else self._ledger.head(recipe, pipeline_id)

    def fence(self, pipeline_id: str, recipe: str, epoch: int, owner: str) -> LedgerHead:
        """See `TransactionalDestination.fence`; the file's own lock keeps other processes out already."""
        self._is_new = self._session.is_absent
        self._session.open_for_writing()
        self._ledger.fence(pipeline_id, recipe, epoch, owner)
        head = self._ledger.head(recipe, pipeline_id)
        if head is None:
            raise EngineError(f"the fence of `{recipe}` is gone from the ledger as soon as it was installed")
        return head

    def find(self, pipeline_id: str, load_id: str) -> LedgerEntry | None:
        """The entry of one load, from the file opened anew."""
        self._session.reconnect()
        return self._ledger.find(pipeline_id, load_id)

    def entries(self, pipeline_id: str) -> list[LedgerEntry]:
        """See `TransactionalDestination.entries`."""
        return [] if self._session.is_absent else self._ledger.entries(pipeline_id)

    def all_entries(self) -> list[LedgerEntry]:
        """See `TransactionalDestination.all_entries`."""
        return [] if self._session.is_absent else self._ledger.all_entries()

    def amend(self, entry: LedgerEntry, seen: pa.Table | None) -> None:
        """See `TransactionalDestination.amend`."""
        with self._session.transaction():
            self._ledger.insert(entry, seen)
            self._ledger.check_fence(entry)

    def seen(self, pipeline_id: str) -> pa.Table:
        """Row hashes that the last load left for the next."""
        return self._ledger.seen(pipeline_id) if self._ledger.exists() else SEEN_SCHEMA.empty_table()

    def quarantined(self, pipeline_id: str) -> pa.Table:
        """See `QuarantineDestination.quarantined`."""
        return self._ledger.quarantined(pipeline_id)

    def begin(self, load: Load) -> DuckDBLoadWriter:
        """Open the transaction of a load."""
        facts = self.target(load.schema, write_mode=load.write_mode, merge_keys=load.merge_keys)
        self._is_new = False
        return DuckDBLoadWriter(self._session, self._ledger, self._table, load, facts)

    def stored(self, columns: Sequence[str]) -> Sequence[StoredRows]:
        """See `VerifiableDestination.stored`; the rows of a table cannot be told apart."""
        if self._session.is_absent:
            return ()
        loads = tuple(self._ledger.live_entries())
        return (StoredRows(loads, self._reader(columns, None), None),) if loads else ()

    def stored_by_load(self, columns: Sequence[str], cursor: str) -> Sequence[StoredRows]:
        """See `VerifiableDestination.stored_by_load`."""
        kinds = dict(self._session.execute(f"SELECT column_name, column_type FROM (DESCRIBE {self._table.sql()})"))
        if cursor not in kinds:
            return ()
        return [
            StoredRows((load,), self._reader(columns, condition), None)
            for load, condition in told_apart(self._ledger.live_entries(), cursor, kinds[cursor])
        ]

    def _reader(self, columns: Sequence[str], condition: str | None) -> DuckDBSource:
        from arrowload.connectors.duckdb.config import DuckDBSourceConfig
        from arrowload.connectors.duckdb.source import DuckDBSource

        config = DuckDBSourceConfig(
            type="duckdb",
            path=ResourcePath(self._session.path),
            table=self._table.sql(),
            columns=tuple(columns),
            filter=condition,
        )
        return DuckDBSource(config, self._session.connection)

    def scratch(self, name: str, folder: str) -> DuckDBDestinationConfig:
        """See `ScratchDestination.scratch`: a file of its own."""
        return replace(self._config, path=ResourcePath(f"{folder}/{name}.duckdb"))

    def remove_scratch(self) -> None:
        """The file goes with its folder."""

    def state_store(self) -> DuckDBStateStore:
        """See `StateKeeper.state_store`."""
        return DuckDBStateStore(self._session)

    def sweep(self, pipeline_id: str, epoch: int) -> None:
        """Nothing is left behind: what is staged lives and dies with the transaction."""

    def close(self) -> None:
        """Close the file."""
        self._session.close()

    def _demanded_columns(self) -> dict[str, bool]:
        """Column → whether each row must bring a value for it; empty when there is no table."""
        return {} if self._is_new or self._session.is_absent else dict(self._session.columns(self._table))

    def _stored_types(self) -> dict[str, pa.DataType]:
        table = self._table.sql()
        kinds = self._session.execute(f"SELECT column_name, column_type FROM (DESCRIBE {table})")
        with translated_errors(self._session.path):
            handed_over = self._session.connection.sql(f"SELECT * FROM {table} LIMIT 0").to_arrow_reader().schema
        return stored_types([(name, kind) for name, kind in kinds], handed_over)

    def _creation(self, incoming: dict[str, str], write_mode: WriteMode) -> tuple[str, ...]:
        columns = ", ".join(f"{quote_identifier(name)} {kind}" for name, kind in incoming.items())
        made = built_table(self._table, write_mode)
        return (
            f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(self._table.schema)}",
            f"CREATE TABLE {made.sql()} ({columns})",
        )

    def _changes(self, incoming: dict[str, str], existing: dict[str, bool]) -> tuple[str, ...]:
        """What gives the table the columns and types that it lacks."""
        table = f"ALTER TABLE {self._table.sql()}"
        added = [
            f"{table} ADD COLUMN {quote_identifier(name)} {kind}"
            for name, kind in incoming.items()
            if name not in existing
        ]
        return (
            *(f"{table} ALTER {quote_identifier(name)} TYPE {incoming[name]}" for name in self._widened),
            *added,
        )
