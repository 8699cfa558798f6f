"""Postgres as a source: one snapshot; bounds, types and splits fixed before the first row."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from arrowload.connectors.base import Overlap
from arrowload.connectors.postgres.catalogue import Relation, describe_query, get_table, refuse_rewritten
from arrowload.connectors.postgres.cursor import cursor_column
from arrowload.connectors.postgres.late_rows import KEY, LATE_COLUMN, LateRows, find_late_rows
from arrowload.connectors.postgres.reading import read_columns, size_numerics
from arrowload.connectors.postgres.routes import BEGIN, REASONS, Reading, route_of
from arrowload.connectors.postgres.session import connect, describe_server
from arrowload.connectors.postgres.snapshot import PostgresSnapshot
from arrowload.connectors.postgres.splitting import estimated_bytes
from arrowload.connectors.sql_cursor import CursorWindow, find_marks, find_window
from arrowload.core.exceptions import RecipeError
from arrowload.core.state import State
from arrowload.io.sql import TableName, quote_identifier
from arrowload.models.source_config import CursorIncremental
from arrowload.planning.capabilities import SourceFacts, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from arrowload.connectors.base import Mark
    from arrowload.connectors.postgres.config import PostgresSourceConfig
    from arrowload.connectors.postgres.reading import ReadColumn
    from arrowload.connectors.postgres.session import Session


class PostgresSource:
    """A table or query of a Postgres database.

    Args:
        config: Its keys in the recipe.
        connection: A session to be used in place of new ones; stays open.
    """

    def __init__(self, config: PostgresSourceConfig, connection: Session | None = None) -> None:
        self._config = config
        self._given = connection
        self._idle: Session | None = None
        self._sized: list[ReadColumn] | None = None
        if config.incremental is not None and not isinstance(config.incremental, CursorIncremental):
            raise RecipeError(
                "`strategy: modified` is for files",
                context={"path": "$.source.incremental.strategy"},
                hint="use `strategy: cursor` with a `cursor_column`",
            )

    def facts(self) -> SourceFacts:
        """One route, and the table or query."""
        what = TableName.parse(self._config.table, default_schema="public") if self._config.table else "query"
        route = route_of(self._config)
        return SourceFacts(
            location=f"{describe_server(self._config)} {what}",
            identity=self._config.table or "query",
            route=route,
            route_reason=REASONS[route],
        )

    def schema(self) -> pa.Schema:
        """The columns to be read; an undeclared numeric is decimal128(38, 9) here, and sized in the snapshot."""
        with self._session() as session:
            relation = self._relation(session)
            columns = read_columns(relation, self._config)
            if self._config.incremental is not None:
                cursor_column(relation, columns, self._incremental())
            if session is not self._given:
                self._idle = session
            return Reading(tuple(columns)).schema

    @contextmanager
    def snapshot(self, state: State, until: Mark | None = None) -> Iterator[PostgresSnapshot]:
        """Open a repeatable read; bounds, sizes and rows all come from it."""
        with self._session() as session:
            session.run(BEGIN)
            snapshot = None
            try:
                snapshot = self._open_snapshot(session, state, until)
                yield snapshot
            finally:
                if snapshot is not None:
                    snapshot.close()
                if session is self._given:
                    session.run("ROLLBACK")

    def close(self) -> None:
        """Close the connection that `schema` left for the snapshot, if none was opened."""
        idle, self._idle = self._idle, None
        if idle is not None:
            idle.close()

    def _open_snapshot(self, session: Session, state: State, until: Mark | None) -> PostgresSnapshot:
        relation = self._relation(session)
        columns = read_columns(relation, self._config)
        bounds = late = None
        if self._config.incremental is not None:
            if self._incremental().late == "xmin":
                late = find_late_rows(session, relation, state)
            column = cursor_column(relation, columns, self._incremental())
            items = quote_identifier(column.name) + (", xmin" if late is not None else "")
            source = f"(SELECT {items} {relation.rows(self._config.filter)}) AS source"
            bounds = find_window(
                session.execute, source, column, self._incremental(), state, until=until, late=late and late.condition
            )
        conditions = (self._config.filter, bounds.predicate if bounds is not None else None)
        null_special = self._config.numeric_special != "error"
        # A chunk has the types of the window that it is a part of.
        if until is None or self._sized is None:
            self._sized = size_numerics(session, columns, relation.rows(*conditions), null_special=null_special)
        columns = self._sized
        if late is not None and bounds is not None and bounds.seen_from is not None:
            columns = [*columns, late.column]
        reading = Reading(tuple(columns), null_special, self._config.infinity != "error")
        window = Window() if bounds is None else _window(bounds)
        snapshot = PostgresSnapshot(
            self._config,
            session,
            relation=relation,
            conditions=conditions,
            reading=reading,
            window=window,
            state=state,
        )
        query = snapshot.query()
        snapshot.window = msgspec.structs.replace(window, statements=(query,), bytes=estimated_bytes(session, query))
        # Planning the query has locked all that it reads.
        refuse_rewritten(session)
        if bounds is not None:
            self._add_bounds(snapshot, bounds, late)
            snapshot.find_marks = partial(find_marks, session.execute, source, column, bounds)
        return snapshot

    def _add_bounds(self, snapshot: PostgresSnapshot, bounds: CursorWindow, late: LateRows | None) -> None:
        """The cursor that is remembered once the window is loaded, and what the next window may meet again."""
        name = self._incremental().cursor_column
        if bounds.cursor is not None:
            state = snapshot.state
            renewed = {KEY: late.xmin} if late is not None and late.is_old else {}
            snapshot.state = State(
                cursor_values={**state.cursor_values, name: bounds.cursor},
                watermarks={**state.watermarks, **renewed},
                metadata={KEY: late.remembered} if late is not None else {},
            )
        if bounds.seen_from is not None:
            through, since = (snapshot.scalar(name, sql) for sql in (bounds.seen_through, bounds.seen_from))
            snapshot.overlap = Overlap(name, through, since, LATE_COLUMN if late is not None else None)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        idle, self._idle = self._idle, None
        session = self._given or idle or connect(self._config, self._config.application_name)
        try:
            yield session
        finally:
            if session not in (self._given, self._idle):
                session.close()

    def _relation(self, session: Session) -> Relation:
        if self._config.query is not None:
            return describe_query(session, self._config.query)
        return get_table(session, TableName.parse(self._config.table or "", default_schema="public"))

    def _incremental(self) -> CursorIncremental:
        if not isinstance(self._config.incremental, CursorIncremental):
            raise TypeError("the recipe has no cursor")
        return self._config.incremental


def _window(bounds: CursorWindow) -> Window:
    return Window(strategy="cursor", empty=bounds.empty, lower=bounds.lower, upper=bounds.upper, notes=bounds.notes)
