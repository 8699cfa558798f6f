"""ADBC connections: one statement at a time, rows out as Arrow streams, rows in by bulk ingest.

Works on the driver manager's own handles: its DB-API layer imports `pyarrow.dataset` and Polars, which costs a run
that reads ten rows more than the rows do.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
from adbc_driver_manager import AdbcConnection, AdbcStatement, Error
from adbc_driver_manager._lib import _blocking_call
from adbc_driver_manager._reader import AdbcRecordBatchReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from adbc_driver_manager import AdbcDatabase

    from arrowload.io.sql import TableName

Translate: TypeAlias = "Callable[[Error, AdbcConnection | None], Exception]"


class AdbcSession:
    """One connection; not to be used by two threads at once, save for `cancel` of a stream.

    The driver is left in its autocommit mode, so that a transaction is what `BEGIN` and `COMMIT` say it is.

    Args:
        open_database: Loads the driver and tells it where to connect to; some connect at once.
        translate: Makes one of our errors from one of the driver's, and the connection that it came from.
    """

    def __init__(self, open_database: Callable[[], AdbcDatabase], translate: Translate) -> None:
        self._translate = translate
        self._streams: list[AdbcStream] = []
        self._connection: AdbcConnection | None = None
        with self._translated():
            self._database = open_database()
            try:
                self._connection = AdbcConnection(self._database)
            except BaseException:
                self._database.close()
                raise

    @property
    def is_open(self) -> bool:
        """Whether `close` is still to be called."""
        return self._connection is not None

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement; its rows, if it has any, as Python values."""
        rows = self.fetch_arrow(sql)
        return list(zip(*(column.to_pylist() for column in rows.columns), strict=True))

    def fetch_arrow(self, sql: str) -> pa.Table:
        """Run one query; its rows as one table."""
        with self.stream(sql) as stream:
            return pa.Table.from_batches(stream, stream.schema)

    def run(self, sql: str, options: Mapping[str, str] | None = None) -> int:
        """Run one statement that has no result; the number of rows that it touched, -1 where there is none."""
        with self._translated(), AdbcStatement(self._connection) as statement:
            statement.set_options(**(options or {}))
            statement.set_sql_query(sql)
            count: int = statement.execute_update()
            return count

    def stream(self, sql: str, options: Mapping[str, str] | None = None) -> AdbcStream:
        """Start one query; until its stream is closed the session can run nothing else."""
        self._streams = [other for other in self._streams if other.is_open]
        stream = AdbcStream(self._connection, self._translate)
        # Known before it waits for the server, so that `cancel` finds it.
        self._streams.append(stream)
        with self._translated():
            stream.start(sql, options or {})
        return stream

    def schema_of(self, sql: str) -> pa.Schema:
        """The schema that a query would have; runs nothing."""
        with self._translated(), AdbcStatement(self._connection) as statement:
            statement.set_sql_query(sql)
            return pa.schema(statement.execute_schema())

    def append(self, table: TableName, rows: pa.Table) -> None:
        """As `ingest`, for a few rows."""
        self.ingest(table, rows.to_reader())

    def ingest(self, table: TableName, rows: pa.RecordBatchReader) -> int:
        """Bulk-load `rows` into a table that is there, columns matched by name; the number of rows handed over.

        The driver checks no types: what is stored as eight bytes is taken from eight bytes, whatever they mean. The
        caller vouches that each column has exactly the type that the table's column is written in.
        """
        options = {
            "adbc.ingest.target_table": table.table,
            "adbc.ingest.target_db_schema": table.schema,
            "adbc.ingest.mode": "adbc.ingest.mode.append",
        }
        with self._translated(), AdbcStatement(self._connection) as statement:
            statement.set_options(**options)
            statement.bind_stream(rows)
            count: int = statement.execute_update()
            return count

    def cancel(self) -> None:
        """From another thread: have the query under way end with an error."""
        for stream in self._streams:
            stream.cancel()

    def close(self) -> None:
        """End what is running and close the connection; an open transaction is rolled back by the server."""
        if self._connection is None:
            return
        for stream in self._streams:
            stream.close()
        self._connection.close()
        self._connection = None
        self._database.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except Error as exc:
            raise self._translate(exc, self._connection) from exc


class AdbcStream:
    """The rows of one query as they come: iterate over its batches, then close it."""

    def __init__(self, connection: AdbcConnection | None, translate: Translate) -> None:
        self._connection = connection
        self._statement = AdbcStatement(connection)
        self._translate = translate
        self._drained = False
        self._reader: AdbcRecordBatchReader | None = None
        self.schema: pa.Schema = pa.schema([])
        self.is_open = True

    def start(self, sql: str, options: Mapping[str, str]) -> None:
        """Send the query, and wait until its columns are known."""
        statement = self._statement
        try:
            statement.set_options(**options)
            statement.set_sql_query(sql)
            # Ctrl-C cancels the query, as it does in the driver manager's DB-API layer.
            handle, _ = _blocking_call(statement.execute_query, (), {}, statement.cancel)
            self._reader = AdbcRecordBatchReader._import_from_c(handle.address)
            self.schema = self._reader.schema
        except BaseException:
            self.is_open = False
            statement.close()
            raise

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._reader or ()
        except Error as exc:
            raise self._translate(exc, self._connection) from exc
        self._drained = True

    def close(self) -> None:
        """Give the statement back; cancels the query when rows are left, since closing alone would read them all."""
        if not self.is_open:
            return
        self.is_open = False
        if not self._drained:
            self.cancel()
        if self._reader is not None:
            self._reader.close()
        self._statement.close()

    def cancel(self) -> None:
        """Have the query end with an error; a server that is gone takes no cancel, and needs none."""
        with suppress(Error):
            self._statement.cancel()

    def __enter__(self) -> AdbcStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
