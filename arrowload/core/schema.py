"""Schemas compared: from one run to the next, from pipeline to target."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.types as pt

from arrowload.core.exceptions import RecipeError
from arrowload.core.names import nearest
from arrowload.core.types import MAX_DECIMAL_DIGITS, decimal_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Bits of an integer → the digits that it may need, and the digits that it surely has room for.
_NEEDS: Final = {8: 3, 16: 5, 32: 10, 64: 20}
_HOLDS: Final = {8: 2, 16: 4, 32: 9, 64: 18}


def fingerprint(schema: pa.Schema) -> str:
    """Hexadecimal digest (128 bit) of names, types and their order; nullability and metadata do not count."""
    import hashlib  # brings OpenSSL: a few milliseconds, which those who only read need not spend

    text = "\n".join(f"{field.name}\t{field.type}" for field in schema)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def refuse_repeated_names(schema: pa.Schema) -> None:
    """Raises RecipeError when two columns have one name."""
    repeated = sorted(name for name, times in Counter(schema.names).items() if times > 1)
    if repeated:
        raise RecipeError(
            f"columns {repeated} come twice",
            context={"columns": repeated},
            hint="rename one of each with a rename_columns step",
        )


def is_storable(incoming: pa.DataType, stored: pa.DataType) -> bool:
    """Whether values of type `incoming` belong in a column of type `stored`, each being checked on its way.

    Numbers go into numbers, times into times with or without zone as they are, text into text and into the types that
    are written as text. What would turn one kind of value into another (a number into text) asks for a cast step.
    """
    if pt.is_null(incoming) or incoming == stored:
        return True
    return _kind(incoming) == _kind(stored) or (_kind(incoming), _kind(stored)) in {
        ("text", "uuid"),
        ("text", "json"),
        ("json", "text"),
        ("uuid", "text"),
        ("date", "timestamp"),
    }


def holds(stored: pa.DataType, incoming: pa.DataType) -> bool:
    """Whether a column of type `stored` holds every value of type `incoming`, as far as types alone can tell.

    A stored type of null stands for a column that takes anything. Times are told apart by what they are and not by
    their units, texts and bytes not by their layouts.
    """
    if pt.is_null(stored) or pt.is_null(incoming):
        return True
    if is_number(stored) and is_number(incoming):
        return holds_numbers(stored, incoming)
    return is_storable(incoming, stored) and _kind(stored) != "json"


def holds_numbers(stored: pa.DataType, incoming: pa.DataType) -> bool:
    """Whether `stored` holds every number of type `incoming`; false when one of them is no number."""
    if pt.is_floating(incoming) and pt.is_floating(stored):
        return bool(incoming.bit_width <= stored.bit_width)
    if pt.is_integer(incoming) and pt.is_integer(stored):
        signs = pt.is_unsigned_integer(incoming) - pt.is_unsigned_integer(stored)
        return bool(incoming.bit_width + signs <= stored.bit_width) and signs >= 0
    if pt.is_unsigned_integer(stored):
        return False  # a decimal has a sign
    needed, room = _digits(incoming, _NEEDS), _digits(stored, _HOLDS)
    return needed is not None and room is not None and needed[0] <= room[0] and needed[1] <= room[1]


def holding_both(stored: pa.DataType, incoming: pa.DataType) -> pa.DataType | None:
    """The narrowest type of number that holds every value of both exactly; None when there is none."""
    for one, other in ((stored, incoming), (incoming, stored)):
        if is_number(one) and holds_numbers(one, other):
            return one
    if pt.is_integer(stored) and pt.is_integer(incoming):
        # One has no sign and is as wide as the other, or wider.
        bits = 2 * max(stored.bit_width, incoming.bit_width)
        return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}.get(bits, decimal_type(_NEEDS[64], 0))
    a, b = _digits(stored, _NEEDS), _digits(incoming, _NEEDS)
    if a is None or b is None:
        return None
    scale = max(a[1], b[1])
    precision = max(a[0], b[0]) + scale
    return decimal_type(precision, scale) if precision <= MAX_DECIMAL_DIGITS else None


def is_number(kind: pa.DataType) -> bool:
    """An integer, a float or a decimal."""
    return bool(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind))


def _digits(kind: pa.DataType, of_integers: Mapping[int, int]) -> tuple[int, int] | None:
    """Digits before and after the point, None for what is no exact number."""
    if pt.is_decimal(kind):
        return kind.precision - kind.scale, kind.scale
    return (of_integers[kind.bit_width], 0) if pt.is_integer(kind) else None


def require_storable(field: pa.Field, stored: pa.DataType, target: str, *, hint: str) -> None:
    """Refuse a column that does not belong in its column of the target.

    Args:
        field: The column that comes.
        stored: The type that the target has for it.
        target: The table or folder.
        hint: How the target can be loaded anew.

    Raises:
        RecipeError: Values of the field's type are of another kind.
    """
    if not is_storable(field.type, stored):
        raise RecipeError(
            f"column `{field.name}` is {stored} in `{target}`, the recipe gives {field.type}",
            context={"column": field.name, "table": target},
            hint=f"add a cast step, or {hint}",
        )


def require_demanded(demanded: Iterable[str], schema: pa.Schema, table: str) -> None:
    """Refuse rows without the columns that each row must bring.

    Raises:
        RecipeError: One of `demanded` is not in `schema`; the hint gives the nearest of those that are.
    """
    if missing := [name for name in demanded if name not in schema.names]:
        near = nearest(missing[0], schema.names)
        raise RecipeError(
            f"the table `{table}` demands column `{missing[0]}`, which the recipe does not load",
            context={"table": table, "columns": missing},
            hint=f"is it `{near}` under another name?" if near else "load it, or give it a default in the table",
        )


def _kind(kind: pa.DataType) -> str:
    if isinstance(kind, pa.BaseExtensionType):
        return {"arrow.uuid": "uuid", "arrow.json": "json"}.get(kind.extension_name, str(kind))
    if pt.is_dictionary(kind):
        return _kind(kind.value_type)
    if pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind):
        return "number"
    if pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind):
        return "text"
    if pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_binary_view(kind) or pt.is_fixed_size_binary(kind):
        return "binary"
    if pt.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamptz"
    if pt.is_duration(kind) or pt.is_interval(kind):
        return "interval"
    for name, holds in (("date", pt.is_date), ("time", pt.is_time), ("bool", pt.is_boolean)):
        if holds(kind):
            return name
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_list_view(kind) or pt.is_fixed_size_list(kind):
        return f"list of {_kind(kind.value_type)}"
    return str(kind)
