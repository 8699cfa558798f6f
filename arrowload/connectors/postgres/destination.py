"""Postgres as a destination: rows, ledger entry and fence in one transaction."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from msgspec.structs import replace

from arrowload.connectors.base import SEEN_SCHEMA, StoredRows
from arrowload.connectors.postgres.binding import held_by
from arrowload.connectors.postgres.catalogue import find_table, get_table
from arrowload.connectors.postgres.config import CONNECTION_KEYS
from arrowload.connectors.postgres.errors import MADE_MEANWHILE
from arrowload.connectors.postgres.kept_session import KeptSession
from arrowload.connectors.postgres.orphans import end_sessions, session_name
from arrowload.connectors.postgres.relay import stores_as_is
from arrowload.connectors.postgres.session import SERVER_CLOCK, RelaySession, connect, describe_server
from arrowload.connectors.postgres.target import Target, find_target
from arrowload.connectors.postgres.writer import PostgresLoadWriter
from arrowload.connectors.sql_ledger import SqlLedger, create_tables, has_tables, told_apart
from arrowload.connectors.sql_state import STATE_TABLES, SqlStateStore
from arrowload.core.exceptions import (
    ConnectorError,
    CredentialsError,
    EngineError,
    OutcomeUnknownError,
    another_pipeline,
)
from arrowload.core.schema import refuse_repeated_names
from arrowload.io.sql import TableName, quote_identifier
from arrowload.planning.capabilities import DestinationCapabilities, TargetFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from arrowload.connectors.base import LedgerEntry, LedgerHead, Load, RelayFormat
    from arrowload.connectors.postgres.config import PostgresDestinationConfig
    from arrowload.connectors.postgres.session import Session
    from arrowload.connectors.postgres.source import PostgresSource
    from arrowload.core.typing import WriteMode

_FENCE_TRIES: Final = 5
_LEDGER_TRIES: Final = 20
_ORPHANS_WAIT_S: Final = 10.0
_OUTCOME_PATIENCE_S: Final = 2.0


class PostgresDestination:
    """A table of a Postgres database.

    Args:
        config: Its keys in the recipe.
    """

    def __init__(self, config: PostgresDestinationConfig) -> None:
        self._config = config
        self._table = TableName.parse(config.table, default_schema="public")
        self.target_name = str(self._table)
        self._kept = KeptSession(config, "arrowload")
        self._kept_for_state = KeptSession(config, "arrowload state")
        self.state_is_exclusive = False
        self._epoch: int | None = None
        self._found: Target | None = None
        self._encode: Callable[[pa.RecordBatch], bytes] | None = None
        self._judging = threading.Lock()
        self._widened: Mapping[str, pa.DataType] = {}

    def capabilities(self) -> DestinationCapabilities:
        """All write modes, in transactions."""
        return DestinationCapabilities(write_modes=frozenset({"append", "replace", "merge"}), transactional=True)

    def target(self, schema: pa.Schema, *, write_mode: WriteMode, merge_keys: Sequence[str]) -> TargetFacts:
        """How rows of `schema` will be stored.

        A table that is there keeps its columns and types, and gets the columns that it lacks. `replace` deletes its
        rows and adds the new ones, so that views, grants and indexes stay; where its columns cannot hold what comes, a
        new table with the same grants takes its place, which is refused when something else depends on the old one.
        """
        refuse_repeated_names(schema)
        with self._kept.opened() as session:
            target = find_target(session, self._table, schema, write_mode, merge_keys, widened=self._widened)
        self._found, self._encode = target, None
        return TargetFacts(
            location=f"{describe_server(self._config)} {self._table}",
            exists=target.exists,
            schema=target.schema,
            ddl=target.ddl,
            finalize=target.description(),
        )

    def judge(self, rows: pa.RecordBatch) -> None:
        """See `JudgingDestination.judge`; by encoding the rows, which no other route than COPY can do beforehand."""
        with self._judging:
            if self._encode is None:
                self._encode = self._encoder()
        self._encode(rows)

    def _encoder(self) -> Callable[[pa.RecordBatch], bytes]:
        if self._found is None:
            raise EngineError("rows were to be judged before the target was looked at")
        types = [(column.name, column.staged) for column in self._found.columns]
        with self._kept.opened() as session:
            return session.encoder(types) if isinstance(session, RelaySession) else lambda _: b""

    def takes_relay(self, relay: RelayFormat) -> bool:
        """Whether rows can go from COPY to COPY; merged and staged rows are told from one another by their values."""
        return (
            self._config.driver != "adbc"
            and self._found is not None
            and self._found.way == "copy"
            and stores_as_is(relay, self._found.columns)
        )

    def stored_schema(self) -> pa.Schema | None:
        """See `ContractDestination.stored_schema`."""
        with self._kept.opened() as session:
            relation = find_table(session, self._table)
        if relation is None:
            return None
        return pa.schema([(column.name, held_by(column.type)) for column in relation.columns])

    def widen(self, types: Mapping[str, pa.DataType]) -> None:
        """See `WideningDestination.widen`."""
        self._widened = types

    def head(self, recipe: str, pipeline_id: str | None) -> LedgerHead | None:
        """See `TransactionalDestination.head`."""
        with self._kept.opened() as session:
            return SqlLedger(session, str(self._table)).head(recipe, pipeline_id)

    def fence(self, pipeline_id: str, recipe: str, epoch: int, owner: str) -> LedgerHead:
        """See `TransactionalDestination.fence`; sessions of older epochs are ended, so that their locks are gone."""
        with self._kept.opened() as session:
            self._make_ledger(session)
            end_sessions(session, pipeline_id, below=epoch, patience_s=0, wait_s=_ORPHANS_WAIT_S)
            self._install_fence(session, pipeline_id, recipe, epoch, owner)
            # Those that began in between cannot commit any more, but may hold locks.
            end_sessions(session, pipeline_id, below=epoch, patience_s=0, wait_s=_ORPHANS_WAIT_S)
            head = SqlLedger(session, str(self._table)).head(recipe, pipeline_id)
        if head is None:
            raise EngineError(f"the fence of `{recipe}` is gone from the ledger as soon as it was installed")
        self._epoch = epoch
        return head

    def find(self, pipeline_id: str, load_id: str) -> LedgerEntry | None:
        """The entry of one load, from a fresh connection, when nothing of the load is running any more.

        A session that lost its client may still be committing. It gets a little time, and is ended then: what the
        ledger says after that is final.
        """
        self._kept.close()
        with self._kept.opened() as session:
            below = 0 if self._epoch is None else self._epoch + 1
            ended = end_sessions(
                session, pipeline_id, below=below, patience_s=_OUTCOME_PATIENCE_S, wait_s=_ORPHANS_WAIT_S
            )
            entry = SqlLedger(session, str(self._table)).find(pipeline_id, load_id)
        if entry is None and not ended:
            raise OutcomeUnknownError(
                "a session of this load is still running on the server",
                context={"pipeline_id": pipeline_id, "load_id": load_id},
                hint="nothing was deleted; run again when it has ended",
            )
        return entry

    def entries(self, pipeline_id: str) -> list[LedgerEntry]:
        """See `TransactionalDestination.entries`."""
        with self._kept.opened() as session:
            return SqlLedger(session, str(self._table)).entries(pipeline_id)

    def all_entries(self) -> list[LedgerEntry]:
        """See `TransactionalDestination.all_entries`."""
        with self._kept.opened() as session:
            return SqlLedger(session, str(self._table)).all_entries()

    def amend(self, entry: LedgerEntry, seen: pa.Table | None) -> None:
        """See `TransactionalDestination.amend`."""
        with self._kept.opened() as session:
            ledger = SqlLedger(session, str(self._table))
            session.run("BEGIN ISOLATION LEVEL READ COMMITTED")
            ledger.insert(entry, seen)
            ledger.check_fence(entry)
            session.run("COMMIT")

    def seen(self, pipeline_id: str) -> pa.Table:
        """Row hashes that the last load left for the next."""
        with self._kept.opened() as session:
            ledger = SqlLedger(session, str(self._table))
            return ledger.seen(pipeline_id) if ledger.exists() else SEEN_SCHEMA.empty_table()

    def quarantined(self, pipeline_id: str) -> pa.Table:
        """See `QuarantineDestination.quarantined`."""
        with self._kept.opened() as session:
            return SqlLedger(session, str(self._table)).quarantined(pipeline_id)

    def begin(self, load: Load) -> PostgresLoadWriter:
        """Open the transaction of a load, on a connection that carries its name."""
        self._epoch = load.epoch
        session = connect(self._config, session_name(load.pipeline_id, load.epoch))
        try:
            return PostgresLoadWriter(session, self._table, load, self._widened)
        except BaseException:
            session.close()
            raise

    def sweep(self, pipeline_id: str, epoch: int) -> None:
        """Nothing is left behind: what is staged lives and dies with its transaction."""

    def stored(self, columns: Sequence[str]) -> Sequence[StoredRows]:
        """See `VerifiableDestination.stored`; the rows of a table cannot be told apart."""
        with self._kept.opened() as session:
            loads = tuple(SqlLedger(session, str(self._table)).live_entries())
        return (StoredRows(loads, self._reader(columns, None), None),) if loads else ()

    def stored_by_load(self, columns: Sequence[str], cursor: str) -> Sequence[StoredRows]:
        """See `VerifiableDestination.stored_by_load`."""
        with self._kept.opened() as session:
            loads = SqlLedger(session, str(self._table)).live_entries()
            column = get_table(session, self._table).column(cursor)
        if column is None:
            return ()
        return [
            StoredRows((load,), self._reader(columns, condition), None)
            for load, condition in told_apart(loads, cursor, column.type.sql)
        ]

    def _reader(self, columns: Sequence[str], condition: str | None) -> PostgresSource:
        from arrowload.connectors.postgres.config import PostgresSourceConfig
        from arrowload.connectors.postgres.source import PostgresSource

        keys = {key: getattr(self._config, key) for key in CONNECTION_KEYS}
        return PostgresSource(
            PostgresSourceConfig(
                type="postgres", **keys, table=self._table.sql(), columns=tuple(columns), filter=condition
            )
        )

    def scratch(self, name: str, folder: str) -> PostgresDestinationConfig:
        """See `ScratchDestination.scratch`: a table in a schema of its own."""
        return replace(self._config, table=TableName(name, self._table.table).sql())

    def remove_scratch(self) -> None:
        """See `ScratchDestination.remove_scratch`."""
        with self._kept.opened() as session:
            session.run(f"DROP SCHEMA IF EXISTS {quote_identifier(self._table.schema)} CASCADE")
            SqlLedger(session, str(self._table)).forget()

    def state_store(self) -> SqlStateStore:
        """See `StateKeeper.state_store`; on a connection of its own, since leases are renewed while a load goes on."""
        return SqlStateStore(
            self._kept_for_state.opened,
            exists=self._has_state_tables,
            prepare=self._make_state_tables,
            place=describe_server(self._config),
            clock=SERVER_CLOCK,
        )

    def close(self) -> None:
        """Close the connections that are kept between calls."""
        self._kept.close()
        self._kept_for_state.close()

    def _make_ledger(self, session: Session) -> None:
        ledger = SqlLedger(session, str(self._table))
        self._make(ledger.exists, ledger.create)

    def _has_state_tables(self) -> bool:
        with self._kept_for_state.opened() as session:
            return has_tables(session, STATE_TABLES)

    def _make_state_tables(self) -> None:
        def create() -> None:
            with self._kept_for_state.opened() as session:
                create_tables(session, STATE_TABLES)

        self._make(self._has_state_tables, create)

    def _make(self, exists: Callable[[], bool], create: Callable[[], None]) -> None:
        """Create what several runs may create at once; one of two that do gets an error."""
        for left in reversed(range(_LEDGER_TRIES)):
            if exists():
                return
            try:
                create()
            except CredentialsError as exc:
                raise CredentialsError(
                    exc.message, context=exc.context, hint="GRANT CREATE ON DATABASE: the ledger is a schema of its own"
                ) from exc
            except ConnectorError as exc:
                if not left or exc.context.get("sqlstate") not in MADE_MEANWHILE:
                    raise

    def _install_fence(self, session: Session, pipeline_id: str, recipe: str, epoch: int, owner: str) -> None:
        for _ in range(_FENCE_TRIES):
            try:
                SqlLedger(session, str(self._table)).install_fence(pipeline_id, recipe, epoch, owner)
            except ConnectorError as exc:
                # Another run was first to enter the pipeline; the next look finds its epoch.
                if exc.context.get("sqlstate") != "23505":
                    raise
            else:
                return
        raise another_pipeline(recipe)
