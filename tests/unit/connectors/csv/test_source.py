"""CSV in: what is read, and what is refused with a line."""

from __future__ import annotations

import datetime as dt
import gzip
import random
from decimal import Decimal

import msgspec
import pyarrow as pa
import pytest

from arrowload.connectors.csv import CsvSourceConfig
from arrowload.connectors.csv.source import CsvSource
from arrowload.core.exceptions import DataError, RecipeError
from arrowload.core.state import State
from arrowload.models.units import ByteSize, ResourcePath, ResourcePaths
from arrowload.planning.capabilities import Split

NUMBERS = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * 7919 % 10007) for i in range(20_000))


@pytest.fixture
def read(tmp_path):
    """Read files of these contents, as one source; options are those of the recipe."""

    def read(*contents, name="f.csv", batch_size=1000, **options):
        for i, content in enumerate(contents):
            (tmp_path / f"{i}{name}").write_bytes(content)
        source = CsvSource(CsvSourceConfig(type="csv", path=ResourcePaths([ResourcePath(tmp_path)]), **options))
        schema = source.schema()
        with source.snapshot(State()) as snapshot:
            readers = [snapshot.read_split(split, batch_size=batch_size) for split in snapshot.splits(1)]
            return pa.Table.from_batches([batch for reader in readers for batch in reader], schema)

    return read


def rows(table):
    return [tuple(row.values()) for row in table.to_pylist()]


def types(table):
    return [str(kind) for kind in table.schema.types]


# ---------------------------------------------------------------- how files are written


@pytest.mark.fault(58)
@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,x\n2,y\n",
        b"a,b\n1,x\n2,y",
        b"a,b\r\n1,x\r\n2,y\r\n",
        b"a,b\r1,x\r2,y\r",
        b"a,b\r\n1,x\n2,y\r",
        b'\xef\xbb\xbf"a",b\n1,x\n2,y\n',
        b'"a","b"\n"1","x"\n"2","y"\n',
        b"\n\na,b\n\n1,x\n\n\n2,y\n\n",
        b"a;b\n1;x\n2;y\n",
        b"a\tb\n1\tx\n2\ty\n",
        b"a|b\n1|x\n2|y\n",
    ],
)
def test_ways_to_write_the_same(read, content):
    """Line ends, byte order marks, quotes, blank lines and the common delimiters are found out."""
    table = read(content)
    assert table.schema.names == ["a", "b"]
    assert rows(table) == [(1, "x"), (2, "y")]


@pytest.mark.fault(58)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252", "utf-8-sig", "utf-32"])
def test_encodings(read, encoding):
    """Any encoding that Python knows; characters cut by a block's edge stay whole."""
    text = "näme,b\n" + "é§,2\n" * 5_000
    table = read(text.encode(encoding), encoding=encoding, block_size=ByteSize(1000))
    assert table.schema.names == ["näme", "b"]
    assert rows(table) == [("é§", 2)] * 5_000


@pytest.mark.fault(58)
@pytest.mark.parametrize("block", [*range(60, 85), 1 << 20])
def test_quotes_and_newlines_over_the_edge_of_a_block(read, block):
    """Where a block ends alters no row."""
    expected = [(f'x\n{i},"q"\r\n', i) for i in range(300)]
    content = b"a,b\n" + b"".join(f'"x\n{i},""q""\r\n",{i}\n'.encode() for i in range(300))
    assert rows(read(content, block_size=ByteSize(block))) == expected


def test_null_and_the_empty_text_differ(read):
    """Nothing is NULL, a pair of quotes is an empty text."""
    assert rows(read(b'a,b\n,""\n"",\n')) == [(None, ""), ("", None)]


def test_an_empty_cell_that_the_file_ends_with(read):
    """It is NULL, with a line end behind it or without."""
    assert rows(read(b'a,b\n"x",\n')) == rows(read(b'a,b\n"x",')) == [("x", None)]


def test_null_values(read):
    """Unquoted tokens are NULL, quoted ones are text; the list takes the default's place."""
    content = b'a,b,c\nNA,1,x\n3,NA,""\n,2,"NA"\n'
    assert rows(read(content, null_values=("", "NA"))) == [(None, 1, "x"), (3, None, ""), (None, 2, "NA")]
    assert rows(read(content, null_values=("NA",)))[2] == ("", 2, "NA")


def test_a_blank_line_is_a_row_where_there_is_one_column(read):
    """A NULL in a file of one column is an empty line, and counts."""
    assert rows(read(b"a\n1\n\n2\n\n")) == [(1,), (None,), (2,), (None,)]
    assert rows(read(b"a\n\n\n")) == [(None,), (None,)]
    assert rows(read(b'"a\nb"\n\n')) == [(None,)]


