"""CSV text straight into typed Arrow columns, and the places where a CSV file can be cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from arrowload import _rust

if TYPE_CHECKING:
    from collections.abc import Sequence


class RaggedRecord(NamedTuple):
    """A record that has not as many fields as there are columns.

    Attributes:
        row: In its batch, where it stands cut off, or filled up with empty fields.
        fields: How many it has.
        text: As it was written, without what ends it.
    """

    row: int
    fields: int
    text: bytes


class CsvParser:
    """Turns the UTF-8 text of one file, fed piece by piece, into record batches; the pieces do not alter the rows.

    Records and cells are those of pyarrow's CSV reader with doubled quotes. A column comes in its type when all its
    values in a batch are surely values of that type, and as binary otherwise and where the type has no rule here: the
    caller's own conversion then decides. Rules there are for string, bool, the integers, float64, decimal128 and 256,
    date32 and timestamps.

    Args:
        schema: The columns in the order of the file, at least one.
        exact_form: Of each column: values are taken only as an inferred one is written, without leading zeros,
            booleans as `true` and `false`, floats with no digit that they do not give back.
        delimiter: One ASCII character, not CR, LF or the quote.
        quote: One ASCII character, or None when nothing is quoted.
        null_values: Texts that are NULL when they are not quoted.
        skip_lines: Lines at the start that are not read, whatever is in them.
        skip_records: Records after these that are not read: the header.
        max_record: Bytes of the longest record.
        from_start: The text starts where the file does, perhaps with a byte order mark.
        takes_ragged: Records that are too wide or too narrow are taken and told of, and no error.
    """

    def __init__(
        self,
        schema: pa.Schema,
        exact_form: Sequence[bool],
        *,
        delimiter: str = ",",
        quote: str | None = '"',
        null_values: Sequence[str] = ("",),
        skip_lines: int = 0,
        skip_records: int = 0,
        max_record: int = 1 << 30,
        from_start: bool = True,
        takes_ragged: bool = False,
    ) -> None:
        # An extension type would come as its storage, unchecked.
        plain = [f.with_type(pa.binary()) if isinstance(f.type, pa.BaseExtensionType) else f for f in schema]
        self._parser = _rust.CsvParser(
            pa.schema(plain),
            exact_form,
            delimiter=ord(delimiter),
            quote=ord(quote) if quote is not None else None,
            null_values=[value.encode() for value in null_values],
            skip_lines=skip_lines,
            skip_records=skip_records,
            max_record=max_record,
            from_start=from_start,
            takes_ragged=takes_ragged,
        )

    def feed(self, text: bytes) -> None:
        """Add the text that follows.

        Raises:
            DataError: More than 2 GiB would be held.
        """
        self._parser.feed(text)

    def finish(self) -> None:
        """Say that nothing follows what was fed."""
        self._parser.finish()

    def next_batch(self, max_rows: int) -> pa.RecordBatch | None:
        """`max_rows` rows, or fewer whose text has 16 MiB, or the last ones; None when text must be fed, or is done.

        Raises:
            DataError: A record is too long, too wide or too narrow, or the text ends inside quotes; `context` has its
                `row`, from 0.
        """
        batch = self._parser.next_batch(max_rows)
        return None if batch is None else pa.record_batch(batch)

    def ragged(self) -> list[RaggedRecord]:
        """Of the batch given last, the records that are too wide or too narrow."""
        return [RaggedRecord(*record) for record in self._parser.ragged()]


class CsvRanges:
    """Finds the first record that starts at or after each of some positions in a file, fed from its start.

    Args:
        targets: Positions in bytes, ascending.
        delimiter: One ASCII character.
        quote: One ASCII character, or None when nothing is quoted.
    """

    def __init__(self, targets: Sequence[int], *, delimiter: str = ",", quote: str | None = '"') -> None:
        self._ranges = _rust.CsvRanges(
            targets, delimiter=ord(delimiter), quote=ord(quote) if quote is not None else None
        )

    def feed(self, text: bytes) -> bool:
        """Take in the text that follows; whether more is needed."""
        return self._ranges.feed(text)

    def cuts(self) -> list[int]:
        """Where the records start, each once; a position that no record starts after has none."""
        return sorted(set(self._ranges.cuts()))
