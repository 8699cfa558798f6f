"""What commands share: the recipe, its variables, and the session that they run in."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from arrowload.cli.failures import OutputFileError
from arrowload.cli.output import ConsoleOutput, Output
from arrowload.core.exceptions import RecipeError
from arrowload.models.dotenv import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from arrowload.models.loader import RecipeLoader
    from arrowload.models.recipe import Recipe

F = TypeVar("F", bound="Callable[..., Any]")


class Session:
    """One call of the command line.

    Attributes:
        debug: Show tracebacks.
        output: Where all that is not data goes.
    """

    def __init__(self) -> None:
        self.debug = False
        self.output: Output = ConsoleOutput()


pass_session = click.make_pass_decorator(Session)


def recipe_options(command: F) -> F:
    """Add RECIPE and `--var` to a command; they arrive as `recipe` and `variables`."""
    with_var = click.option(
        "--var",
        "variables",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_parse_variables,
        help="Value of {{ var.NAME }}; may be given more than once.",
    )(command)
    return click.argument("recipe", type=click.Path(path_type=Path))(with_var)


def loader_for(recipe: Path) -> RecipeLoader:
    """A loader that sees the environment and `.env`."""
    from arrowload.models.loader import RecipeLoader

    return RecipeLoader(env=environment(recipe))


@contextmanager
def opened_recipe(recipe: Path, variables: dict[str, str]) -> Iterator[Recipe]:
    """The recipe in a file; errors about it that are raised inside say where in the file, too.

    Raises:
        RecipeError: It cannot be used as written.
    """
    loader = loader_for(recipe)
    loaded = loader.load(recipe, cli_vars=variables)
    try:
        yield loaded
    except RecipeError as exc:
        from arrowload.cli.locate import locate

        raise locate(exc, lambda: loader.resolve(recipe, variables)) from exc


def write_data(text: str) -> None:
    """Write `text` to stdout, which carries data and nothing else.

    Raises:
        BrokenPipeError: Nobody reads it any more.
        OutputFileError: The process was started without a stdout.
    """
    if sys.stdout is None:
        raise OutputFileError("stdout is closed", hint="send it to a file or to /dev/null")
    sys.stdout.write(text)
    sys.stdout.flush()


def _parse_variables(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    parsed = {}
    for assignment in given:
        name, separator, value = assignment.partition("=")
        if not separator or not name.isidentifier():
            raise click.BadParameter(f"{assignment!r} is not NAME=VALUE")
        parsed[name] = value
    return parsed
