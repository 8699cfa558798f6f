"""What is wrong with a file and on which line: reads it again from the start, as pyarrow counts rows and not lines."""

from __future__ import annotations

import codecs
import io
from typing import TYPE_CHECKING, Final

from arrowload.connectors.csv.records import scan
from arrowload.connectors.csv.text import open_utf8
from arrowload.core.exceptions import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arrowload.connectors.csv.config import CsvSourceConfig
    from arrowload.connectors.csv.dialect import Dialect
    from arrowload.connectors.csv.records import Record
    from arrowload.connectors.csv.text import Utf8Stream
    from arrowload.io.files import FileInfo

_READ_BYTES: Final = 1024**2


def line_of(row: int, file: FileInfo, config: CsvSourceConfig, dialect: Dialect) -> int:
    """The line on which a row starts; rows are counted from 0 after the header, lines from 1."""
    return next(
        (record.line for i, record in enumerate(_records(file, config, dialect)) if i == row + dialect.header), 0
    )


def require_closed(file: FileInfo, config: CsvSourceConfig, dialect: Dialect) -> None:
    """Make sure that all quotes of a file are closed.

    Raises:
        DataError: They are not; says where they open.
    """
    for record in _records(file, config, dialect):
        if not record.closed:
            raise DataError(
                f"`{file.path}` ends inside the quotes of the row that starts on line {record.line}",
                context={"path": file.path, "line": record.line},
                hint="the file is cut short, or `quote` is another character",
            )


def explain(error: Exception, file: FileInfo, config: CsvSourceConfig, dialect: Dialect) -> DataError:
    """The error for people, of the row that a parser stumbled over.

    Raises:
        DataError: The file ends inside quotes.
    """
    require_closed(file, config, dialect)
    width = len(dialect.names)
    # Of its own errors the parser knows which are about that, and may have been told to take such records.
    may_be = not isinstance(error, DataError) or "fields" in error.context
    records = _records(file, config, dialect) if may_be else iter(())
    ragged = next((record for record in records if record.fields != width), None)
    if ragged is not None:
        return DataError(
            f"`{file.path}` line {ragged.line} has {ragged.fields} fields where {width} are expected",
            context={"path": file.path, "line": ragged.line, "fields": ragged.fields, "expected": width},
            hint=f"correct the line; the delimiter was taken to be {dialect.delimiter!r}",
        )
    if "straddling" in str(error) or "is longer than" in str(error):
        return DataError(
            f"`{file.path}` has a row longer than {config.block_size}",
            context={"path": file.path},
            hint="set `block_size` to more than its length",
        )
    return DataError(
        f"`{file.path}`: {error}", context={"path": file.path}, hint="check `delimiter`, `quote` and `escape`"
    )


def _records(file: FileInfo, config: CsvSourceConfig, dialect: Dialect) -> Iterator[Record]:
    with open_utf8(file, config) as stream:
        yield from scan(_lines(stream), dialect)


def _lines(stream: Utf8Stream) -> Iterator[str]:
    """Every line, whatever ends it; U+FFFD stands for what is no UTF-8."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8-sig")("replace"), translate=True)
    rest: list[str] = []
    while data := stream.read(_READ_BYTES):
        first, *lines = decoder.decode(data).split("\n")
        rest.append(first)
        for line in lines:
            yield "".join(rest)
            rest = [line]
    last = "".join([*rest, decoder.decode(b"", final=True)])
    yield from last.split("\n") if last else ()
