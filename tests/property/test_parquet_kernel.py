"""Files of the Parquet kernel give back what was written, whoever reads them, and say of it only what is true."""

from __future__ import annotations

import decimal
import io
import random
import struct
import zlib
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrowload.connectors.parquet.encodings import empty_file
from arrowload.core.exceptions import DataError
from arrowload.kernels.parquet import parquet_encoder
from arrowload.testing.strategies import COMMON_TYPES, values
from tests.thrift import read_struct

TYPES = [
    *COMMON_TYPES,
    pa.decimal32(9, 3),
    pa.decimal64(9, 3),
    pa.decimal64(18, 0),
    *(pa.decimal128(digits, 2) for digits in (3, 10, 18, 19, 27)),
    *(pa.decimal256(digits, 5) for digits in (39, 60, 76)),
    pa.large_string(),
    pa.string_view(),
    pa.large_binary(),
    pa.binary_view(),
    pa.binary(3),
    pa.uuid(),
    pa.json_(),
    pa.time32("ms"),
    pa.time64("ns"),
    *(pa.timestamp(unit, zone) for unit in ("ms", "us", "ns") for zone in (None, "UTC", "Europe/Berlin")),
    *map(pa.duration, ("s", "ms", "us", "ns")),
]
DECIMALS = decimal.Context(prec=76)
# What a value of these is kept as has every bit pattern.
_INTEGERS = {pa.time32("ms"): (32, 86_400_000), pa.time64("ns"): (64, 86_400_000_000_000)}
# No value of a view can be taken.
_TAKEN_AS = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary(), pa.large_binary(): pa.binary()}


@st.composite
def pools(draw: st.DrawFn, kind: pa.DataType) -> pa.Array:
    """A few values over the whole range of `kind`."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, draw(pools(kind.storage_type)))
    if kind in _INTEGERS:
        bits, limit = _INTEGERS[kind]
        whole = draw(st.lists(st.integers(0, limit - 1), min_size=1))
        return pa.array(whole, f"int{bits}").view(kind)
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return pa.array(draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1)), pa.int64()).view(kind)
    if pa.types.is_fixed_size_binary(kind):
        width = kind.byte_width
        return pa.array(draw(st.lists(st.binary(min_size=width, max_size=width), min_size=1)), kind)
    return pa.array(draw(st.lists(values(kind), min_size=1)), kind)


@st.composite
def columns(draw: st.DrawFn, kind: pa.DataType, rows: int) -> pa.Array:
    """Values of a pool: one after the other, in runs, in order, or of one kind first and of another then; and NULLs."""
    pool = draw(pools(_TAKEN_AS.get(kind, kind)))
    chance = random.Random(draw(st.integers(0, 2**32)))
    run = draw(st.sampled_from([1, 1, 3, 8, 70, max(1, rows)]))
    some = [chance.randrange(len(pool)) for _ in range(rows // run + 1)]
    if draw(st.booleans()):
        some.sort()
    nulls = draw(st.sampled_from([0.0, 0.0, 0.1, 0.9, 1.0]))
    start = draw(st.integers(0, rows))
    indices = [None if row >= start and chance.random() < nulls else some[row // run] for row in range(rows)]
    return pool.take(pa.array(indices, pa.int32())).cast(kind)


@st.composite
def groups(draw: st.DrawFn, kind: pa.DataType) -> list[pa.Table]:
    """Row groups of one column in some batches, some of them slices, and larger than a page."""
    found = []
    for _ in range(draw(st.integers(0, 3))):
        rows = draw(st.sampled_from([0, 1, 7, 8, 9, 100, 20_000, 20_001, 45_000]))
        column = draw(columns(kind, rows + 3))[draw(st.integers(0, 3)) :][:rows]
        cut = draw(st.integers(0, rows))
        found.append(pa.table({"n": pa.chunked_array([column[:cut], column[cut:]], kind)}))
    return found


def encode(found: list[pa.Table], schema: pa.Schema, *, dictionary: bool, compression: str) -> bytes:
    encoder = parquet_encoder(
        schema, empty_file(schema), dictionaries=[dictionary] * len(schema), compression=compression
    )
    assert encoder is not None, f"{schema} is left to pyarrow"
    file = io.BytesIO()
    for group in found:
        encoder.write_group(group, file.write)
    return file.getvalue() + encoder.finish()


def bits(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floats as integers: a NaN is a NaN only of the same bits."""
    wide = {pa.float32(): pa.int32(), pa.float64(): pa.int64()}.get(column.type)
    return column if wide is None else pa.chunked_array([chunk.view(wide) for chunk in column.chunks], wide)


