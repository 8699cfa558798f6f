"""The fast route: Rust cuts the text and converts what is surely a value; a column that is not comes as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import pyarrow as pa

from arrowload.connectors.csv.diagnosis import explain
from arrowload.connectors.csv.text import open_utf8
from arrowload.core.exceptions import DataError
from arrowload.io.files import FileInfo
from arrowload.kernels.csv import CsvParser

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from arrowload.connectors.csv.config import CsvSourceConfig
    from arrowload.connectors.csv.dialect import Dialect
    from arrowload.kernels.csv import RaggedRecord

# The parser addresses less than 2 GiB, in which the rest of a block and another one have room.
_MAX_BLOCK: Final = 512 * 1024**2
_COUNTED_ROWS: Final = 65_536


class FileRange(msgspec.Struct, frozen=True):
    """The records of `file` that start from byte `start` on and before byte `end`; None: up to its end."""

    file: FileInfo
    start: int = 0
    end: int | None = None


class Rows(NamedTuple):
    """Rows of a file.

    Attributes:
        batch: Columns in the order of the file, each in the type wanted or as binary.
        ragged: Those among them that have more or fewer fields than there are columns.
    """

    batch: pa.RecordBatch
    ragged: Sequence[RaggedRecord] = ()


def slow_reason(config: CsvSourceConfig) -> str | None:
    """Why files cannot be read by this route, or None."""
    if config.escape is not None:
        return "`escape` is set"
    if config.delimiter == config.quote:
        return "`delimiter` and `quote` are the same"
    if config.block_size > _MAX_BLOCK:
        return "`block_size` is more than 512MiB"
    return None


def parse(
    part: FileRange,
    config: CsvSourceConfig,
    dialect: Dialect,
    schema: pa.Schema,
    *,
    declared: Collection[str],
    batch_size: int,
    takes_ragged: bool,
) -> Iterator[Rows]:
    """The rows of one part, each column in its type of `schema` or as binary.

    Args:
        part: What to read.
        config: Of the source.
        dialect: Of the file.
        schema: The types wanted.
        declared: Columns whose types were not inferred.
        batch_size: Rows of a batch.
        takes_ragged: A record that has not as many fields as there are columns is no error.

    Raises:
        DataError: A record is not what it should be, or the file is cut short or damaged.
    """
    parser = CsvParser(
        pa.schema([schema.field(name) for name in dialect.names]),
        [name not in declared for name in dialect.names],
        delimiter=dialect.delimiter,
        quote=dialect.quote,
        null_values=config.null_values,
        skip_lines=0 if part.start else dialect.skip_lines,
        skip_records=0 if part.start else int(dialect.header),
        # Any row that is shorter than a block is taken, and none that is longer than two, as by the other route.
        max_record=2 * config.block_size,
        from_start=not part.start,
        takes_ragged=takes_ragged,
    )

    def step(work: Callable[[], pa.RecordBatch | None]) -> pa.RecordBatch | None:
        try:
            return work()
        except DataError as exc:
            raise explain(exc, part.file, config, dialect) from exc

    with open_utf8(part.file, config) as stream:
        for piece in stream.pieces(config.block_size, part.start, part.end):
            step(lambda piece=piece: parser.feed(piece))  # type: ignore[misc]
            while (batch := step(lambda: parser.next_batch(batch_size))) is not None:
                yield Rows(batch, parser.ragged())
        parser.finish()
        while (batch := step(lambda: parser.next_batch(batch_size))) is not None:
            yield Rows(batch, parser.ragged())


def rows_before(part: FileRange, config: CsvSourceConfig, dialect: Dialect, names: Sequence[str]) -> int:
    """How many rows of the file stand before a part; reads them all."""
    if not part.start:
        return 0
    texts = pa.schema([(name, pa.binary()) for name in names])
    before = FileRange(part.file, 0, part.start)
    declared = frozenset(names)
    found = parse(before, config, dialect, texts, declared=declared, batch_size=_COUNTED_ROWS, takes_ragged=True)
    return sum(rows.batch.num_rows for rows in found)
