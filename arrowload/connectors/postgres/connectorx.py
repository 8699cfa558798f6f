"""The route through ConnectorX: its rows as an Arrow stream, within the snapshot."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

import pyarrow as pa

from arrowload.connectors.postgres.routes import BEGIN
from arrowload.connectors.postgres.session import connection_keys, driver_at_hand
from arrowload.core.casting import cast_batch_exact, check_cast
from arrowload.core.exceptions import ConnectorError, RecipeError
from arrowload.io.sql import quote_identifier, quote_literal

if TYPE_CHECKING:
    from collections.abc import Generator

    from arrowload.connectors.postgres.config import PostgresSourceConfig
    from arrowload.connectors.postgres.reading import ReadColumn
    from arrowload.connectors.postgres.routes import Reading

# What ConnectorX hands over as it is stored. It cuts numerics at ten digits after the point, and panics at much else.
_EXACT: Final = ("bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar", "bpchar", "bytea")
# Exact too, but for infinities, which it hands over as the year 262142.
_FINITE: Final = ("date", "timestamp", "timestamptz")


def as_handed_over(column: ReadColumn, *, null_infinity: bool) -> ReadColumn:
    """`column`, as text wherever ConnectorX would hand over another value than the server stores.

    Raises:
        RecipeError: The text of such values is nothing that can be read back: arrays and intervals.
    """
    name, kind = quote_identifier(column.name), column.kind.name
    if not column.cast and column.kind.kind == "builtin" and kind in _EXACT:
        return column
    if not column.cast and column.kind.kind == "builtin" and kind in _FINITE:
        if null_infinity:
            return replace(column, expression=f"CASE WHEN isfinite({name}) THEN {name} END")
        stop = f"({quote_literal(f'arrowload: column `{column.name}` holds ')} || {name}::text)::int4::text::{kind}"
        return replace(column, expression=f"CASE WHEN isfinite({name}) THEN {name} ELSE {stop} END")
    try:
        check_cast(pa.string(), column.type)
    except RecipeError as exc:
        raise RecipeError(
            f"ConnectorX has no exact form for column `{column.name}`, which is `{column.kind.sql}`",
            context={"column": column.name, "type": column.kind.sql, "path": "$.source.driver"},
            hint="leave `driver` out, or declare the column as `text`",
        ) from exc
    return replace(column, expression=f"({column.expression})::text")


class ConnectorxReader:
    """A connection that ConnectorX opens for each query.

    Args:
        config: Where to.
        snapshot_id: What it sees.
    """

    def __init__(self, config: PostgresSourceConfig, snapshot_id: str) -> None:
        self._uri = _uri(connection_keys(config))
        self._begin = [BEGIN, f"SET TRANSACTION SNAPSHOT {quote_literal(snapshot_id)}", "SET LOCAL TimeZone = 'UTC'"]

    def read(self, sql: str, reading: Reading, *, batch_size: int) -> Generator[pa.RecordBatch]:
        """The rows of one query.

        Raises:
            ConnectorError: In ConnectorX's own words; it tells no SQLSTATE.
        """
        with driver_at_hand("connectorx"):
            import connectorx

        first_row = 1
        try:
            stream = connectorx.read_sql(
                self._uri,
                sql,
                return_type="arrow_stream",
                protocol="cursor",
                batch_size=batch_size,
                pre_execution_query=self._begin,
            )
            for batch in stream:
                if batch.num_rows:
                    yield cast_batch_exact(batch, reading.schema, first_row=first_row)
                    first_row += batch.num_rows
        except RuntimeError as exc:
            raise ConnectorError(f"connectorx: {exc}", hint="leave `driver` out to read by COPY") from exc

    def cancel(self) -> None:
        """ConnectorX cannot be interrupted; what it reads is bounded by its batches."""

    def close(self) -> None:
        """It closes its connection with the stream."""


def _uri(keys: dict[str, str]) -> str:
    login = quote(keys.get("user", ""), safe="")
    if "password" in keys:
        login += ":" + quote(keys["password"], safe="")
    place = keys.get("host", "localhost")
    if ":" not in place:
        place += f":{keys.get('port', '5432')}"
    options: dict[str, str] = {word: keys[word] for word in ("sslmode", "sslrootcert") if word in keys}
    return f"postgresql://{login}@{place}/{quote(keys.get('dbname', ''), safe='')}?{urlencode(options)}".rstrip("?")
