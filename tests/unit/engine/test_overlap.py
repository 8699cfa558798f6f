"""Rows that two windows share are dropped once for each time they were loaded."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arrowload import kernels
from arrowload.connectors.base import SEEN_SCHEMA, Overlap
from arrowload.core.exceptions import StateError
from arrowload.engine.overlap import SeenRows, hashed_kind

Pairs = list[tuple[int, int | None]]

SCHEMA = pa.schema([("v", pa.int64()), ("c", pa.int64())])


# The same value, or none, in types that the kernel may tell apart.
MIDNIGHT = dt.datetime(2024, 1, 1)
VALUES = [
    pa.array([7], pa.int16()),
    pa.array([7], pa.uint64()),
    pa.array([7], pa.decimal128(9, 2)),
    pa.array([7], pa.decimal256(50, 1)),
    pa.array([7.0], pa.float32()),
    pa.array([7.0], pa.float64()),
    pa.array(["7"], pa.string()),
    pa.array(["7"], pa.large_string()),
    pa.array(["7"], pa.string_view()),
    pa.array(["7"]).dictionary_encode(),
    pa.array(["7"], pa.json_()),
    pa.array([b"7"], pa.binary()),
    pa.array([b"7"], pa.binary(1)),
    pa.array([True], pa.bool_()),
    pa.array([MIDNIGHT.date()], pa.date32()),
    pa.array([MIDNIGHT.date()], pa.date64()),
    pa.array([MIDNIGHT], pa.timestamp("s")),
    pa.array([MIDNIGHT], pa.timestamp("ns")),
    pa.array([MIDNIGHT], pa.timestamp("us", "UTC")),
    pa.array([MIDNIGHT.time()], pa.time64("us")),
    pa.array([7], pa.duration("s")),
    pa.array([[7]], pa.list_(pa.int8())),
    pa.array([[7]], pa.large_list(pa.int64())),
    pa.array([["7"]], pa.list_(pa.string())),
    pa.array([{"a": 7}], pa.struct({"a": pa.int8()})),
    pa.array([{"b": "7"}], pa.struct({"b": pa.string()})),
    pa.array([[("k", 7)]], pa.map_(pa.string(), pa.int64())),
]


def batches(rows: Pairs, size: int) -> list[pa.RecordBatch]:
    return pa.Table.from_pylist([{"v": v, "c": c} for v, c in rows], SCHEMA).to_batches(max_chunksize=size)


def load(rows: Pairs, earlier: pa.Table, through: int | None, size: int) -> tuple[Pairs, pa.Table]:
    """What of `rows` is new, and what is left for the next window, whose lower bound is the highest cursor."""
    high = max((c for _, c in rows if c is not None), default=None)
    overlap = Overlap(
        "c",
        None if through is None else pa.scalar(through, pa.int64()),
        None if high is None else pa.scalar(high, pa.int64()),
    )
    seen = SeenRows(earlier, ["v", "c"], overlap)
    new = [seen.new_rows(batch) for batch in batches(rows, size)]
    return [(r["v"], r["c"]) for batch in new for r in batch.to_pylist()], seen.left_for_next()


@given(
    first=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1),
    more=st.lists(st.tuples(st.integers(0, 2), st.integers(3, 5))),
    size=st.integers(1, 7),
)
def test_two_windows_load_each_row_once(first: Pairs, more: Pairs, size: int) -> None:
    """Equal rows without a key are told apart by how many there are, however batches are cut."""
    loaded, left = load(first, SEEN_SCHEMA.empty_table(), None, size)
    high = max(c for _, c in first if c is not None)
    second = [row for row in first if row[1] is not None and row[1] >= high] + [
        row for row in more if row[1] is not None and row[1] >= high
    ]

    again, _ = load(second, left, high, size)

    assert Counter(loaded + again) == Counter(first + [row for row in more if row[1] is not None and row[1] >= high])


def test_a_row_that_was_deleted_is_not_held_against_a_new_equal_one() -> None:
    """What is left for the next window is what this window read, not what was ever seen."""
    _, left = load([(1, 5), (1, 5)], SEEN_SCHEMA.empty_table(), None, 10)
    again, left = load([(1, 5)], left, 5, 10)
    assert again == []

    last, _ = load([(1, 5), (1, 5)], left, 5, 10)

    assert last == [(1, 5)]


def test_rows_without_a_cursor_always_pass() -> None:
    """A NULL is on neither side of a bound."""
    _, left = load([(1, 5)], SEEN_SCHEMA.empty_table(), None, 10)

    assert load([(1, None), (1, 5)], left, 5, 10)[0] == [(1, None)]


def test_a_new_column_does_not_make_old_rows_new() -> None:
    """Hashes are compared over the columns that they were taken over."""
    _, left = load([(1, 5)], SEEN_SCHEMA.empty_table(), None, 10)
    wider = pa.record_batch({"extra": ["x", "y"], "v": [1, 2], "c": [5, 5]})
    seen = SeenRows(left, ["v", "c"], Overlap("c", pa.scalar(5), pa.scalar(5)))

    new = seen.new_rows(wider)

    assert new.to_pylist() == [{"extra": "y", "v": 2, "c": 5}]
    assert seen.left_for_next()["row_hash"].to_pylist() == kernels.row_hash(wider).to_pylist()


@pytest.mark.parametrize("absorbed", [False, True])
def test_a_column_of_another_kind_is_refused(absorbed: bool) -> None:
    """Its old hashes fit no row: under append all rows of the boundary would come again, and a merge takes them."""
    _, left = load([(1, 5)], SEEN_SCHEMA.empty_table(), None, 10)
    kinds = [[field.name, hashed_kind(field.type)] for field in SCHEMA]
    batch = pa.record_batch({"v": ["1"], "c": [5]})
    seen = SeenRows(left, kinds, Overlap("c", pa.scalar(5), pa.scalar(5)), absorbed=absorbed)

    if absorbed:
        assert seen.new_rows(batch) == batch
    else:
        with pytest.raises(StateError, match="without column `v` as it was read then: number"):
            seen.new_rows(batch)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(VALUES, 2)), ids=str)
def test_types_of_one_kind_are_those_that_hash_alike(one: pa.Array, other: pa.Array) -> None:
    """What `hashed_kind` says of types is what the kernel does with their values."""
    hashes = [kernels.row_hash(pa.record_batch([values], ["v"])) for values in (one, other)]

    assert (hashed_kind(one.type) == hashed_kind(other.type)) == (hashes[0] == hashes[1])


def test_a_wider_column_is_as_it_was() -> None:
    """Integers and decimals of every width are one kind."""
    _, left = load([(1, 5)], SEEN_SCHEMA.empty_table(), None, 10)
    kinds = [[field.name, hashed_kind(field.type)] for field in SCHEMA]
    batch = pa.record_batch({"v": pa.array([1], pa.int64()).cast(pa.decimal128(38, 2)), "c": [5]})

    assert SeenRows(left, kinds, Overlap("c", pa.scalar(5), pa.scalar(5))).new_rows(batch).num_rows == 0


def test_a_column_that_is_gone_is_refused() -> None:
    """Without it old rows would look new."""
    seen = SeenRows(load([(1, 5)], SEEN_SCHEMA.empty_table(), None, 1)[1], ["v", "c"], Overlap("c", pa.scalar(5), None))

    with pytest.raises(StateError, match="without column `v`"):
        seen.new_rows(pa.record_batch({"c": [5]}))
