"""What moves between source and destination: `Batch`, its Arrow form, and a shim for code that thinks in dicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from arrowload.core.typing import SupportsArrowArray, SupportsArrowStream


@runtime_checkable
class Batch(Protocol):
    """A run of rows with named columns; speaks the Arrow PyCapsule interface."""

    @property
    def columns(self) -> list[str]:
        """Column names, in order."""

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """Every row as a tuple of Python values; computed at each call, so for small batches only."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Facts about the batch that are not rows."""

    @property
    def row_count(self) -> int:
        """Number of rows."""

    def to_dict(self) -> dict[str, list[Any]]:
        """Column name → Python values; computed at each call."""

    def to_arrow(self) -> pa.RecordBatch:
        """The rows as one record batch."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """The schema and array capsules of `to_arrow()`."""


class ArrowBatch:
    """A `pyarrow.RecordBatch` as a `Batch`; copies nothing.

    Args:
        data: A record batch, or anything that hands one over through the Arrow PyCapsule interface (a Polars
            frame, a DuckDB relation, another batch). A stream of several chunks is combined, which copies.
        metadata: Facts that travel with the rows.
    """

    __slots__ = ("_batch", "metadata")

    def __init__(
        self,
        data: pa.RecordBatch | SupportsArrowArray | SupportsArrowStream,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._batch = as_record_batch(data)
        self.metadata: Mapping[str, Any] = dict(metadata or {})

    @property
    def columns(self) -> list[str]:
        """Column names, in order."""
        names: list[str] = self._batch.schema.names
        return names

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """Every row as a tuple of Python values."""
        return list(zip(*(column.to_pylist() for column in self._batch.columns), strict=True))

    @property
    def row_count(self) -> int:
        """Number of rows."""
        count: int = self._batch.num_rows
        return count

    def to_dict(self) -> dict[str, list[Any]]:
        """Column name → Python values."""
        values: dict[str, list[Any]] = self._batch.to_pydict()
        return values

    def to_arrow(self) -> pa.RecordBatch:
        """The record batch itself."""
        return self._batch

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """The schema and array capsules of the record batch."""
        capsules: tuple[object, object] = self._batch.__arrow_c_array__(requested_schema)
        return capsules

    def __repr__(self) -> str:
        return f"ArrowBatch({self.row_count} rows, {len(self.columns)} columns)"


class DictBatch:
    """Rows as dicts, kept for code written against the first design; becomes Arrow when asked.

    Args:
        columns: Column names, in order.
        rows: One mapping (or one sequence in column order) a row; a missing key is a null.
        metadata: Facts that travel with the rows.
    """

    __slots__ = ("_rows", "columns", "metadata")

    def __init__(
        self,
        columns: Sequence[str],
        rows: Sequence[Mapping[str, Any] | Sequence[Any]],
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.columns = list(columns)
        self._rows = [tuple(row.get(c) for c in columns) if hasattr(row, "get") else tuple(row) for row in rows]
        self.metadata: Mapping[str, Any] = dict(metadata or {})

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """Every row as a tuple of Python values."""
        return self._rows

    @property
    def row_count(self) -> int:
        """Number of rows."""
        return len(self._rows)

    def to_dict(self) -> dict[str, list[Any]]:
        """Column name → Python values."""
        return {name: [row[i] for row in self._rows] for i, name in enumerate(self.columns)}

    def to_arrow(self) -> pa.RecordBatch:
        """The rows as one record batch; types are inferred by pyarrow from the values.

        Raises:
            pyarrow.ArrowInvalid: A column mixes types.
        """
        return pa.RecordBatch.from_pydict(self.to_dict())

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """The schema and array capsules of `to_arrow()`."""
        capsules: tuple[object, object] = self.to_arrow().__arrow_c_array__(requested_schema)
        return capsules

    def __repr__(self) -> str:
        return f"DictBatch({self.row_count} rows, {len(self.columns)} columns)"


def as_record_batch(data: object) -> pa.RecordBatch:
    """`data` as one `pyarrow.RecordBatch`, without copying where the source has one chunk.

    Raises:
        TypeError: `data` speaks no Arrow.
    """
    if isinstance(data, pa.RecordBatch):
        return data
    if hasattr(data, "__arrow_c_array__"):
        return pa.record_batch(data)
    if hasattr(data, "__arrow_c_stream__"):
        table = pa.table(data).combine_chunks()
        batches = table.to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
    raise TypeError(f"{type(data).__name__} offers neither `__arrow_c_array__` nor `__arrow_c_stream__`")
