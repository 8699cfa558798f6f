"""Rows that two windows share: found again by their hash, and left for the next window to find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.types as pt

from arrowload import kernels
from arrowload.core.exceptions import StateError
from arrowload.core.lazy import compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.connectors.base import Overlap


class SeenRows:
    """Tells apart, within the overlap of two windows, the rows that an earlier load has committed.

    Hashes are a multiset: of two equal rows without a key, as many are dropped as were loaded.

    Args:
        seen: What the last load left: `row_hash` (fixed_size_binary(16)), `n` (int64).
        seen_columns: The columns that these hashes were taken over, in this order, each with its `hashed_kind`, or
            their names alone; the source may have more by now.
        overlap: Where the window meets its neighbours.
        absorbed: A row that comes once more does no harm, and so need not be found out.
    """

    def __init__(
        self,
        seen: pa.Table,
        seen_columns: Sequence[str | Sequence[str]] | None,
        overlap: Overlap,
        *,
        absorbed: bool = False,
    ) -> None:
        self._left = seen.select(["row_hash", "n"])
        columns = ((item, None) if isinstance(item, str) else (item[0], item[1]) for item in seen_columns or ())
        self._seen_columns: dict[str, str | None] = dict(columns)
        self._overlap = overlap
        self._absorbed = absorbed
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
        columns = self._columns_of(batch)
        if not columns:
            return batch
        hashes = kernels.row_hash(batch.take(candidates).select(columns))
        seen = self._take_seen(hashes)
        if not len(seen):
            return batch
        dropped = pc.is_in(pa.array(range(batch.num_rows), pa.uint64()), candidates.take(seen).cast(pa.uint64()))
        return batch.filter(pc.invert(dropped))

    def _columns_of(self, batch: pa.RecordBatch) -> list[str]:
        """The columns that earlier hashes were taken over; none when these do not fit and need not.

        The source may have more by now; one that is gone, or of another kind, leaves no hash as it was.
        """
        kinds = self._seen_columns or dict.fromkeys(self._hashed(batch))
        changed = [name for name, kind in kinds.items() if not _is_as_it_was(batch.schema, name, kind)]
        if not changed:
            return list(kinds)
        if self._absorbed:
            return []
        raise StateError(
            "rows at the boundary of the last load cannot be told apart without column"
            f" `{changed[0]}` as it was read then: {kinds[changed[0]] or 'of the same type'}",
            context={"columns": changed},
            hint="read the column as before once more, or load everything anew with --full-refresh",
        )

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


def hashed_kind(data_type: pa.DataType) -> str:
    """What decides, besides the value, how a value of this type is hashed: `crates/README.md`, "What is equal"."""
    if isinstance(data_type, pa.BaseExtensionType):
        return hashed_kind(data_type.storage_type)
    if pt.is_dictionary(data_type) or pt.is_run_end_encoded(data_type):
        return hashed_kind(data_type.value_type)
    if pt.is_timestamp(data_type):
        return "timestamp" if data_type.tz is None else "timestamp with a zone"
    if pt.is_map(data_type):
        return f"map of {hashed_kind(data_type.key_type)} to {hashed_kind(data_type.item_type)}"
    if pt.is_struct(data_type):
        return f"struct of {', '.join(hashed_kind(field.type) for field in data_type)}"
    if hasattr(data_type, "value_type"):
        return f"list of {hashed_kind(data_type.value_type)}"
    return next((kind for kind, belongs in _KINDS.items() if any(test(data_type) for test in belongs)), str(data_type))


_KINDS: Final = {
    "number": (pt.is_integer, pt.is_decimal),
    "float": (pt.is_floating,),
    "text": (pt.is_string, pt.is_large_string, pt.is_string_view),
    "binary": (pt.is_binary, pt.is_large_binary, pt.is_binary_view, pt.is_fixed_size_binary),
    "date": (pt.is_date,),
    "time": (pt.is_time,),
    "interval": (pt.is_duration, pt.is_interval),
}


def _is_as_it_was(schema: pa.Schema, name: str, kind: str | None) -> bool:
    if name not in schema.names:
        return False
    # Of a column of nulls every hash is that of a null.
    return kind is None or kind in ("null", hashed_kind(schema.field(name).type))


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
