"""Who encodes a file: our own kernel, which is faster, or pyarrow, which knows every type and codec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pyarrow.parquet as pq

from arrowload.connectors.parquet.encodings import dictionary_columns, empty_file, statistics_columns
from arrowload.kernels.parquet import parquet_encoder

if TYPE_CHECKING:
    import pyarrow as pa

    from arrowload._rust import ParquetEncoder
    from arrowload.connectors.files.part import PartFile


class FileEncoder(Protocol):
    """Encodes one file."""

    def write(self, rows: pa.Table) -> None:
        """Add a row group."""

    def close(self) -> None:
        """Write what a file ends with; the file stays open."""


def file_encoder(file: PartFile, first: pa.Table, compression: str) -> FileEncoder:
    """Begin a file whose first row group will be `first`; the others are taken to be like it.

    Args:
        file: Where it goes.
        first: Its columns decide who encodes, and its values how.
        compression: A codec's name, or `none`.
    """
    columns = dictionary_columns(first, compressed=compression != "none")
    dictionaries = [not isinstance(columns, list) or name in columns for name in first.schema.names]
    kernel = parquet_encoder(first.schema, empty_file(first.schema), dictionaries=dictionaries, compression=compression)
    if kernel is not None:
        return _KernelEncoder(file, kernel)
    return _ArrowEncoder(file, first, compression, columns)


class _KernelEncoder:
    def __init__(self, file: PartFile, kernel: ParquetEncoder) -> None:
        self._file = file
        self._kernel = kernel

    def write(self, rows: pa.Table) -> None:
        self._kernel.write_group(rows, self._file.write)

    def close(self) -> None:
        self._file.write(self._kernel.finish())


class _ArrowEncoder:
    def __init__(self, file: PartFile, first: pa.Table, compression: str, dictionaries: bool | list[str]) -> None:
        self._writer = pq.ParquetWriter(
            file,
            first.schema,
            compression=compression,
            use_dictionary=dictionaries,
            write_statistics=statistics_columns(first),
            write_page_checksum=True,
            write_page_index=True,
            store_decimal_as_integer=True,
        )

    def write(self, rows: pa.Table) -> None:
        self._writer.write_table(rows, row_group_size=rows.num_rows)

    def close(self) -> None:
        self._writer.close()
