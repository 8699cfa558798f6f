"""What a check is: it is shown every batch that is staged, and says at the end what is wrong, if anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import pyarrow as pa

from arrowload.core.exceptions import RecipeError
from arrowload.core.lazy import compute as pc
from arrowload.core.names import did_you_mean

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence


class LoadFacts(NamedTuple):
    """What is known of a load when it is staged whole.

    Attributes:
        rows_read: From the source, before any step.
        rows_written: To be published; of rows with one merge key, one counts.
        last_rows: Rows written by the last load of the recipe that wrote any; None before the first.
        source_rows: Rows of the window as the source counts them; None where nobody asked, or it cannot.
        now: By the clock of this machine, in UTC.
    """

    rows_read: int
    rows_written: int
    last_rows: int | None
    source_rows: int | None
    now: dt.datetime


class BoundCheck(Protocol):
    """A check of rows of one schema; used under a lock, by one thread at a time."""

    def add(self, batch: pa.RecordBatch, first_row: int) -> None:
        """Look at some rows, in whatever order they come.

        Args:
            batch: Rows as they are staged.
            first_row: The number of the first of them in what a split gives, as people count.
        """

    def problem(self, facts: LoadFacts) -> str | None:
        """What is wrong, in one sentence without a full stop; None when nothing is."""


@runtime_checkable
class SiftingCheck(BoundCheck, Protocol):
    """A bound check, besides, that can tell which rows fail it.

    Attributes:
        why: What is wrong with such a row, to follow `the row`.
    """

    why: str

    def failing(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """True for each row of `batch` that fails; NULL passes."""


class Check(Protocol):
    """A check, as the recipe describes it."""

    def bind(self, schema: pa.Schema) -> BoundCheck:
        """The check for rows of `schema`.

        Raises:
            RecipeError: A column is not there, or has a type that cannot be checked so.
        """


class RowCheck:
    """A check that each row passes or fails by itself.

    Args:
        what: What fails in a row, to follow the count in a sentence: `have NULL in `id``.
        why: The same of one row: `has NULL in `id``.
        failing: Of a batch, true for each row that fails; NULL passes.
    """

    def __init__(self, what: str, why: str, failing: Callable[[pa.RecordBatch], pa.BooleanArray]) -> None:
        self._what = what
        self.why = why
        self.failing = failing
        self._count = 0
        self._first: int | None = None

    def add(self, batch: pa.RecordBatch, first_row: int) -> None:
        """Count the rows that fail."""
        failing = self.failing(batch)
        count = failing.true_count
        if count:
            self._count += count
            row = first_row + int(pc.index(failing, True).as_py())
            self._first = row if self._first is None else min(self._first, row)

    def problem(self, facts: LoadFacts) -> str | None:
        """How many there were, and the first of them."""
        if not self._count:
            return None
        rows = "row" if self._count == 1 else "rows"
        return f"{self._count} {rows} {self._what} (row {self._first} is the first)"


def require_column(schema: pa.Schema, name: str) -> pa.Field:
    """The column of that name.

    Raises:
        RecipeError: There is none.
    """
    if name not in schema.names:
        raise RecipeError(
            f"there is no column `{name}` to be checked",
            context={"column": name, "columns": schema.names},
            hint=did_you_mean(name, schema.names, f"columns are: {', '.join(schema.names)}"),
        )
    return schema.field(name)


def scalars(values: Sequence[object], field: pa.Field) -> pa.Array:
    """`values` of a recipe in the type of a column.

    Raises:
        RecipeError: One of them is no value of it.
    """
    try:
        texts = pa.array([None if value is None else str(value) for value in values], pa.string())
        return texts.cast(field.type) if not pa.types.is_boolean(field.type) else pa.array(values, field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as exc:
        raise RecipeError(
            f"{list(values)} are no values of `{field.name}`, which is {field.type}",
            context={"column": field.name, "type": str(field.type)},
            hint="write them as the column has them",
        ) from exc
