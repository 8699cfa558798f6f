"""A table of this process as a source."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from arrowload.connectors.base import Overlap
from arrowload.connectors.memory.store import MemoryStore, store
from arrowload.connectors.sql_cursor import refuse_xmin
from arrowload.core.exceptions import ConnectorError, DataError, RecipeError
from arrowload.core.lazy import compute as pc
from arrowload.core.names import did_you_mean
from arrowload.core.state import State
from arrowload.models.source_config import CursorIncremental
from arrowload.planning.capabilities import SourceFacts, Split, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from arrowload.connectors.base import Mark
    from arrowload.connectors.memory.config import MemorySourceConfig


class MemorySource:
    """A table of a `MemoryStore`; its tables are immutable, so a reference to one is a snapshot.

    Args:
        config: Its keys in the recipe.
        connection: The store; this process's own by default.
    """

    def __init__(self, config: MemorySourceConfig, connection: MemoryStore | None = None) -> None:
        self._store = connection if connection is not None else store
        self._name = config.name
        self._incremental = config.incremental

    def facts(self) -> SourceFacts:
        """Read as it stands."""
        return SourceFacts(
            location=f"memory {self._name}",
            identity=self._name,
            route="arrow",
            route_reason="the rows are Arrow already",
        )

    def schema(self) -> pa.Schema:
        """The table's."""
        return self._table().schema

    @contextmanager
    def snapshot(self, state: State, until: Mark | None = None) -> Iterator[MemorySnapshot]:
        """The rows as they are now, within the cursor's bounds when the recipe has one."""
        table = self._table()
        if self._incremental is None:
            yield MemorySnapshot(table, Window(empty=not table.num_rows, bytes=table.nbytes), None, State())
        elif isinstance(self._incremental, CursorIncremental):
            refuse_xmin(self._incremental, "memory")
            yield _cursor_snapshot(table, self._incremental, state, until)
        else:
            raise RecipeError("a table in memory has no modification time", hint="use `strategy: cursor`")

    def close(self) -> None:
        """Nothing is held."""

    def _table(self) -> pa.Table:
        try:
            return self._store.tables[self._name]
        except KeyError:
            raise ConnectorError(
                f"there is no table `{self._name}` in memory",
                context={"tables": sorted(self._store.tables)},
                hint="put it there: arrowload.connectors.memory.store.store.tables[name] = table",
            ) from None


