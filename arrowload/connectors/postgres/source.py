"""Postgres as a source: one snapshot, one COPY in binary, bounds and types fixed before the first row."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from arrowload.connectors.base import Overlap
from arrowload.connectors.postgres.catalogue import Relation, describe_query, get_table
from arrowload.connectors.postgres.conversion import Conversion, recut
from arrowload.connectors.postgres.cursor import cursor_column
from arrowload.connectors.postgres.reading import ReadColumn, read_columns, size_numerics
from arrowload.connectors.postgres.session import connect, describe_server
from arrowload.connectors.sql_cursor import CursorWindow, find_window
from arrowload.core.exceptions import RecipeError, TransientConnectorError
from arrowload.core.state import State
from arrowload.io.sql import TableName, quote_identifier
from arrowload.models.source_config import CursorIncremental
from arrowload.planning.capabilities import SourceFacts, Split, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from arrowload.connectors.postgres.config import PostgresSourceConfig
    from arrowload.io.adbc import AdbcSession, AdbcStream

_DRIVER_BATCH_BYTES: Final = 4 * 2**20


class PostgresSource:
    """A table or query of a Postgres database.

    Args:
        config: Its keys in the recipe.
        connection: A session to be used in place of new ones; stays open.
    """

    def __init__(self, config: PostgresSourceConfig, connection: AdbcSession | None = None) -> None:
        self._config = config
        self._given = connection
        if config.incremental is not None and not isinstance(config.incremental, CursorIncremental):
            raise RecipeError(
                "`strategy: modified` is for files",
                context={"path": "$.source.incremental.strategy"},
                hint="use `strategy: cursor` with a `cursor_column`",
            )

    def facts(self) -> SourceFacts:
        """One route, and the table or query."""
        what = TableName.parse(self._config.table, default_schema="public") if self._config.table else "query"
        return SourceFacts(
            location=f"{describe_server(self._config)} {what}",
            identity=self._config.table or "query",
            route="adbc",
            route_reason="COPY in binary through the ADBC driver, one connection",
        )

    def schema(self) -> pa.Schema:
        """The columns to be read; an undeclared numeric is decimal128(38, 9) here, and sized in the snapshot."""
        with self._session() as session:
            relation = self._relation(session)
            columns = read_columns(relation, self._config)
            if self._config.incremental is not None:
                cursor_column(relation, columns, self._incremental())
            return _schema(columns)

    @contextmanager
    def snapshot(self, state: State) -> Iterator[PostgresSnapshot]:
        """Open a repeatable read; bounds, sizes and rows all come from it."""
        with self._session() as session:
            session.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            snapshot = None
            try:
                snapshot = self._open_snapshot(session, state)
                yield snapshot
            finally:
                if snapshot is not None:
                    snapshot.close()
                if session is self._given:
                    session.run("ROLLBACK")

    def close(self) -> None:
        """Connections live no longer than their snapshot."""

    def _open_snapshot(self, session: AdbcSession, state: State) -> PostgresSnapshot:
        relation = self._relation(session)
        columns = read_columns(relation, self._config)
        bounds = None
        if self._config.incremental is not None:
            column = cursor_column(relation, columns, self._incremental())
            source = f"(SELECT {quote_identifier(column.name)} {relation.rows(self._config.filter)}) AS source"
            bounds = find_window(session.execute, source, column, self._incremental(), state)
        rows = relation.rows(self._config.filter, bounds.predicate if bounds is not None else None)
        null_special = self._config.numeric_special != "error"
        columns = size_numerics(session, columns, rows, null_special=null_special)
        conversion = Conversion(_schema(columns), null_special, self._config.infinity != "error")
        query = f"SELECT {', '.join(column.select() for column in columns)} {rows}"
        return self._snapshot_of(session, query, conversion, bounds, state)

    def _snapshot_of(
        self, session: AdbcSession, query: str, conversion: Conversion, bounds: CursorWindow | None, state: State
    ) -> PostgresSnapshot:
        if bounds is None:
            return PostgresSnapshot(session, query, conversion, Window(statements=(query,)), state)
        name = self._incremental().cursor_column
        window = Window(
            strategy="cursor",
            empty=bounds.empty,
            statements=(query,),
            lower=bounds.lower,
            upper=bounds.upper,
            notes=bounds.notes,
        )
        if bounds.cursor is not None:
            state = State(cursor_values={**state.cursor_values, name: bounds.cursor}, watermarks=state.watermarks)
        snapshot = PostgresSnapshot(session, query, conversion, window, state)
        if bounds.seen_from is not None:
            through, since = (snapshot.scalar(name, sql) for sql in (bounds.seen_through, bounds.seen_from))
            snapshot.overlap = Overlap(name, through, since)
        return snapshot

    @contextmanager
    def _session(self) -> Iterator[AdbcSession]:
        session = self._given or connect(self._config, self._config.application_name)
        try:
            yield session
        finally:
            if session is not self._given:
                session.close()

    def _relation(self, session: AdbcSession) -> Relation:
        if self._config.query is not None:
            return describe_query(session, self._config.query)
        return get_table(session, TableName.parse(self._config.table or "", default_schema="public"))

    def _incremental(self) -> CursorIncremental:
        if not isinstance(self._config.incremental, CursorIncremental):
            raise TypeError("the recipe has no cursor")
        return self._config.incremental


class PostgresSnapshot:
    """One repeatable read of one connection; see `Snapshot`."""

    def __init__(self, session: AdbcSession, query: str, conversion: Conversion, window: Window, state: State) -> None:
        self._session = session
        self._query = query
        self._conversion = conversion
        self._stream: AdbcStream | None = None
        self.schema: pa.Schema = conversion.schema
        self.window = window
        self.overlap: Overlap | None = None
        self.state = State(cursor_values=state.cursor_values, watermarks=state.watermarks)

    def splits(self, n: int) -> Sequence[Split]:
        """One: the whole window."""
        return [Split(index=0, spec={"query": self._query})]

    def read_split(self, split: Split, *, batch_size: int) -> pa.RecordBatchReader:
        """The rows, as the server sends them; starting again ends the reading that is under way."""
        self.close()
        return pa.RecordBatchReader.from_batches(self.schema, self._batches(str(split.spec["query"]), batch_size))

    def close(self) -> None:
        """End the reading that is under way; the snapshot itself stays."""
        if self._stream is not None and self._stream.is_open:
            self._stream.close()
            # What is cancelled fails, and a failure would end the snapshot; a lost connection has been reported.
            with suppress(TransientConnectorError):
                self._session.run("ROLLBACK TO SAVEPOINT reading")
        self._stream = None

    def _batches(self, query: str, batch_size: int) -> Iterator[pa.RecordBatch]:
        self._session.run("SAVEPOINT reading")
        options = {"adbc.postgresql.batch_size_hint_bytes": str(_DRIVER_BATCH_BYTES)}
        stream = self._stream = self._session.stream(query, options)
        try:
            first_row = 0
            for batch in stream:
                yield from recut(self._conversion.apply(batch, first_row=first_row), batch_size)
                first_row += batch.num_rows
        finally:
            if self._stream is stream:
                self.close()

    def scalar(self, column: str, sql: str | None) -> pa.Scalar | None:
        """The value of an SQL expression, in the type in which `column` is read; None for None."""
        if sql is None:
            return None
        field = self.schema.field(column)
        value: Any = self._session.fetch_arrow(f"SELECT {sql} AS v").combine_chunks().to_batches()[0]
        return Conversion(pa.schema([field])).apply(value, first_row=0).column(0)[0]


def _schema(columns: Sequence[ReadColumn]) -> pa.Schema:
    return pa.schema([pa.field(column.name, column.type) for column in columns])
