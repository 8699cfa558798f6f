"""What a step is: pure schema work, SQL expressions, a Polars frame, or a kernel on record batches.

A step has one of four shapes, and the pipeline runs each where it costs least. `ColumnTransform` and `SqlTransform` are
what most built-in steps are; a plug-in usually is a `LazyTransform` or a `KernelTransform`. A step may have a method
`describe() -> str`, the line that `arrowload plan` prints for it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

from arrowload.core.exceptions import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl
    import pyarrow as pa

ROW_COLUMN: Final = "_arrowload_row"
FAULT_COLUMN: Final = "_arrowload_fault"


class Transformed(NamedTuple):
    """Rows after a step or a pipeline.

    Attributes:
        batch: The rows that remain.
        kept: Where in the input batch they were: int64, strictly increasing; None when all remain.
    """

    batch: pa.RecordBatch
    kept: pa.Int64Array | None = None

    def place(self, row: int) -> int:
        """Where in the input batch a row of `batch` was."""
        place: int = row if self.kept is None else self.kept[row].as_py()
        return place


class Projected(NamedTuple):
    """One output column of a `ColumnTransform`: an input column by its name, or a constant."""

    name: str
    source: str | pa.Scalar


class Sql(NamedTuple):
    """What an `SqlTransform` computes, all from the same input columns.

    Attributes:
        columns: Output column → expression; a column that is there already is replaced in its place.
        where: Rows for which it is not true are dropped.
    """

    columns: Mapping[str, str]
    where: str | None = None


class RowError(Exception):
    """A value that a kernel cannot handle; the pipeline adds the step and turns the row into the load's own.

    Attributes:
        row: Position in the batch that the kernel was handed, from 0.
        column: The column of the value, when there is one.
        value: As a Python value.
        reason: What is wrong with it, to follow the value in a sentence.
    """

    def __init__(self, *, row: int, column: str | None, value: object, reason: str) -> None:
        super().__init__(reason)
        self.row = row
        self.column = column
        self.value = value
        self.reason = reason


@runtime_checkable
class ColumnTransform(Protocol):
    """Renames, reorders, drops or adds constant columns; never looks at a value."""

    def project(self, schema: pa.Schema) -> Sequence[Projected]:
        """The output columns, in order.

        Raises:
            RecipeError: The step names a column that is not there.
        """


@runtime_checkable
class SqlTransform(Protocol):
    """Computes columns or drops rows by SQL expressions that look at one row at a time."""

    def sql(self) -> Sql:
        """The expressions."""


@runtime_checkable
class LazyTransform(Protocol):
    """A step on Polars frames."""

    def compile(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """`frame` with the step applied; called once on an empty frame to learn the schema, then for every batch.

        A batch is not the whole load: only what looks at one row at a time gives the same rows however they are cut.
        The column `_arrowload_row` holds the number of each row and must come out as it went in, which `with_columns`,
        `filter` and `drop` see to; a row may be dropped, not repeated. Columns of types that Polars lacks (decimal256,
        uuid, json, intervals) are not in the frame and pass by.
        """


@runtime_checkable
class KernelTransform(Protocol):
    """A step on Arrow record batches."""

    def output_schema(self, schema: pa.Schema) -> pa.Schema:
        """The schema of what `apply` gives for batches of `schema`.

        Raises:
            RecipeError: The step cannot work on such batches.
        """

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch | Transformed:
        """The rows after the step; a step that drops rows returns `Transformed` and says which it kept.

        Raises:
            RowError: A value cannot be handled.
        """


@runtime_checkable
class SiftingTransform(KernelTransform, Protocol):
    """A kernel that can tell, in one pass, the rows that it cannot handle from the others."""

    def sift(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Sequence[RowError]]:
        """As many rows as in `batch`; and those that cannot be handled, each once, in their order.

        What the batch holds in the place of the latter is not looked at.
        """


Transform: TypeAlias = "ColumnTransform | SqlTransform | LazyTransform | KernelTransform"


def require_distinct(names: Sequence[str]) -> None:
    """Refuse two columns of one name.

    Raises:
        RecipeError: A name comes twice, is empty, or is one that the pipeline needs for itself.
    """
    for name in names:
        if not name or name in (ROW_COLUMN, FAULT_COLUMN):
            raise RecipeError(f"a column cannot be called `{name}`", context={"column": name})
    twice = {name for name, times in Counter(names).items() if times > 1}
    if twice:
        name = min(twice)
        raise RecipeError(
            f"two columns would be called `{name}`", context={"column": name}, hint="rename or drop one of them first"
        )