def test_no_header(read):
    """Columns get names by their place; auto takes a first row with a number for data."""
    assert read(b"1,x\n2,y\n").schema.names == ["column_1", "column_2"]
    assert rows(read(b"x,y\nz,w\n", header=False)) == [("x", "y"), ("z", "w")]
    assert rows(read(b"1,2\n3,4\n", header=True)) == [(3, 4)]


def test_a_header_without_rows(read):
    """Columns of unknown type are text, with a newline at the end or without; other files may know better."""
    assert rows(read(b"a,b\n")) == []
    assert types(read(b"a,b")) == ["string", "string"]
    assert rows(read(b'"a\nx",b\r\n\r\n')) == []
    assert types(read(b"a,b", b"a,b\n1,2\n")) == ["int64", "int64"]


def test_a_blank_name(read):
    """R writes row numbers under no name."""
    assert read(b'"",x\n1,2\n').schema.names == ["column_1", "x"]


def test_skip_rows_quote_and_escape(read):
    """A preamble, other quotes, none, and backslashes."""
    assert rows(read(b"it's \"odd\n\na,b\n1,2\n", skip_rows=2)) == [(1, 2)]
    assert rows(read(b"a,b\n'x,y',2\n", quote="'")) == [("x,y", 2)]
    assert rows(read(b'a,b\n"x,2\n', quote=None)) == [('"x', 2)]
    assert rows(read(b'a,b\n"x\\"y",2\n', escape="\\")) == [('x"y', 2)]


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("zst", None)])
def test_packed(read, ending, pack):
    """Packed with gzip or zstd, by the ending of the name, several members in one file included."""
    packed = (pack or (lambda data: pa.compress(data, codec="zstd", asbytes=True)))(NUMBERS)
    more = (pack or (lambda data: pa.compress(data, codec="zstd", asbytes=True)))(b"-1,-2\n")
    table = read(packed + more, name=f"f.csv.{ending}")
    assert table.num_rows == 20_001
    assert rows(table.slice(20_000)) == [(-1, -2)]


@pytest.mark.fault(56)
def test_ten_thousand_columns(read):
    """A row of 70 kB is a row like others."""
    names = ",".join(f"c{i}" for i in range(10_000))
    table = read((names + "\n" + (",".join(["123456"] * 10_000) + "\n") * 20).encode())
    assert (table.num_rows, table.num_columns) == (20, 10_000)
    assert table.schema.field("c9999").type == pa.int64()


def test_files_of_one_source_agree_on_types(read):
    """Types come from all files; columns are matched by name, whatever their order."""
    table = read(b"a,b\n1,2\n", b"b,a\n3,4.5\n")
    assert types(table) == ["double", "int64"]
    assert rows(table) == [(1.0, 2), (4.5, 3)]


def test_the_order_of_rows_is_kept(read):
    """Rows come in the order of the file, in batches of about the size asked for."""
    table = read(NUMBERS, batch_size=3_000)
    assert table["a"].to_pylist() == list(range(20_000))


def test_splits_read_each_file_once(tmp_path):
    """However many splits are asked for, every row is in one."""
    for i in range(5):
        (tmp_path / f"{i}.csv").write_text(f"a\n{i}\n")
    source = CsvSource(CsvSourceConfig(type="csv", path=ResourcePaths([ResourcePath(tmp_path)])))
    with source.snapshot(State()) as snapshot:
        for n in (1, 2, 5, 9):
            splits = snapshot.splits(n)
            assert len(splits) == min(n, 5)
            tables = [snapshot.read_split(s, batch_size=10).read_all() for s in splits]
            assert pa.concat_tables(tables)["a"].to_pylist() == [0, 1, 2, 3, 4]


def test_splits_are_plain_data(tmp_path, monkeypatch):
    """Whole files and ranges of one survive a journey as msgpack, and what arrives reads the same rows."""
    monkeypatch.setattr("arrowload.connectors.csv.source.MIN_PART", 1000)
    (tmp_path / "0.csv").write_bytes(NUMBERS)
    (tmp_path / "1.csv").write_text("a,b\n20000,0\n")
    source = CsvSource(CsvSourceConfig(type="csv", path=ResourcePaths([ResourcePath(tmp_path)])))
    with source.snapshot(State()) as snapshot:
        splits = list(snapshot.splits(3))
        arrived = msgspec.msgpack.decode(msgspec.msgpack.encode(splits), type=list[Split])
        tables = [snapshot.read_split(split, batch_size=1000).read_all() for split in arrived]

    assert arrived == splits
    assert len(splits) == 3
    assert pa.concat_tables(tables)["a"].to_pylist() == list(range(20_001))


# ---------------------------------------------------------------- what is refused


