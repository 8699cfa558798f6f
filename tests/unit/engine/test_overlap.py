"""Rows that two windows share are dropped once for each time they were loaded."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arrowload import kernels
from arrowload.connectors.base import SEEN_SCHEMA, Overlap
from arrowload.core.exceptions import StateError
from arrowload.engine.overlap import SeenRows

Pairs = list[tuple[int, int | None]]

SCHEMA = pa.schema([("v", pa.int64()), ("c", pa.int64())])


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


def test_a_column_that_is_gone_is_refused() -> None:
    """Without it old rows would look new."""
    seen = SeenRows(load([(1, 5)], SEEN_SCHEMA.empty_table(), None, 1)[1], ["v", "c"], Overlap("c", pa.scalar(5), None))

    with pytest.raises(StateError, match="without column `v`"):
        seen.new_rows(pa.record_batch({"c": [5]}))
