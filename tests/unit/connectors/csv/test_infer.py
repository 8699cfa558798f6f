"""Which type a column of texts has."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arrowload.connectors.csv.convert import convert
from arrowload.connectors.csv.infer import ColumnProfile, is_damaged_by_double


def infer(*texts, pieces=1):
    profile = ColumnProfile()
    size = -(-len(texts) // pieces) or 1
    for start in range(0, len(texts), size):
        profile.feed(pa.array(texts[start : start + size], pa.string()))
    return profile.result()


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], "string"),
        ([None, None], "string"),
        (["1", "-5", "0", None], "int64"),
        (["9223372036854775807", "-9223372036854775808"], "int64"),
        (["9223372036854775808", "1"], "decimal128(38, 0)"),
        (["9" * 39], "string"),
        (["007", "8"], "string"),
        (["+1"], "string"),
        (["-0"], "double"),
        (["1", "2.5"], "double"),
        ([".5", "5.", "-0.25", "1e-05", "1.5E3", "NaN", "-inf"], "double"),
        (["12E4", "3e10"], "string"),
        (["0.1", "0.30000000000000004"], "double"),
        (["1.E400", "0.5"], "string"),
        (["1.0E-400"], "string"),
        (["0.1", "12345678901234567.5"], "decimal128(38, 1)"),
        (["1.5", "12345678901234567.5", "1e-05"], "string"),
        (["9" * 37 + ".12"], "string"),
        (["true", "FALSE"], "bool"),
        (["true", "1"], "string"),
        (["yes", "no"], "string"),
        (["2024-02-29", "0001-01-01", "9999-12-31"], "date32[day]"),
        (["2023-02-29"], "string"),
        (["0000-01-01", "2024-01-01"], "string"),
        (["0000-12-31 10:00:00"], "string"),
        (["0001-01-01 00:00:00+05"], "string"),
        (["9999-12-31 23:00:00-05"], "string"),
        (["1677-09-22 00:00:00.123456789", "2024-01-01 10:00"], "timestamp[ns]"),
        (["2300-01-01 00:00:00.123456789", "2024-01-01 10:00"], "string"),
        (["2300-01-01 00:00:00", "2024-01-01 10:00:00.1234567"], "string"),
        (["1e-4092233720368547758080", "0.5"], "string"),
        (["2024-1-5"], "string"),
        (["31/12/2024"], "string"),
        (["20240101"], "int64"),
        (["2024-01-01 10:00", "2024-01-01T10:00:00.123456"], "timestamp[us]"),
        (["2024-01-01 10:00:00.1234567"], "timestamp[ns]"),
        (["2024-01-01 10:00:00Z", "2024-01-01T10:00:00+05:30"], "timestamp[us, tz=UTC]"),
        (["2024-01-01 10:00:00Z", "2024-01-01 10:00:00"], "string"),
        (["2024-01-01 25:00:00"], "string"),
        ([" 1"], "string"),
        (["", "1"], "string"),
        (["1", "x"], "string"),
    ],
)
def test_types(texts, expected):
    """The narrowest type that holds every text without changing it; where none does, text."""
    assert str(infer(*texts)) == expected
    assert str(infer(*texts, pieces=len(texts) or 1)) == expected
    assert str(infer(*reversed(texts))) == expected


def test_one_text_late_in_the_sample_counts():
    """The glance at the first few decides nothing by itself."""
    assert infer(*["1"] * 5_000, "x") == pa.string()
    assert infer(*["1"] * 5_000, "2.5") == pa.float64()


days = st.builds("{:04}-{:02}-{:02}".format, st.integers(0, 9999), st.integers(1, 12), st.integers(1, 28))
hours = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(" T"),
    st.times().map(lambda time: f"{time:%H:%M:%S}"),
    st.sampled_from(["", ".5", ".123456", ".1234567"]),
    st.sampled_from(["", "Z", "+05", "-1130"]),
)
cells = st.one_of(
    days,
    st.builds("{}{}".format, days, hours),
    st.integers().map(str),
    st.floats().map(repr),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.dates().map(str),
    st.datetimes().map(str),
    st.booleans().map(str),
    st.text("0123456789+-.eE", max_size=25),
    st.none(),
)


@given(st.lists(cells, max_size=8))
def test_what_is_inferred_from_all_holds_all(texts):
    """Law: a type inferred from every text converts every text, by the strict rules."""
    column = pa.array(texts, pa.string())
    inferred = infer(*texts)
    converted = convert(column, inferred, inferred=True)
    assert converted.type == inferred
    assert converted.null_count == column.null_count


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3))
def test_inferred_numbers_keep_their_value(number):
    """Law: the number that comes out is the number that was written."""
    text = f"{number:f}"
    (value,) = convert(pa.array([text]), infer(text), inferred=True).cast(pa.string()).to_pylist()
    from decimal import Decimal

    assert Decimal(value) == number


@pytest.mark.parametrize(
    ("text", "damaged"),
    [("0.1", False), ("1e400", True), ("inf", False), ("NaN", False), ("9007199254740993", True), ("1e-400", True)],
)
def test_is_damaged_by_double(text, damaged):
    """A double gives back what it was read from, or it does not."""
    assert is_damaged_by_double(text) is damaged
