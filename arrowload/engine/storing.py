"""Gives rows the schema that the destination asked for, with what its contract wants put aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from arrowload.core.casting import about_column, cast_batch_exact, cast_error, matched_columns, sift_exact
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
        if aside is not None and not made.batch.schema.equals(self.schema, check_metadata=True):
            return self._sifted(made, first_row, aside)
        try:
            out = cast_batch_exact(made.batch, self.schema, first_row=first_row, kept=made.kept)
        except TransformError as exc:
            raise _unstorable(exc) from exc
        return Transformed(out, made.kept)

    def _sifted(self, made: Transformed, first_row: int, aside: Aside) -> Transformed:
        """Without the rows, or the single values, that do not fit; of each row, its first value that does not."""
        refused: set[int] = set()
        columns = []
        for column, field in matched_columns(made.batch, self.schema):
            with about_column(field.name):
                values, failures = sift_exact(column, field.type)
            nulls = field.name in self._agreement.nulled
            for failure in failures:
                if failure.row not in refused:
                    place = made.place(failure.row)
                    error = cast_error(failure, field.name, field.type, row=first_row + place)
                    (aside.value if nulls else aside.row)(place, _unstorable(error))
            if not nulls:
                refused.update(failure.row for failure in failures)
            columns.append(values)
        out = Transformed(pa.RecordBatch.from_arrays(columns, schema=self.schema), made.kept)
        return without(out, sorted(refused)) if refused else out

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


def _unstorable(error: TransformError) -> TransformError:
    return TransformError(f"the target cannot hold it: {error.message}", context=error.context, hint=_HINT)
