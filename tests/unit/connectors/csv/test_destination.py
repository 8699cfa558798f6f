"""CSV out: exact, readable by others, and by ourselves."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
from decimal import Decimal

import pyarrow as pa
import pytest

from arrowload.connectors.base import LedgerEntry, Load
from arrowload.connectors.csv import CsvDestinationConfig, CsvSourceConfig, create_csv_destination
from arrowload.connectors.csv.source import CsvSource
from arrowload.core.exceptions import RecipeError
from arrowload.core.state import State
from arrowload.models.units import ByteSize, ResourcePath, ResourcePaths


def destination(tmp_path, **options):
    return create_csv_destination(CsvDestinationConfig(type="csv", path=ResourcePath(tmp_path / "out"), **options))


def write(target, *tables, mode="append"):
    target.fence("p", "r", (target.head("r", "p").epoch if target.head("r", "p") else 0) + 1, "test")
    for table in tables:
        head = target.head("r", "p")
        seq = head.last.seq + 1 if head.last else 1
        facts = target.target(table.schema, write_mode=mode, merge_keys=())
        common = {"pipeline_id": "p", "recipe": "r", "generation": 0, "seq": seq, "load_id": f"l{seq}"}
        common |= {"epoch": head.epoch, "write_mode": mode}
        writer = target.begin(Load(**common, merge_keys=(), schema=facts.schema))
        writer.stage(table.cast(facts.schema).to_reader())
        rows = writer.seal().rows_staged
        writer.finalize(
            LedgerEntry(
                **common, target="t", lower=None, upper=None, state="{}", schema_fingerprint="", rows_read=rows,
                rows_written=rows, rows_filtered=0, rows_rejected=0, rows_deduplicated=0, content_hash="",
                engine_version="", committed_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            ),
            None,
        )  # fmt: skip


def read_back(tmp_path, **options):
    source = CsvSource(CsvSourceConfig(type="csv", path=ResourcePaths([ResourcePath(tmp_path / "out")]), **options))
    with source.snapshot(State()) as snapshot:
        readers = [snapshot.read_split(split, batch_size=100) for split in snapshot.splits(1)]
        return pa.Table.from_batches([b for r in readers for b in r], snapshot.schema)


TABLE = pa.table(
    {
        "text": pa.array(["a", "", None, 'q"x', "n\r\nl", "c,d", "NA", "007", " é "]),
        "int": pa.array([2**63 - 1, None, -5, 0, 1, 2, 3, 4, 5], pa.int64()),
        "exact": pa.array([Decimal("1.20"), None, *[Decimal("-0.05")] * 7], pa.decimal128(38, 2)),
        "float": pa.array([0.1, 1e300, None, float("-inf"), 1 / 3, -0.0, 5e-324, 1.0, 1e22]),
        "bool": pa.array([True, False, None, *[True] * 6]),
        "at": pa.array([dt.datetime(2020, 1, 1, 1, 2, 3, 5)] * 8 + [None], pa.timestamp("us")),
        "moment": pa.array([dt.datetime(2020, 1, 1, 1, 2, 3, 5)] * 8 + [None], pa.timestamp("us", "UTC")),
        "day": pa.array([dt.date(2024, 2, 29), dt.date(1, 1, 1), *[None] * 7]),
    }
)


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_values_come_back(tmp_path, compression):
    """Every value of every type is what it was, NULL and the empty text told apart."""
    write(destination(tmp_path, compression=compression), TABLE)
    types = {"exact": "decimal(38,2)", "text": "string"}
    assert read_back(tmp_path, columns=types).equals(TABLE)


def test_others_can_read_it(tmp_path):
    """Python's own csv module reads the same texts."""
    write(destination(tmp_path, compression="gzip"), TABLE)
    (part,) = (tmp_path / "out").glob("*.csv.gz")
    with gzip.open(part, "rt", encoding="utf-8", newline="") as file:
        header, *found = list(csv.reader(file))
    assert header == TABLE.column_names
    assert [row[0] for row in found] == [text or "" for text in TABLE["text"].to_pylist()]


def test_a_column_of_nulls_alone(tmp_path):
    """Of a single column, a NULL is an empty line, and is not lost."""
    write(destination(tmp_path), pa.table({"a": pa.array([None, 1, None], pa.int64())}))
    assert read_back(tmp_path)["a"].to_pylist() == [None, 1, None]


def test_parts_have_the_size_asked_for(tmp_path):
    """A part that is full is followed by another, each with its header; rows keep their order."""
    table = pa.table({"a": range(50_000)})
    write(destination(tmp_path, target_file_size=ByteSize(1)), pa.Table.from_batches(table.to_batches(20_000)))
    assert len(list((tmp_path / "out").glob("*.csv"))) == 3
    assert read_back(tmp_path)["a"].to_pylist() == list(range(50_000))


def test_types_without_a_form(tmp_path):
    """Nested, binary and spans of time are refused at planning, by column."""
    for kind in (pa.list_(pa.int64()), pa.struct([("x", pa.int64())]), pa.binary(), pa.duration("us")):
        with pytest.raises(RecipeError, match="no form for column `odd`"):
            destination(tmp_path).target(pa.schema([("odd", kind)]), write_mode="append", merge_keys=())


def test_types_that_become_text(tmp_path):
    """Columns of uuid and json are written as text; a dictionary as its values."""
    schema = pa.schema([("u", pa.uuid()), ("j", pa.json_()), ("d", pa.dictionary(pa.int32(), pa.string()))])
    stored = destination(tmp_path).target(schema, write_mode="append", merge_keys=()).schema
    assert stored.types == [pa.string()] * 3


def test_an_append_has_the_columns_that_are_there(tmp_path):
    """Other columns are refused; the same in another order are put in order; a replace may have any."""
    target = destination(tmp_path)
    write(target, pa.table({"a": [1], "b": ["x"]}))
    facts = target.target(pa.schema([("b", pa.string()), ("a", pa.int32())]), write_mode="append", merge_keys=())
    assert facts.schema == pa.schema([("a", pa.int64()), ("b", pa.string())])
    for names in (["a"], ["a", "b", "c"]):
        schema = pa.schema([(name, pa.string() if name == "b" else pa.int64()) for name in names])
        with pytest.raises(RecipeError, match="same columns"):
            target.target(schema, write_mode="append", merge_keys=())
        assert target.target(schema, write_mode="replace", merge_keys=()).schema == schema
