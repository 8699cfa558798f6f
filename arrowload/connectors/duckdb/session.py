"""One process, one DuckDB file: opening it, reading only where that is enough."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import duckdb

from arrowload.connectors.duckdb.errors import translated_errors
from arrowload.core.exceptions import BusyError, ConnectorError
from arrowload.io.sql import quote_literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from arrowload.io.sql import TableName

# What DuckDB takes beyond its limit, by VmHWM at limits from 64 to 256 MiB: its code, allocators, a block a thread.
_BEYOND_LIMIT_BYTES: Final = 64 * 1024**2
# Below this a load spends its time on spilling.
_LEAST_LIMIT_BYTES: Final = 32 * 1024**2

# A rival that only looks at the file has it open for moments; one that writes keeps it.
_LOCK_PATIENCE_S: Final = 1.0
_LOCK_POLL_S: Final = 0.02


class DuckDBSession:
    """A connection to one database file, opened when it is first used.

    Until `open_for_writing` it reads only, so that a plan changes nothing; where the file is not there yet, an empty
    database in memory stands in for it.

    Args:
        path: The database file, or `:memory:`.
        connection: Used in place of a new one; stays open.
        must_exist: Refuse a file that is not there.
    """

    def __init__(
        self, path: str, connection: duckdb.DuckDBPyConnection | None = None, *, must_exist: bool = False
    ) -> None:
        self.path = path
        self._must_exist = must_exist
        self._given = connection
        self._connection = connection
        self._writable = connection is not None
        self._memory_limit: int | None = None

    def limit_memory(self, max_bytes: int) -> None:
        """Have DuckDB, all told, take about `max_bytes`; what its buffers may take of that is its `memory_limit`."""
        self._memory_limit = max(_LEAST_LIMIT_BYTES, max_bytes - _BEYOND_LIMIT_BYTES)

    @property
    def is_absent(self) -> bool:
        """Whether there is no file yet, so that a question about what is in it need not be asked."""
        return self._connection is None and self.path != ":memory:" and not os.path.exists(self.path)  # noqa: PTH110

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The open connection."""
        if self._connection is None:
            there = os.path.exists(self.path)  # noqa: PTH110 - `:memory:` is no path
            if self._must_exist and not there:
                raise ConnectorError(
                    f"there is no database `{self.path}`",
                    context={"database": self.path},
                    hint="relative paths start from the folder of the recipe",
                )
            self._connection = self._connect(self.path if there else ":memory:", read_only=there)
        return self._connection

    def open_for_writing(self) -> None:
        """Open the file to write it; makes it, with its folder, when it is not there.

        Raises:
            BusyError: Another process has it open, and goes on to.
        """
        if self._writable:
            return
        self.close()
        if self.path != ":memory:":
            os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)  # noqa: PTH103, PTH120
        self._connection = self._connect_alone()
        # Every thread may take rows from the stream: twice as fast on two cores, with 15 % less work. It holds for this
        # connection alone; as a setting of `connect` it would hold for all that this process has to the file.
        self._connection.execute("SET SESSION preserve_insertion_order = false")
        self._writable = True

    def reconnect(self) -> None:
        """Open the file anew, after an error that leaves the state of the old connection in doubt."""
        writable = self._writable
        self.close()
        if writable:
            self.open_for_writing()

    def close(self) -> None:
        """Close what this session opened."""
        if self._connection is not None and self._connection is not self._given:
            self._connection.close()
        self._connection = self._given
        self._writable = self._given is not None

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement; its rows, if it has any."""
        with translated_errors(self.path):
            return self.connection.execute(sql).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Have the statements of the block commit together, or none of them; one write to disk, not one for each."""
        self.execute("BEGIN TRANSACTION")
        try:
            yield
        except BaseException:
            # The error may have ended the transaction.
            with suppress(ConnectorError):
                self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    def columns(self, table: TableName) -> list[tuple[str, bool]]:
        """Each column of `table`, in order, and whether each row must bring a value for it; none without the table.

        Not for use within a transaction, which a table that is not there would end.
        """
        # `duckdb_columns()` makes every system view of the database first, which takes ten times as long.
        query = f'SELECT name, "notnull" AND dflt_value IS NULL FROM pragma_table_info({quote_literal(table.sql())})'
        try:
            with translated_errors(self.path):
                return [(str(name), bool(demanded)) for name, demanded in self.connection.execute(query).fetchall()]
        except ConnectorError as exc:
            if isinstance(exc.__cause__, duckdb.CatalogException):
                return []
            raise

    def fetch_arrow(self, sql: str) -> pa.Table:
        """Run one query; its rows as Arrow."""
        with translated_errors(self.path):
            return self.connection.sql(sql).to_arrow_table()

    def append(self, table: TableName, rows: pa.Table) -> None:
        """Add `rows` to a table, column by name."""
        self.insert(f"INSERT INTO {table.sql()} BY NAME SELECT * FROM arrowload_rows", rows)

    def insert(self, sql: str, rows: pa.Table | pa.RecordBatchReader) -> int:
        """Run an INSERT that selects from `arrowload_rows`; the number of rows that it added."""
        with translated_errors(self.path):
            self.connection.register("arrowload_rows", rows)
            try:
                added = int(self.connection.execute(sql).fetchall()[0][0])
            except duckdb.Error:
                # The error may have ended the transaction, and then this fails too and would hide why.
                with suppress(duckdb.Error):
                    self.connection.unregister("arrowload_rows")
                raise
            self.connection.unregister("arrowload_rows")
            return added

    def _connect_alone(self) -> duckdb.DuckDBPyConnection:
        deadline = time.monotonic() + _LOCK_PATIENCE_S
        while True:
            try:
                return self._connect(self.path, read_only=False)
            except BusyError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_LOCK_POLL_S)

    def _connect(self, path: str, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        settings: dict[str, Any] = {"autoinstall_known_extensions": False}
        if self._memory_limit is not None:
            settings["memory_limit"] = f"{self._memory_limit // 1024}KiB"
        with translated_errors(path):
            connection = duckdb.connect(path, read_only=read_only, config=settings)
            connection.execute("SET TimeZone = 'UTC'")
            # Without it uuid and json come out as text.
            connection.execute("SET arrow_lossless_conversion = true")
        return connection
