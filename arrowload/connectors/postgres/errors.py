"""What Postgres means by its errors: SQLSTATE → which of ours.

Classes and codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from arrowload.core.exceptions import ConnectorError, CredentialsError, DataError, TransientConnectorError

if TYPE_CHECKING:
    from adbc_driver_manager import AdbcConnection, Error

    from arrowload.io.postgres import PostgresError

# Five characters are a code, two a class.
_BY_SQLSTATE: Final[dict[str, type[ConnectorError]]] = {
    "08": TransientConnectorError,  # connection exceptions
    "40": TransientConnectorError,  # serialization failure, deadlock
    "53": TransientConnectorError,  # disk full, out of memory, too many connections
    "55P03": TransientConnectorError,  # lock not available
    "57014": TransientConnectorError,  # cancelled, statement timeout
    "57P": TransientConnectorError,  # shutdown, crash, cannot connect now, idle session timeout
    "25P03": TransientConnectorError,  # idle-in-transaction timeout
    "25P04": TransientConnectorError,  # transaction timeout
    "28": CredentialsError,
    "42501": CredentialsError,  # insufficient privilege
    "22": DataError,
    "23": DataError,
}

# A connection that is refused or lost has no SQLSTATE: libpq, or the driver, says so in words.
_BY_WORDS: Final[tuple[tuple[str, type[ConnectorError]], ...]] = (
    (r"password authentication failed|no password supplied|no pg_hba\.conf entry", CredentialsError),
    (
        r"authentication failed|role \".*\" does not exist|is not permitted to log in|permission denied",
        CredentialsError,
    ),
    (r"certificate|private key|SSL was required|channel binding", CredentialsError),
    (r"ReadRecord failed|would overflow|Array value with lower bound|value too large to decode", DataError),
    (r"Connection refused|timeout expired|timed out|Temporary failure in name resolution", TransientConnectorError),
    (r"server closed the connection|no connection to the server|connection not open", TransientConnectorError),
    (r"could not (send|receive) data|SSL connection has been closed|SSL SYSCALL", TransientConnectorError),
    (r"Connection reset|Broken pipe|No route to host|Network is unreachable|lost synchroni", TransientConnectorError),
    (r"the database system is|too many (clients|connections)|remaining connection slots", TransientConnectorError),
    (r"No such file or directory", TransientConnectorError),  # the unix socket of a server that is not up
)
# `IF NOT EXISTS` does not look far enough: of two that make the same thing at once, one gets one of these.
MADE_MEANWHILE: Final = ("23505", "42P06", "42P07", "42710")
# Known codes are printed with an `E` in front; some errors print their message without its field's name.
_DEBUG_CODE: Final = re.compile(r'SqlState\((?:Other\("?)?E?(\w{5})\b')
_DEBUG_MESSAGE: Final = re.compile(r'message: "((?:[^"\\]|\\.)*)"')
# Codes after which nobody knows whether the COMMIT that was under way took effect.
_CONNECTION_LOST: Final = ("08", "57P")
# What a server says of a snapshot whose exporter is gone: no such file, until version 15 or since, or no such process.
SNAPSHOT_GONE: Final = ("22023", "42704", "55000")
_SNAPSHOT_GONE: Final = re.compile(
    r'snapshot "[-0-9A-F]+" does not exist|invalid snapshot identifier|could not import the requested snapshot'
)
# Raised by the guards that a SELECT list carries; what it says is for people.
_GUARD: Final = re.compile(r"arrowload: (.*?)\W?\Z", re.DOTALL)


def translate_error(exc: Error, connection: AdbcConnection | None) -> ConnectorError:
    """Our error for one of the driver's: one sentence, the SQLSTATE and the server's other facts in `context`.

    Args:
        exc: The driver's error.
        connection: Where it came from, None while connecting.
    """
    facts = {_text(key).removeprefix("PG_DIAG_"): _text(value) for key, value in exc.details}
    words = facts.get("MESSAGE_PRIMARY") or _words(str(exc))
    kind = _by_sqlstate(exc.sqlstate) if exc.sqlstate else _by_words(words)
    lost = kind is ConnectorError and connection is not None and _is_lost(connection)
    details = {name: facts[key] for key, name in _FACTS.items() if key in facts}
    return _our_error(kind, words, exc.sqlstate, details, facts.get("MESSAGE_HINT"), lost=lost)


def translate_wire_error(exc: PostgresError) -> ConnectorError:
    """As `translate_error`, for an error of our own transport; the same for the same error of the server's."""
    details = {name: exc.details[name] for name in _FACTS.values() if name in exc.details}
    kind = _by_sqlstate(exc.sqlstate) if exc.sqlstate else _BY_KIND.get(exc.kind, ConnectorError)
    if exc.kind == "unreachable" and _UNKNOWN_HOST.search(exc.message):
        kind = ConnectorError
    words = " ".join(exc.message.split())
    return _our_error(kind, words, exc.sqlstate, details, exc.details.get("hint"), lost=exc.lost)


