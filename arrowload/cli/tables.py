"""A few rows of Arrow as text: a table for people, CSV and JSON lines for programs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import pyarrow as pa
from rich.cells import cell_len, set_cell_size

from arrowload.cli.text import printable
from arrowload.core.types import type_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TableFormat = Literal["table", "csv", "jsonl"]
_MAX_CELL: Final = 40
_GAP: Final = "  "


def render(table: pa.Table, table_format: TableFormat, width: int | None = None) -> Iterator[str]:
    """The rows as lines of text, each with its line break.

    Args:
        table: Few enough rows to hold as Python values.
        table_format: `table` escapes control characters and cuts long values; `csv` (RFC 4180, NULL empty, empty text
            quoted) and `jsonl` keep every value whole.
        width: Columns of the terminal that a `table` is to fit into; None for no bound.
    """
    match table_format:
        case "table":
            return (line + "\n" for line in _table_lines(table, width))
        case "csv":
            return _csv_lines(table)
        case "jsonl":
            return _json_lines(table)


# ---------------------------------------------------------------- values


def cells(column: pa.ChunkedArray) -> list[str | None]:
    """Each value as text that keeps all of it, None for NULL."""
    kind = column.type
    if pa.types.is_floating(kind):
        return [_float_text(text) for text in column.cast(pa.string()).to_pylist()]
    if _is_binary(kind):
        return [None if value is None else "\\x" + value.hex() for value in column.to_pylist()]
    if not (pa.types.is_nested(kind) or pa.types.is_duration(kind) or isinstance(kind, pa.BaseExtensionType)):
        try:
            return list(column.cast(pa.string()).to_pylist())
        except pa.ArrowNotImplementedError:
            return [_json_text(value) for value in _values(column)]
    return [_json_text(value) for value in _values(column)]


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Python values; as Arrow prints them where Python has none, such as a timestamp in the year 100 000."""
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        chunks = [chunk for chunk in column.chunks if len(chunk)]
        return [_printed(chunk.slice(i, 1)) for chunk in chunks for i in range(len(chunk))]


def _printed(one: pa.Array) -> str | None:
    return None if one.null_count else " ".join(str(one).split())[2:-2]


def _json_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    encoded = msgspec.json.encode(value, enc_hook=str).decode()
    return encoded[1:-1] if encoded.startswith('"') else encoded


def _float_text(text: str | None) -> str | None:
    return text if text is None or re.search(r"[.en]", text) else text + ".0"


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


# ---------------------------------------------------------------- formats


def _csv_lines(table: pa.Table) -> Iterator[str]:
    yield _csv_line(table.schema.names)
    for row in zip(*(cells(column) for column in table.columns), strict=True):
        yield _csv_line(row)


def _csv_line(values: Sequence[str | None]) -> str:
    return ",".join("" if value is None else _csv_value(value) for value in values) + "\n"


def _csv_value(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if not value or re.search(r'[",\r\n]|^\s|\s$', value) else value


def _json_lines(table: pa.Table) -> Iterator[str]:
    """Decimals, dates and times stay text, since JSON's numbers would not hold them."""
    columns = [_json_values(column) for column in table.columns]
    for row in zip(*columns, strict=True):
        yield msgspec.json.encode(dict(zip(table.schema.names, row, strict=True)), enc_hook=str).decode() + "\n"


def _json_values(column: pa.ChunkedArray) -> list[Any]:
    kind = column.type
    native = pa.types.is_integer(kind) or pa.types.is_float64(kind) or pa.types.is_boolean(kind)
    return _values(column) if native or pa.types.is_nested(kind) else cells(column)


def _table_lines(table: pa.Table, width: int | None) -> Iterator[str]:
    columns = [_Column(name, table.column(i)) for i, name in enumerate(table.schema.names)]
    shown = _fitting([column.width for column in columns], width)
    for line in zip(*(column.lines for column in columns[:shown]), strict=True):
        yield _GAP.join(line).rstrip()
    if shown < len(columns):
        yield f"and {len(columns) - shown} more columns: {', '.join(printable(c.name) for c in columns[shown:])}"


def _fitting(widths: list[int], width: int | None) -> int:
    """How many of the columns fit; at least one."""
    used, count = 0, 0
    for column_width in widths:
        used += column_width + (len(_GAP) if count else 0)
        if width is not None and used > width and count:
            break
        count += 1
    return count


class _Column:
    """One column of a table: name, type, rule, values, all of one width."""

    def __init__(self, name: str, column: pa.ChunkedArray) -> None:
        self.name = name
        values = [printable(name), printable(type_name(column.type)), *map(_table_cell, cells(column))]
        self.width = min(_MAX_CELL, max(cell_len(value) for value in values))
        self._align_right = _is_number(column.type)
        lines = [self._fit(value) for value in values]
        self.lines = [*lines[:2], "-" * self.width, *lines[2:]]

    def _fit(self, value: str) -> str:
        if cell_len(value) > self.width:
            return set_cell_size(value, self.width - 1) + "…"
        padding = " " * (self.width - cell_len(value))
        return padding + value if self._align_right else value + padding


def _table_cell(value: str | None) -> str:
    return "NULL" if value is None else printable(value)
