"""The route through the ADBC driver: for servers and logins that our own client does not speak to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import adbc_driver_postgresql
import pyarrow as pa
from msgspec.structs import replace

from arrowload.connectors.postgres.checks import checked
from arrowload.connectors.postgres.conversion import Conversion, recut
from arrowload.connectors.postgres.errors import translate_error
from arrowload.core.exceptions import ConnectorError, RecipeError
from arrowload.io.adbc import AdbcSession
from arrowload.io.postgres import ColumnDescription
from arrowload.io.sql import quote_identifier, quote_literal

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from arrowload.connectors.postgres.reading import ReadColumn
    from arrowload.connectors.postgres.routes import Reading
    from arrowload.io.sql import TableName

_BATCH_BYTES: Final = 4 * 2**20
_WITHOUT_COPY: Final = {"adbc.postgresql.use_copy": "false"}


class PostgresAdbcSession(AdbcSession):
    """A connection of the ADBC driver; see `Session`.

    Args:
        conninfo: For libpq.
    """

    def __init__(self, conninfo: str) -> None:
        super().__init__(lambda: adbc_driver_postgresql.connect(conninfo), translate_error)

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement; the driver reads rows by COPY, which EXPLAIN does not go through."""
        with self.stream(sql, _WITHOUT_COPY if sql.startswith("EXPLAIN") else None) as stream:
            batches = list(stream)
        return [row for batch in batches for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)]

    def read(self, sql: str, reading: Reading, *, batch_size: int) -> Generator[pa.RecordBatch]:
        """The rows of one query; closing the generator cancels it."""
        conversion = Conversion(reading.schema, reading.null_special, reading.null_infinity)
        with self.stream(sql, {"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)}) as stream:
            first_row = 0
            for batch in stream:
                yield from recut(conversion.apply(batch, first_row=first_row), batch_size)
                first_row += batch.num_rows

    def ingest(self, table: TableName, rows: pa.RecordBatchReader, *, freeze: bool = False) -> int:
        """As `AdbcSession.ingest`; refuses the values that the driver would turn into others."""
        failure: list[BaseException] = []

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                yield from checked(iter(rows))
            except BaseException as exc:
                failure.append(exc)
                raise

        try:
            return super().ingest(table, pa.RecordBatchReader.from_batches(rows.schema, batches()))
        except ConnectorError as exc:
            # The driver knows an error of the stream only as text.
            raise (failure[0] if failure else exc) from exc

    def describe(self, sql: str) -> list[ColumnDescription]:
        """The columns that a query would have: the driver tells their modifiers, the server their types."""
        fields = list(self.schema_of(sql))
        # One row of NULLs: NULLs have types too, and LIMIT 0 keeps the query from running.
        names = [f"c{i}" for i in range(len(fields))]
        typed = ", ".join(f"pg_catalog.pg_typeof(q.{name})::oid::int8 AS {name}" for name in names)
        columns = ", ".join(names)
        ((*oids,),) = self.execute(f"SELECT {typed} FROM (SELECT) one LEFT JOIN ({sql}) q({columns}) ON true")
        typmods = (int((field.metadata or {}).get(b"POSTGRESQL:typmod", b"-1")) for field in fields)
        return [ColumnDescription(f.name, oid, typmod) for f, oid, typmod in zip(fields, oids, typmods, strict=True)]


def guarded(column: ReadColumn, *, null_infinity: bool) -> ReadColumn:
    """`column`, with the server stopping at values that the driver would hand over as others.

    It flattens arrays of several dimensions, and reads infinite intervals as finite ones.
    """
    name = quote_identifier(column.name)
    if pa.types.is_list(column.type):
        element = column.kind.element.sql if column.kind.element is not None else "text"
        cast = column.expression.rpartition("::")[2] if column.cast else f"{element}[]"
        if pa.types.is_list(column.type.value_type):
            raise RecipeError(
                f"the ADBC driver has no lists in lists for column `{column.name}`, which is `{column.kind.sql}`",
                context={"column": column.name, "type": column.kind.sql, "path": "$.source.driver"},
                hint="leave `driver` out, or declare the column as `text`",
            )
        flat = f"array_ndims({name}) > 1 OR array_lower({name}, 1) <> 1"
        guard = _guard(column.name, f"array_dims({name})", cast)
        return replace(column, expression=f"CASE WHEN {flat} THEN {guard} ELSE {column.expression} END")
    if column.type == pa.month_day_nano_interval():
        bad = "NULL" if null_infinity else _guard(column.name, name, "interval")
        return replace(column, expression=f"CASE WHEN isfinite({name}) THEN {name} ELSE {bad} END")
    return column


def _guard(column: str, value: str, cast: str) -> str:
    """An expression of type `cast` that ends the query; `translate_error` finds the sentence in the server's."""
    sentence = quote_literal(f"arrowload: column `{column}` holds ")
    return f"(({sentence} || {value}::text || ', which Arrow cannot')::int4)::text::{cast}"