class MemorySnapshot:
    """Rows of one table."""

    def __init__(
        self, table: pa.Table, window: Window, overlap: Overlap | None, state: State, cursor: str | None = None
    ) -> None:
        self._table = table
        self._cursor = cursor
        self.schema = table.schema
        self.window = window
        self.overlap = overlap
        self.state = state

    def count_rows(self) -> int:
        """See `CountableSnapshot.count_rows`."""
        return int(self._table.num_rows)

    def marks(self, rows: int) -> Sequence[Mark]:
        """See `DivisibleSnapshot.marks`."""
        if self._cursor is None:
            return ()
        values = self._table[self._cursor].drop_null().sort()
        if self.overlap is not None and self.overlap.seen_through is not None:
            values = values.filter(pc.greater(values, self.overlap.seen_through))
        places = [*range(rows - 1, len(values), rows), len(values) - 1] if len(values) else []
        return list(dict.fromkeys(values[place].as_py() for place in places))

    def splits(self, n: int) -> Sequence[Split]:
        """Runs of rows of about equal length."""
        rows = self._table.num_rows
        size = max(1, -(-rows // n))
        return [
            Split(index=i, spec={"offset": start, "length": size})
            for i, start in enumerate(range(0, max(rows, 1), size))
        ]

    def read_split(self, split: Split, *, batch_size: int) -> pa.RecordBatchReader:
        """The rows of one run."""
        return self._table.slice(split.spec["offset"], split.spec["length"]).to_reader(max_chunksize=batch_size)


def _bound(value: Any, cursor: pa.DataType) -> pa.Scalar:
    """A bound as the recipe has it, or as text."""
    return pa.scalar(value).cast(cursor) if isinstance(value, str) else pa.scalar(value, cursor)


def _cursor_snapshot(table: pa.Table, config: CursorIncremental, state: State, until: Mark | None) -> MemorySnapshot:
    """The window that starts where `state` ends, by the rules of `CursorIncremental`."""
    column = config.cursor_column
    if column not in table.schema.names:
        raise RecipeError(
            f"the cursor column `{column}` is not in the table",
            context={"column": column, "columns": table.schema.names},
            hint=did_you_mean(column, table.schema.names, f"columns are: {', '.join(table.schema.names)}"),
        )
    cursor = table[column]
    if cursor.null_count and config.null_cursor == "error":
        raise DataError(
            f"{cursor.null_count} rows have NULL in the cursor column `{column}`",
            context={"column": column, "rows": cursor.null_count},
            hint="set `null_cursor: exclude`, or `include` with merge keys",
        )
    remembered = state.cursor_values.get(column)
    lower = remembered if remembered is not None else config.initial_value
    lower_scalar = _bound(lower, cursor.type) if lower is not None else None
    from_scalar = _less(lower_scalar, config.lag) if remembered is not None else lower_scalar
    start = _bound(config.initial_value, cursor.type) if config.initial_value is not None else None
    if start is not None and from_scalar is not None and pc.less(from_scalar, start).as_py():
        from_scalar = start if pc.less_equal(start, lower_scalar).as_py() else from_scalar
    kept = cursor.is_valid()
    if from_scalar is not None:
        shares_rows = config.boundary == "closed" or config.lag is not None or remembered is None
        compare = pc.greater_equal if shares_rows else pc.greater
        kept = pc.and_kleene(kept, compare(cursor, from_scalar))
    if config.end_value is not None:
        kept = pc.and_kleene(kept, pc.less(cursor, _bound(config.end_value, cursor.type)))
    notes: tuple[str, ...] = ()
    if until is None and config.future_cursor != "include":
        waiting = _in_future(cursor)
        count = pc.sum(pc.and_kleene(kept, waiting)).as_py() or 0
        if count and config.future_cursor == "error":
            raise DataError(
                f"the cursor `{column}` lies in the future in {count} rows, up to {pc.max(cursor).as_py()}",
                context={"column": column, "rows": count},
                hint="mend the rows, or set `future_cursor: wait` or `include`",
            )
        if count:
            kept = pc.and_kleene(kept, pc.invert(waiting))
            notes = (f"{count} rows wait until their `{column}` comes; the furthest is {pc.max(cursor).as_py()}",)
    if until is not None:
        kept = pc.and_kleene(kept, pc.less_equal(cursor, pa.scalar(until, cursor.type)))
    elif config.boundary == "hold_back" and not _has_passed(cursor, config.end_value):
        kept = pc.and_kleene(kept, pc.less(cursor, pc.max(cursor.filter(kept))))
    if config.null_cursor == "include":
        kept = pc.or_kleene(kept, cursor.is_null())
    rows = table.filter(kept)
    # Never lower than what is remembered, and nothing before a row was taken.
    upper = pc.max(rows[column])
    if remembered is not None and (not upper.is_valid or pc.less(upper, lower_scalar).as_py()):
        upper = lower_scalar
    next_value = upper.as_py()
    seen_from = _less(upper, config.lag) if upper.is_valid else None
    left_out = cursor.null_count if config.null_cursor == "exclude" else 0
    overlap = Overlap(column, lower_scalar if remembered is not None else None, seen_from)
    window = Window(
        strategy="cursor",
        empty=not rows.num_rows,
        lower=None if lower is None else str(lower),
        upper=None if next_value is None else str(next_value),
        notes=(*notes, *((f"{left_out} rows are left out, since `{column}` is NULL in them",) if left_out else ())),
    )
    after = State(cursor_values={column: next_value} if next_value is not None else {}, metadata=state.metadata)
    shared = overlap if config.boundary == "closed" or config.lag else None
    return MemorySnapshot(rows, window, shared, after, cursor=column)


def _has_passed(cursor: pa.ChunkedArray, end: object) -> bool:
    """Whether the table goes on beyond where the recipe ends, so that no row below the end is still to come."""
    return end is not None and bool(pc.any(pc.greater_equal(cursor, _bound(end, cursor.type))).as_py())


def _in_future(cursor: pa.ChunkedArray) -> pa.ChunkedArray:
    """Which values are times more than a day ahead."""
    if not (pa.types.is_timestamp(cursor.type) or pa.types.is_date(cursor.type)):
        return pa.repeat(False, len(cursor))
    soon = pa.scalar(dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).cast(pa.timestamp("us"))
    return pc.fill_null(pc.greater(cursor.cast(pa.timestamp("us"), safe=False), soon), False)


def _less(cursor: pa.Scalar, lag: dt.timedelta | None) -> pa.Scalar:
    return cursor if lag is None else pc.subtract(cursor, pa.scalar(lag)).cast(cursor.type)
