"""Connecting: what the server is told, and how a session is set so that the text of values never varies."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, runtime_checkable
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from arrowload.core.exceptions import MissingExtraError
from arrowload.core.secret import register_secret
from arrowload.io.sql import quote_literal

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    import pyarrow as pa

    from arrowload.connectors.postgres.config import PostgresDestinationConfig, PostgresSourceConfig
    from arrowload.connectors.postgres.routes import Reading
    from arrowload.io.postgres import ColumnDescription
    from arrowload.io.sql import TableName

    PostgresConfig: TypeAlias = PostgresSourceConfig | PostgresDestinationConfig

# The recipe's keys and libpq's: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_KEYWORDS: Final = {
    "host": "host",
    "port": "port",
    "database": "dbname",
    "user": "user",
    "password": "password",
    "sslmode": "sslmode",
    "sslrootcert": "sslrootcert",
    "sslcert": "sslcert",
    "sslkey": "sslkey",
}
# Goes on within a transaction, which `now()` does not.
SERVER_CLOCK: Final = "clock_timestamp()"
SETTINGS: Final = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "lock_timeout": "30s",
    # A scan that starts where another's is gives rows in another order each time.
    "synchronize_seqscans": "off",
    # The session that exports a snapshot waits for those that read, and one that writes for a slow source.
    "idle_in_transaction_session_timeout": "0",
}


class Session(Protocol):
    """One connection, whichever driver it is of; used by one thread at a time."""

    @property
    def is_open(self) -> bool:
        """Whether `close` is still to be called."""

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement; its rows, if it has any, as Python values; what has no such value comes as text."""

    def run(self, sql: str) -> int:
        """Run one statement that has no result; the number of rows that it touched, -1 where there is none."""

    def describe(self, sql: str) -> list[ColumnDescription]:
        """The columns that a query would have; runs nothing."""

    def fetch_arrow(self, sql: str) -> pa.Table:
        """Run one query; its rows as one table."""

    def append(self, table: TableName, rows: pa.Table) -> None:
        """As `ingest`, for a few rows."""

    def ingest(self, table: TableName, rows: pa.RecordBatchReader, *, freeze: bool = False) -> int:
        """Bulk-load `rows` into a table that is there, columns matched by name; the number of rows handed over.

        Each column has exactly the type that the table's column is written in. `freeze` needs a table that this very
        transaction has made.
        """

    def read(self, sql: str, reading: Reading, *, batch_size: int) -> Generator[pa.RecordBatch]:
        """The rows of one query, in batches of about `batch_size`; closing the generator ends the query.

        Nothing else can be run until it is closed, or at its end.
        """

    def cancel(self) -> None:
        """From another thread: have what is under way end with an error."""

    def close(self) -> None:
        """End what is running and close the connection; an open transaction is rolled back by the server."""


@runtime_checkable
class RelaySession(Session, Protocol):
    """A session, besides, of our own client, which knows how rows lie on the wire."""

    def encoder(self, types: Sequence[tuple[str, str]]) -> Callable[[pa.RecordBatch], bytes]:
        """What `ingest` makes of rows before it sends them, for columns of these names and SQL types."""

    def read_relay(self, sql: str, reading: Reading) -> Generator[pa.RecordBatch]:
        """The rows of one query, in records of `RELAY_SCHEMA`; closing the generator ends the query."""

    def relay(
        self, table: TableName, columns: Sequence[str], rows: pa.RecordBatchReader, *, freeze: bool = False
    ) -> int:
        """Bulk-load rows whose fields lie in the order of `columns`; the number of rows stored."""


