"""The ledger in a DuckDB file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrowload.connectors.sql_ledger import LEDGER_SCHEMA, SqlLedger
from arrowload.io.sql import TableName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from arrowload.connectors.duckdb.session import DuckDBSession


class DuckDBLedger(SqlLedger):
    """As `SqlLedger`; asks for its tables one by one, since DuckDB's `information_schema` costs more than a small load.

    Args:
        session: Whose file it is in.
        target: The table that is loaded.
    """

    def __init__(self, session: DuckDBSession, target: str) -> None:
        super().__init__(session, target)
        self._file = session
        self._is_there = False

    def exists(self) -> bool:
        """Whether the ledger is there, whole; looked for until it has been found once."""
        self._is_there = self._is_there or super().exists()
        return self._is_there

    def _has(self, tables: Mapping[str, str]) -> bool:
        return all(self._file.columns(TableName(LEDGER_SCHEMA, name)) for name in tables)

    def fence(self, pipeline_id: str, recipe: str, epoch: int, owner: str) -> None:
        """Make the ledger where it is not there, and raise the fence, by one commit; raises as `install_fence`."""
        with self._file.transaction():
            self.create()
            self.install_fence(pipeline_id, recipe, epoch, owner)
        self._is_there = True
