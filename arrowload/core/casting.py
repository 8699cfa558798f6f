"""Casts that change no value in silence: what does not fit is an error that names column, value and row."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from arrowload.core.conversions import NoConversion, Options, convert, kind, parse_quickly, plain
from arrowload.core.exceptions import RecipeError, TransformError
from arrowload.core.lazy import compute as pc
from arrowload.core.parsing import FormatError, compile_format
from arrowload.core.types import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Cast: TypeAlias = Callable[[pa.Array], pa.Array]
    Likely: TypeAlias = tuple[pa.Array, pa.Int64Array]

_SHOWN = 80


class CastFailure(Exception):  # noqa: N818 - callers add the column and raise their own error
    """A value that the target type cannot hold.

    Attributes:
        row: Its position in the array, from 0.
        value: As a Python value, or as text where Python has none for it.
        reason: What is wrong, to follow the value in a sentence: `is no decimal(10,2)`.
    """

    def __init__(self, row: int, value: object, reason: str) -> None:
        super().__init__(f"`{shown(value)}` in row {row} {reason}")
        self.row = row
        self.value = value
        self.reason = reason


def cast_exact(
    array: pa.Array,
    target: pa.DataType,
    *,
    form: str | None = None,
    zone: str | None = None,
    rounding: bool = False,
) -> pa.Array:
    """`array` as `target`, every value unchanged and every null where it was; `array` itself when it has that type.

    Floats are read as their shortest decimal form: 0.1 fits decimal(3,1). Text holds booleans in the words of Postgres,
    dates and times in ISO 8601 or in `form`.

    Args:
        array: One array, of any length.
        target: The type wanted.
        form: How texts write dates and times, in the codes of `strptime`.
        zone: The zone of local times, where one of the two types has a zone and the other has none.
        rounding: Round away digits that a number type cannot hold, halves away from zero.

    Raises:
        CastFailure: A value does not fit; the first one.
        RecipeError: The types have no exact conversion, whatever the values.
    """
    options = Options(form, zone, rounding)
    try:
        return convert(array, target, options)
    except NoConversion as exc:
        raise _refusal(array.type, target, exc.hint) from exc
    except pa.ArrowInvalid as exc:
        row = _first_failure(array, target, options)
        if row is None:
            raise
        raise CastFailure(row, _value(array, row), f"is no {type_name(target)}") from exc


def sift_exact(array: pa.Array, target: pa.DataType, **options: Any) -> tuple[pa.Array, list[CastFailure]]:
    """As `cast_exact`, with null in the place of each value that does not fit; and these, in their order."""
    if array.type == target:
        return array, []
    array = plain(array)
    parsed = parse_quickly(array, target, Options(**options))
    return sift(array, target, lambda part: cast_exact(part, target, **options), parsed)


def sift(
    array: pa.Array, target: pa.DataType, cast: Cast, likely: Likely | None = None
) -> tuple[pa.Array, list[CastFailure]]:
    """What `cast` makes of an array, with null in the place of each value that it refuses; and these, in order.

    Args:
        array: Values of one column, `plain`.
        target: The type wanted.
        cast: Raises CastFailure.
        likely: What is known to be right, null elsewhere, and the rows of which `cast` is to be asked; without it, a
            first attempt finds them.
    """
    if likely is None:
        try:
            return cast(array), []
        except CastFailure:
            likely = _likely(array, target, cast)
    values, rows = likely
    if not len(rows):
        return values, []
    # What is wrong often is the same, and then is tried once.
    distinct, codes = _distinct(array if len(rows) == len(array) else array.take(rows))
    failing = {failure.row: failure for failure in _failures(distinct, cast)}
    failures = [
        CastFailure(row, failing[code].value, failing[code].reason)
        for row, code in zip(rows.to_pylist(), codes.to_pylist(), strict=True)
        if code in failing
    ]
    if len(values) == len(array) and len(failures) == len(rows):
        return values, failures
    return cast(_with_nulls(array, [failure.row for failure in failures])), failures


def mask_of(rows: Sequence[int], count: int) -> pa.BooleanArray:
    """Of `count` rows, true for `rows`, which are positions from 0."""
    return pc.is_in(pa.arange(0, count), value_set=pa.array(rows, pa.int64()))


def _with_nulls(array: pa.Array, rows: Sequence[int]) -> pa.Array:
    """`array` with null in `rows`, which are in order; of any type, as `if_else` is not."""
    parts, start = [], 0
    for row in rows:
        parts += [array.slice(start, row - start), pa.nulls(1, array.type)]
        start = row + 1
    return pa.concat_arrays([*parts, array.slice(start)])


def _distinct(values: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The different ones of `values`, and which of them each is."""
    try:
        encoded = values.dictionary_encode()
    except pa.ArrowNotImplementedError:
        return values, pa.arange(0, len(values))
    return encoded.dictionary, encoded.indices


