"""Rows that a load refuses and keeps aside: what is known of each, one by one and as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

import pyarrow as pa

from arrowload.core.exceptions import printable
from arrowload.core.lazy import compute as pc
from arrowload.core.secret import mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Who refused it: the source in reading it, a step, the target's types, a merge key that is NULL, or a check. Of a
# `value` the row was loaded, without it; a `ragged` one has too many or too few fields.
Code: TypeAlias = Literal["source", "transform", "target", "merge_key", "check", "value", "ragged"]
# What no replay can make a row of.
NEVER_REPLAYED: Final[tuple[Code, ...]] = ("value", "ragged")

# `source_row` is an Arrow IPC stream of one row, as the source gave it.
REJECTED_SCHEMA: Final = pa.schema(
    [
        pa.field("place", pa.string()),
        pa.field("column_name", pa.string()),
        pa.field("code", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("value", pa.string()),
        pa.field("source_row", pa.binary()),
    ]
)

# The only column of a ragged row: its text (binary).
_RECORD_COLUMN: Final = "_arrowload_record"
# What ends an Arrow IPC stream: the mark of a message, and a length of 0.
_END_OF_STREAM: Final = b"\xff\xff\xff\xff\x00\x00\x00\x00"


class Rejection(NamedTuple):
    """One row that was refused.

    Attributes:
        place: Where it stands in the source: `row 17`, `orders.csv row 17`.
        column: The column at fault, when it is one.
        code: Who refused it.
        reason: What is wrong, in a sentence.
        value: Of that column, cut short.
        row: The row as the source gave it, of `encoded_rows`; a source that could not convert a value gives what it
            could not convert, and of a ragged row an `encoded_record`.
    """

    place: str
    column: str | None
    code: Code
    reason: str
    value: str | None
    row: bytes


def rejected_row(rejection: Rejection) -> dict[str, Any]:
    """A row of `REJECTED_SCHEMA`: secrets masked, and what no terminal and not every database takes written out."""
    return {
        "place": rejection.place,
        "column_name": rejection.column,
        "code": rejection.code,
        "reason": printable(mask(rejection.reason)),
        "value": None if rejection.value is None else printable(mask(rejection.value)),
        "source_row": rejection.row,
    }


def with_load_id(rejected: pa.Table, load_id: str) -> pa.Table:
    """`rejected` with the load that left it, as `quarantined` gives it."""
    return rejected.add_column(0, pa.field("load_id", pa.string()), pa.repeat(load_id, rejected.num_rows))


def never_replayed(rejected: pa.Table) -> pa.Table:
    """Those that stay in quarantine."""
    return rejected.filter(pc.is_in(rejected["code"], pa.array(NEVER_REPLAYED)))


def replayable(rejected: pa.Table) -> pa.Table:
    """Those that may be loaded yet."""
    return rejected.filter(pc.invert(pc.is_in(rejected["code"], pa.array(NEVER_REPLAYED))))


def encoded_rows(batch: pa.RecordBatch, rows: Sequence[int]) -> Iterator[bytes]:
    """Some rows of `batch`, by their positions, each as an Arrow IPC stream of its own that `source_row` reads."""
    head = b""
    for number, row in enumerate(rows):
        alone = batch.slice(row, 1)
        if number == 1:
            head = _head(batch, rows[0])
        yield _behind(head, alone) if head else _stream(alone)


def encoded_record(text: bytes) -> bytes:
    """A row of which only the text is known, encoded as the others are."""
    return _stream(pa.record_batch({_RECORD_COLUMN: pa.array([text], pa.binary())}))


def source_row(data: bytes) -> pa.RecordBatch:
    """The row that `source_row` holds: one row, in the schema that it had when it was refused."""
    with pa.ipc.open_stream(data) as stream:
        return stream.read_next_batch()


def _head(batch: pa.RecordBatch, row: int) -> bytes:
    """The start of the stream of each row; empty where they have none in common, as dictionaries belong to it."""
    head: bytes = batch.schema.serialize().to_pybytes()
    alone = batch.slice(row, 1)
    return head if _behind(head, alone) == _stream(alone) else b""


def _behind(head: bytes, row: pa.RecordBatch) -> bytes:
    body: bytes = row.serialize().to_pybytes()
    return head + body + _END_OF_STREAM


def _stream(row: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, row.schema) as stream:
        stream.write_batch(row)
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded
