"""Kinds of broken recipe, each with the one line that a person reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from arrowload.core.exceptions import RecipeError
from arrowload.models.loader import RecipeLoader

BROKEN = Path(__file__).parent / "broken"
EXPECTED = dict(line.split(" => ", 1) for line in (BROKEN / "expected.txt").read_text("utf-8").splitlines())
PARENTS = {"base.yaml", "bad_base.yaml", "cycle_b.yaml"}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_broken_recipe_is_answered_with_one_line(name, env, monkeypatch):
    """The message is one line that names file, line and column, and it ends in a hint; the exit code is 78."""
    monkeypatch.chdir(BROKEN)

    with pytest.raises(RecipeError) as caught:
        RecipeLoader(env=env).load(name)

    assert str(caught.value) == EXPECTED[name]
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 78
    assert {"file", "line", "column"} <= set(caught.value.context)
    assert caught.value.context["line"] > 0


def test_every_broken_recipe_is_in_the_table():
    """No file lies in the folder untested."""
    files = {path.name for path in BROKEN.iterdir()} - {"expected.txt"} - PARENTS

    assert files == set(EXPECTED)
    assert len(files) >= 25


def test_a_missing_file_is_answered_with_the_nearest_name(monkeypatch):
    """The recipe itself may be misspelt."""
    monkeypatch.chdir(BROKEN)

    with pytest.raises(RecipeError, match=r"^bsae\.yaml  no such file; did you mean `base\.yaml`\?$"):
        RecipeLoader().load("bsae.yaml")


def test_a_name_with_control_codes_stays_on_its_line(tmp_path, env):
    """What a terminal would obey, or not show, is written out, in the hint as in the message."""
    recipe = tmp_path / "r.json"
    recipe.write_text(r'{"name": "{{ var.wide }}", "vars": {"w\u001bide\n": 1}, "source": {"type": "csv"}}')

    with pytest.raises(RecipeError) as caught:
        RecipeLoader(env=env).load(recipe)

    assert str(caught.value).isprintable()
    assert r"did you mean `var.w\x1bide\n`?" in str(caught.value)
