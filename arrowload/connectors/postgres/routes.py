"""How rows are read: by our own COPY, through the ADBC driver, or through ConnectorX; all within one snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol

import msgspec
import pyarrow as pa

from arrowload.connectors.postgres.errors import SNAPSHOT_GONE, snapshot_gone
from arrowload.connectors.postgres.reading import ReadColumn
from arrowload.connectors.postgres.session import connect
from arrowload.core.exceptions import ConnectorError
from arrowload.io.sql import quote_literal

if TYPE_CHECKING:
    from collections.abc import Generator

    from arrowload.connectors.postgres.config import PostgresSourceConfig
    from arrowload.connectors.postgres.session import Session

RouteName = Literal["copy", "adbc", "connectorx"]

# bench/README.md says how these are measured.
REASONS: Final[dict[RouteName, str]] = {
    "copy": "COPY in binary, decoded by our own kernel: the fastest that was measured, and exact for every type",
    "adbc": "the recipe asks for the ADBC driver",
    "connectorx": "the recipe asks for ConnectorX",
}
BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class Reading(msgspec.Struct, frozen=True):
    """What is read, and what becomes of values that Arrow cannot hold.

    Attributes:
        columns: As they are selected and read.
        null_special: NaN and infinite numerics become NULL; otherwise they are errors.
        null_infinity: Infinite dates, timestamps and intervals become NULL; otherwise they are errors.
    """

    columns: tuple[ReadColumn, ...]
    null_special: bool = False
    null_infinity: bool = False

    @property
    def schema(self) -> pa.Schema:
        """Of the rows."""
        return pa.schema([pa.field(column.name, column.type) for column in self.columns])


class RowReader(Protocol):
    """A connection within the snapshot, that rows are read over."""

    def read(self, sql: str, reading: Reading, *, batch_size: int) -> Generator[pa.RecordBatch]:
        """The rows of one query, in batches of about `batch_size`; closing the generator ends the query."""

    def cancel(self) -> None:
        """From another thread: have what is under way end with an error."""

    def close(self) -> None:
        """Close the connection."""


def route_of(config: PostgresSourceConfig) -> RouteName:
    """The route that the recipe names."""
    return "copy" if config.driver == "auto" else config.driver


def adapted(column: ReadColumn, route: RouteName, reading: Reading) -> ReadColumn:
    """`column`, with the SELECT item that the route reads it by."""
    if route == "adbc":
        from arrowload.connectors.postgres.adbc import guarded

        return guarded(column, null_infinity=reading.null_infinity)
    if route == "connectorx":
        from arrowload.connectors.postgres.connectorx import as_handed_over

        return as_handed_over(column, reading)
    return column


def open_reader(config: PostgresSourceConfig, snapshot_id: str) -> RowReader:
    """One more connection, that sees what the snapshot of that id sees."""
    if route_of(config) == "connectorx":
        from arrowload.connectors.postgres.connectorx import ConnectorxReader

        return ConnectorxReader(config, snapshot_id)
    session = connect(config, config.application_name)
    try:
        session.run(BEGIN)
        _join(session, snapshot_id)
    except BaseException:
        session.close()
        raise
    return session


def _join(session: Session, snapshot_id: str) -> None:
    try:
        session.run(f"SET TRANSACTION SNAPSHOT {quote_literal(snapshot_id)}")
    except ConnectorError as exc:
        if exc.context.get("sqlstate") not in SNAPSHOT_GONE:
            raise
        raise snapshot_gone(exc) from exc
