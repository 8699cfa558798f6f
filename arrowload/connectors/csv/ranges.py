"""Cuts one large CSV file into parts that can be read apart."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final

from arrowload.connectors.csv.dialect import find_dialect
from arrowload.connectors.csv.parse import FileRange
from arrowload.connectors.csv.text import compression_of, open_utf8
from arrowload.connectors.files.listing import pinned
from arrowload.kernels.csv import CsvRanges

if TYPE_CHECKING:
    from arrowload.connectors.csv.config import CsvSourceConfig
    from arrowload.io.files import FileInfo

# Smaller parts cost more to find than they bring.
MIN_PART: Final = 8 * 1024**2
_READ_BYTES: Final = 1024**2
_FIRST_TARGET: Final = len(codecs.BOM_UTF8) + 1


def cut_file(file: FileInfo, config: CsvSourceConfig, size: int) -> list[FileRange]:
    """Parts of about `size` bytes, each from the start of a record; the whole file where it cannot be cut.

    A quote may stand far before the line that it makes a part of a value, so the file is read up to the last cut.

    Raises:
        DataError: The file is empty or damaged.
        TransientConnectorError: It was changed since it was listed.
    """
    n = round(file.size / max(1, size))
    # Behind the first byte of the first record, so that it is not cut from a byte order mark.
    targets = [max(file.size * i // n, _FIRST_TARGET) for i in range(1, n)]
    plain = codecs.lookup(config.encoding).name in ("utf-8", "utf-8-sig", "ascii")
    if not targets or not plain or compression_of(file.path, config) is not None:
        return [FileRange(file)]
    with pinned(file):
        dialect = find_dialect(file, config)
        # What is skipped at the start may have quotes of its own.
        if dialect is None or dialect.skip_lines:
            return [FileRange(file)]
        ranges = CsvRanges(targets, delimiter=dialect.delimiter, quote=dialect.quote)
        with open_utf8(file, config) as stream:
            for piece in stream.pieces(_READ_BYTES):
                if not ranges.feed(piece):
                    break
    starts = [0, *ranges.cuts()]
    return [FileRange(file, start, end) for start, end in zip(starts, [*starts[1:], None], strict=True)]
