"""Reads CSV files: each column's texts become its type, or an error with a line.

Rust cuts and converts what is surely a value (`parse.py`). What is not comes as bytes and is converted by pyarrow, and
files that Rust cannot cut, such as those with an escape character, are read by pyarrow too (`pyarrow_texts.py`).
"""

from __future__ import annotations

import copy
import sys
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import pyarrow as pa

from arrowload.connectors.csv.convert import convert, sift
from arrowload.connectors.csv.diagnosis import line_of
from arrowload.connectors.csv.dialect import find_dialect
from arrowload.connectors.csv.infer import ColumnProfile
from arrowload.connectors.csv.parse import FileRange, Rows, parse, rows_before, slow_reason
from arrowload.connectors.csv.pyarrow_texts import read_texts
from arrowload.connectors.csv.ranges import MIN_PART, cut_file
from arrowload.connectors.files.listing import partition, pinned
from arrowload.connectors.files.source import FileSource
from arrowload.core.casting import CastFailure, cast_exact, check_cast, mask_of, shown
from arrowload.core.exceptions import DataError, RecipeError
from arrowload.core.lazy import compute as pc
from arrowload.core.names import require_columns
from arrowload.core.rejection import Rejection, encoded_record, encoded_rows
from arrowload.core.types import parse_type
from arrowload.planning.capabilities import Split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from arrowload.connectors.csv.config import CsvSourceConfig
    from arrowload.connectors.csv.dialect import Dialect
    from arrowload.core.rejection import Code
    from arrowload.io.files import FileInfo
    from arrowload.kernels.csv import RaggedRecord

_BATCH_ROWS: Final = 65_536
_SAMPLED_FILES: Final = 100


class CsvSource(FileSource):
    """CSV files, as a recipe describes them."""

    def __init__(self, config: CsvSourceConfig) -> None:
        super().__init__(config.path, config.incremental, CsvReader(config), config.aws)


