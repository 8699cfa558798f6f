"""The fast CSV route agrees with pyarrow's reader and the exact casts, on hostile text too, wherever files are cut."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arrowload.connectors.csv import CsvSourceConfig, source
from arrowload.connectors.csv.convert import convert
from arrowload.connectors.csv.source import CsvSource
from arrowload.core.exceptions import DataError
from arrowload.core.state import State
from arrowload.kernels.csv import CsvParser, CsvRanges
from arrowload.models.units import ByteSize, ResourcePath, ResourcePaths

TYPES = [
    pa.string(),
    pa.bool_(),
    *(getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)),
    pa.float64(),
    pa.decimal128(5, 2),
    pa.decimal128(15, 2),
    pa.decimal128(38, 0),
    pa.decimal128(38, 10),
    pa.decimal128(38, 38),
    pa.decimal256(40, 2),
    pa.decimal256(76, 38),
    pa.date32(),
    *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "Europe/Berlin")),
]

digits = st.text("0123456789", max_size=24)
numbers = st.builds(
    "".join, st.tuples(st.sampled_from(["", "-", "+"]), digits, st.sampled_from(["", ".", "e", "E-", "e+"]), digits)
)
ends = st.sampled_from(["", "Z", "z", "+01", "-0530", "+05:30", "+24:00", "+01:60", " ", "+1"])
dates = st.one_of(
    st.dates().map(str),
    st.builds("{:04}-{:02}-{:02}".format, st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32)),
)
times = st.one_of(
    st.times().map(str),
    st.builds("{:02}:{:02}".format, st.integers(0, 25), st.integers(0, 61)),
    st.builds("{:02}:{:02}:{:02}".format, st.integers(0, 24), st.integers(0, 60), st.integers(0, 61)),
    st.builds("{}.{}".format, st.times().map(lambda t: t.strftime("%H:%M:%S")), st.text("0123456789", max_size=10)),
)
moments = st.builds("{}{}{}{}".format, dates, st.sampled_from([" ", "T", "t", "  "]), times, ends)
texts = st.one_of(
    numbers,
    st.integers().map(str),
    st.integers(-(2**63) - 2, 2**64 + 1).map(str),
    st.floats().map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda value: f"{value:.17g}"),
    st.decimals(allow_nan=False, allow_infinity=False).map("{:f}".format),
    dates,
    moments,
    st.sampled_from(["true", "FALSE", "t", "yes", "on", "oN", "0", "1", "\u017f", "nan", "NaN", "-nan", "inf", "-INF"]),
    st.sampled_from(["Infinity", "-", ".", "-.", "--1", "-+1", "1e", "1_0", "0x10", "\u0661", "\N{KELVIN SIGN}"]),
    st.text("0123456789+-.eE:TZ aftx_", max_size=30),
    st.text(max_size=6),
)


def parsed(cells: list[str], kind: pa.DataType, *, exact: bool) -> pa.Array:
    parser = CsvParser(pa.schema([("v", kind)]), [exact])
    parser.feed("".join('"' + cell.replace('"', '""') + '"\n' for cell in cells).encode())
    parser.finish()
    batch = parser.next_batch(100)
    assert batch is not None
    assert parser.next_batch(100) is None
    return batch.column(0)


@given(texts, st.sampled_from(TYPES), st.booleans())
@example("1e-400", pa.float64(), True)
@example("9999-12-31 23:59:59-23:59", pa.timestamp("us", "UTC"), False)
@example("2262-04-11 23:47:16.854775807", pa.timestamp("ns"), False)
@example("1677-09-21 00:12:43.145224192", pa.timestamp("ns"), False)
@example("0.1000000000000000055511151231257827", pa.float64(), True)
def test_a_value_is_that_of_the_exact_cast(text: str, kind: pa.DataType, exact: bool) -> None:
    """Law: what the parser takes, the exact cast takes too and makes the same of; the rest comes as it was written."""
    column = parsed([text], kind, exact=exact)
    if column.type == kind:
        expected = convert(pa.array([text], pa.string()), kind, inferred=exact)
        assert column.equals(expected) or repr(column.to_pylist()) == repr(expected.to_pylist())
    else:
        assert column.equals(pa.array([text.encode()], pa.binary()))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("-12", pa.int64()),
        ("17", pa.uint8()),
        ("1.5", pa.float64()),
        ("0.30000000000000004", pa.float64()),
        ("12345.67", pa.decimal128(15, 2)),
        ("1234567890123456789012.34", pa.decimal128(38, 2)),
        ("True", pa.bool_()),
        ("2024-02-29", pa.date32()),
        ("2024-02-29 12:30:00.123456", pa.timestamp("us")),
        ("2024-02-29T12:30:00+02:00", pa.timestamp("ms", "UTC")),
        ("é", pa.string()),
    ],
)
def test_common_values_take_the_fast_way(text: str, kind: pa.DataType) -> None:
    """The parser's rules are not so narrow that the slow way does the work."""
    assert parsed([text, text], kind, exact=True).type == kind


