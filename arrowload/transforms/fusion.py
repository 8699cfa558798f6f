"""Neighbouring steps that need no kernel become one stage: columns pass by it, or go through one Polars query."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from arrowload.core.exceptions import RecipeError
from arrowload.core.names import require_columns
from arrowload.core.types import type_name
from arrowload.transforms.base import (
    FAULT_COLUMN,
    ROW_COLUMN,
    ColumnTransform,
    LazyTransform,
    SqlTransform,
    require_distinct,
)
from arrowload.transforms.stages import ColumnStage, Computed, Constant, Origin, Step, located

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import polars as pl

    from arrowload.transforms.expressions import Expression
    from arrowload.transforms.query import Entering, Fault, Operation


class _Needs(Exception):  # noqa: N818 - a signal inside this module
    """More columns must enter Polars than were let in."""

    def __init__(self, keys: Iterable[int | Constant]) -> None:
        super().__init__()
        self.keys = frozenset(keys)


class _Column(NamedTuple):
    field: pa.Field
    origin: Origin


def fuse(steps: Sequence[Step], schema: pa.Schema) -> ColumnStage:
    """One stage of `steps`, none of which is a kernel, for batches of `schema`.

    A column enters Polars only when an expression reads it. Which ones these are is found out by trying: the stage is
    built again whenever an expression reads a column that had been left out.

    Raises:
        RecipeError: A step cannot be done as written.
    """
    entering: frozenset[int | Constant] = frozenset()
    while True:
        builder = _Builder(schema, entering)
        try:
            for step in steps:
                with located(step):
                    builder.add(step)
            return builder.stage()
        except _Needs as needs:
            entering |= needs.keys


class _Builder:
    """Follows the columns through the steps, and an empty frame through those of them that run in Polars.

    Args:
        schema: Of the batches.
        entering: Positions of the columns, and constants of the steps, that go into the frame.
    """

    def __init__(self, schema: pa.Schema, entering: frozenset[int | Constant]) -> None:
        self.schema = schema
        self.entering = entering
        self.columns = {field.name: _Column(field, index) for index, field in enumerate(schema)}
        self.frame: pl.LazyFrame | None = None
        self.operations: list[Operation] = []
        self.faults: list[Fault] = []
        if entering:
            self._open()

    def add(self, step: Step) -> None:
        """Follow the columns through one more step."""
        match step.transform:
            case SqlTransform():
                self._add_sql(step, step.transform)
            case LazyTransform():
                self._add_lazy(step, step.transform)
            case ColumnTransform():
                self._add_columns(step, step.transform)

    def stage(self) -> ColumnStage:
        """What came of it."""
        fields, origins = [c.field for c in self.columns.values()], tuple(c.origin for c in self.columns.values())
        schema = pa.schema(fields, metadata=self.schema.metadata)
        if not self.operations:
            return ColumnStage(schema, origins, None)
        from arrowload.transforms.query import Query

        leaving = tuple(column.field for column in self.columns.values() if isinstance(column.origin, Computed))
        return ColumnStage(schema, origins, Query(self._entries(), tuple(self.operations), leaving, tuple(self.faults)))

    # ------------------------------------------------------------ columns

    def _add_columns(self, step: Step, transform: ColumnTransform) -> None:
        projected = transform.project(self._schema())
        require_distinct([name for name, _ in projected])
        columns, selected = {}, []
        for name, source in projected:
            if isinstance(source, str):
                column = self.columns[source]
                inside = self._is_inside(source)
            else:
                constant = Constant(step.number, name, source)
                column = _Column(pa.field(name, source.type, nullable=not source.is_valid), constant)
                inside = constant in self.entering
            moved = Computed(name) if isinstance(column.origin, Computed) else column.origin
            columns[name] = _Column(column.field.with_name(name), moved)
            selected += [(name, source)] if inside else []
        if self.frame is not None:
            self._project_frame(step, selected)
        self.columns = columns

    def _project_frame(self, step: Step, selected: list[tuple[str, str | pa.Scalar]]) -> None:
        import polars as pl
        import polars.selectors as cs

        exprs = [pl.col(ROW_COLUMN), *([pl.col(FAULT_COLUMN)] if self.faults else [])]
        for name, source in selected:
            made = cs.by_name(source).as_expr() if isinstance(source, str) else _literal(source)
            exprs.append(made.alias(name))
        self._operate(step, lambda frame: frame.select(exprs))

    # ------------------------------------------------------------ SQL

    def _add_sql(self, step: Step, transform: SqlTransform) -> None:
        from arrowload.transforms.expressions import roots

        sql = transform.sql()
        texts = [*([sql.where] if sql.where is not None else []), *sql.columns.values()]
        self._let_in([name for text in texts for name in roots(text)])
        if sql.where is not None:
            self._filter(step, sql.where)
        if sql.columns:
            self._derive(step, {name: self._compile(text) for name, text in sql.columns.items()})

    def _compile(self, text: str) -> Expression:
        from arrowload.transforms.expressions import compile_expression

        return compile_expression(text, self._open(), list(self.columns))

    def _filter(self, step: Step, where: str) -> None:
        import polars as pl

        from arrowload.transforms.polars_types import dtype_name

        condition = self._compile(where)
        if condition.dtype != pl.Boolean:
            raise RecipeError(
                f"`{where}` gives {dtype_name(condition.dtype)}, not true or false",
                context={"sql": where},
                hint="write a condition, such as `amount > 0`",
            )
        marked = self._mark_faults(step, [(None, condition)])
        # A row at fault stays, so that no filter hides it from the check at the end.
        keep = (
            condition.expr.fill_null(value=False) | pl.col(FAULT_COLUMN).is_not_null()
            if self.faults
            else condition.expr
        )
        self._operate(step, lambda frame: frame.with_columns(marked).filter(keep), [(None, condition)])

    def _derive(self, step: Step, derived: dict[str, Expression]) -> None:
        from arrowload.transforms.polars_types import plain_type

        require_distinct(list({**self.columns, **derived}))
        marked = self._mark_faults(step, list(derived.items()))
        made = [expression.expr.alias(name) for name, expression in derived.items()]
        self._operate(step, lambda frame: frame.with_columns(*marked, *made), list(derived.items()))
        for name, expression in derived.items():
            field = pa.field(name, plain_type(name, expression.dtype))
            self.columns[name] = _Column(field, Computed(name))

    def _mark_faults(self, step: Step, expressions: list[tuple[str | None, Expression]]) -> list[pl.Expr]:
        """The fault column with what may go wrong in `expressions` added to it; nothing when nothing may."""
        import polars as pl

        from arrowload.transforms.query import Fault

        marks = [pl.col(FAULT_COLUMN)] if self.faults else []
        for column, expression in expressions:
            for guard in expression.guards:
                self.faults.append(Fault(step, column, expression, guard.reason))
                marks.append(pl.when(guard.fails).then(pl.lit(len(self.faults), dtype=pl.UInt32)))
        return [pl.coalesce(marks).alias(FAULT_COLUMN)] if marks else []

    # ------------------------------------------------------------ plug-ins

    def _add_lazy(self, step: Step, transform: LazyTransform) -> None:
        from polars.exceptions import PanicException, PolarsError

        from arrowload.transforms.polars_types import plain_type, type_inside
        from arrowload.transforms.sql_tree import first_line

        readable = [name for name, column in self.columns.items() if type_inside(column.field.type) is not None]
        self._let_in(readable)
        before = self._open().collect_schema()
        try:
            after = self._operate(step, transform.compile, is_foreign=True).collect_schema()
        except (PolarsError, PanicException) as exc:
            raise RecipeError(f"the step cannot be compiled: {first_line(exc)}") from exc
        for needed in (ROW_COLUMN, *([FAULT_COLUMN] if self.faults else [])):
            if after.get(needed) != before[needed]:
                raise RecipeError(
                    f"the step loses the column `{needed}`",
                    context={"column": needed},
                    hint="use `with_columns`, `filter` and `drop`, which leave it as it is",
                )
        made = [name for name in after if name not in (ROW_COLUMN, FAULT_COLUMN)]
        columns = {name: column for name, column in self.columns.items() if name in made or name not in readable}
        for name in made:
            same = name in columns and name in before and before[name] == after[name]
            field = columns[name].field.with_nullable(True) if same else pa.field(name, plain_type(name, after[name]))
            columns[name] = _Column(field, Computed(name))
        self.columns = columns

    # ------------------------------------------------------------ the frame

    def _schema(self) -> pa.Schema:
        return pa.schema([column.field for column in self.columns.values()], metadata=self.schema.metadata)

    def _is_inside(self, name: str) -> bool:
        origin = self.columns[name].origin
        return isinstance(origin, Computed) or origin in self.entering

    def _let_in(self, names: Sequence[str]) -> None:
        from arrowload.transforms.polars_types import type_inside

        require_columns(names, list(self.columns))
        for name in names:
            data_type = self.columns[name].field.type
            if type_inside(data_type) is None:
                raise RecipeError(
                    f"column `{name}` is of type {type_name(data_type)}, which expressions cannot read",
                    context={"column": name, "type": type_name(data_type)},
                    hint="cast it in a step before this one, or leave it out of the expression",
                )
        missing = [self.columns[name].origin for name in names if not self._is_inside(name)]
        if missing:
            raise _Needs(origin for origin in missing if not isinstance(origin, Computed))
        self._open()

    def _entries(self) -> tuple[Entering, ...]:
        from arrowload.transforms.polars_types import type_inside
        from arrowload.transforms.query import Entering

        indices = sorted(key for key in self.entering if isinstance(key, int))
        fields = {index: self.schema.field(index) for index in indices}
        return tuple(Entering(field.name, index, type_inside(field.type)) for index, field in fields.items())

    def _open(self) -> pl.LazyFrame:
        if self.frame is None:
            import polars as pl

            empty = [pl.Series(name, pa.nulls(0, data_type)) for name, _, data_type in self._entries()]
            self.frame = pl.LazyFrame([pl.Series(ROW_COLUMN, [], dtype=pl.Int64), *empty])
        return self.frame

    def _operate(
        self,
        step: Step,
        apply: Callable[[pl.LazyFrame], pl.LazyFrame],
        expressions: Sequence[tuple[str | None, Expression]] = (),
        *,
        is_foreign: bool = False,
    ) -> pl.LazyFrame:
        from arrowload.transforms.query import Operation

        self.frame = apply(self._open())
        self.operations.append(Operation(step, apply, tuple(expressions), is_foreign))
        return self.frame


def _literal(value: pa.Scalar) -> pl.Expr:
    import polars as pl

    from arrowload.core.casting import cast_exact
    from arrowload.transforms.polars_types import type_inside
    from arrowload.transforms.stages import repeat

    series = pl.Series("value", cast_exact(repeat(value, 1), type_inside(value.type)))
    return pl.lit(series[0], dtype=series.dtype)
