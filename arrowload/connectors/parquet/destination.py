"""Parts in Parquet."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from arrowload.connectors.parquet.encoders import file_encoder
from arrowload.connectors.parquet.encodings import empty_file
from arrowload.core.exceptions import RecipeError
from arrowload.models.units import ResourcePath, ResourcePaths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.connectors.files.part import PartFile
    from arrowload.connectors.parquet.encoders import FileEncoder
    from arrowload.connectors.parquet.source import ParquetSource
    from arrowload.io.aws import AwsAccess

# Smaller ones cost readers and the encoder more; larger ones, two lanes times over, are what memory goes into.
_GROUP_BYTES: Final = 16 * 1024**2
_GROUP_ROWS: Final = 1024**2
# By VmHWM, a thread that encodes takes 3.5 row groups: the rows, the pages, and what the allocator keeps.
_GROUPS_IN_MEMORY: Final = 4
_MAX_LANES: Final = 4
_NO_FORM: Final = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)


class ParquetFormat:
    """Parquet, as the dataset destination knows it.

    A file is encoded on one core, so as many files are written side by side as there are cores. Row groups are
    dealt out to them as they come.

    Args:
        compression: Of the pages: a codec's name, or `none`.
    """

    name = "parquet"
    suffix = ".parquet"
    evolves = True

    def __init__(self, compression: str = "zstd") -> None:
        self._compression = compression
        self.lanes = min(_MAX_LANES, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
        self.chunk_bytes = _GROUP_BYTES

    def limit_memory(self, max_bytes: int) -> None:
        """Make row groups smaller than usual where they would not fit."""
        self.chunk_bytes = max(1, min(_GROUP_BYTES, max_bytes // (_GROUPS_IN_MEMORY * self.lanes)))

    def stored_schema(self, schema: pa.Schema) -> pa.Schema:
        """The types that Parquet keeps: seconds become milliseconds, `date64` becomes `date32`.

        Raises:
            RecipeError: Parquet has no form for a column.
        """
        plain = pa.schema([field.remove_metadata() for field in schema])
        try:
            return _read_back(plain)
        except _NO_FORM:
            for field in plain:
                _require_form(field)
            raise

    def open(self, file: PartFile, schema: pa.Schema) -> _ParquetPart:
        """Start a part."""
        return _ParquetPart(file, schema, self._compression, self.chunk_bytes)

    def source(self, paths: Sequence[str], schema: pa.Schema, access: AwsAccess) -> ParquetSource:
        """Reads parts."""
        from arrowload.connectors.parquet.config import ParquetSourceConfig
        from arrowload.connectors.parquet.source import ParquetSource

        found = ResourcePaths(map(ResourcePath, paths))
        columns = tuple(schema.names)
        return ParquetSource(ParquetSourceConfig(type="parquet", path=found, columns=columns, aws=access))


def _require_form(field: pa.Field) -> None:
    try:
        _read_back(pa.schema([field]))
    except _NO_FORM as exc:
        raise RecipeError(
            f"Parquet has no form for column `{field.name}` of type {field.type}",
            context={"column": field.name, "type": str(field.type)},
            hint="add a cast step, or leave the column out with a drop step",
        ) from exc


def _read_back(schema: pa.Schema) -> pa.Schema:
    """`schema` as a file has it."""
    found = pq.read_schema(pa.BufferReader(empty_file(schema))).remove_metadata()
    return pa.schema([field.remove_metadata() for field in found])


class _ParquetPart:
    """Collects batches until they fill a row group; the first of them decides how the file is encoded."""

    def __init__(self, file: PartFile, schema: pa.Schema, compression: str, group_bytes: int) -> None:
        self._file = file
        self._schema = schema
        self._compression = compression
        self._group_bytes = group_bytes
        self._encoder: FileEncoder | None = None
        self._held: list[pa.RecordBatch] = []
        self._bytes = 0
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        rows_a_group = max(1, min(_GROUP_ROWS, batch.num_rows * self._group_bytes // max(1, batch.nbytes)))
        for start in range(0, batch.num_rows, rows_a_group):
            piece = batch.slice(start, rows_a_group)
            self._held.append(piece)
            self._bytes += piece.nbytes
            self._rows += piece.num_rows
            if self._bytes >= self._group_bytes or self._rows >= _GROUP_ROWS:
                self._flush()

    def _flush(self) -> None:
        if self._rows:
            table = pa.Table.from_batches(self._held, self._schema)
            self._opened(table).write(table)
        self._held, self._bytes, self._rows = [], 0, 0

    def close(self) -> None:
        self._flush()
        self._opened(self._schema.empty_table()).close()

    def _opened(self, first: pa.Table) -> FileEncoder:
        if self._encoder is None:
            self._encoder = file_encoder(self._file, first, self._compression)
        return self._encoder
