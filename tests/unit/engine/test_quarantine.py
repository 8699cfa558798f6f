"""The rows that a load refuses, while it gathers them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from arrowload.core.exceptions import DataError
from arrowload.core.rejection import REJECTED_SCHEMA, Rejection, encoded_rows, source_row
from arrowload.engine.quarantine import Quarantine


def rejection(reason: str = "`7` is no int") -> Rejection:
    return Rejection("row 1", "n", "target", reason, "7", next(encoded_rows(pa.record_batch({"n": [7]}), [0])))


def test_one_row_too_many_ends_the_load() -> None:
    """With what the recipe allows, and the row."""
    quarantine = Quarantine(1, 3)
    quarantine.add(rejection())

    with pytest.raises(DataError, match="more than 3 rows are refused; the last: row 1: `7` is no int"):
        quarantine.add(rejection())


DICTIONARY = pa.DictionaryArray.from_arrays(pa.array([1, 0, None], pa.int8()), ["a", "b"])


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None, "ccc"]),
        pa.array([[1], None, [2, None]]),
        pa.array(['{"a": 1}', None, "3"], pa.json_()),
        DICTIONARY,
        pa.StructArray.from_arrays([DICTIONARY], ["inner"]),
    ],
    ids=["text", "list", "json", "dictionary", "dictionary inside"],
)
def test_encoded_rows_come_back_as_they_were(column: pa.Array) -> None:
    """Each alone, with type and metadata, wherever in the batch it stands."""
    schema = pa.schema([pa.field("c", column.type, metadata={"k": "v"})], metadata={"of": "the schema"})
    batch = pa.RecordBatch.from_arrays([column], schema=schema)

    back = [source_row(data) for data in encoded_rows(batch, [2, 0, 1])]

    assert [row.schema.equals(schema, check_metadata=True) for row in back] == [True] * 3
    assert [row.column(0).to_pylist() for row in back] == [[column[n].as_py()] for n in (2, 0, 1)]


def test_what_a_terminal_would_obey_is_written_out() -> None:
    """And a NUL, which Postgres takes in no text."""
    quarantine = Quarantine(1, 1)
    quarantine.add(rejection("`\0\x1b[2J` is no int"))

    assert quarantine.table()["reason"].to_pylist() == [r"`\x00\x1b[2J` is no int"]
    assert quarantine.table().schema == REJECTED_SCHEMA