@pytest.mark.fault(58)
@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"a,b\n1,2\n3\n", 3, "1 fields where 2"),
        (b"a,b\n1,2\n3,4,5\n", 3, "3 fields where 2"),
        (b'a,b\n"x\ny",2\n\n\n"p","q\nr",5\n', 6, "3 fields where 2"),
        (b"a,b\r1,2\r3\r", 3, "1 fields where 2"),
        (b'a,b\n1,2\n"3,4\n5,6\n', 3, "ends inside the quotes"),
        (b'a,b\n1,2\n3,"4\n5,6\n', 3, "ends inside the quotes"),
        (b'a,b\n1,2\n3,"4', 3, "ends inside the quotes"),
        (b'a,b\n1,2\n3,"4""\n', 3, "ends inside the quotes"),
        (b'a,b\n"1\n",2\n\xff,4\n', 4, "is no UTF-8"),
        (b"a\0b,c\n1,2\n", 1, "has a NUL"),
        (b"\nGr\xf6\xdfe,b\n1,2\n", 2, r"the name b'Gr.xf6.xdfe' is no UTF-8"),
        (b"a,b\n" + b'"1\n",2\n' * 500 + b"\xff,4\n", 1002, "is no UTF-8"),
        (b"a,b\n" + b"1,2\n" * 90_000 + b"3\n", 90_002, "1 fields where 2"),
        (b"a,b\n" + b"1,2\n" * 90_000 + b"\xff,4\n", 90_002, "is no UTF-8"),
    ],
)
@pytest.mark.parametrize("sample_rows", [20_480, "all"])
def test_broken_rows(read, content, line, said, sample_rows):
    """A row that breaks the rules is reported with the line that it starts on, by the sample or later."""
    with pytest.raises(DataError, match=said) as caught:
        read(content, sample_rows=sample_rows)
    assert caught.value.context["line"] == line
    assert f"line {line}" in caught.value.message


@pytest.mark.parametrize(
    ("first", "bad", "said"),
    [
        ("1", "x", "is no int64"),
        ("1", "1.5", "is no int64"),
        ("1", "007", "would not stay"),
        ("1", "-0", "would not stay"),
        ("1", "0x10", "is no int64"),
        ("1", "9223372036854775808", "is no int64"),
        ("1.5", "007.5", "would not stay"),
        ("1.5", "+1", "would not stay"),
        ("1.5", "12E4", "would not stay"),
        ("1.5", "1.12345678901234567890", "would not stay"),
        ("1.5", "1e400", "is no float64"),
        ("99999999999999999999", "0099999999999999999999", "would not stay"),
        ("99999999999999999999", "1.5", "is no decimal"),
        ("true", "yes", "would not stay"),
        ("2024-01-01", "2024-02-30", "is no date"),
        ("2024-01-01", "01/02/2024", "is no date"),
        ("2024-01-01 00:00:00", "2024-01-01 00:00:00Z", "is no timestamp"),
        ("2024-01-01 00:00:00Z", "2024-01-01 00:00:00", "is no timestamp"),
        ("2024-01-01 00:00:00", "2024-01-01 00:00:00.1234567", "is no timestamp"),
    ],
)
def test_a_value_past_the_sample_that_does_not_fit(read, first, bad, said):
    """Line, column and value are named, and the two ways out; with the whole file as sample it is no error."""
    content = "n,v\n" + f'"1\n",{first}\n' * 40 + "2,\n" + f"3,{bad}\n4,{first}\n"
    with pytest.raises(DataError, match=said) as caught:
        read(content.encode(), sample_rows=10)
    assert {**caught.value.context, "path": None, "type": None} == {
        "path": None, "line": 83, "column": "v", "type": None,
    }  # fmt: skip
    assert bad in caught.value.message
    assert "columns: {v: string}" in caught.value.hint
    assert "sample_rows: all" in caught.value.hint

    assert read(content.encode(), sample_rows="all")["v"].cast(pa.string()).null_count == 1


@pytest.mark.fault(59)
@pytest.mark.parametrize("codec", ["gz", "zst"])
def test_a_packed_file_that_is_cut_anywhere(read, codec):
    """Cut short at every kilobyte, and by a single byte: refused, and no row looks like success."""
    noise = random.Random(7)
    plain = b"a\n" + b"".join(b"%d\n" % noise.getrandbits(60) for _ in range(2_000))
    packed = gzip.compress(plain) if codec == "gz" else pa.compress(plain, codec="zstd", asbytes=True)
    for cut in [0, 1, 5, *range(1024, len(packed), 1024), len(packed) - 4, len(packed) - 1]:
        with pytest.raises(DataError, match=r"cut short|empty"):
            read(packed[:cut], name=f"f.csv.{codec}")


