"""Columns that come, against the columns that a target has."""

from __future__ import annotations

import pyarrow as pa
import pytest

from arrowload.core.casting import cast_exact
from arrowload.core.exceptions import RecipeError
from arrowload.core.schema import holding_both, holds, require_demanded, require_storable


def test_a_column_of_another_kind_is_refused():
    """A text is no number; a number of another width is one, and is checked value by value."""
    require_storable(pa.field("v", pa.int64()), pa.int16(), "t", hint="begin anew")

    with pytest.raises(RecipeError) as caught:
        require_storable(pa.field("v", pa.string()), pa.int16(), "t", hint="begin anew")

    assert caught.value.message == "column `v` is int16 in `t`, the recipe gives string"
    assert caught.value.context == {"column": "v", "table": "t"}
    assert caught.value.hint == "add a cast step, or begin anew"


@pytest.mark.parametrize(
    ("columns", "hint"),
    [(["id", "nme"], "is it `nme` under another name?"), (["id"], "load it, or give it a default in the table")],
)
def test_rows_bring_what_the_table_demands(columns, hint):
    """A column that is missing is named, with the one that may be it."""
    schema = pa.schema([(name, pa.int64()) for name in columns])
    require_demanded(["id"], schema, "t")

    with pytest.raises(RecipeError) as caught:
        require_demanded(["id", "name", "zip"], schema, "t")

    assert caught.value.message == "the table `t` demands column `name`, which the recipe does not load"
    assert caught.value.context == {"table": "t", "columns": ["name", "zip"]}
    assert caught.value.hint == hint


NUMBERS = [
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.decimal128(5, 2), pa.decimal128(18, 0), pa.decimal128(19, 0), pa.decimal128(38, 10), pa.decimal256(60, 0)),
    *(pa.float32(), pa.float64()),
]


def extremes(kind: pa.DataType) -> pa.Array:
    """The values that ask for the most room."""
    if pa.types.is_decimal(kind):
        nines = f"{'9' * (kind.precision - kind.scale)}.{'9' * kind.scale}".rstrip(".")
        return pa.array([f"-{nines}", nines]).cast(kind)
    if pa.types.is_floating(kind):
        return pa.array([float("-inf"), 2.0**-20], kind)
    signed = pa.types.is_signed_integer(kind)
    bits = kind.bit_width - signed
    return pa.array([-(2**bits) if signed else 0, 2**bits - 1], kind)


@pytest.mark.parametrize("incoming", NUMBERS, ids=str)
@pytest.mark.parametrize("stored", NUMBERS, ids=str)
def test_a_column_that_holds_both_holds_the_greatest_of_each(stored: pa.DataType, incoming: pa.DataType) -> None:
    """Exactly; and it is the column that is there when that one holds what comes."""
    both = holding_both(stored, incoming)

    assert (both is None) == (pa.types.is_floating(stored) != pa.types.is_floating(incoming))
    assert (both == stored) == holds(stored, incoming)
    for kind in (stored, incoming) if both is not None else ():
        values = extremes(kind)
        assert cast_exact(cast_exact(values, both), kind).equals(values)
