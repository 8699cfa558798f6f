"""`arrowload validate`: would this recipe run?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from arrowload.cli.options import Session, opened_recipe, pass_session, recipe_options

if TYPE_CHECKING:
    from pathlib import Path


@click.command(epilog="Example: arrowload validate recipe.yaml")
@recipe_options
@pass_session
def validate(session: Session, recipe: Path, variables: dict[str, str]) -> None:
    """Check a recipe against its source and its destination.

    Columns, types and the write mode are compared with what is there; no row is read.
    """
    from arrowload import api
    from arrowload.cli.summary import checked_line

    with opened_recipe(recipe, variables) as loaded:
        plan = api.validate(loaded)
    session.output.say(checked_line(plan))
    for note in plan.notes:
        session.output.say(f"note: {note}")