@pytest.mark.fault(59)
def test_a_wrong_checksum(read):
    """A bit that flipped in a gzip file is found."""
    packed = bytearray(gzip.compress(NUMBERS))
    packed[-6] ^= 1
    with pytest.raises(DataError, match="damaged"):
        read(bytes(packed), name="f.csv.gz")


@pytest.mark.fault(64)
def test_a_bomb(read, monkeypatch):
    """A file that unpacks into thousands of times its size is refused before it fills anything."""
    from arrowload.connectors.csv import text

    monkeypatch.setattr(text, "_RATIO_COUNTS_FROM", 1024**2)
    bomb = pa.compress(b"a,b\n" + b"0,0\n" * 10_000_000, codec="zstd", asbytes=True)
    with pytest.raises(DataError, match="times its size"):
        read(bomb, name="f.csv.zst")


def test_an_empty_file(read):
    """Not even a header: an error, unless the recipe says that there is none."""
    with pytest.raises(DataError, match="not even a header"):
        read(b"")
    with pytest.raises(DataError, match="not even a header"):
        read(b"\n\n")
    assert rows(read(b"", b"1,2\n", header=False)) == [(1, 2)]
    with pytest.raises(DataError, match="every file is empty"):
        read(b"", b"", header=False)


def test_open_quotes_beside_a_quote_within_a_cell(read):
    """Refused by pyarrow's route too, though the number of quotes is even and no newline ends the file."""
    with pytest.raises(DataError, match="ends inside the quotes") as caught:
        read(b'a,b\n1,5" pipe\n2,"x', escape="\\")
    assert caught.value.context["line"] == 3


@pytest.mark.fault(55)
def test_a_wrong_encoding(read):
    """An odd byte at the end of UTF-16 is an error, not a lost character; an encoding must be one."""
    with pytest.raises(DataError, match="encoding"):
        read("a,b\né,2\n".encode("utf-16")[:-1], encoding="utf-16")
    with pytest.raises(RecipeError, match="`klingon` is no encoding"):
        read(b"a\n1\n", encoding="klingon")


def test_a_row_longer_than_a_block(read):
    """Refused with the key to set; with that, read."""
    content = b"a,b\n1," + b"x" * 300_000 + b"\n2,y\n"
    with pytest.raises(DataError, match=r"longer than 64KiB.*block_size"):
        read(content, block_size=ByteSize(65_536))
    assert rows(read(content, block_size=ByteSize(400_000)))[1] == (2, "y")


@pytest.mark.fault(56)
def test_a_cell_of_megabytes(read):
    """A large cell, in the first row or later, is read when a block holds it."""
    cell = "y" * 3_000_000
    content = f"a,b\n1,{cell}\n2,{cell}\n".encode()
    assert rows(read(content, block_size=ByteSize(4 * 1024**2))) == [(1, cell), (2, cell)]


def test_two_columns_of_one_name(read):
    """Nothing says which is meant."""
    with pytest.raises(DataError, match="share a name: a"):
        read(b"a,a\n1,2\n")


@pytest.mark.fault(65)
def test_files_with_other_columns(read):
    """The file that differs is named, with what it lacks and has."""
    with pytest.raises(DataError, match=r"1f\.csv.*missing \['b'\], new \['c'\]"):
        read(b"a,b\n1,2\n", b"a,c\n3,4\n")


# ---------------------------------------------------------------- types that the recipe names


def test_declared_types(read):
    """A type that the recipe names takes what it can hold, leading zeros included."""
    table = read(
        b"zip,price,day,at,text\n007,1.50,2024-02-29,12:30:00.25,1\n",
        columns={"zip": "int", "price": "decimal(15,2)", "day": "date", "at": "time", "text": "string"},
    )
    assert rows(table) == [(7, Decimal("1.50"), dt.date(2024, 2, 29), dt.time(12, 30, 0, 250_000), "1")]


def test_a_declared_type_that_does_not_hold_a_value(read):
    """Digits are not rounded away, and the sample is not blamed."""
    with pytest.raises(DataError, match=r"line 3, column `p`: `1\.555` is no decimal\(15,2\)") as caught:
        read(b"p\n1.50\n1.555\n", columns={"p": "decimal(15,2)"})
    assert "sample_rows" not in caught.value.hint


@pytest.mark.parametrize(
    ("columns", "said"),
    [({"pricee": "int"}, "did you mean `price`"), ({"price": "intt"}, "intt"), ({"price": "list<int>"}, "CSV")],
)
def test_a_declared_type_that_is_none(read, columns, said):
    """A wrong name of a column or of a type, and a type that text cannot become, are errors of the recipe."""
    with pytest.raises(RecipeError, match=said):
        read(b"price\n1\n", columns=columns)
