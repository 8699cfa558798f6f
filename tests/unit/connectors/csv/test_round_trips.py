"""Laws: what Python's csv module writes is read as it was, wherever a block ends."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from arrowload.connectors.csv import CsvSourceConfig
from arrowload.connectors.csv.dialect import find_dialect
from arrowload.connectors.csv.records import scan
from arrowload.connectors.csv.source import CsvSource
from arrowload.connectors.files.listing import list_files
from arrowload.core.state import State
from arrowload.models.units import ByteSize, ResourcePath, ResourcePaths

cells = st.lists(
    st.sampled_from(['"', ",", ";", "\n", "\r", "\r\n", "a", "é", " ", "\\", "'", "0", "\t"]), max_size=6
).map("".join)
tables = st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=30)


def write(rows, line_end, quoting):
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=line_end, quoting=quoting)
    csv.writer(text, lineterminator=line_end).writerow(["x", "y", "z"])
    writer.writerows(rows)
    return text.getvalue().encode()


def config(folder, **options):
    path = ResourcePaths([ResourcePath(folder)])
    columns = dict.fromkeys("xyz", "string")
    return CsvSourceConfig(type="csv", path=path, delimiter=",", header=True, columns=columns, **options)


# With other line ends the module leaves a lone CR or LF in a cell unquoted, which then ends the row.
styles = st.sampled_from(
    [("\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_ALL), ("\r", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)]
)


@given(tables, styles, st.integers(64, 200))
def test_what_the_csv_module_writes_is_read(rows, style, block):
    """Every cell comes back, whatever it holds and wherever a block ends; nothing unquoted is NULL."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "f.csv").write_bytes(write(rows, *style))
        with CsvSource(config(folder, block_size=ByteSize(block))).snapshot(State()) as snapshot:
            readers = [snapshot.read_split(split, batch_size=7) for split in snapshot.splits(1)]
            table = pa.Table.from_batches([batch for reader in readers for batch in reader], snapshot.schema)
    found = [tuple(cell or "" for cell in row.values()) for row in table.to_pylist()]
    assert found == rows


@given(tables, st.sampled_from(["\n", "\r\n"]))
def test_the_scanner_finds_the_rows_that_the_parser_finds(rows, line_end):
    """The lines named in errors are those where the csv module starts the rows."""
    content = write(rows, line_end, csv.QUOTE_ALL).decode()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "f.csv").write_bytes(content.encode())
        dialect = find_dialect(list_files([folder], [".csv"])[0], config(folder))
    lines = io.StringIO(content, newline=None).read().removesuffix("\n").split("\n")
    reader = csv.reader(io.StringIO("\n".join(lines) + "\n", newline=""))
    starts = [1, *(reader.line_num + 1 for _ in reader)]
    records = list(scan(lines, dialect))
    assert [record.line for record in records] == starts[:-1]
    assert all(record.fields == 3 and record.closed for record in records)
