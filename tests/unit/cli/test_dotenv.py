"""`.env` files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from arrowload.core.exceptions import RecipeError
from arrowload.models.dotenv import environment, read_dotenv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("export A = plain text  # a comment", "plain text"),
        ("A=no#comment", "no#comment"),
        ("A=", ""),
        ("A='single $HOME \\n # kept'  # a comment", "single $HOME \\n # kept"),
        (r'A="line\nbreak \"quoted\" back\\slash"', 'line\nbreak "quoted" back\\slash'),
        ("\ufeffA=mark of a Windows editor\r\n", "mark of a Windows editor"),
    ],
)
def test_values(line: str, value: str, tmp_path: Path) -> None:
    """Plain and quoted values; nothing is expanded."""
    file = tmp_path / ".env"
    file.write_bytes(f"# a comment\n\n{line}\n".encode() if line[0] != "\ufeff" else line.encode())

    assert read_dotenv(file) == {"A": value}


@pytest.mark.parametrize("line", ["secret-without-name", "1A=secret", "A='secret", 'A="secret" more'])
def test_a_line_that_cannot_be_read(line: str, tmp_path: Path) -> None:
    """The error names file and line, and quotes nothing."""
    file = tmp_path / ".env"
    file.write_text(f"B=1\n{line}\n")

    with pytest.raises(RecipeError, match=r"\.env:2  the line ") as raised:
        read_dotenv(file)

    assert "secret" not in str(raised.value)


def test_which_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment wins; the file beside the recipe comes before the one in the working directory."""
    beside = tmp_path / "recipes"
    beside.mkdir()
    (tmp_path / ".env").write_text("ONE=working directory\nTWO=working directory\n")
    monkeypatch.setenv("TWO", "environment")

    found = environment(beside / "recipe.yaml")
    assert (found["ONE"], found["TWO"]) == ("working directory", "environment")

    (beside / ".env").write_text("TWO=beside\nTHREE=beside\n")
    found = environment(beside / "recipe.yaml")
    assert (found.get("ONE"), found["TWO"], found["THREE"]) == (None, "environment", "beside")


@pytest.mark.fault(67)
def test_values_show_up_nowhere(call: Callable, project: Path) -> None:
    """A recipe finds its values there; what sounds like a secret is masked in all output."""
    (project / ".env").write_text("WAREHOUSE=by-dotenv\nSHOP_TOKEN=tok-en-of-the-shop\n")
    recipe = project / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("{{ var.database }}", "{{ env.WAREHOUSE }}-{{ env.SHOP_TOKEN }}.db"))

    results = [call(command, "shop/recipe.yaml") for command in ("show", "plan", "validate", "run", "show-state")]

    assert (project / "by-dotenv-tok-en-of-the-shop.db").exists()
    assert [result.code for result in results] == [0] * 5
    assert not any("tok-en-of-the-shop" in result.out + result.err for result in results)
    assert "by-dotenv-***.db" in results[2].err
