"""One load into Postgres: one transaction of one connection, from the first row to the commit."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from arrowload.connectors.base import RELAY_SCHEMA, LedgerEntry, Load, Sealed
from arrowload.connectors.postgres.errors import MADE_MEANWHILE, leaves_outcome_open
from arrowload.connectors.postgres.hazards import server_count
from arrowload.connectors.postgres.session import SERVER_CLOCK, RelaySession
from arrowload.connectors.postgres.target import STAGING, Target, find_target
from arrowload.connectors.sql_ledger import SqlLedger
from arrowload.connectors.sql_state import SqlStateStore
from arrowload.core.exceptions import (
    BusyError,
    ConnectorError,
    DataError,
    EngineError,
    OutcomeUnknownError,
    TransientConnectorError,
)
from arrowload.core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from arrowload.connectors.postgres.session import Session
    from arrowload.io.sql import TableName
    from arrowload.state.document import DocumentStore


_IDLE: Final = "'idle_in_transaction_session_timeout'"
_PATIENCE_S: Final = 10


class PostgresLoadWriter:
    """Copies into the target itself where rows need no more than adding, else into a temporary table first.

    Other sessions see none of it before the commit. What a crash, a kill or a lost connection leaves is rolled back
    by the server.

    Args:
        session: A connection of its own; closed at the end.
        table: The target.
        load: What is loaded.
        widened: Columns of the target that are to get another type.
    """

    def __init__(
        self, session: Session, table: TableName, load: Load, widened: Mapping[str, pa.DataType] | None = None
    ) -> None:
        self._session = session
        self._table = table
        self._load = load
        self._widened = widened or {}
        self._ledger = SqlLedger(session, str(table))
        self._staged = 0
        self._has_staging = False
        self._emptied: int | None = None
        self._store_state: Callable[[DocumentStore], None] | None = None
        self._set_aside: Callable[[LedgerEntry], None] | None = None
        session.run("BEGIN ISOLATION LEVEL READ COMMITTED")
        # An answered commit must outlive a crash of the server, whatever its default is.
        current = "current_setting('synchronous_commit')"
        session.execute(f"SELECT set_config('synchronous_commit', 'on', true) AS s WHERE {current} = 'off'")
        self._target = self._find_target()
        if self._target.way == "copy":
            self._target = self._locked(self._target)
        if self._target.way == "copy":
            self._prepare()

    def stage(self, stream: pa.RecordBatchReader) -> None:
        """Copy the rows of `stream` into the target or into staging."""
        if stream.schema.equals(RELAY_SCHEMA):
            self._staged += self._relay(stream)
            return
        extra = stream.schema.names[len(self._load.schema) :]
        columns = pa.schema([field for field in stream.schema if field.name not in extra])
        if not columns.equals(self._target.schema):
            raise EngineError(
                "the rows do not have the schema that the destination asked for",
                context={"rows": str(columns), "asked_for": str(self._target.schema)},
            )
        into = self._target.filled
        if self._target.way == "stage":
            into = STAGING
            self._make_staging(pa.schema([stream.schema.field(name) for name in extra]))
        self._staged += self._session.ingest(into, stream, freeze=self._may_freeze())

    def seal(self) -> Sealed:
        """Have the server count; of rows with equal merge keys the losers are dropped from staging here."""
        detail: dict[str, object] = {"way": self._target.way, "table": str(self._target.filled)}
        rows = self._count()
        if rows != self._staged:
            raise TransientConnectorError(
                f"the server holds {rows} rows of {self._staged} that were sent",
                context={"table": str(self._table), "rows_sent": self._staged, "rows_held": rows},
            )
        duplicates = 0
        if self._load.merge_keys and self._has_staging:
            duplicates = self._drop_losers(rows)
        return Sealed(rows_staged=rows, rows_duplicate=duplicates, rows_replaced=self._count_replaced(), detail=detail)

    def _count_replaced(self) -> int:
        """How many rows the load takes the place of: as many as were deleted, where that was done already."""
        if self._load.write_mode != "replace" or not self._target.exists:
            return 0
        if self._emptied is not None:
            return self._emptied
        return int(self._session.execute(f"SELECT count(*) FROM {self._table.sql()}")[0][0])

    def _drop_losers(self, rows: int) -> int:
        keys = int(self._session.execute(self._target.count_keys())[0][0])
        lost = self._session.run(self._target.drop_losers(has_cursor=self._load.has_cursor)) if keys < rows else 0
        if not self._target.keyed:
            # What joins staging to the target needs to know how large it is.
            self._session.run(f"ANALYZE {STAGING.sql()}")
        return lost

    def join_state(self, store_state: Callable[[DocumentStore], None]) -> None:
        """See `StateJoiningWriter.join_state`."""
        self._store_state = store_state

    def quarantine(self, rejected: pa.Table, settled: Sequence[str]) -> None:
        """See `QuarantiningWriter.quarantine`."""
        self._set_aside = lambda entry: self._ledger.set_aside(entry, rejected, settled)

    def finalize(self, entry: LedgerEntry, seen: pa.Table | None) -> None:
        """Apply, enter in the ledger, check the fence, commit."""
        try:
            self._apply(entry.rows_written)
            failpoint("finalize.applied")
            self._enter(entry, seen)
            if self._set_aside is not None:
                self._set_aside(entry)
            if self._store_state is not None:
                # The row of the state is locked from here on, and who takes over needs it: a client that does not come
                # back has its transaction ended by the server.
                self._session.execute(f"SELECT set_config({_IDLE}, '{_PATIENCE_S}s', true) AS s")
                self._store_state(SqlStateStore.within(self._session, str(self._table), SERVER_CLOCK))
            failpoint("finalize.ledger")
            self._ledger.check_fence(entry)
            failpoint("finalize.fenced")
        except BaseException:
            self.abort()
            raise
        self._commit()

    def abort(self) -> None:
        """Roll back and close; does nothing when that is done, or the commit was tried."""
        if not self._session.is_open:
            return
        with suppress(ConnectorError):
            self._session.run("ROLLBACK")
        self._session.close()

    def _enter(self, entry: LedgerEntry, seen: pa.Table | None) -> None:
        try:
            self._ledger.insert(entry, seen)
        except ConnectorError as exc:
            # The key of the ledger is the place of the load: a successor has committed it meanwhile.
            if exc.context.get("sqlstate") != "23505":
                raise
            raise BusyError(
                f"another run of `{entry.recipe}` took over and has committed load {entry.load_id}",
                context={"recipe": entry.recipe, "load_id": entry.load_id, "epoch": entry.epoch},
                hint="nothing was committed by this run; run it again",
            ) from exc

    def _prepare(self) -> None:
        try:
            self._run_all(self._target.ddl)
            for statement in self._target.emptying():
                self._emptied = self._session.run(statement)
        except ConnectorError as exc:
            if exc.context.get("sqlstate") in MADE_MEANWHILE:
                message = f"`{self._table}` is being made by another load"
                raise TransientConnectorError(message, context=exc.context) from exc
            raise

    def _find_target(self) -> Target:
        load = self._load
        target = find_target(
            self._session, self._table, load.schema, load.write_mode, load.merge_keys, widened=self._widened
        )
        if not target.schema.equals(load.schema):
            raise TransientConnectorError(
                f"`{self._table}` was altered since the load was planned",
                context={"planned": str(load.schema), "now": str(target.schema)},
                hint="run again",
            )
        return target

    def _locked(self, target: Target) -> Target:
        """`target` once more, now that nobody can alter it; a table that is not there yet cannot be locked."""
        lock = target.lock()
        if lock is None:
            return target
        self._session.run(lock)
        return self._find_target()

    def _count(self) -> int:
        """How many rows of this load the server holds, by its own count."""
        if self._target.way == "copy":
            return int(self._session.execute(server_count(self._target.filled))[0][0])
        if not self._has_staging:
            return 0
        return int(self._session.execute(f"SELECT count(*) FROM {STAGING.sql()}")[0][0])

    def _make_staging(self, extra: pa.Schema) -> None:
        if not self._has_staging:
            self._session.run(self._target.staging_ddl(extra))
            self._has_staging = True

    def _relay(self, stream: pa.RecordBatchReader) -> int:
        if not isinstance(self._session, RelaySession) or self._target.way != "copy":
            raise TransientConnectorError(f"`{self._table}` was altered since the load was planned", hint="run again")
        return self._session.relay(self._target.filled, self._target.schema.names, stream, freeze=self._may_freeze())

    def _may_freeze(self) -> bool:
        """A table that this very transaction made can get rows that no vacuum need look at again."""
        return self._target.way == "copy" and (self._target.rebuilt or not self._target.exists)

    def _apply(self, rows: int) -> None:
        if self._target.way == "copy":
            self._run_all(self._target.publish())
            return
        if self._locked(self._target) != self._target:
            raise TransientConnectorError(f"`{self._table}` was altered while rows were staged", hint="run again")
        self._make_staging(pa.schema([]))
        self._prepare()
        statements = self._target.apply()
        touched = sum(self._session.run(statement) for statement in statements)
        # A merge of keys alone does not touch rows that are there; one whose key is there twice updates both.
        keys_alone = len(self._target.columns) == len(self._target.merge_keys)
        counted = self._load.write_mode != "merge" or not keys_alone
        if counted and touched < rows:
            raise DataError(
                f"a trigger or rule of `{self._table}` kept {rows - touched} rows out",
                context={"table": str(self._table), "rows_staged": rows, "rows_stored": touched},
                hint="let the trigger pass the rows, or load another table",
            )
        self._run_all(self._target.publish())

    def _run_all(self, statements: tuple[str, ...]) -> None:
        for statement in statements:
            self._session.run(statement)

    def _commit(self) -> None:
        try:
            self._session.run("COMMIT")
        except ConnectorError as exc:
            if leaves_outcome_open(exc):
                raise OutcomeUnknownError(
                    "the connection was lost while Postgres committed", context={"load_id": self._load.load_id}
                ) from exc
            raise
        finally:
            self._session.close()