def _our_error(
    kind: type[ConnectorError],
    words: str,
    sqlstate: str | None,
    details: dict[str, str],
    hint: str | None,
    *,
    lost: bool,
) -> ConnectorError:
    if guarded := _GUARD.search(words):
        return DataError(guarded[1], context={"sqlstate": sqlstate}, hint="declare the column as `text`")
    if kind is ConnectorError and lost:
        kind, words = TransientConnectorError, f"the connection was lost ({words})"
    return kind(f"postgres: {words}", context={"sqlstate": sqlstate, **details}, hint=hint or _HINTS.get(kind))


def translate_text(text: str) -> ConnectorError:
    """As `translate_error`, for a driver that tells its errors as the debugging text of `tokio_postgres::Error`."""
    code, message = _DEBUG_CODE.search(text), _DEBUG_MESSAGE.search(text)
    words = re.sub(r"\\(.)", r"\1", message[1]) if message else " ".join(text.removeprefix("db error: ").split())
    sqlstate = code[1] if code else None
    kind = _by_sqlstate(sqlstate) if sqlstate else _by_words(words)
    error = _our_error(kind, words, sqlstate, {}, None, lost=False)
    return snapshot_gone(error) if _SNAPSHOT_GONE.search(words) else error


def snapshot_gone(error: ConnectorError) -> TransientConnectorError:
    """The session that exported a snapshot has ended, before others could share it."""
    return TransientConnectorError(
        f"the session that holds the snapshot is gone ({error.message})", context=error.context, hint="run again"
    )


def leaves_outcome_open(error: ConnectorError) -> bool:
    """Whether a COMMIT that ended with `error` may have taken effect."""
    sqlstate = error.context.get("sqlstate")
    return sqlstate is None or str(sqlstate).startswith(_CONNECTION_LOST)


_FACTS: Final = {
    "MESSAGE_DETAIL": "detail",
    "CONTEXT": "where",
    "SCHEMA_NAME": "schema",
    "TABLE_NAME": "table",
    "COLUMN_NAME": "column",
    "CONSTRAINT_NAME": "constraint",
}
# Errors of our own transport that are not the server's.
_BY_KIND: Final[dict[str, type[ConnectorError]]] = {
    "unreachable": TransientConnectorError,
    "lost": TransientConnectorError,
    "protocol": TransientConnectorError,
    "tls": CredentialsError,
    "authentication": CredentialsError,
}
# A name that does not exist will not tomorrow; a resolver that is out of reach may be back.
_UNKNOWN_HOST: Final = re.compile(r"failed to lookup address information: (?!Temporary failure)|name has no address")
_HINTS: Final[dict[type[ConnectorError], str]] = {
    CredentialsError: "look at `user`, `password` and `sslmode`, and at what the role is granted",
    TransientConnectorError: "the server may be restarting or out of reach; try again later",
}


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")


def _is_lost(connection: AdbcConnection) -> bool:
    """Libpq knows no transaction status of a connection that is gone."""
    return bool(connection.get_option("adbc.postgresql.transaction_status") == "unknown")


def _by_sqlstate(sqlstate: str) -> type[ConnectorError]:
    for length in (5, 3, 2):
        if found := _BY_SQLSTATE.get(sqlstate[:length]):
            return found
    return ConnectorError


def _by_words(words: str) -> type[ConnectorError]:
    return next((kind for pattern, kind in _BY_WORDS if re.search(pattern, words)), ConnectorError)


def _words(text: str) -> str:
    """The sentence in what the driver says: without its status, its prefix, and the query that it repeats."""
    text = re.sub(r"\A[A-Z_]+: ", "", text)
    text = re.sub(r"\. SQLSTATE: \w{5}\Z", "", text).partition("\n\nQuery was:")[0]
    return " ".join(text.removeprefix("[libpq] ").split())
