"""State in a SQL database: two tables beside the ledger, in the schema `_arrowload`."""

from __future__ import annotations

import secrets
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from arrowload.connectors.sql_ledger import LEDGER_SCHEMA
from arrowload.io.sql import quote_literal
from arrowload.state.document import VERSIONS_KEPT, Stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from arrowload.connectors.sql_ledger import SqlSession

_STATE: Final = f"{LEDGER_SCHEMA}.state"
_HISTORY: Final = f"{LEDGER_SCHEMA}.state_history"
STATE_TABLES: Final = {
    "state": "recipe text PRIMARY KEY, document text NOT NULL, token text NOT NULL, written_at timestamptz NOT NULL",
    "state_history": "recipe text NOT NULL, version bigint NOT NULL, document text NOT NULL,"
    " PRIMARY KEY (recipe, version)",
}


class SqlStateStore:
    """Documents as rows of `_arrowload.state`; a `DocumentStore`.

    Args:
        opened: Gives the session for a statement or two; within a transaction, always that of the transaction.
        exists: Whether the tables are there.
        prepare: Opens the database for writing, and makes the tables where they are not there; called once, before a
            row is read to be written over. None within a transaction of a load, before which that was done.
        place: The database, for people.
        clock: SQL of the time now, by the server's clock; within a transaction too.
    """

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[SqlSession]],
        *,
        exists: Callable[[], bool],
        prepare: Callable[[], None] | None,
        place: str,
        clock: str = "now()",
    ) -> None:
        self._clock = clock
        self._opened = opened
        self._exists = exists
        self._prepare = prepare
        self._place = place
        self._is_there = prepare is None

    def location(self, name: str) -> str:
        """The database, the table and the row."""
        return f"{self._place} {_STATE} `{name}`"

    def read(self, name: str, *, for_update: bool = False) -> Stored | None:
        """See `DocumentStore.read`."""
        if for_update:
            self._made_ready()
        if not self._found():
            return None
        with self._opened() as session:
            rows = session.execute(
                f"SELECT document, token, CAST(extract(epoch FROM {self._clock} - written_at) AS double precision)"
                f" AS idle FROM {_STATE} WHERE recipe = {quote_literal(name)}"
            )
        return Stored(rows[0][0].encode(), rows[0][1], max(0.0, float(rows[0][2]))) if rows else None

    def write(self, name: str, data: bytes, *, over: str | None) -> bool:
        """See `DocumentStore.write`."""
        document, token = quote_literal(data.decode()), quote_literal(secrets.token_hex(16))
        if over is None:
            statement = (
                f"INSERT INTO {_STATE} VALUES ({quote_literal(name)}, {document}, {token}, {self._clock})"
                " ON CONFLICT DO NOTHING RETURNING token"
            )
        else:
            statement = (
                f"UPDATE {_STATE} SET document = {document}, token = {token}, written_at = {self._clock}"
                f" WHERE recipe = {quote_literal(name)} AND token = {quote_literal(over)} RETURNING token"
            )
        with self._opened() as session:
            return bool(session.execute(statement))

    def keep(self, name: str, version: int, data: bytes) -> None:
        """A row of `_arrowload.state_history`."""
        key = f"recipe = {quote_literal(name)}"
        with self._opened() as session:
            session.execute(
                f"INSERT INTO {_HISTORY} VALUES ({quote_literal(name)}, {version}, {quote_literal(data.decode())})"
                " ON CONFLICT DO NOTHING RETURNING version"
            )
            session.execute(
                f"DELETE FROM {_HISTORY} WHERE {key} AND version NOT IN (SELECT version FROM {_HISTORY}"
                f" WHERE {key} ORDER BY version DESC LIMIT {VERSIONS_KEPT}) RETURNING version"
            )

    def kept(self, name: str) -> dict[int, bytes]:
        """See `DocumentStore.kept`."""
        if not self._found():
            return {}
        with self._opened() as session:
            rows = session.execute(f"SELECT version, document FROM {_HISTORY} WHERE recipe = {quote_literal(name)}")
        return {int(version): document.encode() for version, document in rows}

    @classmethod
    def within(cls, session: SqlSession, place: str, clock: str = "now()") -> SqlStateStore:
        """The documents as the transaction of `session` sees and writes them; the tables are there."""
        return cls(lambda: nullcontext(session), exists=lambda: True, prepare=None, place=place, clock=clock)

    def _made_ready(self) -> None:
        if self._prepare is not None:
            self._prepare()
            self._prepare, self._is_there = None, True

    def _found(self) -> bool:
        self._is_there = self._is_there or self._exists()
        return self._is_there
