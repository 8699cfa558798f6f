"""`arrowload plan`: what would a run do?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from arrowload.cli.options import opened_recipe, recipe_options, write_data

if TYPE_CHECKING:
    from pathlib import Path


@click.command(epilog="Example: arrowload plan recipe.yaml")
@recipe_options
@click.option("--full-refresh", is_flag=True, help="Plan a run with --full-refresh.")
@click.option(
    "--format",
    "plan_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Of the plan.",
)
def plan(recipe: Path, variables: dict[str, str], *, full_refresh: bool, plan_format: str) -> None:
    """Show what a run would do now; change nothing.

    Route, SQL, bounds, columns with their types, DDL, write mode, delivery.
    """
    from arrowload import api
    from arrowload.planning.explain import explain_json, explain_text

    with opened_recipe(recipe, variables) as loaded:
        made = api.plan(loaded, full_refresh=full_refresh)
    write_data((explain_text(made) if plan_format == "text" else explain_json(made).decode()) + "\n")
