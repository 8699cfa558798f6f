"""`TransformPipeline`: the steps of a recipe; bound to a schema, they become stages that run on every batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec
import pyarrow as pa

from arrowload.core.casting import shown
from arrowload.core.exceptions import DataLoaderError, RecipeError, TransformError
from arrowload.transforms.base import KernelTransform, LazyTransform, SqlTransform, Transformed, require_distinct
from arrowload.transforms.fusion import fuse
from arrowload.transforms.registry import get_transform
from arrowload.transforms.stages import (
    ColumnStage,
    KernelStage,
    Stage,
    Step,
    StepError,
    compose,
    located,
    names_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from arrowload.models.transform_config import StepConfig
    from arrowload.transforms.base import Transform

Refuse: TypeAlias = "Callable[[int, TransformError], None]"


class TransformPipeline:
    """Steps in the order in which they run; knows no schema yet.

    Args:
        steps: Instances of steps.
        names: What errors call them; by default the names of their classes.
    """

    def __init__(self, steps: Sequence[Transform], names: Sequence[str] | None = None) -> None:
        names = names or [type(step).__name__ for step in steps]
        self.steps = tuple(Step(n, *pair) for n, pair in enumerate(zip(names, steps, strict=True), start=1))

    @classmethod
    def from_configs(cls, configs: Sequence[StepConfig]) -> TransformPipeline:
        """The steps that a recipe's `transform.steps` describe.

        Raises:
            RecipeError: A step cannot be made as it is written.
        """
        steps = []
        for number, config in enumerate(configs, start=1):
            # The step's name alone is needed for the error; there is no transform yet.
            with located(Step(number, config.type, None)):  # type: ignore[arg-type]
                steps.append(get_transform(config.type, config))
        return cls(steps, [config.type for config in configs])

    def bind(self, schema: pa.Schema) -> BoundPipeline:
        """The pipeline for batches of `schema`; compiles everything, reads no row.

        Raises:
            RecipeError: A step names a column that is not there, cannot work on its type, or has an expression that is
                wrong; says which step.
        """
        if self.steps:
            require_distinct(schema.names)
        stages: list[tuple[Stage, tuple[Step, ...]]] = []
        current = schema
        for steps in _runs(self.steps):
            stage = _kernel(steps[0], current) if _is_kernel(steps[0]) else fuse(steps, current)
            stages.append((stage, steps))
            current = stage.output_schema
        return BoundPipeline(schema, current, _describe(self.steps, stages), tuple(stage for stage, _ in stages))


class BoundPipeline(msgspec.Struct, frozen=True):
    """A pipeline for batches of one schema; may be used by several threads at once.

    Attributes:
        input_schema: Of the batches that it takes.
        output_schema: Of the batches that it gives, exactly.
        description: What it does, a line for each step and one for each run of steps that is one query.
    """

    input_schema: pa.Schema
    output_schema: pa.Schema
    description: tuple[str, ...]
    _stages: tuple[Stage, ...]

    def apply(self, batch: pa.RecordBatch, *, first_row: int = 0, refuse: Refuse | None = None) -> Transformed:
        """The rows after all steps.

        Args:
            batch: Rows of `input_schema`.
            first_row: The number of its first row in the load; errors count from there.
            refuse: Takes the position of a row that cannot be handled, and why, where a step can tell such rows from
                the others, which go on.

        Returns:
            The rows, and where in `batch` they were; `batch` itself when there are no steps.

        Raises:
            TransformError: A row cannot be handled, or the batch has another schema; nothing of it is to be used.
        """
        if not self._stages:
            return Transformed(batch)
        self._check_schema(batch.schema)
        made = Transformed(batch)
        for stage in self._stages:
            made = self._passed(stage, made, first_row, refuse)
        return made

    def _passed(self, stage: Stage, made: Transformed, first_row: int, refuse: Refuse | None) -> Transformed:
        """The rows after one more stage, without those that were refused."""
        try:
            if refuse is None:
                result = stage.run(made.batch)
            else:
                result, faults = stage.sift(made.batch)
                for fault in faults:
                    place = made.place(fault.error.row)
                    refuse(place, _row_error(fault, first_row + place))
        except StepError as exc:
            raise _row_error(exc, first_row + made.place(exc.error.row)) from exc
        except DataLoaderError:
            raise
        except BaseException as exc:
            # A panic in Rust reaches Python as a BaseException; what else is none is not for us.
            if not isinstance(exc, Exception) and type(exc).__name__ != "PanicException":
                raise
            raise _batch_error(stage, exc, first_row, made.batch.num_rows) from exc
        return Transformed(result.batch, compose(made.kept, result.kept))

    def _check_schema(self, schema: pa.Schema) -> None:
        if schema.equals(self.input_schema):
            return
        for index, planned in enumerate(self.input_schema):
            found = schema.field(index) if index < len(schema) else None
            if found is None or (found.name, found.type) != (planned.name, planned.type):
                raise TransformError(
                    f"column {index + 1} was planned as `{planned.name}` {planned.type} and comes as "
                    + (f"`{found.name}` {found.type}" if found else "nothing"),
                    context={"column": planned.name},
                    hint="the source gives another schema than it said; run again",
                )
        if len(schema) > len(self.input_schema):
            raise TransformError(f"column `{schema.field(len(self.input_schema)).name}` was not planned")


def _runs(steps: Iterable[Step]) -> list[tuple[Step, ...]]:
    """Kernels by themselves; all that stands between two kernels together."""
    runs: list[list[Step]] = []
    for step in steps:
        if runs and not _is_kernel(step) and not _is_kernel(runs[-1][-1]):
            runs[-1].append(step)
        else:
            runs.append([step])
    return [tuple(run) for run in runs]


def _is_kernel(step: Step) -> bool:
    from arrowload.transforms.base import ColumnTransform

    if isinstance(step.transform, SqlTransform | LazyTransform | ColumnTransform):
        return False
    if isinstance(step.transform, KernelTransform):
        return True
    raise RecipeError(
        f"{step} is no transform: it has neither `compile` nor `apply` and `output_schema`",
        context={"step": step.number, "type": step.name},
        hint="arrowload.transforms.base says what a step must have",
    )


def _kernel(step: Step, schema: pa.Schema) -> KernelStage:
    assert isinstance(step.transform, KernelTransform)  # noqa: S101 - for the type checker
    with located(step):
        made = step.transform.output_schema(schema)
        require_distinct(made.names)
    return KernelStage(step, made)


def _describe(steps: Sequence[Step], stages: Sequence[tuple[Stage, tuple[Step, ...]]]) -> tuple[str, ...]:
    lines = []
    for number, name, transform in steps:
        describe = getattr(transform, "describe", None)
        lines.append(f"{number}. {name}: {describe()}" if describe else f"{number}. {name}")
    for stage, run in stages:
        if isinstance(stage, ColumnStage) and stage.query is not None:
            inside = ", ".join(f"`{name}`" for name, *_ in stage.query.entering) or "no column"
            passing = sum(isinstance(origin, int) for origin in stage.origins)
            lines.append(f"{names_of(run)}: one Polars query over {inside}; {passing} columns pass by it")
    return tuple(lines)


def _row_error(failure: StepError, row: int) -> TransformError:
    step, error = failure.step, failure.error
    subject = f"column `{error.column}`: " if error.column else ""
    shows_value = error.value is not None and not isinstance(error.value, dict)
    message = f"`{shown(error.value)}` in row {row} {error.reason}" if shows_value else f"row {row}: {error.reason}"
    value = {k: shown(v) for k, v in error.value.items()} if isinstance(error.value, dict) else shown(error.value)
    return TransformError(
        f"{step}: {subject}{message}",
        context={"step": step.number, "type": step.name, "column": error.column, "row": row, "value": value},
    )


def _batch_error(stage: Stage, error: BaseException, first_row: int, rows: int) -> TransformError:
    step = stage.step if isinstance(stage, KernelStage) else None
    context = {"row": first_row, "rows": rows}
    return TransformError(
        f"{step or 'a step'} fails on {rows} rows from row {first_row} on: {type(error).__name__}: {error}",
        context={**context, "step": step.number, "type": step.name} if step else context,
    )
