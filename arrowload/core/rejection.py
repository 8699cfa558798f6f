"""Rows that a load refuses and keeps aside: what is known of each, one by one and as a table."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, TypeAlias

import pyarrow as pa

from arrowload.core.lazy import compute as pc
from arrowload.core.secret import mask

# Who refused it: the source in reading it, a step, the target's types, a merge key that is NULL, or a check. Of a
# `value` the row was loaded, without it.
Code: TypeAlias = Literal["source", "transform", "target", "merge_key", "check", "value"]

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


class Rejection(NamedTuple):
    """One row that was refused.

    Attributes:
        place: Where it stands in the source: `row 17`, `orders.csv row 17`.
        column: The column at fault, when it is one.
        code: Who refused it.
        reason: What is wrong, in a sentence.
        value: Of that column, cut short.
        row: The row as the source gave it; a source that could not convert a value gives what it could not convert.
    """

    place: str
    column: str | None
    code: Code
    reason: str
    value: str | None
    row: pa.RecordBatch


def rejected_row(rejection: Rejection) -> dict[str, Any]:
    """A row of `REJECTED_SCHEMA`, secrets masked; the batch that `rejection.row` is cut from is not kept alive."""
    return {
        "place": rejection.place,
        "column_name": rejection.column,
        "code": rejection.code,
        "reason": mask(rejection.reason),
        "value": None if rejection.value is None else mask(rejection.value),
        "source_row": _encoded(rejection.row),
    }


def with_load_id(rejected: pa.Table, load_id: str) -> pa.Table:
    """`rejected` with the load that left it, as `quarantined` gives it."""
    return rejected.add_column(0, pa.field("load_id", pa.string()), pa.repeat(load_id, rejected.num_rows))


def single_values(rejected: pa.Table) -> pa.Table:
    """Those whose rows were loaded without them."""
    return rejected.filter(pc.equal(rejected["code"], "value"))


def whole_rows(rejected: pa.Table) -> pa.Table:
    """Those that were not loaded."""
    return rejected.filter(pc.not_equal(rejected["code"], "value"))


def source_row(data: bytes) -> pa.RecordBatch:
    """The row that `source_row` holds: one row, in the schema that it had when it was refused."""
    with pa.ipc.open_stream(data) as stream:
        return stream.read_next_batch()


def _encoded(row: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, row.schema) as stream:
        stream.write_batch(row)
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded
