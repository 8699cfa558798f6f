"""The slow route: pyarrow cuts rows into columns of bytes, which are converted afterwards.

Its reader and not DuckDB's, which takes a zstd file that was cut short for an empty one, does not check gzip's
checksum, and rounds `1.5` when a column is an integer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from arrowload.connectors.csv.diagnosis import explain, require_closed
from arrowload.connectors.csv.text import open_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arrowload.connectors.csv.config import CsvSourceConfig
    from arrowload.connectors.csv.dialect import Dialect
    from arrowload.io.files import FileInfo

_BATCH_BYTES: Final = 16 * 1024**2


def read_texts(file: FileInfo, config: CsvSourceConfig, dialect: Dialect, batch_size: int) -> Iterator[pa.RecordBatch]:
    """The rows of one file, every column as bytes, in batches of up to `batch_size` rows or 16 MiB.

    Raises:
        DataError: A row has not the columns of the others, or the file is damaged or ends inside quotes.
    """
    return _rebatch(_texts(file, config, dialect), batch_size)


def _texts(file: FileInfo, config: CsvSourceConfig, dialect: Dialect) -> Iterator[pa.RecordBatch]:
    """The rows of one file, every column as bytes, in pieces of about one block."""
    from pyarrow import csv as pa_csv

    with open_utf8(file, config) as stream:
        last: pa.RecordBatch | None = None
        try:
            for last in pa_csv.open_csv(stream, *_options(config, dialect)):
                yield last
        except pa.ArrowInvalid as exc:
            raise explain(exc, file, config, dialect) from exc
        # Of quotes that are not closed pyarrow makes a value that ends with the file, and mostly so with a newline.
        open_end = stream.last not in (b"\r", b"\n") or (last is not None and _ends_with_newline(last))
        if stream.quotes and (open_end or stream.quotes % 2):
            require_closed(file, config, dialect)


def _options(config: CsvSourceConfig, dialect: Dialect) -> tuple[Any, Any, Any]:
    from pyarrow import csv as pa_csv

    return (
        pa_csv.ReadOptions(
            use_threads=False,
            block_size=config.block_size,
            column_names=dialect.names,
            skip_rows=dialect.skip_lines,
            skip_rows_after_names=int(dialect.header),
        ),
        pa_csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=dialect.quote or False,
            double_quote=dialect.escape is None,
            escape_char=dialect.escape or False,
            newlines_in_values=dialect.quote is not None,
            # Of a single column an empty line is a NULL.
            ignore_empty_lines=len(dialect.names) > 1,
        ),
        pa_csv.ConvertOptions(
            column_types=dict.fromkeys(dialect.names, pa.binary()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=config.null_values,
        ),
    )


def _rebatch(batches: Iterator[pa.RecordBatch], batch_size: int) -> Iterator[pa.RecordBatch]:
    """Neighbouring batches joined up to `batch_size` rows or 16 MiB; one of more rows is cut."""
    held: list[pa.RecordBatch] = []
    for batch in _cut(batches, batch_size):
        rows = sum(b.num_rows for b in held) + batch.num_rows
        if held and (rows > batch_size or sum(b.nbytes for b in held) + batch.nbytes > _BATCH_BYTES):
            yield pa.concat_batches(held)
            held = []
        held.append(batch)
    if held:
        yield pa.concat_batches(held)


def _cut(batches: Iterator[pa.RecordBatch], batch_size: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, max(batch.num_rows, 1), batch_size):
            yield batch.slice(start, batch_size)


def _ends_with_newline(batch: pa.RecordBatch) -> bool:
    value = batch.column(batch.num_columns - 1)[-1].as_py() if batch.num_rows else None
    return value is not None and (b"\n" in value or b"\r" in value)