@pytest.mark.parametrize("kind", TYPES, ids=str)
@given(data=st.data())
@settings(max_examples=12)
def test_values_come_back_and_bounds_hold(kind: pa.DataType, data: st.DataObject) -> None:
    found = data.draw(groups(kind))
    schema = pa.schema([pa.field("n", kind)])
    file = encode(
        found,
        schema,
        dictionary=data.draw(st.booleans()),
        compression=data.draw(st.sampled_from(["zstd", "none"])),
    )
    reader = pq.ParquetFile(io.BytesIO(file), page_checksum_verification=True)
    read, written = reader.read(), pa.concat_tables([schema.empty_table(), *found])
    assert read.schema.equals(pq.read_schema(io.BytesIO(empty_file(schema))))
    assert bits(read.column("n")).cast(bits(written.column("n")).type).equals(bits(written.column("n")))
    assert reader.metadata.num_row_groups == len(found)
    for number, group in enumerate(found):
        column = reader.metadata.row_group(number).column(0)
        assert column.statistics.null_count == group.column("n").null_count
        assert column.num_values == group.num_rows
    check_pages(file, found)


def check_pages(file: bytes, found: list[pa.Table]) -> None:
    """Sizes, checksums, places and rows of every page, and the bounds of pages and columns."""
    footer, _ = read_struct(file, len(file) - 8 - int.from_bytes(file[-8:-4], "little"))
    assert footer[3] == sum(group.num_rows for group in found)
    for group, rows in zip(footer[4], found, strict=True):
        (chunk,) = group[1]
        metadata = chunk[3]
        offsets, _ = read_struct(file, chunk[4])
        at, end = metadata.get(11, metadata[9]), metadata.get(11, metadata[9]) + metadata[7]
        headers = []
        while at < end:
            header, body = read_struct(file, at)
            assert zlib.crc32(file[body : body + header[3]]) == header[4] % 2**32
            headers.append((at, body + header[3] - at, header, body - at + header[2]))
            at = body + header[3]
        assert at == end
        assert group[6] == end - group[5]
        assert metadata[6] == group[2] == sum(size for *_, size in headers)
        pages = [(at, size, header) for at, size, header, _ in headers if header[1] == 0]
        assert [(page[1], page[2]) for page in offsets[1]] == [(at, size) for at, size, _ in pages]
        firsts = [page[3] for page in offsets[1]]
        assert firsts == [sum(header[5][1] for *_, header in pages[:number]) for number in range(len(pages))]
        counts = {(page[1], page[2]): page[3] for page in metadata.get(13, [])}
        assert sum(counts.values()) == len(headers)
        column = rows.column("n")
        check_bounds(column, metadata[12].get(6), metadata[12].get(5))
        if 6 in chunk:
            index, _ = read_struct(file, chunk[6])
            ends = [*firsts[1:], rows.num_rows][: len(firsts)]
            for number, (first, last) in enumerate(zip(firsts, ends, strict=True)):
                part = column.slice(first, last - first)
                assert index[5][number] == part.null_count
                assert index[1][number] == (part.null_count == len(part))
                if not index[1][number]:
                    check_bounds(part, index[2][number], index[3][number])
            check_order(column.type, index)


def check_bounds(column: pa.ChunkedArray, least: bytes | None, greatest: bytes | None) -> None:
    """Both are the least and the greatest value, or there is none."""
    ordered = [value for value in sortable(column) if value is not None and value == value]
    if least is None or greatest is None:
        assert not ordered
        return
    assert bound(column.type, least) == min(ordered)
    assert bound(column.type, greatest) == max(ordered)


def check_order(kind: pa.DataType, index: dict[int, Any]) -> None:
    """Pages are said to ascend when both bounds do, else to descend when both do, else nothing is said."""
    known = [number for number, is_null in enumerate(index[1]) if not is_null]
    sides = [[bound(kind, index[side][number]) for number in known] for side in (2, 3)]
    ascends = all(side == sorted(side) for side in sides)
    descends = all(side == sorted(side, reverse=True) for side in sides)
    assert index[4] == (1 if ascends else 2 if descends else 0)


