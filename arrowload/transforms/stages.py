"""What a pipeline is made of once it knows its schema: stages, each a run of steps that are done together."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import pyarrow as pa

from arrowload.core.casting import mask_of
from arrowload.core.exceptions import RecipeError, TransformError
from arrowload.core.lazy import compute as pc
from arrowload.transforms.base import KernelTransform, RowError, SiftingTransform, Transformed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from arrowload.transforms.base import Transform
    from arrowload.transforms.query import Query


class Step(NamedTuple):
    """A step and how people call it.

    Attributes:
        number: Its place in the recipe, from 1.
        name: The `type:` that the recipe gives.
        transform: What it does.
    """

    number: int
    name: str
    transform: Transform

    def __str__(self) -> str:
        return f"step {self.number} (`{self.name}`)"


@contextmanager
def located(step: Step) -> Iterator[None]:
    """Say in every RecipeError that is raised inside which step it is about."""
    try:
        yield
    except RecipeError as exc:
        context = {
            **exc.context,
            "step": step.number,
            "type": step.name,
            "path": f"$.transform.steps[{step.number - 1}]",
        }
        raise RecipeError(f"{step}: {exc.message}", context=context, hint=exc.hint) from exc


class StepError(Exception):
    """A row that a step cannot handle, numbered as in the batch that its stage was handed.

    Attributes:
        step: The step.
        error: What is wrong and where.
    """

    def __init__(self, step: Step, error: RowError) -> None:
        super().__init__(str(error))
        self.step = step
        self.error = error


class Computed(NamedTuple):
    """A column that comes out of Polars, under this name there."""

    name: str


class Constant(NamedTuple):
    """A column that holds one value, told apart from others by the step and the name that made it."""

    step: int
    name: str
    value: pa.Scalar


Origin: TypeAlias = "int | Constant | Computed"


class ColumnStage(NamedTuple):
    """Columns taken from the batch as they are, constants, and what a Polars query computes.

    Attributes:
        output_schema: Of what comes out.
        origins: Where each output column comes from.
        query: What runs in Polars; None when the stage is schema work alone.
    """

    output_schema: pa.Schema
    origins: tuple[Origin, ...]
    query: Query | None

    def run(self, batch: pa.RecordBatch) -> Transformed:
        """The rows after the steps; raises StepError."""
        computed, kept = self.query.run(batch) if self.query else ({}, None)
        count = batch.num_rows if kept is None else len(kept)
        columns = [self._column(origin, batch, computed, kept, count) for origin in self.origins]
        return Transformed(pa.RecordBatch.from_arrays(columns, schema=self.output_schema), kept)

    def sift(self, batch: pa.RecordBatch) -> tuple[Transformed, Sequence[StepError]]:
        """As `run`: a query ends at the first row that it cannot handle."""
        return self.run(batch), ()

    def _column(
        self,
        origin: Origin,
        batch: pa.RecordBatch,
        computed: dict[str, pa.Array],
        kept: pa.Int64Array | None,
        count: int,
    ) -> pa.Array:
        if isinstance(origin, Computed):
            return computed[origin.name]
        if isinstance(origin, int):
            return batch.column(origin) if kept is None else batch.column(origin).take(kept)
        return repeat(origin.value, count)


class KernelStage(NamedTuple):
    """One kernel.

    Attributes:
        step: The step, whose transform is a `KernelTransform`.
        output_schema: What it promised.
    """

    step: Step
    output_schema: pa.Schema

    def run(self, batch: pa.RecordBatch) -> Transformed:
        """The rows after the step; raises StepError, and TransformError when the kernel breaks its promises."""
        assert isinstance(self.step.transform, KernelTransform)  # noqa: S101 - for the type checker
        try:
            result = self.step.transform.apply(batch)
        except RowError as exc:
            raise StepError(self.step, exc) from exc
        made = result if isinstance(result, Transformed) else Transformed(result)
        self._check(batch, made)
        return made

    def sift(self, batch: pa.RecordBatch) -> tuple[Transformed, Sequence[StepError]]:
        """The rows that the step can handle, and what is wrong with the others; as `run` when it cannot tell them."""
        if not isinstance(self.step.transform, SiftingTransform):
            return self.run(batch), ()
        result, faults = self.step.transform.sift(batch)
        made = Transformed(result)
        self._check(batch, made)
        kept = without(made, [fault.row for fault in faults]) if faults else made
        return kept, [StepError(self.step, fault) for fault in faults]

    def _check(self, batch: pa.RecordBatch, made: Transformed) -> None:
        if made.batch.schema != self.output_schema:
            raise self._broken(f"gave {_named(made.batch.schema)} in place of {_named(self.output_schema)}")
        expected = batch.num_rows if made.kept is None else len(made.kept)
        if made.batch.num_rows != expected:
            raise self._broken(f"gave {made.batch.num_rows} rows and says that it kept {expected}")
        if made.kept is not None:
            check_kept(self.step, made.kept, batch.num_rows)

    def _broken(self, what: str) -> TransformError:
        return broken(self.step, what)


Stage: TypeAlias = ColumnStage | KernelStage


def broken(step: Step, what: str) -> TransformError:
    """The error for a step that does not do what its protocol asks."""
    return TransformError(
        f"{step} {what}",
        context={"step": step.number, "type": step.name},
        hint="the step itself is at fault; `arrowload.testing.transforms` shows what is asked of it",
    )


def check_kept(step: Step, kept: pa.Int64Array, rows: int) -> None:
    """Refuse row numbers that are not those of some of the rows, each once and in order.

    Raises:
        TransformError: They are not.
    """
    if len(kept) == 0:
        return
    inside = pc.min(kept).as_py() >= 0 and pc.max(kept).as_py() < rows and kept.null_count == 0
    if not inside or not pc.all(pc.greater(kept[1:], kept[:-1]), min_count=0).as_py():
        raise broken(step, "repeats, reorders or invents rows; it may only drop them")


def repeat(value: pa.Scalar, count: int) -> pa.Array:
    """`count` times the same value."""
    if not value.is_valid:
        return pa.nulls(count, value.type)
    if isinstance(value, pa.ExtensionScalar):
        return pa.ExtensionArray.from_storage(value.type, repeat(value.value, count))
    return pa.repeat(value, count)


def _named(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}{'' if field.nullable else ' not null'}" for field in schema)


def without(made: Transformed, rows: Sequence[int]) -> Transformed:
    """The rows without some of them, by their places in `made.batch`."""
    kept = pc.indices_nonzero(pc.invert(mask_of(rows, made.batch.num_rows))).cast(pa.int64())
    return Transformed(made.batch.take(kept), compose(made.kept, kept))


def compose(first: pa.Int64Array | None, then: pa.Int64Array | None) -> pa.Int64Array | None:
    """Row numbers after two stages, in terms of the batch that the first was handed."""
    if first is None or then is None:
        return then if first is None else first
    return first.take(then)


def names_of(steps: Sequence[Step]) -> str:
    """`step 2` or `steps 2 to 4`."""
    if len(steps) == 1:
        return f"step {steps[0].number}"
    return f"steps {steps[0].number} to {steps[-1].number}"
