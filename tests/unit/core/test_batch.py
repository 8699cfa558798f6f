"""Batches hand Arrow buffers over without copying them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pytest

from arrowload.core.batch import ArrowBatch, Batch, DictBatch, as_record_batch

if TYPE_CHECKING:
    from arrowload.core.typing import SupportsArrowArray


@pytest.fixture
def record_batch() -> pa.RecordBatch:
    """Three rows with a null, of fixed and variable width."""
    return pa.record_batch({"id": pa.array([1, 2, 3], pa.int64()), "name": pa.array(["a", None, "ccc"])})


class OnlyCapsules:
    """Something that speaks the PyCapsule interface and nothing else."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def __arrow_c_array__(self, requested_schema: object | None = None) -> Any:
        return self._batch.__arrow_c_array__(requested_schema)


def addresses(batch: pa.RecordBatch) -> list[int | None]:
    """Where the buffers lie."""
    return [buffer and buffer.address for column in batch.columns for buffer in column.buffers()]


def test_capsules_out_of_a_batch_share_its_buffers(record_batch: pa.RecordBatch) -> None:
    """Batch → PyCapsule → pyarrow: the same addresses."""
    batch = ArrowBatch(record_batch)

    taken = pa.record_batch(batch)

    assert taken.equals(record_batch)
    assert addresses(taken) == addresses(record_batch)
    assert batch.to_arrow() is record_batch


def test_capsules_into_a_batch_share_their_buffers(record_batch: pa.RecordBatch) -> None:
    """Foreign object → PyCapsule → batch: the same addresses."""
    batch = ArrowBatch(OnlyCapsules(record_batch), {"split": 3})

    assert addresses(batch.to_arrow()) == addresses(record_batch)
    assert batch.metadata == {"split": 3}


def test_a_batch_goes_through_a_batch_and_back(record_batch: pa.RecordBatch) -> None:
    """A batch is itself something that hands over capsules."""
    assert addresses(ArrowBatch(ArrowBatch(record_batch)).to_arrow()) == addresses(record_batch)


def test_polars_takes_numbers_without_copying(record_batch: pa.RecordBatch) -> None:
    """Polars → batch and batch → Polars: the buffer of a column without nulls stays where it is."""
    frame = pl.DataFrame({"id": [1, 2, 3]})

    batch = ArrowBatch(frame)
    back = pl.DataFrame(batch)

    assert back.equals(frame)
    there = addresses(pa.table(frame).to_batches()[0])
    assert addresses(batch.to_arrow()) == there
    assert addresses(pa.table(back).to_batches()[0])[1] == there[1]


def test_a_stream_of_several_chunks_is_combined(record_batch: pa.RecordBatch) -> None:
    """In order; this copies."""
    table = pa.Table.from_batches([record_batch, record_batch])

    assert as_record_batch(table).equals(table.combine_chunks().to_batches()[0])


def test_an_empty_stream_keeps_its_schema() -> None:
    """A table of no chunks has no batch to hand over."""
    empty = pa.schema([("id", pa.int64()), ("name", pa.string())]).empty_table()

    batch = ArrowBatch(pa.table(empty.schema.empty_table()))

    assert (batch.row_count, batch.columns) == (0, ["id", "name"])
    assert ArrowBatch(pa.Table.from_batches([], empty.schema)).to_arrow().schema == empty.schema


def test_what_speaks_no_arrow_is_refused() -> None:
    """With the names of the two methods that it lacks."""
    with pytest.raises(TypeError, match="dict offers neither `__arrow_c_array__` nor `__arrow_c_stream__`"):
        as_record_batch({"a": [1]})


def test_rows_and_columns_are_computed_when_asked(record_batch: pa.RecordBatch) -> None:
    """For small batches, as Python values."""
    batch = ArrowBatch(record_batch)

    assert batch.columns == ["id", "name"]
    assert batch.rows == [(1, "a"), (2, None), (3, "ccc")]
    assert batch.to_dict() == {"id": [1, 2, 3], "name": ["a", None, "ccc"]}
    assert batch.row_count == 3
    assert repr(batch) == "ArrowBatch(3 rows, 2 columns)"


def test_a_dict_batch_takes_mappings_and_sequences() -> None:
    """A missing key is a null."""
    batch = DictBatch(["id", "at"], [{"id": 1, "at": dt.date(2026, 1, 1)}, {"id": 2}, (3, None)], {"page": 1})

    assert batch.rows == [(1, dt.date(2026, 1, 1)), (2, None), (3, None)]
    assert batch.to_dict() == {"id": [1, 2, 3], "at": [dt.date(2026, 1, 1), None, None]}
    assert (batch.row_count, batch.metadata) == (3, {"page": 1})
    assert batch.to_arrow().schema == pa.schema([("id", pa.int64()), ("at", pa.date32())])
    assert pa.record_batch(batch).equals(batch.to_arrow())
    assert repr(batch) == "DictBatch(3 rows, 2 columns)"


def test_a_dict_batch_that_mixes_types_is_refused() -> None:
    """By pyarrow, rather than turned into text."""
    with pytest.raises(pa.ArrowInvalid):
        DictBatch(["x"], [[1], ["one"]]).to_arrow()


@pytest.mark.parametrize("batch", [ArrowBatch(pa.record_batch({"a": [1]})), DictBatch(["a"], [[1]])])
def test_both_are_batches(batch: object) -> None:
    """By the protocol that plug-ins are written against."""
    assert isinstance(batch, Batch)
    assert hasattr(batch, "__arrow_c_array__")
    taken: SupportsArrowArray = batch  # a batch is what Arrow libraries take
    assert as_record_batch(taken).num_rows == 1
