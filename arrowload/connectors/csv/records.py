"""Finds lines: which line of a file a row starts on, and which row breaks the rules. Used once something is wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from arrowload.connectors.csv.dialect import Dialect


class Record(NamedTuple):
    """One row as it stands in the file.

    Attributes:
        line: On which it starts, counted from 1.
        fields: How many it has.
        closed: Its quotes are; only the last row of a file can lack this.
    """

    line: int
    fields: int
    closed: bool


def scan(lines: Iterable[str], dialect: Dialect) -> Iterator[Record]:
    """The rows of a file, its header included, by the rules that pyarrow parses by.

    Args:
        lines: All lines of the file, without what ends them.
        dialect: Of the file.
    """
    scanner = _Scanner(dialect)
    start: int | None = None
    for number, text in enumerate(lines, 1):
        if number <= dialect.skip_lines or (start is None and not text and len(dialect.names) > 1):
            continue
        start = start or number
        scanner.feed(text)
        if not scanner.inside:
            yield Record(start, scanner.fields, True)
            scanner.restart()
            start = None
    if start is not None:
        yield Record(start, scanner.fields, False)


class _Scanner:
    """Counts the fields of one row, fed line by line; quotes count where a field starts with one."""

    def __init__(self, dialect: Dialect) -> None:
        self._delimiter = dialect.delimiter
        self._quote = dialect.quote
        self._escaped = re.compile(re.escape(dialect.escape) + ".") if dialect.escape else None
        self.restart()

    def restart(self) -> None:
        self.fields = 1
        self.inside = False

    def feed(self, text: str) -> None:
        if self._escaped is not None:
            text = self._escaped.sub("xx", text)
        quote = self._quote
        if quote is None or (not self.inside and quote not in text):
            self.fields += text.count(self._delimiter)
            return
        position = 0
        at_start = not self.inside
        while position <= len(text):
            if self.inside:
                position, at_start = self._close(quote, text, position), False
            elif at_start and text.startswith(quote, position):
                self.inside = True
                position += 1
            else:
                position, at_start = self._next_field(text, position), True

    def _close(self, quote: str, text: str, position: int) -> int:
        """The position after the quotes, or after the text when they go on."""
        end = text.find(quote, position)
        if end == -1:
            return len(text) + 1
        if text.startswith(quote, end + 1):
            return end + 2
        self.inside = False
        return end + 1

    def _next_field(self, text: str, position: int) -> int:
        end = text.find(self._delimiter, position)
        if end == -1:
            return len(text) + 1
        self.fields += 1
        return end + 1
