"""Names that are not known."""

from __future__ import annotations

import pytest

from arrowload.core.exceptions import RecipeError
from arrowload.core.names import did_you_mean, nearest, require_columns


def test_the_nearest_name_is_the_hint():
    """One that is close is asked for; when none is, the caller says what to do."""
    assert nearest("nme", ["id", "name"]) == "name"
    assert did_you_mean("nme", ["id", "name"], "look again") == "did you mean `name`?"
    assert did_you_mean("zzz", ["id", "name"], "look again") == "look again"
    assert did_you_mean("nme", [], "look again") == "look again"


def test_how_close_is_close_enough():
    """A higher cutoff keeps guesses back."""
    assert nearest("abcd", ["abxy"], cutoff=0.5) == "abxy"
    assert nearest("abcd", ["abxy"]) is None


def test_columns_that_are_there_pass():
    """Whatever their order, and however often they are named."""
    require_columns(["b", "a", "b"], ["a", "b", "c"])


def test_a_column_that_is_not_there_is_refused():
    """The first one is named, with the nearest, and all columns in the context."""
    with pytest.raises(RecipeError) as caught:
        require_columns(["id", "nme", "zzz"], ("id", "name"), where=" in `t`")

    assert caught.value.message == "there is no column `nme` in `t`"
    assert caught.value.context == {"column": "nme", "columns": ["id", "name"]}
    assert caught.value.hint == "did you mean `name`?"


def test_without_a_near_one_the_columns_are_listed():
    """In their order."""
    with pytest.raises(RecipeError) as caught:
        require_columns(["zzz"], ["id", "name"])

    assert caught.value.hint == "the columns here are: id, name"
