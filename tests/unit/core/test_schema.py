"""Columns that come, against the columns that a target has."""

from __future__ import annotations

import pyarrow as pa
import pytest

from arrowload.core.exceptions import RecipeError
from arrowload.core.schema import require_demanded, require_storable


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
