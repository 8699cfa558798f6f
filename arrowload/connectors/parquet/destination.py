"""Parts in Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from arrowload.core.exceptions import RecipeError

if TYPE_CHECKING:
    from arrowload.connectors.files.part import PartFile

# A row group is held in memory while it is collected and once more while it is encoded.
_GROUP_BYTES: Final = 32 * 1024**2
_GROUP_ROWS: Final = 1024**2


class ParquetFormat:
    """Parquet, as the dataset destination knows it.

    Args:
        compression: Of the pages: a codec's name, or `none`.
    """

    name = "parquet"
    suffix = ".parquet"
    evolves = True

    def __init__(self, compression: str = "zstd") -> None:
        self._compression = compression

    def stored_schema(self, schema: pa.Schema) -> pa.Schema:
        """The types that Parquet keeps: seconds become milliseconds, `date64` becomes `date32`.

        Raises:
            RecipeError: Parquet has no form for a column.
        """
        return pa.schema([_stored_field(field) for field in schema])

    def open(self, file: PartFile, schema: pa.Schema) -> _ParquetPart:
        """Start a part."""
        options = {"compression": self._compression, "write_page_checksum": True, "write_page_index": True}
        return _ParquetPart(pq.ParquetWriter(file, schema, **options))


def _stored_field(field: pa.Field) -> pa.Field:
    schema = pa.schema([field.remove_metadata()])
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(schema.empty_table(), sink)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as exc:
        raise RecipeError(
            f"Parquet has no form for column `{field.name}` of type {field.type}",
            context={"column": field.name, "type": str(field.type)},
            hint="add a cast step, or leave the column out with a drop step",
        ) from exc
    return pq.read_schema(pa.BufferReader(sink.getvalue())).field(0).remove_metadata()


class _ParquetPart:
    """Collects batches until they fill a row group."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._held: list[pa.RecordBatch] = []
        self._bytes = 0
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        rows_a_group = max(1, min(_GROUP_ROWS, batch.num_rows * _GROUP_BYTES // max(1, batch.nbytes)))
        for start in range(0, batch.num_rows, rows_a_group):
            piece = batch.slice(start, rows_a_group)
            self._held.append(piece)
            self._bytes += piece.nbytes
            self._rows += piece.num_rows
            if self._bytes >= _GROUP_BYTES or self._rows >= _GROUP_ROWS:
                self._flush()

    def _flush(self) -> None:
        if self._rows:
            table = pa.Table.from_batches(self._held)
            self._writer.write_table(table, row_group_size=table.num_rows)
        self._held, self._bytes, self._rows = [], 0, 0

    def close(self) -> None:
        self._flush()
        self._writer.close()
