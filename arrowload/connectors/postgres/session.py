"""Connecting: what libpq is told, and how a session is set so that the text of values never varies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import adbc_driver_postgresql

from arrowload.connectors.postgres.errors import translate_error
from arrowload.core.secret import register_secret
from arrowload.io.adbc import AdbcSession
from arrowload.io.sql import quote_literal

if TYPE_CHECKING:
    from arrowload.connectors.postgres.config import PostgresDestinationConfig, PostgresSourceConfig

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
_SETTINGS: Final = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "lock_timeout": "30s",
}


def connect(config: PostgresConfig, application_name: str) -> AdbcSession:
    """Open a session.

    Args:
        config: Where to.
        application_name: What the server shows of the session; at most 63 bytes of it.

    Raises:
        CredentialsError: The server does not know us, or does not let us.
        TransientConnectorError: It cannot be reached.
        ConnectorError: There is no such host or database.
    """
    timeout = max(2, round(config.connect_timeout.total_seconds()))
    defaults = {"connect_timeout": str(timeout), "keepalives_idle": "30", "keepalives_interval": "10"}
    conninfo = _conninfo(config, defaults)
    session = AdbcSession(lambda: adbc_driver_postgresql.connect(conninfo), translate_error)
    try:
        settings = _SETTINGS | {"application_name": application_name}
        session.execute(
            "SELECT "
            + ", ".join(f"set_config('{name}', {quote_literal(text)}, false)" for name, text in settings.items())
        )
    except BaseException:
        session.close()
        raise
    return session


def describe_server(config: PostgresConfig) -> str:
    """The database and its host for people; no user, no password."""
    host, database = config.host, config.database
    if config.dsn is not None:
        keys = _dsn_keys(config.dsn.reveal())
        host, database = keys.get("host"), keys.get("dbname")
    return f"postgres {host or 'localhost'}/{database or ''}".removesuffix("/")


def _conninfo(config: PostgresConfig, defaults: dict[str, str]) -> str:
    """What libpq is handed; `defaults` hold where the recipe is silent."""
    if config.dsn is None:
        values = {word: getattr(config, key) for key, word in _KEYWORDS.items()}
        if config.password is not None:
            values["password"] = config.password.reveal()
        return _as_keywords(defaults | {word: str(value) for word, value in values.items() if value is not None})
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
