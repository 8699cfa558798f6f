"""Rows as a table, as CSV and as JSON lines."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import io
import json
import uuid

import pyarrow as pa
import pytest

from arrowload.cli.tables import render


def lines(table: pa.Table, kind: str, width: int | None = None) -> list[str]:
    return "".join(render(table, kind, width)).splitlines()


VALUES = [
    (pa.array([1.0, 0.1, 1e300, None]), ["1.0", "0.1", "1e+300", None]),
    (pa.array([decimal.Decimal("1.20")], pa.decimal128(38, 20)), ["1.20000000000000000000"]),
    (pa.array([True, None]), ["true", None]),
    (pa.array([b"\xff\x00"]), ["\\xff00"]),
    (pa.array([dt.date(2026, 1, 31)]), ["2026-01-31"]),
    (pa.array([1], pa.timestamp("ns", "UTC")), ["1970-01-01 00:00:00.000000001Z"]),
    (pa.array([dt.timedelta(days=1, seconds=2)], pa.duration("us")), ["P1DT2S"]),
    (pa.array([uuid.UUID(int=1).bytes], pa.uuid()), ["00000000-0000-0000-0000-000000000001"]),
    (pa.array(['{"a": 1}'], pa.json_()), ['{"a": 1}']),
    (pa.array([[1, None], None]), ["[1,null]", None]),
    (pa.array([{"a": dt.date(2026, 1, 31)}]), ['{"a":"2026-01-31"}']),
    (pa.array(["x", None]).dictionary_encode(), ["x", None]),
    (pa.nulls(1), [None]),
]


@pytest.mark.parametrize(("array", "texts"), VALUES, ids=lambda value: str(getattr(value, "type", "")))
def test_values_keep_all_of_themselves(array: pa.Array, texts: list[str | None]) -> None:
    """Every type has a text that loses nothing."""
    written = lines(pa.table({"c": array, "n": range(len(array))}), "csv")

    rows = list(csv.reader(io.StringIO("\n".join(written[1:]))))

    assert [row[0] for row in rows] == [text or "" for text in texts]


def test_a_value_that_python_lacks() -> None:
    """A timestamp far beyond the year 9999 within a list is shown, and ends nothing."""
    table = pa.table({"c": pa.array([[2**62]], pa.list_(pa.timestamp("us")))})

    assert "4611686018427387904" in lines(table, "csv")[1]
    assert "4611686018427387904" in json.loads(lines(table, "jsonl")[0])["c"]


def test_csv_tells_null_from_empty() -> None:
    """NULL is nothing, an empty text is a pair of quotes; what needs quotes has them."""
    table = pa.table({"a": [None, "", 'say "hi"', "x,y", "two\nlines", " padded"], "b": list(range(6))})

    assert "".join(render(table, "csv")) == ('a,b\n,0\n"",1\n"say ""hi""",2\n"x,y",3\n"two\nlines",4\n" padded",5\n')


def test_json_lines() -> None:
    """Numbers that JSON holds stay numbers; decimals and times become text."""
    table = pa.table(
        {
            "i": [2**60],
            "f": [0.1],
            "b": [True],
            "d": pa.array([decimal.Decimal("1.10")]),
            "t": pa.array([0], pa.timestamp("us", "UTC")),
            "n": pa.array([None], pa.string()),
            "l": [[1, 2]],
        }
    )

    assert lines(table, "jsonl") == [
        '{"i":1152921504606846976,"f":0.1,"b":true,"d":"1.10","t":"1970-01-01 00:00:00.000000Z","n":null,"l":[1,2]}'
    ]


def test_a_table_for_people() -> None:
    """Names, types, numbers to the right, NULL by name, wide characters measured, long values cut."""
    table = pa.table({"id": [1, 20], "name": ["日本", None], "text": ["x" * 50, "a\tb\x1b[0m"]})

    assert lines(table, "table") == [
        "   id  name    text",
        "int64  string  string",
        "-----  ------  " + "-" * 40,
        "    1  日本    " + "x" * 39 + "…",
        "   20  NULL    a\\tb\\x1b[0m",
    ]


def test_a_table_that_is_too_wide() -> None:
    """Columns that do not fit are named instead of broken; one is always shown."""
    table = pa.table({"first": ["1234567890"], "second": [1], "third": [2]})

    assert lines(table, "table", 20)[-1] == "and 1 more columns: third"
    assert lines(table, "table", 3)[0] == "first"


def test_no_rows_and_no_columns() -> None:
    """Nothing is shown as nothing."""
    empty = pa.table({"a": pa.array([], pa.int64())})

    assert lines(empty, "csv") == ["a"]
    assert lines(empty, "jsonl") == []
    assert lines(empty, "table") == ["    a", "int64", "-----"]