def sortable(column: pa.ChunkedArray) -> list[Any]:
    """What Parquet orders the values by: numbers, of decimals the digits, of times what is counted, and bytes."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return sortable(column.cast(kind.storage_type))
    if pa.types.is_temporal(kind):
        chunks = [chunk.view(f"int{kind.bit_width}") for chunk in column.chunks]
        return [value for chunk in chunks for value in chunk.to_pylist()]
    values = column.to_pylist()
    if pa.types.is_decimal(kind):
        return [None if value is None else int(value.scaleb(kind.scale, DECIMALS)) for value in values]
    return [value.encode() if isinstance(value, str) else value for value in values]


def bound(kind: pa.DataType, data: bytes) -> Any:
    """What `sortable` makes of a value, from its plain form."""
    if pa.types.is_floating(kind):
        return struct.unpack("<f" if kind == pa.float32() else "<d", data)[0]
    if pa.types.is_boolean(kind):
        return data != b"\0"
    if pa.types.is_integer(kind) or pa.types.is_temporal(kind):
        return int.from_bytes(data, "little", signed=not pa.types.is_unsigned_integer(kind))
    if pa.types.is_decimal(kind):
        is_integer = kind.precision <= 18 and not pa.types.is_decimal256(kind)
        return int.from_bytes(data, "little" if is_integer else "big", signed=True)
    return data


@given(data=st.data())
@settings(max_examples=25)
def test_others_read_the_same(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """DuckDB and Polars, which have decoders of their own, read what pyarrow's own file of the same rows gives them."""
    others = [pa.string_view(), pa.large_binary(), pa.decimal128(27, 2), pa.time32("ms"), pa.timestamp("ms")]
    kinds = data.draw(st.lists(st.sampled_from([*COMMON_TYPES, *others]), min_size=1, max_size=4))
    rows = data.draw(st.sampled_from([0, 1, 9, 20_001]))
    table = pa.table({f"c{number}": data.draw(columns(kind, rows)) for number, kind in enumerate(kinds)})
    ours, theirs = (tmp_path_factory.mktemp("files") / name for name in ("ours.parquet", "theirs.parquet"))
    compression = data.draw(st.sampled_from(["zstd", "none"]))
    ours.write_bytes(encode([table], table.schema, dictionary=data.draw(st.booleans()), compression=compression))
    pq.write_table(table, theirs)
    same = "select count(*) from (from '{}' except all from '{}')"
    assert duckdb.sql(same.format(ours, theirs)).fetchall() == [(0,)]
    assert duckdb.sql(same.format(theirs, ours)).fetchall() == [(0,)]
    assert pl.read_parquet(ours).equals(pl.read_parquet(theirs))


@pytest.mark.parametrize("dictionary", [True, False])
def test_a_dictionary_that_outgrows_its_page_is_given_up(dictionary: bool) -> None:
    """Pages before that keep their indices, those after it have values."""
    texts = pa.table({"n": [f"{row % 1000:>30}" if row < 30_000 else f"{row:>30}" for row in range(200_000)]})
    numbers = pa.table({"n": [row % 1000 if row < 30_000 else row * 2**33 for row in range(400_000)]})
    sparse = pa.table({"n": [*[None] * 45_000, *(row * 2**33 for row in range(400_000))]})
    for table in (texts, numbers, sparse):
        file = encode([table], table.schema, dictionary=dictionary, compression="zstd")
        assert pq.read_table(io.BytesIO(file)).equals(table)
        column = pq.ParquetFile(io.BytesIO(file)).metadata.row_group(0).column(0)
        assert set(column.encodings) == {"PLAIN", "RLE", *(["RLE_DICTIONARY"] if dictionary else [])}
        assert column.has_dictionary_page is dictionary
        check_pages(file, [table])


def test_a_page_ends_when_it_is_large() -> None:
    """And not only when it has many rows; a value larger than a page has one to itself."""
    table = pa.table({"n": ["x" * 300_000, "y" * 3_000_000, None, "z"] * 3})
    file = encode([table], table.schema, dictionary=False, compression="none")
    assert pq.read_table(io.BytesIO(file)).equals(table)
    footer, _ = read_struct(file, len(file) - 8 - int.from_bytes(file[-8:-4], "little"))
    offsets, _ = read_struct(file, footer[4][0][1][0][4])
    assert len(offsets[1]) == 4
    assert 6 not in footer[4][0][1][0], "bounds of pages are not known where values are so long"


