"""Help texts and error forms, word for word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from arrowload.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMANDS = list(cli.commands)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command: str, call: Callable, snapshot: Callable) -> None:
    """Each command says what it does, in plain words, with an example, on stdout."""
    result = call(*filter(None, [command]), "--help")

    assert (result.code, result.err) == (0, "")
    snapshot(f"help{'_' if command else ''}{command}.txt", result.out)
    assert "Example: arrowload " in result.out


def test_every_recipe_command_takes_variables() -> None:
    """Whatever reads a recipe takes `--var`."""
    for name, command in cli.commands.items():
        options = {parameter.name for parameter in command.params}
        assert ("recipe" in options) == ("variables" in options), name


def test_without_a_command(call: Callable) -> None:
    """Help goes to stderr when nobody asked for it, and the call counts as wrong."""
    result = call()

    assert (result.code, result.out) == (2, "")
    assert "Usage: arrowload" in result.err


def test_version(call: Callable) -> None:
    """`--version` is one line of data."""
    from arrowload import __version__

    assert call("--version") == (0, f"arrowload {__version__}\n", "")


USAGE_ERRORS = {
    "no_such_command": ["rnu"],
    "no_such_option": ["run", "--full-refesh", "recipe.yaml"],
    "missing_argument": ["plan"],
    "bad_choice": ["plan", "recipe.yaml", "--format", "yaml"],
    "bad_variable": ["run", "recipe.yaml", "--var", "day"],
    "bad_count": ["preview", "recipe.yaml", "-n", "-1"],
}


def test_usage_errors(call: Callable, snapshot: Callable) -> None:
    """A call that makes no sense: two lines, exit code 2."""
    written = []
    for arguments in USAGE_ERRORS.values():
        result = call(*arguments)
        assert (result.code, result.out) == (2, "")
        written.append(f"$ arrowload {' '.join(arguments)}\n{result.err}")

    snapshot("usage_errors.txt", "\n".join(written))


def test_errors_of_a_recipe(call: Callable, project: Path, snapshot: Callable) -> None:
    """A recipe that cannot be used: file, line and column, a hint, exit code 78."""
    recipe = project / "recipe.yaml"
    good = recipe.read_text()
    written = []
    for old, new in (
        ("type: duckdb", "type: duckdbb"),
        ("write_mode: merge", "write_mod: merge"),
        ("{{ var.database }}", "{{ var.databse }}"),
        ("mapping: {customer", "mapping: {custommer"),
        ("name: orders", "name: [orders"),
    ):
        recipe.write_text(good.replace(old, new))
        result = call("validate", "shop/recipe.yaml")
        assert (result.code, result.out) == (78, "")
        assert len(result.err.splitlines()) == 2
        written.append(f"# {old} → {new}\n{result.err}")

    snapshot("recipe_errors.txt", "\n".join(written))
