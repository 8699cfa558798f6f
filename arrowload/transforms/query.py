"""The part of a stage that runs in Polars: one lazy query, its expressions compiled once, run on every batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
import polars.selectors as cs
from polars.exceptions import PanicException, PolarsError

from arrowload.core.casting import CastFailure, cast_exact, shown
from arrowload.core.exceptions import TransformError
from arrowload.transforms.base import FAULT_COLUMN, ROW_COLUMN, RowError
from arrowload.transforms.sql_tree import first_line
from arrowload.transforms.stages import Step, StepError, check_kept

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from arrowload.transforms.expressions import Expression


# Shared subexpressions would be computed once and for all rows, also those for which only a branch that is not taken
# has them: `case when s ~ '^[0-9]+$' then cast(s as int) end` would fail.
_OPTIMISATIONS = pl.QueryOptFlags(comm_subexpr_elim=False)


class Entering(NamedTuple):
    """A column that goes into Polars.

    Attributes:
        name: Its name in the batch.
        position: Where it is there.
        type: The Arrow type under which it enters.
    """

    name: str
    position: int
    type: pa.DataType


@dataclass(frozen=True)
class Operation:
    """One step as a function on frames.

    Attributes:
        step: The step.
        apply: What it does to a frame.
        expressions: What it evaluates: output column (None for a filter) and expression.
        is_foreign: It is a plug-in's, whose handling of row numbers is checked.
    """

    step: Step
    apply: Callable[[pl.LazyFrame], pl.LazyFrame]
    expressions: tuple[tuple[str | None, Expression], ...] = ()
    is_foreign: bool = False


class Fault(NamedTuple):
    """What a number in the fault column stands for."""

    step: Step
    column: str | None
    expression: Expression
    reason: str


@dataclass(frozen=True)
class Query:
    """A run of steps in Polars.

    Attributes:
        entering: The columns that go in.
        operations: The steps, in order.
        leaving: The computed columns that come out, as the plan has them.
        faults: The meanings of the numbers, from 1, in the fault column; empty when there is none.
    """

    entering: tuple[Entering, ...]
    operations: tuple[Operation, ...]
    leaving: tuple[pa.Field, ...]
    faults: tuple[Fault, ...]

    def run(self, batch: pa.RecordBatch) -> tuple[dict[str, pa.Array], pa.Int64Array | None]:
        """The computed columns, and which rows remain (None when all do).

        Raises:
            StepError: A row cannot be handled.
            TransformError: The query fails as a whole, or a plug-in breaks its promises.
        """
        frame = self._frame(batch)
        try:
            result = self._collect(frame)
        except (PolarsError, PanicException) as exc:
            raise self._failure(frame, exc) from exc
        self._raise_fault(result, frame)
        return {field.name: self._column(result, field) for field in self.leaving}, self._kept(result, batch.num_rows)

    def _frame(self, batch: pa.RecordBatch) -> pl.DataFrame:
        series = [pl.int_range(batch.num_rows, dtype=pl.Int64, eager=True).alias(ROW_COLUMN)]
        series += [pl.Series(name, cast_exact(batch.column(index), to)) for name, index, to in self.entering]
        return pl.DataFrame(series)

    def _collect(self, frame: pl.DataFrame, upto: int | None = None) -> pl.DataFrame:
        query = frame.lazy()
        for operation in self.operations[:upto]:
            query = operation.apply(query)
        if upto is None:
            faults = [FAULT_COLUMN] if self.faults else []
            query = query.select(cs.by_name(*(field.name for field in self.leaving), ROW_COLUMN, *faults))
        return query.collect(optimizations=_OPTIMISATIONS)

    def _kept(self, result: pl.DataFrame, rows: int) -> pa.Int64Array | None:
        foreign = [operation.step for operation in self.operations if operation.is_foreign]
        kept = result[ROW_COLUMN].to_arrow()
        if foreign:
            check_kept(foreign[0], kept, rows)
        return None if len(kept) == rows else kept

    def _column(self, result: pl.DataFrame, field: pa.Field) -> pa.Array:
        column = result[field.name].to_arrow(compat_level=pl.CompatLevel.oldest())
        try:
            return cast_exact(column, field.type)
        except CastFailure as exc:
            error = RowError(row=result[ROW_COLUMN][exc.row], column=field.name, value=exc.value, reason=exc.reason)
            raise StepError(self.operations[-1].step, error) from exc

    def _raise_fault(self, result: pl.DataFrame, frame: pl.DataFrame) -> None:
        if not self.faults or result[FAULT_COLUMN].null_count() == result.height:
            return
        row, number = result.filter(pl.col(FAULT_COLUMN).is_not_null()).select(ROW_COLUMN, FAULT_COLUMN).row(0)
        fault = self.faults[number - 1]
        place = next(i for i, operation in enumerate(self.operations) if operation.step is fault.step)
        raise StepError(
            fault.step, self._row_error(frame[row], row, place, (fault.column, fault.expression), fault.reason)
        )

    def _failure(self, frame: pl.DataFrame, error: BaseException) -> Exception:
        row = self._first_failing_row(frame)
        if row is None:
            return TransformError(f"Polars fails on the batch as a whole: {first_line(error)}")
        one = frame[row]
        for place, operation in enumerate(self.operations):
            if reason := self._why(one, place + 1):
                for column, expression in operation.expressions:
                    if why := self._why(one, place, expression):
                        return StepError(operation.step, self._row_error(one, row, place, (column, expression), why))
                return StepError(operation.step, RowError(row=row, column=None, value=None, reason=f"fails: {reason}"))
        return TransformError(f"Polars fails on row {row}: {first_line(error)}")

    def _first_failing_row(self, frame: pl.DataFrame) -> int | None:
        start, stop = 0, frame.height
        while stop - start > 1:
            middle = (start + stop) // 2
            start, stop = (start, middle) if self._why(frame[start:middle]) else (middle, stop)
        return start if stop > start and self._why(frame[start:stop]) else None

    def _why(self, frame: pl.DataFrame, upto: int | None = None, then: Expression | None = None) -> str | None:
        """What Polars says when it fails on `frame`, after `upto` operations and one expression; None when it works."""
        try:
            made = self._collect(frame, upto)
            if then is not None:
                made.select(then.expr.alias("value"))
        except (PolarsError, PanicException) as exc:
            return first_line(exc)
        return None

    def _row_error(
        self, one: pl.DataFrame, row: int, place: int, evaluated: tuple[str | None, Expression], reason: str
    ) -> RowError:
        column, expression = evaluated
        before = self._collect(one, place)
        values = {name: before[name][0] for name in expression.columns}
        where = f" where {', '.join(f'{name} = {shown(value)}' for name, value in values.items())}" if values else ""
        return RowError(row=row, column=column, value=values, reason=f"`{expression.text}`{where}: {reason}")
