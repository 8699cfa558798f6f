"""`arrowload show`: what does the recipe say once it is put together?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from arrowload.cli.options import loader_for, recipe_options, write_data

if TYPE_CHECKING:
    from pathlib import Path


@click.command(epilog="Example: arrowload show recipe.yaml --resolved --origins")
@recipe_options
@click.option("--resolved", is_flag=True, default=True, help="Merged, expanded and filled in, as it is without this.")
@click.option("--origins", is_flag=True, help="File, line and column of each value, as comments.")
def show(recipe: Path, variables: dict[str, str], *, resolved: bool, origins: bool) -> None:  # noqa: ARG001
    """Print a recipe after extends, macros and templates.

    Secrets are masked.
    """
    write_data(loader_for(recipe).resolve(recipe, variables).to_yaml(origins=origins))