def _failures(array: pa.Array, cast: Cast) -> Iterator[CastFailure]:
    """What `cast` refuses: of values that are few or many, near each other or far apart, in few attempts."""
    start, length = 0, len(array)
    while start < len(array):
        try:
            cast(array.slice(start, length))
        except CastFailure as exc:
            yield CastFailure(start + exc.row, exc.value, exc.reason)
            start, length = start + exc.row + 1, 1
        else:
            start, length = start + length, 2 * length


def _likely(array: pa.Array, target: pa.DataType, cast: Cast) -> Likely:
    """What `cast` makes of the values that Polars takes too, and the rows of the others; it may be all of them."""
    suspects = _suspects(array, target)
    if suspects is not None:
        with suppress(CastFailure, pa.ArrowNotImplementedError):  # Polars is not so strict
            return cast(pc.if_else(suspects, None, array)), pc.indices_nonzero(suspects).cast(pa.int64())
    return pa.nulls(0, target), pa.arange(0, len(array))


def _suspects(array: pa.Array, target: pa.DataType) -> pa.BooleanArray | None:
    if kind(array.type) == "string":
        return None
    import polars as pl
    from polars.exceptions import PanicException, PolarsError

    try:
        values = pl.Series(array)
        made = values.cast(pl.Series(pa.array([], target)).dtype, strict=False)
    except (PolarsError, PanicException, TypeError, ValueError):
        return None
    return pa.array((made.is_null() & values.is_not_null()).to_arrow())


def check_cast(
    source: pa.DataType,
    target: pa.DataType,
    *,
    form: str | None = None,
    zone: str | None = None,
    rounding: bool = False,
) -> None:
    """Refuse, before any row is read, a cast that `cast_exact` cannot do.

    Raises:
        RecipeError: The types have no exact conversion, or an option does not belong to them.
    """
    kinds = {kind(source), kind(target)}
    if form is not None and (kind(source) != "string" or not kinds & {"date", "time", "timestamp"}):
        raise _refusal(source, target, "`format:` is for text that becomes a date, a time or a timestamp")
    if zone is not None and "timestamp" not in kinds:
        raise _refusal(source, target, "`zone:` is for timestamps")
    if rounding and kind(target) not in ("int", "float", "decimal"):
        raise _refusal(source, target, "`round:` is for numbers")
    try:
        if form is not None:
            compile_format(form)
        convert(pa.nulls(0, source), target, Options(form, zone, rounding))
    except FormatError as exc:
        raise RecipeError(str(exc), hint="write a format as `%d.%m.%Y %H:%M`") from exc
    except NoConversion as exc:
        raise _refusal(source, target, exc.hint) from exc
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as exc:
        raise _refusal(source, target, None) from exc


