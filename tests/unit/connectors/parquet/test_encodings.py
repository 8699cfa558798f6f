"""Which columns get a dictionary or statistics, and that the file says so."""

from __future__ import annotations

import decimal
import random
import uuid
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from arrowload.connectors.files.part import LocalPart
from arrowload.connectors.parquet.destination import ParquetFormat
from arrowload.connectors.parquet.encodings import PAGE_BYTES, dictionary_columns, statistics_columns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = 200_000
MAP = pa.map_(pa.string(), pa.string())


def write(table: pa.Table, path: Path) -> None:
    file = LocalPart(path)
    part = ParquetFormat().open(file, table.schema)
    for batch in table.to_batches(max_chunksize=10_000):
        part.write(batch)
    part.close()
    file.close()


def with_distinct(count: int) -> pa.Table:
    chance = random.Random(5)
    return pa.table({"n": pa.array([chance.randrange(count) for _ in range(ROWS)], pa.int64())})


def test_values_that_fit_a_page_get_a_dictionary_and_others_do_not() -> None:
    fitting = PAGE_BYTES // 8
    assert dictionary_columns(with_distinct(fitting * 2 // 3), compressed=True) is True
    assert dictionary_columns(with_distinct(fitting * 3 // 2), compressed=False) == []


def test_values_that_hardly_repeat_get_none_however_few_they_are() -> None:
    """A dictionary with a value for every second row, and an index for each, would be no less than the values."""
    few = ROWS // 8
    assert dictionary_columns(with_distinct(few // 2).slice(0, few), compressed=True) is True
    assert dictionary_columns(with_distinct(few).slice(0, few), compressed=True) == []


@pytest.mark.parametrize("run", [2, 4, 30, 100, ROWS])
@pytest.mark.parametrize("form", [int, str, decimal.Decimal, lambda n: None if n % 3 else f"{n:>20}"])
def test_values_in_runs_get_none_where_a_codec_sees_them(run: int, form: Callable[[int], object]) -> None:
    """An order's key, line by line: once gone, it does not come back."""
    table = pa.table({"n": [form(n // run) for n in range(ROWS)]})
    assert dictionary_columns(table, compressed=True) == ([] if run < 64 else True)
    assert dictionary_columns(table, compressed=False) is True


def test_a_single_value_among_nulls_is_a_run() -> None:
    assert dictionary_columns(pa.table({"n": [1, *[None] * 300_000]}), compressed=True) == []


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"n": pa.array([], pa.int64())}),
        pa.table({"n": pa.nulls(300_000, pa.int64())}),
        pa.table({"n": pa.nulls(300_000)}),
        pa.table({"n": range(1000)}),
        pa.table({"list": [[n, n + 1] for n in range(300_000)]}),
        pa.table({}),
    ],
    ids=["no rows", "NULLs", "null", "less than a page", "list", "no columns"],
)
def test_nothing_to_judge_by_changes_nothing(table: pa.Table) -> None:
    assert dictionary_columns(table, compressed=True) is True


def test_the_leaves_of_nested_columns_keep_theirs(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": [str(uuid.UUID(int=n)) for n in range(ROWS)],
            "tags": [[n % 3] for n in range(ROWS)],
            "who": [{"name": f"n{n % 7}", "at": [n % 5]} for n in range(ROWS)],
        }
    )
    path = tmp_path / "part.parquet"
    write(table, path)
    assert pq.read_table(path).equals(table)
    group = pq.ParquetFile(path).metadata.row_group(0)
    encodings = {
        group.column(n).path_in_schema: "RLE_DICTIONARY" in group.column(n).encodings for n in range(group.num_columns)
    }
    assert encodings == {
        "id": False,
        "tags.list.element": True,
        "who.name": True,
        "who.at.list.element": True,
    }


def test_long_texts_get_no_statistics(tmp_path: Path) -> None:
    """Of which parquet-cpp would find bounds, at six times their memory, and write none."""
    table = pa.table({"id": [1, 2], "text": ["x" * 5000, None], "list": [[1] * 5000, []], "short": ["a", "b"]})
    assert statistics_columns(table.drop_columns("text")) is True
    assert statistics_columns(table) == ["id", "list.list.element", "short"]
    write(table, tmp_path / "part.parquet")
    group = pq.ParquetFile(tmp_path / "part.parquet").metadata.row_group(0)
    assert [group.column(index).is_stats_set for index in range(4)] == [True, False, True, True]


def test_texts_are_long_wherever_they_are_and_short_however_few() -> None:
    text = "x" * 5000
    nested = {"list": [[text]], "struct": [{"a": 1, "b": text}], "map": pa.array([[("a", text)]], MAP)}
    json = pa.ExtensionArray.from_storage(pa.json_(), pa.array([f'"{text}"']))
    sparse = ["ab", *[None] * 100_000]
    assert statistics_columns(pa.table({**nested, "json": json})) == []
    assert statistics_columns(pa.table({"sparse": sparse, "none": pa.nulls(len(sparse), pa.string())})) is True
