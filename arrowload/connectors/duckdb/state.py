"""State in a DuckDB file."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from arrowload.connectors.sql_ledger import LEDGER_SCHEMA, create_tables
from arrowload.connectors.sql_state import STATE_TABLES, SqlStateStore
from arrowload.core.exceptions import ConnectorError
from arrowload.io.sql import TableName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arrowload.connectors.duckdb.session import DuckDBSession

# What DuckDB says of the second of two writes to one row.
_CONFLICTS: Final = ("TransactionException", "ConstraintException")


class DuckDBStateStore(SqlStateStore):
    """The state's tables in the file of `session`, which is opened for writing before anything is written."""

    def __init__(self, session: DuckDBSession) -> None:
        self._session = session
        super().__init__(
            self._reading, exists=self._has_tables, prepare=self._make_tables, place=f"duckdb {session.path}"
        )

    def write(self, name: str, data: bytes, *, over: str | None) -> bool:
        """See `DocumentStore.write`; of two connections that write one row at once, DuckDB refuses the second."""
        try:
            return super().write(name, data, over=over)
        except ConnectorError as exc:
            if exc.context.get("duckdb_error") not in _CONFLICTS:
                raise
            return False

    def keep(self, name: str, version: int, data: bytes) -> None:
        """See `DocumentStore.keep`; whoever is first has kept it."""
        try:
            super().keep(name, version, data)
        except ConnectorError as exc:
            if exc.context.get("duckdb_error") not in _CONFLICTS:
                raise

    @contextmanager
    def _reading(self) -> Iterator[DuckDBSession]:
        try:
            _ = self._session.connection
        except ConnectorError:
            # This process has the file open for writing, and then cannot open it for reading only.
            self._session.open_for_writing()
        yield self._session

    def _has_tables(self) -> bool:
        if self._session.is_absent:
            return False
        with self._reading() as session:
            return all(session.columns(TableName(LEDGER_SCHEMA, name)) for name in STATE_TABLES)

    def _make_tables(self) -> None:
        self._session.open_for_writing()
        while not self._has_tables():
            try:
                create_tables(self._session, STATE_TABLES)
            except ConnectorError as exc:
                # Another connection of this process is making them.
                if exc.context.get("duckdb_error") not in _CONFLICTS:
                    raise