def test_columns_of_other_kinds_are_left_to_pyarrow() -> None:
    for kind in (pa.list_(pa.int64()), pa.struct({"a": pa.int64()}), pa.dictionary(pa.int8(), pa.string()), pa.null()):
        schema = pa.schema([("a", pa.int64()), ("n", kind)])
        empty = empty_file(schema)
        assert parquet_encoder(schema, empty, dictionaries=[True, True], compression="zstd") is None
    flat = pa.schema([("a", pa.int64())])
    assert parquet_encoder(flat, empty_file(flat), dictionaries=[True], compression="brotli") is None
    other = empty_file(pa.schema([("a", pa.int32())]))
    assert parquet_encoder(flat, other, dictionaries=[True], compression="zstd") is None
    assert parquet_encoder(flat, b"PAR1", dictionaries=[True], compression="zstd") is None


def test_a_decimal_with_more_digits_than_its_type_is_refused_by_row() -> None:
    for kind, value in ((pa.decimal128(9, 2), 10**12), (pa.decimal128(18, 2), 10**20), (pa.decimal128(19, 0), 10**37)):
        wide = pa.array([None, 1, value], pa.decimal128(38, 0))
        column = pa.Array.from_buffers(kind, 3, wide.buffers(), null_count=1)
        schema = pa.schema([("n", kind)])
        encoder = parquet_encoder(schema, empty_file(schema), dictionaries=[False], compression="none")
        assert encoder is not None
        with pytest.raises(DataError, match=r"column `n`, row 2: .* does not fit") as caught:
            encoder.write_group(pa.table([column], schema=schema), len)
        assert caught.value.context["row"] == 2


def test_what_null_slots_hold_is_not_looked_at() -> None:
    kind = pa.decimal128(9, 2)
    wide = pa.array([5, 10**30], pa.decimal128(38, 0))
    valid = pa.py_buffer(b"\x01")
    column = pa.Array.from_buffers(kind, 2, [valid, wide.buffers()[1]])
    schema = pa.schema([("n", kind)])
    file = encode([pa.table([column], schema=schema)], schema, dictionary=False, compression="none")
    assert pq.read_table(io.BytesIO(file)).column("n").null_count == 1


def test_a_column_without_nulls_has_no_levels_and_takes_none() -> None:
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False)])
    rows = pa.table([pa.array(range(30_000))], schema=schema)
    file = encode([rows], schema, dictionary=False, compression="zstd")
    assert pq.read_table(io.BytesIO(file)).equals(rows)
    check_pages(file, [rows])
    assert pc.max(pq.read_table(io.BytesIO(file)).column("n")).as_py() == 29_999


def test_a_group_of_other_columns_is_refused() -> None:
    """Each batch has the types that the file began with: nothing is taken for what it is not."""
    kinds = {"a": pa.int64(), "b": pa.timestamp("us"), "c": pa.string()}
    schema = pa.schema(kinds)
    for name, kind in (("a", pa.int32()), ("b", pa.timestamp("ns")), ("c", pa.binary())):
        encoder = parquet_encoder(schema, empty_file(schema), dictionaries=[True] * 3, compression="zstd")
        assert encoder is not None
        other = pa.Table.from_pylist([{}], pa.schema({**kinds, name: kind}))
        with pytest.raises(DataError, match=f"column `{name}` is .* where the file has"):
            encoder.write_group(other, len)


def test_geometries_have_no_order_and_are_left_to_pyarrow() -> None:
    """What a registered type is kept as may have a meaning that the rules do not know."""

    class Wkb(pa.ExtensionType):
        def __init__(self) -> None:
            super().__init__(pa.binary(), "geoarrow.wkb")

        def __arrow_ext_serialize__(self) -> bytes:
            return b"{}"

        @classmethod
        def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> Wkb:
            return cls()

    pa.register_extension_type(Wkb())
    try:
        schema = pa.schema([("g", Wkb())])
        empty = empty_file(schema)
        assert "Geometry" in str(pq.ParquetFile(io.BytesIO(empty)).schema)
        assert parquet_encoder(schema, empty, dictionaries=[False], compression="zstd") is None
    finally:
        pa.unregister_extension_type("geoarrow.wkb")
