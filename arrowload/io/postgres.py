"""Sessions with a Postgres server over arrowload's own transport: control statements, and what cancels them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from arrowload._rust import PostgresConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Kind: TypeAlias = Literal[
        "configuration", "unreachable", "tls", "authentication", "server", "lost", "protocol", "usage"
    ]
    Translate: TypeAlias = "Callable[[PostgresError], Exception]"


class PostgresError(Exception):
    """What a failed call of `PostgresConnection` raises; the compiled module imports it from here.

    Attributes:
        message: One sentence; the server's own where it is the server's error.
        sqlstate: Five characters, when it is the server's error.
        details: The server's other fields: severity, detail, hint, where, schema, table, column, datatype, constraint,
            position, internal_position, internal_query, file, line, routine.
        lost: The connection is gone, and with it the knowledge of what became of the statement.
        kind: What it is about; one word.
    """

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        details: Mapping[str, str] | None = None,
        lost: bool = False,
        kind: Kind = "server",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate
        self.details = dict(details or {})
        self.lost = lost
        self.kind: Kind = kind


class ColumnDescription(NamedTuple):
    """A column of a query that was described.

    Attributes:
        oid: Of its type, in `pg_type`.
        typmod: As in `pg_attribute.atttypmod`; -1 for none.
    """

    name: str
    oid: int
    typmod: int


class PostgresSession:
    """One session; not to be used by two threads at once, save for `cancel`.

    A transaction is what `BEGIN` and `COMMIT` say it is.

    Args:
        conninfo: libpq's keyword string or a `postgresql://` URI; the environment fills in what it leaves out.
        translate: Makes one of our errors from one of the connection's.
    """

    def __init__(self, conninfo: str, translate: Translate) -> None:
        self._translate = translate
        with self._translated():
            self._connection = PostgresConnection(conninfo)

    @property
    def is_open(self) -> bool:
        """Whether `close` is still to be called."""
        return self._connection.is_open

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one or more statements; the rows of the last result, none where there is none.

        bool, int2, int4, int8, oid, float4, float8 and bytea are Python's own, every other type the server's text.
        """
        with self._translated():
            return self._connection.execute(sql)

    def run(self, sql: str) -> int:
        """Run one or more statements; the rows that the last one touched, -1 where it counts none."""
        with self._translated():
            return self._connection.run(sql)

    def describe(self, sql: str) -> list[ColumnDescription]:
        """The columns that a query would have; runs nothing."""
        with self._translated():
            return [ColumnDescription(*column) for column in self._connection.describe(sql)]

    def parameter(self, name: str) -> str | None:
        """A setting that the server reports by itself, such as `server_version`."""
        with self._translated():
            return self._connection.parameter(name)

    @property
    def transaction_status(self) -> str:
        """`idle`, `in_transaction`, `failed`, `lost`, `closed`; `active` while another thread's call is under way."""
        return self._connection.transaction_status

    def cancel(self) -> None:
        """Have the server cancel the call that another thread has under way, if there is one."""
        with self._translated():
            self._connection.cancel()

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back by the server."""
        self._connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except PostgresError as exc:
            raise self._translate(exc) from exc
