"""What a recipe may say about a Postgres database."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from arrowload.core.secret import Secret
from arrowload.models.destination_config import DestinationConfig
from arrowload.models.source_config import SourceConfig
from arrowload.models.units import Duration

Driver = Literal["auto", "copy", "adbc", "connectorx"]
SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
# YAML reads a bare `null` as no value.
OnSpecial = Annotated[
    Literal["error", "null"] | None, msgspec.Meta(description="error: end the load. null: load a NULL in its place.")
]

Host = Annotated[str | None, msgspec.Meta(description="Host name, address, or the folder of a unix socket.")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)] | None
Dsn = Annotated[
    Secret | None, msgspec.Meta(description="A connection URI or string, in place of the keys from host to sslkey.")
]
Table = Annotated[str, msgspec.Meta(description="`table` (of schema public) or `schema.table`.")]

_KEYS = ("host", "port", "database", "user", "password", "sslmode", "sslrootcert", "sslcert", "sslkey")
CONNECTION_KEYS: Final = ("dsn", *_KEYS, "connect_timeout")


class PostgresSourceConfig(SourceConfig, frozen=True, kw_only=True):
    """Keys of `source: {type: postgres}`; `table` or `query`. Keys of the connection that are left out are libpq's."""

    dsn: Dsn = None
    host: Host = None
    port: Port = None
    database: str | None = None
    user: str | None = None
    password: Secret | None = None
    sslmode: SslMode | None = None
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    connect_timeout: Duration = Duration(seconds=15)
    application_name: str = "arrowload"
    table: Table | None = None
    query: Annotated[str | None, msgspec.Meta(description="A SELECT, in place of a table.")] = None
    columns: Annotated[
        tuple[str, ...] | dict[str, str] | None,
        msgspec.Meta(
            description="A list: only these columns, in this order. A mapping: types of some of the columns, "
            "`decimal(p,s)` for what is numeric, `text` for anything; it leaves no column out."
        ),
    ] = None
    exclude: Annotated[tuple[str, ...], msgspec.Meta(description="All columns but these.")] = ()
    split_on: Annotated[
        str | None,
        msgspec.Meta(description="Column by whose values a query or view is read in parts; tables need none."),
    ] = None
    driver: Annotated[
        Driver,
        msgspec.Meta(description="How rows are read; auto: our own COPY, the fastest that was measured."),
    ] = "auto"
    filter: Annotated[str | None, msgspec.Meta(description="SQL condition, handed to the server as it is.")] = None
    numeric_special: Annotated[OnSpecial, msgspec.Meta(description="NaN and ±Infinity in numeric columns.")] = "error"
    infinity: Annotated[OnSpecial, msgspec.Meta(description="±infinity in dates, timestamps, intervals.")] = "error"

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        _check_connection(self)
        if (self.table is None) == (self.query is None):
            raise ValueError("give `table` or `query`, and not both")
        if self.exclude and isinstance(self.columns, tuple):
            raise ValueError("give a list of `columns` or `exclude`, and not both")


class PostgresDestinationConfig(DestinationConfig, frozen=True, kw_only=True):
    """Keys of `destination: {type: postgres}`. Keys of the connection that are left out are libpq's."""

    dsn: Dsn = None
    host: Host = None
    port: Port = None
    database: str | None = None
    user: str | None = None
    password: Secret | None = None
    sslmode: SslMode | None = None
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    connect_timeout: Duration = Duration(seconds=15)
    table: Annotated[Table, msgspec.Meta(description="Made when it is not there.")]
    driver: Annotated[
        Literal["auto", "copy", "adbc"],
        msgspec.Meta(description="How rows are written; auto: our own COPY, the fastest that was measured."),
    ] = "auto"

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        _check_connection(self)


def _check_connection(config: PostgresSourceConfig | PostgresDestinationConfig) -> None:
    given = [key for key in _KEYS if getattr(config, key) is not None]
    if config.dsn is not None and given:
        raise ValueError(f"give `dsn` or `{given[0]}`, and not both")
