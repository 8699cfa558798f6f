"""One load into DuckDB: a transaction from the first row to the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from arrowload.connectors.base import LedgerEntry, Load, Sealed
from arrowload.connectors.duckdb.merge import (
    MERGE_STAGING,
    drop_losers,
    may_replace_rows,
    merge_statements,
    replaces_rows,
)
from arrowload.connectors.duckdb.types import column_types
from arrowload.connectors.sql_merge import count_keys
from arrowload.connectors.sql_state import SqlStateStore
from arrowload.core.exceptions import OutcomeUnknownError
from arrowload.core.failpoint import failpoint
from arrowload.io.sql import TableName, quote_identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from arrowload.connectors.duckdb.session import DuckDBSession
    from arrowload.connectors.sql_ledger import SqlLedger
    from arrowload.core.typing import WriteMode
    from arrowload.planning.capabilities import TargetFacts
    from arrowload.state.document import DocumentStore


class DuckDBLoadWriter:
    """Appends straight into the target, replaces and merges from a staging table; all in one transaction.

    Other connections see none of it before the commit, and a crash leaves none of it.

    Args:
        session: Open for writing.
        ledger: On the same session.
        table: The target.
        load: What is loaded.
        facts: What was found out about the target.
    """

    def __init__(
        self, session: DuckDBSession, ledger: SqlLedger, table: TableName, load: Load, facts: TargetFacts
    ) -> None:
        self._session = session
        self._ledger = ledger
        self._table = table
        self._load = load
        self._rows = 0
        self._open = True
        self._store_state: Callable[[DocumentStore], None] | None = None
        self._set_aside: Callable[[LedgerEntry], None] | None = None
        self._session.execute("BEGIN TRANSACTION")
        try:
            self._run(facts.ddl)
        except BaseException:
            self.abort()
            raise
        self._replaces = facts.exists and load.write_mode == "replace"

    def stage(self, stream: pa.RecordBatchReader) -> None:
        """Insert the rows of `stream` into the target, or into staging."""
        into = MERGE_STAGING if self._load.merge_keys else built_table(self._table, self._load.write_mode)
        if self._load.merge_keys:
            types = ", ".join(f"{quote_identifier(n)} {t}" for n, t in column_types(stream.schema).items())
            self._run([f"CREATE TEMP TABLE IF NOT EXISTS {quote_identifier(into.table)} ({types})"])
        columns = ", ".join(map(quote_identifier, stream.schema.names))
        self._rows += self._session.insert(
            f"INSERT INTO {into.sql()} ({columns}) SELECT {columns} FROM arrowload_rows", stream
        )

    def seal(self) -> Sealed:
        """Count the rows, and with merge keys those that lose to another with the same key, which are dropped here."""
        replaced = self._count(self._table.sql()) if self._replaces else 0
        if not self._load.merge_keys:
            return Sealed(rows_staged=self._rows, rows_replaced=replaced)
        # Ranking costs twice as much as counting, and mostly no key repeats.
        keys = [quote_identifier(key) for key in self._load.merge_keys]
        kept = int(self._session.execute(count_keys(MERGE_STAGING, keys))[0][0])
        if kept < self._rows:
            self._session.execute(drop_losers(self._load.merge_keys, has_cursor=self._load.has_cursor))
        return Sealed(rows_staged=self._rows, rows_duplicate=self._rows - kept, rows_replaced=replaced)

    def _count(self, table: str) -> int:
        return int(self._session.execute(f"SELECT count(*) FROM {table}")[0][0])

    def join_state(self, store_state: Callable[[DocumentStore], None]) -> None:
        """See `StateJoiningWriter.join_state`."""
        self._store_state = store_state

    def quarantine(self, rejected: pa.Table, settled: Sequence[str]) -> None:
        """See `QuarantiningWriter.quarantine`."""
        self._set_aside = lambda entry: self._ledger.set_aside(entry, rejected, settled)

    def finalize(self, entry: LedgerEntry, seen: pa.Table | None) -> None:
        """Apply, enter in the ledger, check the fence, commit."""
        self._run(self._applying())
        failpoint("finalize.applied")
        self._ledger.insert(entry, seen)
        if self._set_aside is not None:
            self._set_aside(entry)
        if self._store_state is not None:
            self._store_state(SqlStateStore.within(self._session, f"duckdb {self._session.path}"))
        failpoint("finalize.ledger")
        self._ledger.check_fence(entry)
        failpoint("finalize.fenced")
        self._open = False
        try:
            self._session.connection.commit()
        except duckdb.Error as exc:
            raise OutcomeUnknownError(
                f"the commit of load {entry.load_id} failed: {str(exc).partition(chr(10))[0]}",
                context={"load_id": entry.load_id},
            ) from exc

    def abort(self) -> None:
        """Roll back."""
        if self._open:
            self._open = False
            try:
                self._session.connection.rollback()
            except duckdb.Error:
                self._session.reconnect()

    def _applying(self) -> tuple[str, ...]:
        load, replace_rows = self._load, False
        if load.write_mode == "merge":
            replace_rows = may_replace_rows(
                self._session, self._table, load.schema.names, load.merge_keys
            ) and replaces_rows(self._session, self._table, load.merge_keys)
        return apply_statements(
            self._table, load.write_mode, load.merge_keys, load.schema.names, replace_rows=replace_rows
        )

    def _run(self, statements: Sequence[str]) -> None:
        for statement in statements:
            self._session.execute(statement)


def apply_statements(
    table: TableName,
    write_mode: WriteMode,
    merge_keys: Sequence[str],
    columns: Sequence[str],
    *,
    replace_rows: bool,
) -> tuple[str, ...]:
    """The statements that bring staged rows into the target; none under `append`, whose rows are there already.

    Args:
        table: The target.
        write_mode: Of the load.
        merge_keys: Of the load.
        columns: Of its rows.
        replace_rows: A merge may delete rows and insert them anew.
    """
    names = ", ".join(map(quote_identifier, columns))
    staged, built = MERGE_STAGING.sql(), built_table(table, write_mode)
    unstage = (f"INSERT INTO {built.sql()} ({names}) SELECT {names} FROM {staged}", f"DROP TABLE {staged}")
    if write_mode == "merge":
        return merge_statements(table, merge_keys, columns, replace_rows=replace_rows)
    if write_mode == "replace":
        return (
            *(unstage if merge_keys else ()),
            f"DROP TABLE IF EXISTS {table.sql()}",
            f"ALTER TABLE {built.sql()} RENAME TO {quote_identifier(table.table)}",
        )
    return ()


def built_table(table: TableName, write_mode: WriteMode) -> TableName:
    """The table that rows end up in before the commit: the target, or under `replace` the one that takes its place."""
    return TableName(table.schema, f"{table.table}__arrowload") if write_mode == "replace" else table
