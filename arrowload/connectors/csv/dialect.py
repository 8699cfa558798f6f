"""How one CSV file is written: its delimiter, and whether it starts with names."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from arrowload.connectors.csv.infer import looks_typed
from arrowload.connectors.csv.text import compression_of, read_head
from arrowload.core.exceptions import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.connectors.csv.config import CsvSourceConfig
    from arrowload.io.files import FileInfo

_DELIMITERS: Final = (",", ";", "\t", "|")
_HEAD_BYTES: Final = 1024**2
_HEAD_ROWS: Final = 200


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How one file is written.

    Attributes:
        names: The columns, by the header or `column_1`, `column_2` …
        header: The first row has the names.
        skip_lines: Lines before the first row: `skip_rows`, and the blank ones after them.
        has_rows: There is something after the header.
    """

    delimiter: str
    quote: str | None
    escape: str | None
    names: tuple[str, ...]
    header: bool
    skip_lines: int
    has_rows: bool


def find_dialect(file: FileInfo, config: CsvSourceConfig) -> Dialect | None:
    """Look at the head of a file; None when it is empty and need not have a header.

    Raises:
        DataError: It is empty or cut short; a name is no UTF-8 or has a NUL, or two columns have the same.
    """
    text, whole = read_head(file, config, max(_HEAD_BYTES, config.block_size))
    lines = io.StringIO(text, newline=None).readlines()[config.skip_rows :]
    blank = sum(1 for _ in itertools.takewhile("\n".__eq__, lines))
    if blank == len(lines) and (not lines or config.header is not False):
        _refuse_empty(file, config)
        return None
    candidates = _DELIMITERS if config.delimiter == "auto" else (config.delimiter,)
    parsed = [(_parse("".join(lines[blank:]), d, config, whole), d) for d in candidates]
    head, delimiter = max(parsed, key=lambda pair: _likeness(pair[0].rows))
    first = head.rows[0] if head.rows else [""]
    header = _is_header(first) if config.header == "auto" else config.header
    if header:
        _refuse_odd_names(first, file, config.skip_rows + blank + 1)
    names = tuple((cell if header and cell else f"column_{i}") for i, cell in enumerate(first, 1))
    _refuse_repeats(names, file)
    below = lines[blank + head.first_lines :] if header else lines[blank:]
    return Dialect(
        delimiter=delimiter,
        quote=config.quote,
        escape=config.escape,
        names=names,
        header=header,
        # Of a single column a blank line is a row.
        skip_lines=config.skip_rows + (blank if len(first) > 1 or header else 0),
        has_rows=not whole or any(len(names) == 1 or line != "\n" for line in below),
    )


class _Head(NamedTuple):
    """The first rows of a file, and how many lines the very first one takes."""

    rows: list[list[str]]
    first_lines: int


def _parse(text: str, delimiter: str, config: CsvSourceConfig, whole: bool) -> _Head:
    """The first rows; the last one of a head that is not the whole file may be cut, and is left out."""
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quotechar=config.quote,
        quoting=csv.QUOTE_MINIMAL if config.quote else csv.QUOTE_NONE,
        escapechar=config.escape,
        doublequote=config.escape is None,
    )
    rows: list[list[str]] = []
    first_lines = 1
    # The module's limit for a cell ends the look at the head; what came before such a cell says enough.
    with contextlib.suppress(csv.Error):
        for row in reader:
            first_lines = first_lines if rows else reader.line_num
            rows += [row] if row else []
            if len(rows) > _HEAD_ROWS:
                break
        else:
            rows = rows if whole or len(rows) <= 1 else rows[:-1]
    return _Head(rows, first_lines)


def _likeness(rows: Sequence[Sequence[str]]) -> tuple[float, int]:
    """How much a parse looks like the right one: rows as wide as the first one, and wide ones."""
    width = len(rows[0]) if rows else 0
    if width <= 1:
        return 0.0, 0
    return sum(len(row) == width for row in rows) / len(rows), width


def _is_header(cells: Sequence[str]) -> bool:
    return any(cells) and not any(looks_typed(cell) for cell in cells)


def _refuse_empty(file: FileInfo, config: CsvSourceConfig) -> None:
    if file.size == 0 and compression_of(file.path, config) is None and config.header is False:
        return
    raise DataError(
        f"`{file.path}` is empty: it has not even a header",
        context={"path": file.path, "size": file.size},
        hint="write the file again; if files without rows are to be expected, they need `header: false`",
    )


def _refuse_odd_names(cells: Sequence[str], file: FileInfo, line: int) -> None:
    for cell in cells:
        if "\0" in cell:
            raise DataError(
                f"`{file.path}` line {line}: the name {cell!r} has a NUL, which no column can have",
                context={"path": file.path, "line": line},
                hint="set `encoding` to that of the file, or `header: false` if the row is data",
            )
        try:
            cell.encode()
        except UnicodeEncodeError as exc:
            raise DataError(
                f"`{file.path}` line {line}: the name {cell.encode('utf-8', 'surrogateescape')!r} is no UTF-8",
                context={"path": file.path, "line": line},
                hint="set `encoding` to that of the file",
            ) from exc


def _refuse_repeats(names: Sequence[str], file: FileInfo) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        raise DataError(
            f"columns of `{file.path}` share a name: {', '.join(repeated)}",
            context={"path": file.path, "columns": repeated},
            hint="set `header: false` if the first row is data, or that and `skip_rows: 1` to name columns by position",
        )
