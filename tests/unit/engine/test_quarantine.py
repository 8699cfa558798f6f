"""The rows that a load refuses, while it gathers them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from arrowload.core.exceptions import DataError
from arrowload.core.rejection import REJECTED_SCHEMA, Rejection, source_row
from arrowload.engine.quarantine import Quarantine

BATCH_BYTES = 8 * 2**20


def rejection(row: pa.RecordBatch) -> Rejection:
    return Rejection("row 1", "n", "target", "`7` is no int", "7", row)


def test_a_refused_row_does_not_keep_its_batch_in_memory() -> None:
    """One row of each of ten large batches: their bytes are given back, and the rows are there."""
    quarantine = Quarantine(10, 10)
    before = pa.total_allocated_bytes()

    for number in range(10):
        batch = pa.record_batch({"n": pa.repeat(number, BATCH_BYTES // 8)})
        quarantine.add(rejection(batch.slice(5, 1)))
        del batch

    assert pa.total_allocated_bytes() - before < BATCH_BYTES
    kept = quarantine.table()
    assert kept.schema == REJECTED_SCHEMA
    assert [source_row(row).to_pylist() for row in kept["source_row"].to_pylist()] == [[{"n": n}] for n in range(10)]


def test_one_row_too_many_ends_the_load() -> None:
    """With what the recipe allows, and the row."""
    quarantine = Quarantine(1, 3)
    quarantine.add(rejection(pa.record_batch({"n": [7]})))

    with pytest.raises(DataError, match="more than 3 rows are refused; the last: row 1: `7` is no int"):
        quarantine.add(rejection(pa.record_batch({"n": [7]})))
