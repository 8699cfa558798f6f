"""Errors that turn up after the recipe was read still say where in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from arrowload.cli.locate import locate
from arrowload.core.exceptions import RecipeError
from arrowload.models.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RESOLVED = ResolvedRecipe(
    document={
        "source": {"columns": ["id", "nmae"]},
        "transform": {"steps": [{"type": "drop", "columns": ["id"]}, {"type": "cast", "columns": {"nmae": "int"}}]},
        "destination": {"merge_keys": ["id"], "write_mode": "merge"},
    },
    origins={
        "$.source.columns[0]": "r.yaml:3:5",
        "$.source.columns[1]": "r.yaml:4:5",
        "$.transform.steps[0].type": "base.yaml:1:1",
        "$.transform.steps[0].columns[0]": "base.yaml:2:1",
        "$.transform.steps[1].type": "r.yaml:8:7",
        "$.transform.steps[1].columns.nmae": "r.yaml:9:9",
        "$.destination.merge_keys[0]": "--var",
        "$.destination.write_mode": "r.yaml:12:3",
    },
)


@pytest.mark.parametrize(
    ("context", "place"),
    [
        ({"path": "$.destination.write_mode"}, "r.yaml:12:3  $.destination.write_mode: no"),
        ({"path": "$.destination.merge_keys"}, "--var  $.destination.merge_keys[0]: no"),
        ({"path": "$.transform.steps[1]"}, "r.yaml:9:9  $.transform.steps[1].columns.nmae: no"),
        ({"path": "$.transform.steps[1]", "column": "nmae"}, "r.yaml:9:9  $.transform.steps[1].columns.nmae: no"),
        ({"path": "$.transform.steps[0]", "column": "id"}, "base.yaml:2:1  $.transform.steps[0].columns[0]: no"),
        ({"path": "$.runtime.delivery"}, "no"),
        ({"column": "nmae"}, "no"),
        ({"column": "write_mode"}, "r.yaml:12:3  $.destination.write_mode: no"),
        ({"file": "x.yaml", "path": "$.destination.write_mode"}, "no"),
        ({}, "no"),
    ],
)
def test_where(context: dict, place: str) -> None:
    """By path, by the name that stands there, or not at all; a name in two places proves nothing."""
    error = RecipeError("no", context=context, hint="yes")

    located = locate(error, lambda: RESOLVED)

    assert (located.message, located.hint, located.exit_code) == (place, "yes", 78)
    assert located.context["path"] in place if place != "no" else located is error


def test_a_wrong_column(call: Callable, project: Path) -> None:
    """A column that the source lacks is found in the file by `validate`."""
    recipe = project / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("mapping: {customer:", "mapping: {custommer:"))
    line = next(n for n, text in enumerate(recipe.read_text().splitlines(), 1) if "custommer" in text)

    result = call("validate", "shop/recipe.yaml")

    assert result.code == 78
    assert result.err.startswith(f"error: shop/recipe.yaml:{line}:")
    assert "$.transform.steps[0].mapping.custommer: step 1" in result.err
    assert "hint: did you mean `customer`?" in result.err