class CsvReader:
    """Reads what `config` names."""

    name = "csv"
    suffixes: tuple[str, ...] = (".csv", ".csv.gz", ".csv.zst", ".tsv", ".tsv.gz", ".tsv.zst")

    def __init__(self, config: CsvSourceConfig) -> None:
        self._config = config
        self._slow_reason = slow_reason(config)
        self._reject: Callable[[Rejection], None] | None = None
        _require_encoding(config.encoding)
        self._declared = {name: parse_type(text) for name, text in config.columns.items()}
        for name, data_type in self._declared.items():
            _require_readable(name, data_type)

    @property
    def route_reason(self) -> str:
        """Why files are read as they are."""
        if self._slow_reason is not None:
            return f"pyarrow splits rows into columns of text, each converted exactly: {self._slow_reason}"
        return "Rust parses text straight into Arrow; what it does not surely take goes through pyarrow"

    def schema(self, files: Sequence[FileInfo]) -> pa.Schema:
        """The columns of the first file that is not empty, each in the type that the recipe or the sample says.

        The sample is the first rows of every file, or, of more than a hundred, of a hundred spread over them.

        Raises:
            DataError: A file cannot be read, or the files do not have the same columns.
            RecipeError: The recipe names a column that is not there.
        """
        step = max(1, -(-len(files) // _SAMPLED_FILES))
        sampled = list({file.path: file for file in (*files[::step], files[-1])}.values())
        if self._config.sample_rows == "all":
            sampled = list(files)
        profiles: dict[str, ColumnProfile] = {}
        for file in sampled:
            with pinned(file):
                self._sample(file, profiles, len(sampled))
        if not profiles:
            raise DataError(
                "every file is empty, and without a header nothing says which columns there are",
                context={"path": files[0].path},
            )
        require_columns(self._declared, list(profiles))
        return pa.schema([(name, self._declared.get(name) or profiles[name].result()) for name in profiles])

    def _sample(self, file: FileInfo, profiles: dict[str, ColumnProfile], n_files: int) -> None:
        dialect = find_dialect(file, self._config)
        if dialect is None:
            return
        if not profiles:
            profiles.update({name: ColumnProfile() for name in dialect.names})
        _require_names(dialect, list(profiles), file)
        wanted = self._config.sample_rows
        rows_left = sys.maxsize if wanted == "all" else -(-wanted // n_files)
        schema = pa.schema([(name, pa.binary()) for name in dialect.names])
        size = min(rows_left, _BATCH_ROWS)
        for texts, ragged in self._batches(FileRange(file), dialect, schema, size, takes_ragged=True):
            piece = texts.slice(0, rows_left)
            rows_left -= piece.num_rows
            # To which columns a ragged record's values belong is not known; whether it is an error, the load says.
            if ragged:
                piece = piece.filter(pc.invert(mask_of([record.row for record in ragged], piece.num_rows)))
            for name, column in zip(piece.schema.names, piece.columns, strict=True):
                if name not in self._declared:
                    profiles[name].feed(_readable(column)[0])
            if not rows_left:
                return

    def splits(self, files: Sequence[FileInfo], n: int) -> list[Split]:
        """Parts of about equal size, in the order of the rows: files, and ranges of large ones that can be cut."""
        size = sum(file.size for file in files) // max(1, n)
        parts = [part for file in files for part in self._parts(file, size)]
        sizes = [(part.end or part.file.size) - part.start + 1 for part in parts]
        return [
            Split(index=i, spec={"parts": [msgspec.to_builtins(parts[j]) for j in run]})
            for i, run in enumerate(partition(sizes, max(1, n)))
        ]

    def _parts(self, file: FileInfo, size: int) -> list[FileRange]:
        if self._slow_reason is not None:
            return [FileRange(file)]
        return cut_file(file, self._config, max(size, MIN_PART))

    def read(self, split: Split, schema: pa.Schema, batch_size: int) -> Iterator[pa.RecordBatch]:
        """The rows of one split.

        Raises:
            DataError: A row or a value is not what it should be; says the file, the line and the column.
            TransientConnectorError: A file changed since it was listed.
        """
        for part in msgspec.convert(split.spec["parts"], list[FileRange]):
            with pinned(part.file):
                dialect = find_dialect(part.file, self._config)
                if dialect is not None:
                    _require_names(dialect, schema.names, part.file)
                    yield from self._read_part(part, dialect, schema, batch_size)

    def sifting(self, reject: Callable[[Rejection], None]) -> CsvReader:
        """See `SiftingReader.sifting`."""
        reader = copy.copy(self)
        reader._reject = reject
        return reader

    def reread(self, column: pa.Array, field: pa.Field) -> pa.Array:
        """See `RereadingSource.reread`; a column that was not surely of its type was kept as the bytes of the file."""
        if column.type == field.type or not pa.types.is_binary(column.type):
            return cast_exact(column, field.type)
        texts = cast_exact(column, pa.string())
        return convert(texts, field.type, inferred=field.name not in self._declared)

    def _read_part(
        self, part: FileRange, dialect: Dialect, schema: pa.Schema, batch_size: int
    ) -> Iterator[pa.RecordBatch]:
        row = 0
        # Counted when the first row is refused, by reading all that stands before the part.
        before = cache(lambda: rows_before(part, self._config, dialect, dialect.names))
        for rows in self._batches(part, dialect, schema, batch_size, takes_ragged=self._reject is not None):
            batch = rows.batch
            if self._reject is not None:
                yield self._sifted(rows, schema, row, part, before)
            else:
                columns = [self._convert(batch.column(field.name), field, row, part, dialect) for field in schema]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)
            row += batch.num_rows

    def _sifted(
        self, rows: Rows, schema: pa.Schema, row: int, part: FileRange, before: Callable[[], int]
    ) -> pa.RecordBatch:
        """The rows whose values all are of the types of `schema`; the others are rejected.

        Args:
            rows: As `_batches` gives them.
            schema: The types wanted.
            row: Where in the part they begin.
            part: What they are from.
            before: Counts the rows of the file that stand before the part.
        """
        columns: list[pa.Array] = []
        refused = {record.row: _ragged(record, rows.batch.num_columns) for record in rows.ragged}
        for field in schema:
            column = rows.batch.column(field.name)
            if column.type != field.type:
                texts, unreadable = _readable(column)
                column, unfit = sift(texts, field.type, inferred=field.name not in self._declared)
                for failure in (*unfit, *unreadable):
                    if failure.row not in refused:
                        reason = f"{_quoted(failure.value)} {failure.reason}"
                        refused[failure.row] = _Refused(field.name, shown(failure.value), reason)
            columns.append(column)
        made = pa.RecordBatch.from_arrays(columns, schema=schema)
        if not refused or self._reject is None:
            return made
        first = before() + row + 1
        places = sorted(refused)
        encoded = encoded_rows(rows.batch, [place for place in places if refused[place].record is None])
        for place in places:
            column, value, reason, record = refused[place]
            code: Code = "source" if record is None else "ragged"
            kept = next(encoded) if record is None else encoded_record(record)
            self._reject(Rejection(f"{part.file.path} row {first + place}", column, code, reason, value, kept))
        return made.filter(pc.invert(mask_of(places, rows.batch.num_rows)))

    def _batches(
        self, part: FileRange, dialect: Dialect, schema: pa.Schema, batch_size: int, *, takes_ragged: bool
    ) -> Iterator[Rows]:
        """The rows of a part; the slow route takes no ragged ones."""
        if not dialect.has_rows:
            return iter(())
        if self._slow_reason is not None:
            return map(Rows, read_texts(part.file, self._config, dialect, batch_size))
        return parse(
            part,
            self._config,
            dialect,
            schema,
            declared=self._declared,
            batch_size=batch_size,
            takes_ragged=takes_ragged,
        )

    def _convert(self, column: pa.Array, field: pa.Field, row: int, part: FileRange, dialect: Dialect) -> pa.Array:
        if column.type == field.type:
            return column
        file = part.file
        texts = self._as_text(column, field.name, row, part, dialect)
        inferred = field.name not in self._declared
        try:
            return convert(texts, field.type, inferred=inferred)
        except CastFailure as exc:
            line = self._line_of(row + exc.row, part, dialect)
            hint = f"say `columns: {{{field.name}: string}}` or another type"
            raise DataError(
                f"`{file.path}` line {line}, column `{field.name}`: {_quoted(exc.value)} {exc.reason}",
                context={"path": file.path, "line": line, "column": field.name, "type": str(field.type)},
                hint=f"{hint}, or `sample_rows: all`" if inferred else hint,
            ) from exc

    def _as_text(self, column: pa.Array, name: str, row: int, part: FileRange, dialect: Dialect) -> pa.Array:
        try:
            return cast_binary(column)
        except pa.ArrowInvalid as exc:
            bad = next(i for i in range(len(column)) if not _is_utf8(column[i].as_py()))
            line = self._line_of(row + bad, part, dialect)
            raise DataError(
                f"`{part.file.path}` line {line}, column `{name}`: {shown(repr(column[bad].as_py()))} is no UTF-8",
                context={"path": part.file.path, "line": line, "column": name},
                hint="set `encoding` to that of the file",
            ) from exc

    def _line_of(self, row: int, part: FileRange, dialect: Dialect) -> int:
        before = rows_before(part, self._config, dialect, dialect.names)
        return line_of(before + row, part.file, self._config, dialect)


class _Refused(NamedTuple):
    """What is wrong with a row; of a ragged one, its text."""

    column: str | None
    value: str
    reason: str
    record: bytes | None = None


def _ragged(record: RaggedRecord, width: int) -> _Refused:
    lines = len(record.text.splitlines())
    # Quotes that are closed far below where they were opened swallow rows that are well.
    over = f", over {lines:,} lines" if lines > 1 else ""
    reason = f"it has {record.fields} fields where {width} are expected{over}"
    return _Refused(None, shown(record.text.decode(errors="replace")), reason, record.text)


def _quoted(value: object) -> str:
    text = shown(value)
    return f"`{text}`" if text.isprintable() else repr(text)


def cast_binary(column: pa.Array) -> pa.Array:
    """Bytes as text, without a copy.

    Raises:
        pyarrow.ArrowInvalid: They are no UTF-8.
    """
    return pc.cast(column, pa.string())


def _readable(column: pa.Array) -> tuple[pa.Array, list[CastFailure]]:
    """The bytes of a column as text, with NULL in the place of what is no UTF-8; and these."""
    try:
        return cast_binary(column), []
    except pa.ArrowInvalid:
        values = enumerate(column.to_pylist())
        bad = [CastFailure(row, repr(value), "is no UTF-8") for row, value in values if not _is_utf8(value)]
    return cast_binary(pc.if_else(mask_of([failure.row for failure in bad], len(column)), None, column)), bad


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _require_names(dialect: Dialect, names: Sequence[str], file: FileInfo) -> None:
    if sorted(dialect.names) == sorted(names):
        return
    missing = [name for name in names if name not in dialect.names]
    extra = [name for name in dialect.names if name not in names]
    raise DataError(
        f"`{file.path}` does not have the columns of the other files: missing {missing}, new {extra}",
        context={"path": file.path, "missing": missing, "extra": extra},
        hint="read it with another recipe, or set `header` and `delimiter` if they were guessed wrong",
    )


def _require_encoding(name: str) -> None:
    try:
        "".encode(name)
    except LookupError as exc:
        raise RecipeError(
            f"`{name}` is no encoding", context={"encoding": name}, hint="use one that Python knows: utf-8, cp1252"
        ) from exc


def _require_readable(name: str, data_type: pa.DataType) -> None:
    try:
        check_cast(pa.string(), data_type)
    except RecipeError as exc:
        raise RecipeError(
            f"column `{name}` of a CSV file cannot be read as {data_type}",
            context={"column": name, "type": str(data_type)},
            hint="read it as string and turn it into what it is with a step",
        ) from exc
