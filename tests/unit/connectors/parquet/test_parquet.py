"""Parquet in and out."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from arrowload.connectors.files.part import LocalPart
from arrowload.connectors.parquet import ParquetSourceConfig
from arrowload.connectors.parquet.destination import ParquetFormat
from arrowload.connectors.parquet.source import ParquetSource
from arrowload.core.exceptions import DataError, RecipeError, TransientConnectorError
from arrowload.core.state import State
from arrowload.models.units import ResourcePath, ResourcePaths
from arrowload.planning.capabilities import Split


def source(path, **options):
    return ParquetSource(ParquetSourceConfig(type="parquet", path=ResourcePaths([ResourcePath(path)]), **options))


def read(path, *, splits=1, batch_size=1000, **options):
    with source(path, **options).snapshot(State()) as snapshot:
        readers = [snapshot.read_split(split, batch_size=batch_size) for split in snapshot.splits(splits)]
        return pa.Table.from_batches([batch for reader in readers for batch in reader], snapshot.schema)


TABLE = pa.table(
    {
        "id": pa.array(range(1000)),
        "text": pa.array([None if i % 7 == 0 else f"t{i}" for i in range(1000)]),
        "exact": pa.array([Decimal(i) / 100 for i in range(1000)], pa.decimal128(38, 2)),
        "wide": pa.array([Decimal(i) for i in range(1000)], pa.decimal256(60, 0)),
        "at": pa.array([dt.datetime(2020, 1, 1, microsecond=i) for i in range(1000)], pa.timestamp("us", "UTC")),
        "list": pa.array([[i, None] for i in range(1000)]),
        "struct": pa.array([{"x": i} for i in range(1000)]),
        "a.dotted": pa.array([i % 2 == 0 for i in range(1000)]),
        "word": pa.array(["a", "b"] * 500).dictionary_encode(),
    }
)


@pytest.mark.parametrize("splits", [1, 2, 3, 10, 100])
def test_rows_come_back_whole_and_in_order(tmp_path, splits):
    """However the row groups are dealt out, each row is in one split, in the order of files and rows."""
    pq.write_table(TABLE.slice(0, 600), tmp_path / "0.parquet", row_group_size=100)
    pq.write_table(TABLE.slice(600), tmp_path / "1.parquet", row_group_size=150)
    with source(tmp_path).snapshot(State()) as snapshot:
        assert len(snapshot.splits(splits)) == min(splits, 9)
    assert read(tmp_path, splits=splits, batch_size=77).equals(TABLE)


def test_the_schema_is_that_of_the_files_that_are_read(tmp_path):
    """One that came since the source was first asked is looked at, or its rows would be loaded without a column."""
    pq.write_table(pa.table({"a": [1]}), tmp_path / "0.parquet")
    late = source(tmp_path)
    assert late.schema().names == ["a"]

    pq.write_table(pa.table({"a": [2], "b": ["x"]}), tmp_path / "1.parquet")

    with pytest.raises(DataError, match="do not have the same columns"), late.snapshot(State()):
        pass


def test_splits_are_plain_data(tmp_path):
    """Runs of row groups survive a journey as msgpack, and what arrives reads the same rows."""
    pq.write_table(TABLE.slice(0, 600), tmp_path / "0.parquet", row_group_size=100)
    pq.write_table(TABLE.slice(600), tmp_path / "1.parquet", row_group_size=150)
    with source(tmp_path).snapshot(State()) as snapshot:
        splits = list(snapshot.splits(4))
        arrived = msgspec.msgpack.decode(msgspec.msgpack.encode(splits), type=list[Split])
        tables = [snapshot.read_split(split, batch_size=77).read_all() for split in arrived]

    assert arrived == splits
    assert len(splits) == 4
    assert pa.concat_tables(tables).equals(TABLE)


def test_projection(tmp_path):
    """`columns` gives the order, `exclude` leaves out; a name that is not there is answered with the nearest."""
    pq.write_table(TABLE, tmp_path / "0.parquet")
    assert read(tmp_path, columns=("struct", "a.dotted", "id")).equals(TABLE.select(["struct", "a.dotted", "id"]))
    assert read(tmp_path, exclude=("id", "list")).column_names == [
        name for name in TABLE.column_names if name not in ("id", "list")
    ]
    with pytest.raises(RecipeError, match="did you mean `text`"):
        read(tmp_path, columns=("txt",))
    with pytest.raises(RecipeError, match="no column is left"):
        read(tmp_path, columns=("id",), exclude=("id",))


def test_files_agree_in_any_order_of_columns(tmp_path):
    """The same columns in another order are put in order; what may be NULL in one file may be NULL in all."""
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "0.parquet")
    strict = pa.schema([pa.field("b", pa.string(), nullable=False), pa.field("a", pa.int64(), nullable=False)])
    pq.write_table(pa.table({"b": ["y"], "a": [2]}, schema=strict), tmp_path / "1.parquet")
    table = read(tmp_path)
    assert table.to_pylist() == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert all(field.nullable for field in table.schema)


@pytest.mark.fault(65)
def test_files_that_do_not_agree(tmp_path):
    """Other types and other columns are refused before a row is read, with the file and the column."""
    pq.write_table(pa.table({"a": [1]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "1.parquet")
    with pytest.raises(DataError, match=r"column `a` is string in .*1\.parquet"):
        source(tmp_path).schema()
    pq.write_table(pa.table({"b": [1]}), tmp_path / "1.parquet")
    with pytest.raises(DataError, match=r"1\.parquet.*\['a', 'b'\]"):
        source(tmp_path).schema()


@pytest.mark.fault(59)
def test_a_file_cut_anywhere(tmp_path):
    """Cut short at every kilobyte: refused with its name, and no row looks like success."""
    whole = tmp_path / "whole.parquet"
    pq.write_table(TABLE, whole, row_group_size=100)
    data = whole.read_bytes()
    whole.unlink()
    for cut in [0, 4, *range(1024, len(data), 1024), len(data) - 1]:
        (tmp_path / "cut.parquet").write_bytes(data[:cut])
        with pytest.raises(DataError, match=r"cut\.parquet.*not a whole Parquet file"):
            read(tmp_path)


@pytest.mark.fault(59)
def test_a_damaged_page(tmp_path):
    """Bytes that changed inside a part of ours are found by the checksum of the page."""
    file = LocalPart(tmp_path / "0.parquet")
    writer = ParquetFormat("none").open(file, TABLE.schema)
    writer.write(TABLE.to_batches()[0])
    writer.close()
    file.close()
    data = bytearray((tmp_path / "0.parquet").read_bytes())
    place = data.index(b"t500")
    data[place : place + 4] = b"t501"
    (tmp_path / "0.parquet").write_bytes(data)
    with pytest.raises(DataError, match="not a whole Parquet file"):
        read(tmp_path)


@pytest.mark.fault(60)
def test_a_file_that_grows_while_it_is_read(tmp_path):
    """A file that changed between the listing and its end fails the load; nothing says which rows were the old ones."""
    path = tmp_path / "0.parquet"
    pq.write_table(TABLE, path, row_group_size=100)
    with source(tmp_path).snapshot(State()) as snapshot:
        reader = snapshot.read_split(snapshot.splits(1)[0], batch_size=10)
        reader.read_next_batch()
        pq.write_table(TABLE.slice(0, 10), path)
        with pytest.raises(TransientConnectorError, match="changed after it was listed"):
            reader.read_all()


def test_a_dataset_whose_columns_grew(tmp_path):
    """Parts of a folder that arrowload wrote may lack later columns: those read as NULL, in the types of the log."""
    from arrowload.connectors.files.destination import FileDestination
    from tests.unit.connectors.files.conftest import Dataset

    dataset = Dataset(tmp_path / "out")
    dataset.load(1, [1])
    wider = pa.table({"n": pa.array([2], pa.int64()), "new": ["x"]})
    writer = dataset.begin(
        2, wider, destination=FileDestination(str(dataset.folder), ParquetFormat(), 10**9, scratch=None)
    )
    writer.seal()
    writer.finalize(dataset.entry(2), None)
    assert read(dataset.folder).to_pylist() == [{"n": 1, "new": None}, {"n": 2, "new": "x"}]
    with pytest.raises(DataError, match="same columns"):
        read(dataset.folder / "*.parquet")


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "lz4", "none"])
def test_parts(tmp_path, compression):
    """Every codec gives back the table, as does a reader that knows nothing of us."""
    file = LocalPart(tmp_path / "p.parquet")
    writer = ParquetFormat(compression).open(file, TABLE.schema)
    for batch in TABLE.to_batches(max_chunksize=300):
        writer.write(batch)
    writer.close()
    file.close()
    assert pq.read_table(tmp_path / "p.parquet").equals(TABLE)
    assert file.bytes == (tmp_path / "p.parquet").stat().st_size


def test_row_groups_are_bounded(tmp_path, monkeypatch):
    """A batch larger than a row group may be is cut; small batches are collected; every row is there."""
    from arrowload.connectors.parquet import destination

    monkeypatch.setattr(destination, "_GROUP_BYTES", 4096)
    table = pa.table({"a": range(10_000)})
    file = LocalPart(tmp_path / "p.parquet")
    writer = ParquetFormat().open(file, table.schema)
    for batch in (*table.to_batches(), *table.to_batches(max_chunksize=100)):
        writer.write(batch)
    writer.close()
    file.close()
    meta = pq.read_metadata(tmp_path / "p.parquet")
    sizes = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
    assert sum(sizes) == 20_000
    assert max(sizes) <= 512 + 100
    assert min(sizes[:-1]) >= 500


def test_types_are_those_that_parquet_keeps():
    """What Parquet stores otherwise is said at planning; what it cannot store is refused by column."""
    stored = ParquetFormat().stored_schema(
        pa.schema([("s", pa.timestamp("s")), ("d", pa.date64()), ("u", pa.uuid()), ("j", pa.json_())])
    )
    assert stored.types == [pa.timestamp("ms"), pa.date32(), pa.uuid(), pa.json_()]
    with pytest.raises(RecipeError, match="no form for column `i`"):
        ParquetFormat().stored_schema(pa.schema([("i", pa.month_day_nano_interval())]))