def connect(config: PostgresConfig, application_name: str) -> Session:
    """Open a session, of our own client unless the recipe asks for `driver: adbc`.

    Args:
        config: Where to.
        application_name: What the server shows of the session; at most 63 bytes of it.

    Raises:
        CredentialsError: The server does not know us, or does not let us.
        TransientConnectorError: It cannot be reached.
        ConnectorError: There is no such host or database.
    """
    session = _open(config.driver, conninfo_of(config))
    try:
        settings = SETTINGS | {"application_name": application_name}
        session.execute(
            "SELECT "
            + ", ".join(f"set_config('{name}', {quote_literal(text)}, false)" for name, text in settings.items())
        )
    except BaseException:
        session.close()
        raise
    return session


def conninfo_of(config: PostgresConfig) -> str:
    """What a driver is told to connect to; holds the password."""
    timeout = max(2, round(config.connect_timeout.total_seconds()))
    return _conninfo(config, {"connect_timeout": str(timeout), "keepalives_idle": "30", "keepalives_interval": "10"})


def connection_keys(config: PostgresConfig) -> dict[str, str]:
    """The keywords of libpq, and what the recipe says for each; the password is among them."""
    if config.dsn is not None:
        return _dsn_keys(config.dsn.reveal())
    values = {word: getattr(config, key) for key, word in _KEYWORDS.items()}
    if config.password is not None:
        values["password"] = config.password.reveal()
    return {word: str(value) for word, value in values.items() if value is not None}


@contextmanager
def driver_at_hand(name: str) -> Iterator[None]:
    """Within it a driver is imported.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as exc:
        raise MissingExtraError(
            f"`driver: {name}` needs `{exc.name}`, which is not installed",
            context={"driver": name, "module": exc.name, "path": "$.source.driver"},
            hint=f"pip install 'arrowload[{name}]', or leave `driver` out",
        ) from exc


def _open(driver: str, conninfo: str) -> Session:
    if driver == "adbc":
        with driver_at_hand("adbc"):
            from arrowload.connectors.postgres.adbc import PostgresAdbcSession

        return PostgresAdbcSession(conninfo)
    from arrowload.connectors.postgres.copy import CopySession

    return CopySession(conninfo)


def describe_server(config: PostgresConfig) -> str:
    """The database and its host for people; no user, no password."""
    keys = connection_keys(config)
    host, database = keys.get("host", "localhost"), keys.get("dbname", "")
    return f"postgres {host}/{database}".removesuffix("/")


def _conninfo(config: PostgresConfig, defaults: dict[str, str]) -> str:
    """What libpq is handed; `defaults` hold where the recipe is silent."""
    if config.dsn is None:
        return _as_keywords(defaults | connection_keys(config))
    dsn = config.dsn.reveal()
    keys = _dsn_keys(dsn)
    missing = {word: value for word, value in defaults.items() if word not in keys}
    if not _is_uri(dsn):
        return f"{dsn} {_as_keywords(missing)}"
    query = "&".join(f"{word}={quote(value)}" for word, value in missing.items())
    return dsn if not query else f"{dsn}{'&' if urlsplit(dsn).query else '' if dsn.endswith('?') else '?'}{query}"


def _is_uri(dsn: str) -> bool:
    return dsn.startswith(("postgresql://", "postgres://"))


def _dsn_keys(dsn: str) -> dict[str, str]:
    """The keywords that a DSN gives; a password among them is registered as a secret of its own."""
    if not _is_uri(dsn):
        found = re.findall(r"(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S+))", dsn)
        keys = {word: re.sub(r"\\(.)", r"\1", quoted) if quoted else plain for word, quoted, plain in found}
    else:
        parts = urlsplit(dsn)
        login, at, place = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        given = {"user": user if at else "", "password": password, "host": place, "dbname": parts.path.lstrip("/")}
        keys = {word: unquote(text) for word, text in given.items() if text} | dict(parse_qsl(parts.query))
        register_secret(password)
    register_secret(keys.get("password", ""))
    return keys


def _as_keywords(values: dict[str, str]) -> str:
    quoted = {word: value.replace("\\", "\\\\").replace("'", "\\'") for word, value in values.items()}
    return " ".join(f"{word}='{value}'" for word, value in quoted.items())
