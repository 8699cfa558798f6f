"""Rows that two windows share: found again by their hash, and left for the next window to find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from arrowload import kernels
from arrowload.core.exceptions import StateError
from arrowload.core.lazy import compute as pc

if TYPE_CHECKING:
    from arrowload.connectors.base import Overlap


class SeenRows:
    """Tells apart, within the overlap of two windows, the rows that an earlier load has committed.

    Hashes are a multiset: of two equal rows without a key, as many are dropped as were loaded.

    Args:
        seen: What the last load left: `row_hash` (fixed_size_binary(16)), `n` (int64).
        seen_columns: The columns that these hashes were taken over; the source may have more by now.
        overlap: Where the window meets its neighbours.
    """

    def __init__(self, seen: pa.Table, seen_columns: list[str] | None, overlap: Overlap) -> None:
        self._left = seen.select(["row_hash", "n"])
        self._seen_columns = seen_columns
        self._overlap = overlap
        self._kept: list[pa.Array] = []

    def new_rows(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of `batch` that no earlier load has committed; `batch` itself when that is all of them."""
        cursor = _comparable(batch.column(self._overlap.column))
        self._remember(batch, cursor)
        if self._overlap.seen_through is None or not self._left.num_rows:
            return batch
        candidates = pc.indices_nonzero(
            pc.fill_null(pc.less_equal(cursor, _comparable(self._overlap.seen_through)), False)
        )
        if not len(candidates):
            return batch
        hashes = kernels.row_hash(batch.take(candidates).select(self._columns_of(batch)))
        seen = self._take_seen(hashes)
        if not len(seen):
            return batch
        dropped = pc.is_in(pa.array(range(batch.num_rows), pa.uint64()), candidates.take(seen).cast(pa.uint64()))
        return batch.filter(pc.invert(dropped))

    def _columns_of(self, batch: pa.RecordBatch) -> list[str]:
        """The columns that earlier hashes were taken over; the source may have more by now, and must not have fewer."""
        columns = self._seen_columns or self._hashed(batch)
        missing = [name for name in columns if name not in batch.schema.names]
        if missing:
            raise StateError(
                f"rows at the boundary of the last load cannot be told apart without column `{missing[0]}`",
                context={"columns": missing},
                hint="read the column once more, or load everything anew with --full-refresh",
            )
        return columns

    def left_for_next(self) -> pa.Table:
        """The hashes of all rows that the next window may meet again, with how many rows have each."""
        hashes = pa.chunked_array(self._kept, pa.binary(16))
        counted = pc.value_counts(hashes.combine_chunks().cast(pa.binary()))
        return pa.table({"row_hash": counted.field("values").cast(pa.binary(16)), "n": counted.field("counts")})

    def _remember(self, batch: pa.RecordBatch, cursor: pa.Array) -> None:
        if self._overlap.seen_from is None:
            return
        again = pc.fill_null(pc.greater_equal(cursor, _comparable(self._overlap.seen_from)), False)
        if self._overlap.late is not None:
            again = pc.or_(again, batch.column(self._overlap.late))
        if pc.any(again).as_py():
            self._kept.append(kernels.row_hash(batch.filter(again).select(self._hashed(batch))))

    def _hashed(self, batch: pa.RecordBatch) -> list[str]:
        return [name for name in batch.schema.names if name != self._overlap.late]

    def _take_seen(self, hashes: pa.Array) -> pa.Array:
        """Positions in `hashes` that earlier loads account for; takes them off what is left."""
        rows = pa.table({"row_hash": hashes.cast(pa.binary()), "place": pa.array(range(len(hashes)), pa.int64())})
        left = self._left.set_column(0, "row_hash", self._left["row_hash"].cast(pa.binary()))
        known = rows.join(left, "row_hash", join_type="inner").sort_by(
            [("row_hash", "ascending"), ("place", "ascending")]
        )
        if not known.num_rows:
            return pa.array([], pa.int64())
        rank = _rank_in_run(known["row_hash"].combine_chunks())
        taken = known.filter(pc.less(rank, known["n"]))
        used = taken.group_by("row_hash").aggregate([("place", "count")])
        rest = left.join(used, "row_hash", join_type="left outer")
        n = pc.subtract(rest["n"], pc.fill_null(rest["place_count"], 0))
        self._left = pa.table({"row_hash": rest["row_hash"], "n": n}).filter(pc.greater(n, 0))
        return taken["place"].combine_chunks()


def _comparable(value: Any) -> Any:
    """An array or scalar in a type that Arrow compares; a uuid sorts as its bytes do."""
    if isinstance(value, pa.ExtensionArray):
        return value.storage
    return value.value if isinstance(value, pa.ExtensionScalar) else value


def _rank_in_run(values: pa.Array) -> pa.Array:
    """How many equal values stand directly before each value of a sorted array."""
    place = pa.array(range(len(values)), pa.int64())
    starts = pc.not_equal(values[1:], values[:-1])
    first = pa.concat_arrays([pa.array([True]), starts])
    start_of_run = pc.cumulative_max(pc.if_else(first, place, 0))
    return pc.subtract(place, start_of_run)
