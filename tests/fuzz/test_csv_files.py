"""Whatever a CSV file holds, its rows are those of Python's reader and of pyarrow's, and no type alters a value.

The first two bytes of an input say how it is read, the rest is the file.
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
import re
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.types as pt

from arrowload.connectors.csv import CsvSourceConfig, source
from arrowload.connectors.csv.dialect import find_dialect
from arrowload.connectors.csv.source import CsvSource
from arrowload.core.exceptions import DataError
from arrowload.core.state import State
from arrowload.io.files import describe
from arrowload.models.units import ByteSize, ResourcePath, ResourcePaths
from tests.fuzz.engine import Target, briefly

if TYPE_CHECKING:
    from collections.abc import Iterator

_DELIMITERS: Final = ("auto", ",", ";", "\t", "|", "auto", ",", "x")
_QUOTES: Final = ('"', None, "'", '"')
_HEADERS: Final = ("auto", True, False, "auto")
_SIZES: Final = ("1MiB", "64B", "200B", "1MiB")
_BOM: Final = b"\xef\xbb\xbf"
_TIMESTAMP: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(?:\.(\d+))?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)

_paths: list[Path] = []


@contextlib.contextmanager
def _file() -> Iterator[None]:
    smallest = source.MIN_PART
    with tempfile.TemporaryDirectory() as name:
        source.MIN_PART = 5
        _paths.append(Path(name, "f.csv"))
        try:
            yield
        finally:
            _paths.pop()
            source.MIN_PART = smallest


class _Rows(NamedTuple):
    """What was read, or what was said against it."""

    table: pa.Table | None
    complaint: str | None = None
    line: int | None = None


def check(data: bytes) -> None:
    """Read a file by the fast route, in parts; by the slow one; as text alone; and by Python's reader."""
    how, text = data[:2].ljust(2, b"0"), data[2:]
    path = _paths[-1]
    path.write_bytes(text)
    options: dict[str, Any] = {
        "delimiter": _DELIMITERS[how[0] & 7],
        "quote": _QUOTES[how[0] >> 3 & 3],
        "header": _HEADERS[how[1] & 3],
    }
    size = ByteSize.parse(_SIZES[how[1] >> 2 & 3])
    rows = _read(options, size, parts=(how[1] >> 4) + 1)
    whole = _read(options, ByteSize.parse("1MiB"))
    if "has a row longer than" in (rows.complaint or ""):
        rows = whole
    _check_alike(rows, whole)
    delimiter = _delimiter(options)
    if delimiter is None or delimiter == options["quote"]:
        return
    # An empty last cell that a file ends with is an empty text to pyarrow if the cell before it was quoted.
    if not text.endswith(delimiter.encode()):
        _check_alike(whole, _read(options, ByteSize.parse("1MiB"), slow=True))
    expected = _by_python(text, delimiter, options["quote"])
    if whole.table is None:
        _check_refusal(whole, expected)
        return
    names = whole.table.column_names
    texts = _read({**options, "columns": dict.fromkeys(names, "string")}, ByteSize.parse("1MiB")).table
    assert texts is not None
    _check_texts(texts, expected)
    for name in names:
        _check_values(whole.table.column(name), texts.column(name).to_pylist())


def _read(options: dict[str, Any], size: ByteSize, *, parts: int = 1, slow: bool = False) -> _Rows:
    paths = ResourcePaths([ResourcePath(_paths[-1])])
    config = CsvSourceConfig(type="csv", path=paths, sample_rows="all", block_size=size, **options)
    reader = CsvSource(config)
    if slow:
        reader._reader._slow_reason = "to compare"  # type: ignore[attr-defined]
    try:
        with reader.snapshot(State()) as snapshot:
            readers = [snapshot.read_split(split, batch_size=7) for split in snapshot.splits(parts)]
            batches = [batch for reader in readers for batch in reader]
            return _Rows(pa.Table.from_batches(batches, snapshot.schema))
    except DataError as exc:
        _check_message(exc)
        return _Rows(None, exc.message, exc.context.get("line"))


def _check_message(error: DataError) -> None:
    assert str(error).translate({ord("\t"): " ", ord("\n"): " "}).isprintable(), str(error)


def _check_alike(rows: _Rows, expected: _Rows) -> None:
    if rows.complaint and expected.complaint and not _is_utf8(_paths[-1].read_bytes()):
        return  # of two faults in a file, either may be met first
    assert (rows.complaint, rows.line) == (expected.complaint, expected.line)
    if rows.table is not None and expected.table is not None:
        assert rows.table.schema == expected.table.schema
        assert rows.table.equals(expected.table) or _shown(rows.table) == _shown(expected.table)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shown(table: pa.Table) -> list[str]:
    """With NaN, which equals nothing, as text."""
    return [str(column.combine_chunks()) for column in table.columns]


def _delimiter(options: dict[str, Any]) -> str | None:
    path = _paths[-1]
    config = CsvSourceConfig(type="csv", path=ResourcePaths([ResourcePath(path)]), **options)
    try:
        dialect = find_dialect(describe([str(path)], str(path.parent))[0], config)
    except DataError:
        return None
    return dialect.delimiter if dialect is not None else None


# ---------------------------------------------------------------- Python's reader


class _Expected(NamedTuple):
    """The rows by Python's reader, blank lines as `[]`; None in the place of a file that it cannot take."""

    rows: list[list[str]] | None
    closed: bool


def _by_python(text: bytes, delimiter: str, quote: str | None) -> _Expected:
    try:
        decoded = text.removeprefix(_BOM).decode()
    except UnicodeDecodeError:
        return _Expected(None, closed=False)
    quoting = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE

    def rows(text: str) -> list[list[str]]:
        lines = io.StringIO(text, newline="")
        return list(csv.reader(lines, delimiter=delimiter, quotechar=quote, quoting=quoting, doublequote=True))

    # Inside quotes a further line end is part of a value.
    return _Expected(rows(decoded), closed=rows(decoded + "\n" * 9) == rows(decoded) + [[]] * 9 or decoded == "")


def _check_refusal(found: _Rows, expected: _Expected) -> None:
    """A file without a fault is not refused."""
    if expected.rows is None or not expected.closed:
        return
    rows = [row for row in expected.rows if row]
    if (
        len({len(row) for row in rows}) == 1
        and len(set(rows[0])) == len(rows[0])
        and all(rows[0])
        and "\0" not in "".join(rows[0])
    ):
        raise AssertionError(f"refused: {found.complaint}")


def _check_texts(texts: pa.Table, expected: _Expected) -> None:
    assert expected.rows is not None
    found = [["" if cell is None else cell for cell in row.values()] for row in texts.to_pylist()]
    if texts.num_columns > 1:
        rows = [row for row in expected.rows if row]
        assert all(len(row) == texts.num_columns for row in rows)
    else:
        # Of a single column blank lines are NULL, but for those before a header.
        rows = [row or [""] for row in expected.rows]
    header = len(rows) - len(found)
    while texts.num_columns == 1 and header > 1 and rows[0] == [""]:
        rows, header = rows[1:], header - 1
    assert header in (0, 1), (found, rows)
    assert found == rows[header:]


# ---------------------------------------------------------------- values


def _check_values(column: pa.ChunkedArray, texts: list[str | None]) -> None:
    """Each value stands for its text and for nothing else."""
    kind = column.type
    values = (column.cast(pa.int64()) if pt.is_timestamp(kind) else column).to_pylist()
    for value, text in zip(values, texts, strict=True):
        assert (value is None) is (text is None)
        if text is not None:
            assert _stands_for(value, text, kind), (kind, value, text)


def _stands_for(value: Any, text: str, kind: pa.DataType) -> bool:
    if pt.is_string(kind):
        return bool(value == text)
    if pt.is_boolean(kind):
        return text.lower() == str(value).lower()
    if pt.is_integer(kind):
        return text == str(value)
    if pt.is_date(kind):
        return text == value.isoformat()
    if pt.is_timestamp(kind):
        return _instant(text, kind) in (value, None)
    if pt.is_floating(kind) and text.lower().lstrip("-") in ("nan", "inf"):
        return repr(value).lstrip("-") == text.lower().lstrip("-")
    return Decimal(repr(value) if pt.is_floating(kind) else value) == Decimal(text)


def _instant(text: str, kind: pa.TimestampType) -> int | None:
    """Units since 1970, None for the year 0, which Python does not have."""
    match = _TIMESTAMP.fullmatch(text)
    assert match is not None
    date, time, seconds, fraction, zone = match.groups()
    try:
        whole = dt.datetime.fromisoformat(
            f"{date}T{time}{seconds or ''}{(zone or '').replace('Z', '+00:00') or '+00:00'}"
        )
    except ValueError:
        return None
    digits = {"us": 6, "ns": 9}[kind.unit]
    assert bool(zone) is bool(kind.tz)
    since = (whole - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(seconds=1)
    return since * 10**digits + int((fraction or "").ljust(digits, "0"))


TARGET = Target("csv_files", check, prepared=_file)


def test_any_file_is_read_as_by_other_readers() -> None:
    """The same rows however they are cut; no value altered by its type; refused is only what has a fault."""
    briefly(TARGET)