def cast_batch_exact(
    batch: pa.RecordBatch, schema: pa.Schema, *, first_row: int = 0, kept: pa.Array | None = None
) -> pa.RecordBatch:
    """The columns of `schema`, by name, in its order and its exact types; `batch` itself when it has that schema.

    Args:
        batch: The rows; a column that `schema` lacks is an error, as is one that `batch` lacks.
        schema: What comes out, metadata included.
        first_row: What the first row is called in errors.
        kept: Where each row of `batch` stood before others were dropped (int64); None when none were.

    Raises:
        TransformError: A value does not fit; context: `column`, `row`, `value`, `type`.
        RecipeError: The names differ, or two types have no exact conversion.
    """
    if batch.schema.equals(schema, check_metadata=True):
        return batch
    columns = [
        cast_column(column, field, first_row=first_row, kept=kept) for column, field in matched_columns(batch, schema)
    ]
    if not columns:
        return batch
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def matched_columns(batch: pa.RecordBatch, schema: pa.Schema) -> Iterator[tuple[pa.Array, pa.Field]]:
    """For each field of `schema`, in order, the column of its name.

    Raises:
        RecipeError: The names differ, or one comes twice.
    """
    return ((batch.column(index), field) for index, field in _pairs(batch.schema, schema))


def cast_column(
    array: pa.Array, field: pa.Field, *, first_row: int = 0, kept: pa.Array | None = None, **options: Any
) -> pa.Array:
    """`cast_exact` for the column that `field` names; raises as `cast_batch_exact` does."""
    try:
        with about_column(field.name):
            return cast_exact(array, field.type, **options)
    except CastFailure as exc:
        row = exc.row if kept is None else kept[exc.row].as_py()
        raise cast_error(exc, field.name, field.type, row=first_row + row) from exc


def cast_error(failure: CastFailure, column: str, target: pa.DataType, *, row: int) -> TransformError:
    """The error for people: column, value and row."""
    return TransformError(
        f"column `{column}`: `{shown(failure.value)}` in row {row} {failure.reason}",
        context={"column": column, "row": row, "value": shown(failure.value), "type": type_name(target)},
    )


def check_batch_cast(source: pa.Schema, target: pa.Schema) -> None:
    """Refuse, before any row is read, what `cast_batch_exact` cannot do.

    Raises:
        RecipeError: The names differ, or two types have no exact conversion; names the column.
    """
    for index, field in _pairs(source, target):
        with about_column(field.name):
            check_cast(source.field(index).type, field.type)


@contextmanager
def about_column(name: str) -> Iterator[None]:
    """Say in every RecipeError that is raised inside which column it is about."""
    try:
        yield
    except RecipeError as exc:
        raise RecipeError(
            f"column `{name}`: {exc.message}", context={**exc.context, "column": name}, hint=exc.hint
        ) from exc


def shown(value: object) -> str:
    """`value` for a message, cut to 80 characters."""
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _pairs(source: pa.Schema, target: pa.Schema) -> Iterator[tuple[int, pa.Field]]:
    if sorted(source.names) != sorted(target.names):
        missing = [name for name in target.names if name not in source.names]
        extra = [name for name in source.names if name not in target.names]
        raise RecipeError(
            f"the columns do not fit: missing {missing or 'none'}, left over {extra or 'none'}",
            context={"missing": missing, "extra": extra},
        )
    for field in target:
        index = source.get_field_index(field.name)
        if index < 0:
            raise RecipeError(f"column `{field.name}` is there more than once", context={"column": field.name})
        yield index, field


def _first_failure(array: pa.Array, target: pa.DataType, options: Options) -> int | None:
    """Row of the first value that does not fit, by halving; None when each half fits and only the whole does not."""
    if len(array) == 1:
        return 0
    start, stop = 0, len(array)
    while stop - start > 1:
        middle = (start + stop) // 2
        start, stop = (start, middle) if not _fits(array[start:middle], target, options) else (middle, stop)
    return None if _fits(array[start:stop], target, options) else start


def _fits(array: pa.Array, target: pa.DataType, options: Options) -> bool:
    try:
        convert(array, target, options)
    except pa.ArrowInvalid:
        return False
    return True


def _value(array: pa.Array, row: int) -> object:
    try:
        return array[row].as_py()
    except (OverflowError, ValueError):  # a date or timestamp that Python cannot hold
        return pc.cast(array.slice(row, 1), pa.string())[0].as_py()


def _refusal(source: pa.DataType, target: pa.DataType, hint: str | None) -> RecipeError:
    return RecipeError(
        f"{type_name(source)} cannot be cast to {type_name(target)}",
        context={"from": type_name(source), "to": type_name(target)},
        hint=hint,
    )
