"""The window of an incremental load from a SQL source: which rows, by the value of the cursor column.

Values travel as the database's own text, so that no precision is lost between runs.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from arrowload.core.exceptions import DataError, RecipeError, StateError
from arrowload.core.state import CursorValue
from arrowload.io.sql import quote_identifier, quote_literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from arrowload.core.state import State
    from arrowload.models.source_config import CursorIncremental

CursorKind: TypeAlias = Literal["time", "number", "text", "uuid"]

# Clocks differ, and dates have no zone.
_TOLERANCE: Final = dt.timedelta(days=1)
_NOT_FINITE: Final = ("infinity", "-infinity", "inf", "-inf", "nan")


class CursorColumn(msgspec.Struct, frozen=True):
    """A column that can be a cursor.

    Attributes:
        name: As the source has it.
        type: The SQL type that a text is cast to for a comparison.
        kind: Text is compared byte by byte, as Arrow does, whatever the column's own collation; only times have a lag.
        not_null: The catalogue rules NULLs out.
    """

    name: str
    type: str
    kind: CursorKind
    not_null: bool = False


class CursorWindow(msgspec.Struct, frozen=True):
    """The bounds of one window.

    Attributes:
        predicate: The condition on the rows.
        low: What was remembered; None in the first window.
        lower, upper: The bounds as text, None where open.
        cursor: What to remember; None as long as no row had a cursor.
        seen_through, seen_from: SQL of the bounds of the overlap, None where there is none.
        empty: The bounds hold no row.
        notes: What a person should know.
    """

    predicate: str
    low: str | None = None
    lower: str | None = None
    upper: str | None = None
    cursor: CursorValue | None = None
    seen_through: str | None = None
    seen_from: str | None = None
    empty: bool = False
    notes: tuple[str, ...] = ()


def check_lag(column: CursorColumn, incremental: CursorIncremental) -> None:
    """Raises RecipeError when the recipe asks for a lag that the cursor cannot have."""
    if incremental.lag is not None and column.kind != "time":
        raise RecipeError(
            f"`lag` needs a cursor of time, and `{column.name}` is {column.type}",
            context={"column": column.name, "type": column.type},
            hint="leave `lag` out, or choose a date or timestamp as cursor",
        )


def refuse_xmin(incremental: CursorIncremental | None, connector: str) -> None:
    """Raises RecipeError when the recipe asks for what only Postgres knows of its rows."""
    if incremental is not None and incremental.late == "xmin":
        raise RecipeError(
            f"`late: xmin` is for Postgres tables; a {connector} source does not tell which transaction wrote a row",
            context={"path": "$.source.incremental.late"},
            hint="use `lag`",
        )


def find_window(
    execute: Callable[[str], list[tuple[Any, ...]]],
    source: str,
    column: CursorColumn,
    incremental: CursorIncremental,
    state: State,
    *,
    until: str | None = None,
    late: str | None = None,
) -> CursorWindow:
    """Fix the window that starts where `state` ends.

    Args:
        execute: Runs a query inside the snapshot.
        source: What stands behind FROM: a table, or a query in parentheses with an alias.
        column: The cursor column.
        incremental: What the recipe says.
        state: What was remembered.
        until: The upper bound, of `find_marks`; None to find it.
        late: The condition that rows meet which may have been committed behind the cursor.

    Raises:
        DataError: NULLs in the cursor, under `null_cursor: error`; a greatest value that is NaN or infinite.
        RecipeError: `lag` for a cursor that is no time; an `initial_value` that is no value of the column.
        StateError: The remembered cursor is of another kind.
    """
    check_lag(column, incremental)
    bounds = _Bounds(execute, source, column, incremental, late)
    nulls, notes = bounds.count_nulls()
    return bounds.window(_remembered(state, column), nulls, notes, until)


def find_marks(
    execute: Callable[[str], list[tuple[Any, ...]]], source: str, column: CursorColumn, window: CursorWindow, rows: int
) -> list[str]:
    """The upper bounds of chunks of about `rows` rows of `window`, in order; the last is that of the window itself.

    Args:
        execute: Runs a query inside the snapshot.
        source: As for `find_window`.
        column: The cursor column.
        window: What `find_window` found.
        rows: Rows with a NULL cursor do not count.
    """
    if window.cursor is None or window.empty or window.cursor.text == window.low:
        return []
    value = _compared(column)
    # Up to what was remembered rows were loaded; whatever of them is read again belongs to the first chunk.
    behind = "" if window.low is None else f" AND v > {_literal(window.low, column)}"
    found = execute(
        "SELECT CAST(v AS text) AS t FROM (SELECT DISTINCT v FROM ("
        f"SELECT {value} AS v, row_number() OVER (ORDER BY {value}) AS n FROM {source}"
        f" WHERE {window.predicate} AND {value} IS NOT NULL) AS numbered"
        f" WHERE n % {rows} = 0{behind}) AS marks ORDER BY v"
    )
    marks = [str(text) for (text,) in found if column.kind == "text" or str(text).lower() not in _NOT_FINITE]
    return [*(mark for mark in marks if mark != window.cursor.text), window.cursor.text]


def _literal(text: str, column: CursorColumn) -> str:
    """A value of the cursor, as SQL compares it."""
    value = f"CAST({quote_literal(text)} AS {column.type})"
    return f'{value} COLLATE "C"' if column.kind == "text" else value


def _compared(column: CursorColumn) -> str:
    """The cursor as SQL compares it: text byte by byte."""
    name = quote_identifier(column.name)
    return f'{name} COLLATE "C"' if column.kind == "text" else name


def _remembered(state: State, column: CursorColumn) -> str | None:
    value = state.cursor_values.get(column.name)
    if value is None:
        return None
    if not isinstance(value, CursorValue) or value.type != column.kind:
        kind = value.type if isinstance(value, CursorValue) else type(value).__name__
        raise StateError(
            f"the cursor `{column.name}` was remembered as a {kind} and is a {column.kind} now",
            context={"column": column.name, "remembered": kind, "type": column.type},
            hint="load everything anew with --full-refresh",
        )
    return value.text


class _Bounds:
    """Asks the snapshot for bounds."""

    def __init__(
        self,
        execute: Callable[[str], list[tuple[Any, ...]]],
        source: str,
        column: CursorColumn,
        incremental: CursorIncremental,
        late: str | None,
    ) -> None:
        self._late = late
        # Where late rows are found by their transactions, the lag only says how far behind they may be.
        self._lag = incremental.lag if incremental.late == "lag" else None
        self._execute = execute
        self._source = source
        self._column = column
        self._incremental = incremental
        self._sql = _compared(column)

    def count_nulls(self) -> tuple[int, tuple[str, ...]]:
        """How many rows have no cursor, and what to note about them."""
        if self._column.not_null:
            return 0, ()
        nulls = int(self._execute(f"SELECT count(*) FROM {self._source} WHERE {self._sql} IS NULL")[0][0])
        mode = self._incremental.null_cursor
        if nulls and mode == "error":
            raise DataError(
                f"the cursor column `{self._column.name}` is NULL in {nulls} rows",
                context={"column": self._column.name, "rows": nulls},
                hint="set `null_cursor: exclude`, or `include` with merge keys, or choose another cursor",
            )
        left_out = f"{nulls} rows are left out, since `{self._column.name}` is NULL in them"
        return nulls, (left_out,) if nulls and mode == "exclude" else ()

    def window(self, low: str | None, nulls: int, notes: tuple[str, ...], until: str | None) -> CursorWindow:
        """The window above `low`, up to `until` when that is given."""
        greatest, ahead = (until, ()) if until is not None else self._present(self._greatest(below=self._end()))
        notes += ahead
        high = self._high(greatest) if until is None else until
        if low is not None and (high is None or self._less(high, low)):
            if greatest is not None and self._less(greatest, low):
                notes += (f"the greatest `{self._column.name}` fell from {low} to {greatest}; {low} is kept",)
            high = low
        if high is None:
            return self._only_nulls(nulls, notes, greatest)
        lower = self._lower(low)
        if low is None and lower is not None and self._less(high, lower):
            # No row has reached `initial_value`; to remember one below it would take its rows in next time.
            return self._only_nulls(nulls, notes, None)
        shares_rows = self._lag is not None or self._incremental.boundary == "closed"
        above = f"{self._sql} {'>=' if shares_rows or low is None else '>'} {self._value(lower)} AND " if lower else ""
        return CursorWindow(
            predicate=self._with_nulls(self._with_late(f"{above}{self._sql} <= {self._value(high)}", low, high)),
            low=low,
            lower=lower,
            upper=high,
            cursor=CursorValue(high, self._column.kind),
            seen_through=self._value(low) if shares_rows and low is not None else None,
            seen_from=self._value(self._minus_lag(high)) if shares_rows else None,
            empty=self._is_empty(low, high, nulls, shares_rows=shares_rows),
            notes=notes,
        )

    def _high(self, greatest: str | None) -> str | None:
        if self._incremental.boundary != "hold_back" or greatest is None or self._has_passed_end():
            return greatest
        return self._greatest(below=greatest)

    def _has_passed_end(self) -> bool:
        """Whether the source goes on beyond where the recipe ends, so that no row below the end is still to come."""
        end = self._end()
        return end is not None and self._has_rows(f"{self._sql} >= {self._value(end)}")

    def _has_rows(self, condition: str) -> bool:
        return bool(self._execute(f"SELECT 1 AS one FROM {self._source} WHERE {condition} LIMIT 1"))

    def _present(self, greatest: str | None) -> tuple[str | None, tuple[str, ...]]:
        """The greatest value that has come, and what to note of those that have not."""
        mode, column = self._incremental.future_cursor, self._column
        if greatest is None or column.kind != "time" or mode == "include":
            return greatest, ()
        soon = self._text(f"CAST(now() + {_interval(_TOLERANCE)} AS {column.type})")
        if not self._less(soon, greatest):
            return greatest, ()
        end = self._end()
        before_end = "" if end is None else f" AND {self._sql} < {self._value(end)}"
        ahead = f"{self._sql} > {self._value(soon)}{before_end}"
        count = self._execute(f"SELECT count(*) FROM {self._source} WHERE {ahead}")[0][0]
        if mode == "error":
            raise DataError(
                f"the cursor `{column.name}` lies in the future in {count} rows, up to {greatest}",
                context={"column": column.name, "rows": count, "greatest": greatest},
                hint="mend the rows, or set `future_cursor: wait` or `include`",
            )
        note = f"{count} rows wait until their `{column.name}` comes; the furthest is {greatest}"
        return self._greatest(below=soon), (note,)

    def _end(self) -> str | None:
        """Where the recipe ends, None when it does not."""
        value = self._incremental.end_value
        return None if value is None else self._written(str(value), "end_value")

    def _only_nulls(self, nulls: int, notes: tuple[str, ...], greatest: str | None) -> CursorWindow:
        """The first window, when no row can be taken for its cursor."""
        if greatest is not None:
            notes += (f"all rows have the same `{self._column.name}`, {greatest}, which is held back",)
        included = nulls > 0 and self._incremental.null_cursor == "include"
        return CursorWindow(predicate=self._with_nulls("false"), empty=not included, notes=notes)

    def _is_empty(self, low: str | None, high: str, nulls: int, *, shares_rows: bool) -> bool:
        """Whether nothing can be new; rows that tie with the last cursor, or lie within the lag, may be."""
        included = nulls > 0 and self._incremental.null_cursor == "include"
        return low is not None and high == low and not shares_rows and not included

    def _lower(self, low: str | None) -> str | None:
        """The lower bound: what is remembered less the lag, and not below where the recipe starts."""
        start = self._start()
        if low is None:
            return start
        lower = self._minus_lag(low)
        return start if start is not None and self._less(lower, start) and not self._less(low, start) else lower

    def _start(self) -> str | None:
        """Where the recipe starts, None at the beginning."""
        initial = self._incremental.initial_value
        return None if initial is None else self._written(str(initial), "initial_value")

    def _written(self, text: str, key: str) -> str:
        """What the recipe says at `key`, as the database writes it."""
        try:
            return self._text(self._value(text))
        except DataError as exc:
            raise RecipeError(
                f"`{text}` is no value of `{self._column.name}`, which is {self._column.type}",
                context={"column": self._column.name, "type": self._column.type, key: text},
                hint=f"write `{key}` as the database writes the column",
            ) from exc

    def _greatest(self, below: str | None = None) -> str | None:
        condition = f"{self._sql} IS NOT NULL" if below is None else f"{self._sql} < {self._value(below)}"
        # Not max(): uuid has none before Postgres 18, and an index serves this as well.
        found = self._execute(
            f"SELECT CAST(v AS text) AS t FROM (SELECT {self._sql} AS v FROM {self._source} WHERE {condition}"
            f" ORDER BY {self._sql} DESC LIMIT 1) AS greatest"
        )
        if not found:
            return None
        greatest = str(found[0][0])
        if self._column.kind != "text" and greatest.lower() in _NOT_FINITE:
            raise DataError(
                f"the greatest value of the cursor column `{self._column.name}` is `{greatest}`",
                context={"column": self._column.name, "value": greatest},
                hint="leave such rows out with `filter`",
            )
        return greatest

    def _minus_lag(self, text: str) -> str:
        lag = self._lag
        return (
            text if lag is None else self._text(f"CAST({self._value(text)} - {_interval(lag)} AS {self._column.type})")
        )

    def _value(self, text: str | None) -> str:
        return _literal(text or "", self._column)

    def _with_late(self, predicate: str, low: str | None, high: str) -> str:
        if self._late is None or low is None:
            return predicate
        lag = self._incremental.lag
        behind = f" AND {self._sql} >= {self._value(low)} - {_interval(lag)}" if lag is not None else ""
        start = self._start()
        behind += f" AND {self._sql} >= {self._value(start)}" if start is not None else ""
        return f"({predicate} OR ({self._late} AND {self._sql} <= {self._value(high)}{behind}))"

    def _with_nulls(self, predicate: str) -> str:
        if self._incremental.null_cursor != "include":
            return predicate
        return f"({predicate} OR {self._sql} IS NULL)"

    def _less(self, one: str, other: str) -> bool:
        return bool(self._execute(f"SELECT {self._value(one)} < {self._value(other)} AS v")[0][0])

    def _text(self, sql: str) -> str:
        return str(self._execute(f"SELECT CAST({sql} AS text) AS v")[0][0])


def _interval(span: dt.timedelta) -> str:
    microseconds = (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
    return f"interval '{microseconds} microseconds'"
