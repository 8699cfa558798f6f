"""`arrowload preview`: what do the rows look like?"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import click

from arrowload.cli.options import opened_recipe, recipe_options, write_data

if TYPE_CHECKING:
    from pathlib import Path

    from arrowload.cli.tables import TableFormat


@click.command(epilog="Example: arrowload preview recipe.yaml -n 20")
@recipe_options
@click.option("-n", "count", type=click.IntRange(min=0), default=10, show_default=True, help="Rows to show.")
@click.option(
    "--format",
    "table_format",
    type=click.Choice(["table", "csv", "jsonl"]),
    help="table on a terminal, csv when piped; or JSON lines.",
)
def preview(recipe: Path, variables: dict[str, str], count: int, table_format: TableFormat | None) -> None:
    """Show the first rows that a recipe gives.

    They come from source and steps; nothing is written, and no destination is needed.
    """
    from arrowload import api
    from arrowload.cli.tables import render

    with opened_recipe(recipe, variables) as loaded:
        rows = api.preview(loaded, count)
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if on_terminal else None
    for line in render(rows, table_format or ("table" if on_terminal else "csv"), width):
        write_data(line)
