"""The route through ConnectorX: its rows as an Arrow stream, within the snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

import pyarrow as pa
from msgspec.structs import replace

from arrowload.connectors.postgres.errors import translate_text
from arrowload.connectors.postgres.routes import BEGIN
from arrowload.connectors.postgres.session import SETTINGS, connection_keys, driver_at_hand
from arrowload.core.casting import cast_batch_exact, check_cast
from arrowload.core.exceptions import DataError, RecipeError, TransformError
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


def as_handed_over(column: ReadColumn, reading: Reading) -> ReadColumn:
    """`column`, as text wherever ConnectorX would hand over another value than the server stores.

    Raises:
        RecipeError: The text of such values is nothing that can be read back: arrays and intervals.
    """
    name, kind = quote_identifier(column.name), column.kind.name
    if not column.cast and column.kind.kind == "builtin" and kind in _EXACT:
        return column
    if not column.cast and column.kind.kind == "builtin" and kind in _FINITE:
        if reading.null_infinity:
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
    text = f"({column.expression})::text"
    if reading.null_special and pa.types.is_decimal(column.type):
        # scale() is NULL for NaN and infinities.
        text = f"CASE WHEN scale({column.expression}) IS NOT NULL THEN {text} END"
    return replace(column, expression=text)


class ConnectorxReader:
    """A connection that ConnectorX opens for each query.

    Args:
        config: Where to.
        snapshot_id: What it sees.
    """

    def __init__(self, config: PostgresSourceConfig, snapshot_id: str) -> None:
        self._uri = _uri(connection_keys(config))
        settings = SETTINGS | {"application_name": config.application_name}
        self._begin = [
            BEGIN,
            f"SET TRANSACTION SNAPSHOT {quote_literal(snapshot_id)}",
            *(f"SET LOCAL {name} = {quote_literal(value)}" for name, value in settings.items()),
        ]

    def read(self, sql: str, reading: Reading, *, batch_size: int) -> Generator[pa.RecordBatch]:
        """The rows of one query.

        Raises:
            ConnectorError: The server's; ConnectorX tells it as text, some of it by a panic.
            DataError: A value has no place in its column's type.
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
        except TransformError as exc:
            raise DataError(exc.message, context=exc.context, hint=exc.hint) from exc
        except BaseException as exc:
            # A panic is no Exception, and its class cannot be imported.
            if not isinstance(exc, RuntimeError) and type(exc).__name__ != "PanicException":
                raise
            raise translate_text(str(exc)) from exc

    def cancel(self) -> None:
        """ConnectorX cannot be interrupted; what it reads is bounded by its batches."""

    def close(self) -> None:
        """It closes its connection with the stream."""


def _uri(keys: dict[str, str]) -> str:
    login = quote(keys.get("user", ""), safe="")
    if "password" in keys:
        login += ":" + quote(keys["password"], safe="")
    place = keys.get("host", "localhost")
    if place.startswith("/"):
        place = quote(place, safe="")
    if ":" not in place:
        place += f":{keys.get('port', '5432')}"
    options: dict[str, str] = {word: keys[word] for word in ("sslmode", "sslrootcert", "options") if word in keys}
    query = urlencode(options, quote_via=quote)
    return f"postgresql://{login}@{place}/{quote(keys.get('dbname', ''), safe='')}?{query}".rstrip("?")
