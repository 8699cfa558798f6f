"""Gives rows the schema that the destination asked for, with what its contract wants put aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from arrowload.core.casting import CastFailure, cast_batch_exact, cast_error, cast_failures, mask_of
from arrowload.core.exceptions import TransformError
from arrowload.core.lazy import compute as pc
from arrowload.core.types import type_name
from arrowload.planning.contract import Agreement
from arrowload.transforms.base import Transformed
from arrowload.transforms.stages import without

if TYPE_CHECKING:
    from arrowload.transforms.pipeline import Refuse

_HINT = "cast the column in a step, declare its type in the source, or load anew with --full-refresh"


class Aside(NamedTuple):
    """Where goes what is not stored, by position and with why.

    Attributes:
        row: Takes a row that is not stored.
        value: Takes a value that is not; its row is, with NULL in its place or without the column.
    """

    row: Refuse
    value: Refuse


class Storing:
    """Casts rows to the types of the target.

    Args:
        schema: What the destination wants to be handed.
        agreement: What the contract says of single columns.
    """

    def __init__(self, schema: pa.Schema, agreement: Agreement | None = None) -> None:
        self.schema = schema
        self._agreement = agreement or Agreement(schema)

    def store(self, made: Transformed, first_row: int, aside: Aside | None) -> Transformed:
        """The rows in the types of the target.

        Args:
            made: What the pipeline gave.
            first_row: The number of the first row that it was given.
            aside: Without it, a value that cannot be stored is an error.

        Raises:
            TransformError: A value cannot be stored, and `aside` is not given.
        """
        for column, what in self._agreement.left_out.items():
            made = self._leave_out(made, first_row, column, what, aside)
        while True:
            try:
                out = cast_batch_exact(made.batch, self.schema, first_row=first_row, kept=made.kept)
            except TransformError as exc:
                if aside is None or not isinstance(exc.__cause__, CastFailure):
                    raise _unstorable(exc) from exc
                made = self._set_aside(made, first_row, aside)
            else:
                return Transformed(out, made.kept)

    def _set_aside(self, made: Transformed, first_row: int, aside: Aside) -> Transformed:
        """Without the rows, or the single values, that do not fit; of each row, its first value that does not."""
        refused: set[int] = set()
        for column, kind in zip(self.schema.names, self.schema.types, strict=True):
            nulls = column in self._agreement.nulled
            failures = cast_failures(made.batch.column(column), kind)
            for failure in failures:
                if failure.row not in refused:
                    place = made.place(failure.row)
                    error = cast_error(failure, column, kind, row=first_row + place)
                    (aside.value if nulls else aside.row)(place, _unstorable(error))
            rows = [failure.row for failure in failures]
            if nulls and rows:
                made = _with_nulls(made, column, rows)
            elif rows:
                refused.update(rows)
        return without(made, sorted(refused)) if refused else made

    def _leave_out(self, made: Transformed, first_row: int, column: str, what: str, aside: Aside | None) -> Transformed:
        values = made.batch.column(column)
        rows = pc.indices_nonzero(values.is_valid()).to_pylist()
        for row in rows:
            place = made.place(row)
            value = str(values[row].as_py())
            error = TransformError(
                f"the target has no column `{column}`, and its contract keeps it so: row {first_row + place}",
                context={"column": column, "row": first_row + place, "value": value, "type": type_name(values.type)},
                hint="let the contract add columns: `columns: evolve_safe`",
            )
            if aside is None:
                raise error
            (aside.value if what == "value" else aside.row)(place, error)
        kept = without(made, rows) if what == "row" else made
        return kept._replace(batch=kept.batch.drop_columns(column))


def _with_nulls(made: Transformed, column: str, rows: list[int]) -> Transformed:
    index = made.batch.schema.get_field_index(column)
    field = made.batch.schema.field(index)
    values = pc.if_else(mask_of(rows, made.batch.num_rows), pa.nulls(1, field.type)[0], made.batch.column(index))
    return made._replace(batch=made.batch.set_column(index, field.with_nullable(True), values))


def _unstorable(error: TransformError) -> TransformError:
    return TransformError(f"the target cannot hold it: {error.message}", context=error.context, hint=_HINT)
