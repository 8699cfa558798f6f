"""The route through our own client: COPY in binary, both ways, encoded and decoded by our own kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from arrowload import _rust
from arrowload.connectors.base import RELAY_SCHEMA
from arrowload.connectors.postgres.catalogue import find_types
from arrowload.connectors.postgres.conversion import recut
from arrowload.connectors.postgres.errors import translate_wire_error
from arrowload.connectors.postgres.reading import hands_over
from arrowload.connectors.postgres.types import resolve_type
from arrowload.core.exceptions import ConnectorError, EngineError
from arrowload.io.postgres import PostgresSession
from arrowload.io.sql import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from arrowload.connectors.postgres.routes import Reading
    from arrowload.connectors.postgres.types import PgType, TypeRow
    from arrowload.io.postgres import ColumnDescription
    from arrowload.io.sql import TableName

# How a value lies on the wire, and the oid of an array's elements, 0 for what is no array.
_Wire = tuple[str, int]

# Types that are sent as text; enums are too.
_TEXTS: Final = ("text", "varchar", "bpchar", "name")
# A batch of wide rows ends here, however few they are.
_BATCH_BYTES: Final = 4 * 2**20


class CopySession(PostgresSession):
    """A connection of our own client; see `Session`.

    Args:
        conninfo: As for libpq.
    """

    def __init__(self, conninfo: str) -> None:
        super().__init__(conninfo, translate_wire_error)
        self._described: list[ColumnDescription] = []
        self._types: dict[int, TypeRow] = {}

    def read(self, sql: str, reading: Reading, *, batch_size: int) -> Generator[pa.RecordBatch]:
        """The rows of one query, read and decoded on a thread of their own that runs a little ahead.

        Raises:
            ConnectorError: The query gives other types than were planned: the table was altered.
            DataError: A value has no place in its column's type; names column, row and value.
        """
        yield from self._rows(sql, self._wires(sql), reading.schema, reading, batch_size)

    def fetch_arrow(self, sql: str) -> pa.Table:
        """Run one query; its rows as one table, each column in the Arrow type that holds all its values."""
        kinds = self._kinds(sql)
        schema = pa.schema([pa.field(name, hands_over(kind) or _unread(name, kind)) for name, kind, _ in kinds])
        wires = [wire for _, _, wire in kinds]
        return pa.Table.from_batches(self._rows(sql, wires, schema, None, 65_536), schema)

    def append(self, table: TableName, rows: pa.Table) -> None:
        """As `ingest`, for a few rows."""
        self.ingest(table, rows.to_reader())

    def ingest(self, table: TableName, rows: pa.RecordBatchReader, *, freeze: bool = False) -> int:
        """Bulk-load `rows` into a table that is there, columns matched by name; the number of rows stored.

        The types of the table's columns are asked for first, and no column is taken that has not exactly such values.

        Raises:
            EngineError: A column of `rows` has another type than its column of the table.
            DataError: A value that the server would take for another one; names column and row.
        """
        names = rows.schema.names
        wires = self._wires(f"SELECT {', '.join(map(quote_identifier, names))} FROM {table.sql()} LIMIT 0")
        with self._translated():
            return _rust.copy_in(self._connection, _copy_in(table, names, freeze=freeze), rows, wires)

    def encoder(self, types: Sequence[tuple[str, str]]) -> Callable[[pa.RecordBatch], bytes]:
        """What `ingest` makes of rows before it sends them.

        Args:
            types: Names and SQL types of the columns; nothing need be there that has them.
        """
        nulls = ", ".join(f"CAST(NULL AS {kind}) AS {quote_identifier(name)}" for name, kind in types)
        wires = self._wires(f"SELECT {nulls} LIMIT 0")
        return lambda rows: _rust.pg_copy_encode(rows, wires)

    def read_relay(self, sql: str, reading: Reading) -> Generator[pa.RecordBatch]:
        """The rows of one query as they lie on the wire, decoded only to be checked and hashed."""
        wires = self._wires(sql)
        with self._translated():
            pieces = _rust.copy_out_relay(self._connection, _copy_out(sql), reading.schema, wires)
            try:
                for piece in pieces:
                    yield pa.record_batch(piece).cast(RELAY_SCHEMA)
            finally:
                pieces.close()

    def relay(
        self, table: TableName, columns: Sequence[str], rows: pa.RecordBatchReader, *, freeze: bool = False
    ) -> int:
        """Bulk-load rows that lie as they went over another server's wire; the number of rows stored."""
        with self._translated():
            return _rust.copy_in_relay(self._connection, _copy_in(table, columns, freeze=freeze), rows)

    def _rows(
        self, sql: str, wires: Sequence[_Wire], schema: pa.Schema, reading: Reading | None, batch_size: int
    ) -> Generator[pa.RecordBatch]:
        with self._translated():
            rows = _rust.copy_out(
                self._connection,
                _copy_out(sql),
                schema,
                wires,
                batch_rows=batch_size,
                batch_bytes=_BATCH_BYTES,
                null_special=reading is not None and reading.null_special,
                null_infinity=reading is not None and reading.null_infinity,
            )
            try:
                for batch in rows:
                    yield from recut(pa.record_batch(batch), batch_size)
            finally:
                rows.close()

    def _wires(self, sql: str) -> list[_Wire]:
        """How the columns of a query lie on the wire, by the catalogue."""
        return [wire for _, _, wire in self._kinds(sql)]

    def _kinds(self, sql: str) -> list[tuple[str, PgType, _Wire]]:
        described = self.describe(sql)
        # The splits of one window, read over one connection, have the same columns.
        if described != self._described:
            self._types = find_types(self, (oid for _, oid, _ in described))
            self._described = described
        types = self._types
        kinds = []
        for name, oid, typmod in described:
            kind = resolve_type(oid, typmod, types[oid].sql, types)
            base = types[oid]
            kinds.append((name, kind, (_wire_name(name, kind), base.element if kind.kind == "array" else 0)))
        return kinds


def _copy_out(sql: str) -> str:
    # A query may end in a comment.
    return f"COPY ({sql}\n) TO STDOUT (FORMAT binary)"


def _copy_in(table: TableName, columns: Sequence[str], *, freeze: bool) -> str:
    options = "FORMAT binary, FREEZE" if freeze else "FORMAT binary"
    return f"COPY {table.sql()} ({', '.join(map(quote_identifier, columns))}) FROM STDIN ({options})"


def _wire_name(column: str, kind: PgType) -> str:
    if kind.kind == "array" and kind.element is not None:
        return f"{_wire_name(column, kind.element)}[]"
    if kind.is_numeric:
        return "numeric" if kind.typmod != -1 else "numeric without modifier"
    if kind.kind == "builtin" and kind.name == "char":
        return '"char"'
    if kind.kind == "enum" or (kind.kind == "builtin" and kind.name in _TEXTS):
        return "text"
    if kind.kind == "builtin" and (kind.name == "oid" or hands_over(kind) is not None):
        return kind.name
    raise EngineError(f"column `{column}` of type `{kind.sql}` was to be read as it lies on the wire")


def _unread(name: str, kind: PgType) -> pa.DataType:
    raise ConnectorError(f"column `{name}` of type `{kind.sql}` has no Arrow type", hint="cast it in the query")
