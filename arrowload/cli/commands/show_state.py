"""`arrowload show-state`: what does the recipe remember?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from arrowload.cli.options import opened_recipe, recipe_options, write_data

if TYPE_CHECKING:
    from pathlib import Path

    from arrowload.models.recipe import Recipe


@click.command("show-state", epilog="Example: arrowload show-state recipe.yaml")
@recipe_options
def show_state(recipe: Path, variables: dict[str, str]) -> None:
    """Print what a recipe remembers of its last run.

    JSON, with the version of the state and the epoch of the last lease where the state backend tells them.
    """
    from arrowload.core.secret import mask

    with opened_recipe(recipe, variables) as loaded:
        stored = _stored(loaded)
    write_data(mask(json.dumps(stored, indent=2, ensure_ascii=False)) + "\n")


def _stored(recipe: Recipe) -> dict[str, Any]:
    from arrowload.core.registry import state_backends

    backend = state_backends.create(recipe.state.type, recipe.state, recipe.root)
    facts = backend.facts(recipe.name) if hasattr(backend, "facts") else {}
    state = json.loads(backend.load(recipe.name).to_json())
    return {"recipe": recipe.name, "backend": recipe.state.type, **facts, "state": state}