def test_one_odd_value_leaves_the_other_columns_alone() -> None:
    """The column that has it comes as bytes in its batch, NULLs kept; the next batch is typed again."""
    parser = CsvParser(pa.schema([("a", pa.int64()), ("b", pa.int64())]), [True, True])
    parser.feed(b"1,\n2,+7\n3,8\n4,9\n")
    parser.finish()
    first, second = parser.next_batch(2), parser.next_batch(2)
    assert first is not None
    assert second is not None
    assert first.to_pydict() == {"a": [1, 2], "b": [None, b"+7"]}
    assert second.to_pydict() == {"a": [3, 4], "b": [8, 9]}


# ---------------------------------------------------------------- whole files


bits = ['"', ",", "\n", "\r\n", "1", "a"] * 2
odd_bits = ["\r", "é", "", "\n\n", '"x,1"', "3,4\n", '""', " ", "NA", "\0"]
hostile = st.lists(st.sampled_from(bits + odd_bits), max_size=40).map(lambda parts: "".join(parts).encode())
cells = st.sampled_from(["1", "23", '"a,b"', '"x\ny"', "", '""', '"q""q"', '5" pipe', '"a"b', "1.5", "é"])
regular = st.lists(st.tuples(cells, cells), max_size=40)


def written(rows: list[tuple[str, str]], line_end: str) -> bytes:
    return "".join(f"{a},{b}{line_end}" for a, b in rows).encode()


def outcome(folder: Path, *, slow: bool, n: int, batch_size: int, **options: Any) -> Any:
    """The rows and types, or what was said against them."""
    config = CsvSourceConfig(type="csv", path=ResourcePaths([ResourcePath(folder)]), **options)
    reader = CsvSource(config)
    if slow:
        reader._reader._slow_reason = "to compare"  # type: ignore[attr-defined]
    try:
        with reader.snapshot(State()) as snapshot:
            readers = [snapshot.read_split(split, batch_size=batch_size) for split in snapshot.splits(n)]
            table = pa.Table.from_batches([batch for r in readers for batch in r], snapshot.schema)
    except DataError as error:
        return error.message, error.context.get("line")
    return [str(kind) for kind in table.schema.types], repr(table.to_pylist())


@pytest.mark.fault(58)
@given(
    st.one_of(hostile, st.builds(written, regular, st.sampled_from(["\n", "\r\n", "\r"]))),
    st.sampled_from([b"x,y\n", b"x\n", b"\xef\xbb\xbfx,y\r\n", b'\n"x\n",y\n', b'\xef\xbb\xbf"x,\n","y"\n']),
    st.integers(1, 6),
    st.integers(1, 9),
    st.sampled_from(['"', None, "'"]),
)
@example(b'"\n\0', b"x\n", 1, 1, None)
def test_files_are_read_as_by_the_slow_route(
    body: bytes, header: bytes, n: int, batch_size: int, quote: str | None
) -> None:
    """Law: the same rows in the same types, or the same error on the same line, in however many parts a file is cut."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "MIN_PART", 5)
        folder = Path(name)
        # An empty last cell that the file ends with is an empty text to pyarrow if the cell before it was quoted.
        (folder / "f.csv").write_bytes(header + body + (b"\n" if body.endswith(b",") else b""))
        options: dict[str, Any] = {
            "delimiter": ",", "header": True, "quote": quote, "sample_rows": "all", "null_values": ("", "NA"),
        }  # fmt: skip
        expected = outcome(folder, slow=True, n=1, batch_size=1_000, **options)
        small = options | {"block_size": ByteSize(200)}
        assert outcome(folder, slow=False, n=n, batch_size=1_000, **options) == expected
        assert outcome(folder, slow=False, n=n, batch_size=batch_size, **small) == expected


@given(
    st.lists(st.sampled_from(["1", "x", "+1", "2.5", '"3"', ""]), min_size=1, max_size=60),
    st.integers(1, 6),
)
def test_a_value_that_does_not_fit_has_its_line(values: list[str], n: int) -> None:
    """Law: what is past the sample is taken or refused alike, with the line in the file and not in the part."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "MIN_PART", 5)
        folder = Path(name)
        rows = "".join(f'"{i}\n",{value}\n' for i, value in enumerate(["7", "8", *values]))
        (folder / "f.csv").write_text("k,v\n" + rows)
        options: dict[str, Any] = {"delimiter": ",", "header": True, "sample_rows": 2}
        expected = outcome(folder, slow=True, n=1, batch_size=7, **options)
        assert outcome(folder, slow=False, n=n, batch_size=7, **options) == expected


@pytest.mark.fault(58)
@given(hostile, st.lists(st.integers(0, 120), max_size=4).map(sorted), st.integers(1, 7))
def test_cuts_are_where_records_start(text: bytes, targets: list[int], piece: int) -> None:
    """Law: a cut is behind a line end outside quotes, at its target or after; how the text is fed does not matter."""
    whole, pieces = CsvRanges(targets), CsvRanges(targets)
    whole.feed(text)
    for start in range(0, len(text), piece):
        pieces.feed(text[start : start + piece])
    assert whole.cuts() == pieces.cuts()
    for cut in whole.cuts():
        assert cut == 0 or text[cut - 1] in b"\r\n"
        assert cut >= targets[0]
