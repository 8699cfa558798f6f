"""Tells the rows of a batch that can be loaded from those that cannot, which go to quarantine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import pyarrow as pa

from arrowload.core.exceptions import DataError, TransformError
from arrowload.core.lazy import compute as pc
from arrowload.core.rejection import Rejection, encoded_rows
from arrowload.engine.storing import Aside
from arrowload.transforms.base import Transformed
from arrowload.transforms.stages import without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from arrowload.checks.suite import CheckSuite
    from arrowload.core.exceptions import DataLoaderError
    from arrowload.core.rejection import Code
    from arrowload.engine.quarantine import Quarantine

# Makes of some rows what is stored. Is told the number of the first of them, and may set rows and values aside by their
# positions; another row that it cannot handle is an error that names it.
Attempt: TypeAlias = "Callable[[pa.RecordBatch, int, Aside], Transformed]"
Take: TypeAlias = "Callable[[Sequence[Fault]], None]"

# A batch that fails is tried again in pieces of so many rows: at one bad row in a hundred most have one or none.
_PIECE: Final = 128


class Fault(NamedTuple):
    """What is wrong with a row.

    Attributes:
        position: Of the row, in the batch that is sifted.
        code: Who refused it.
        reason: What is wrong, in a sentence.
        context: Of the error, with the column and the value where one is at fault.
    """

    position: int
    code: Code
    reason: str
    context: Mapping[str, Any]


class Sifter:
    """Passes on the rows of a batch that can be loaded; several threads may do that.

    Args:
        quarantine: Takes the others.
        schema: Of what is stored.
        checks: Those that quarantine rows refuse them here; None without any.
        judge: Raises DataError, with the row's position, for a value that the schema holds and the destination refuses.
    """

    def __init__(
        self,
        quarantine: Quarantine,
        schema: pa.Schema,
        checks: CheckSuite | None = None,
        judge: Callable[[pa.RecordBatch], None] | None = None,
    ) -> None:
        self.quarantine = quarantine
        self._schema = schema
        self._checks = checks
        self._judge = judge

    def sift(
        self, rows: pa.RecordBatch, first_row: int, attempt: Attempt, *, within: str | None = None
    ) -> tuple[Transformed, int]:
        """What `attempt` makes of the rows that it can handle, in their order, and how many were refused.

        Args:
            rows: What is tried, whole at first.
            first_row: The number of the first of them.
            attempt: Is given some of the rows, and the number of the first of these.
            within: What rows are counted in, when it is not all that is read.

        Raises:
            DataError: More rows are refused than may be.
            TransformError: The batch fails, and no row of it is at fault.
        """
        refused = 0

        def take(faults: Sequence[Fault]) -> None:
            nonlocal refused
            encoded = encoded_rows(rows, [fault.position for fault in faults])
            for fault, row in zip(faults, encoded, strict=True):
                refused += fault.code != "value"
                value = fault.context.get("value")
                self.quarantine.add(
                    Rejection(
                        place=f"{within + ', ' if within else ''}row {first_row + fault.position}",
                        column=fault.context.get("column"),
                        code=fault.code,
                        reason=fault.reason,
                        value=None if value is None else str(value),
                        row=row,
                    )
                )

        def accepted(piece: pa.RecordBatch, first: int, aside: Aside) -> Transformed:
            made = attempt(piece, first, aside)
            if self._judge is not None:
                self._let_judge(made, first)
            return made

        parts = list(_parts(rows, first_row, accepted, take))
        made = parts[0] if len(parts) == 1 else _joined(parts, self._schema)
        return self._checked(made, take), refused

    def _let_judge(self, made: Transformed, first_row: int) -> None:
        assert self._judge is not None  # noqa: S101 - for the type checker
        try:
            self._judge(made.batch)
        except DataError as exc:
            if not isinstance(exc.context.get("row"), int):
                raise
            row = exc.context["row"]
            context = {**exc.context, "row": first_row + made.place(row)}
            raise DataError(exc.message, context=context, hint=exc.hint) from exc

    def _checked(self, made: Transformed, take: Take) -> Transformed:
        refused = self._checks.refused(made.batch) if self._checks is not None else []
        if not refused:
            return made
        take([Fault(made.place(row), "check", why, {}) for row, why in refused])
        return without(made, [row for row, _ in refused])


def _parts(rows: pa.RecordBatch, first_row: int, attempt: Attempt, take: Take) -> Iterator[Transformed]:
    """What can be handled, in order; a row that only an error names is refused for failing alone."""
    pending = [(0, rows.num_rows)]
    while pending:
        start, stop = pending.pop()
        refused: dict[int, TransformError] = {}
        values: list[tuple[int, TransformError]] = []
        aside = Aside(refused.__setitem__, partial(_keep, values))
        try:
            made = attempt(rows.slice(start, stop - start), first_row + start, aside)
        except (TransformError, DataError) as exc:
            if "row" not in exc.context:
                raise
            if stop - start == 1:
                take([_fault(start, exc)])
            else:
                pending += reversed(_divided(start, stop, exc.context, first_row))
        else:
            take([_fault(start + at, error) for at, error in refused.items()])
            take([_fault(start + at, error, "value") for at, error in values if at not in refused])
            yield made._replace(kept=_from(start, stop, made.kept))


def _keep(values: list[tuple[int, TransformError]], position: int, fault: TransformError) -> None:
    values.append((position, fault))


def _joined(parts: Sequence[Transformed], schema: pa.Schema) -> Transformed:
    empty = pa.RecordBatch.from_pylist([], schema)
    batches, kept = [part.batch for part in parts], [part.kept for part in parts]
    return Transformed(pa.concat_batches([empty, *batches]), pa.concat_arrays([pa.array([], pa.int64()), *kept]))


def _from(start: int, stop: int, kept: pa.Int64Array | None) -> pa.Int64Array:
    return pa.arange(start, stop) if kept is None else pc.add(kept, start)


def _divided(start: int, stop: int, context: Mapping[str, Any], first_row: int) -> list[tuple[int, int]]:
    """Smaller pieces, in order: around the row that is named, or all of the same size."""
    if stop - start > _PIECE:
        return [(at, min(at + _PIECE, stop)) for at in range(start, stop, _PIECE)]
    if "rows" in context:  # the error is about all of them
        middle = (start + stop) // 2
        return [(start, middle), (middle, stop)]
    at = context["row"] - first_row
    return [(a, b) for a, b in ((start, at), (at, at + 1), (at + 1, stop)) if a < b]


def _fault(position: int, error: DataLoaderError, code: Code | None = None) -> Fault:
    return Fault(position, code or _code_of(error.context), error.message, error.context)


def _code_of(context: Mapping[str, Any]) -> Code:
    if "merge_key" in context:
        return "merge_key"
    return "transform" if "step" in context else "target"
