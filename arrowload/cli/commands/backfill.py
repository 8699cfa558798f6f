"""`arrowload backfill`: load a range that the recipe's own runs do not cover."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from arrowload.cli.options import Session, opened_recipe, pass_session, recipe_options
from arrowload.cli.signals import stop_if_interrupted

if TYPE_CHECKING:
    from pathlib import Path


@click.command("backfill", epilog="Example: arrowload backfill recipe.yaml --from 2020-01-01 --to 2021-01-01")
@recipe_options
@click.option("--from", "start", required=True, metavar="VALUE", help="The first value of the cursor.")
@click.option("--to", "end", required=True, metavar="VALUE", help="The first value that is not loaded any more.")
@click.option("--chunk", metavar="SIZE", help="Committed at once: 1000000 (rows), 1GiB or 10m.")
@click.option("--force", is_flag=True, help="Even where rows would come twice.")
@pass_session
def backfill(
    session: Session,
    recipe: Path,
    variables: dict[str, str],
    *,
    start: str,
    end: str,
    chunk: str | None,
    force: bool,
) -> None:
    """Load a range of the cursor, beside the runs.

    In chunks, each committed by itself. What the recipe remembers stays as it is. Run it again after a failure: it goes
    on behind the last chunk.
    """
    from arrowload import api
    from arrowload.cli.summary import look_command
    from arrowload.models.units import ChunkSize

    try:
        size = ChunkSize.parse(chunk) if chunk is not None else None
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--chunk") from exc
    with opened_recipe(recipe, variables) as loaded:
        result = api.backfill(
            loaded, start, end, chunk=size, force=force, subscribers=(session.output.event, stop_if_interrupted)
        )
    session.output.finished(result, look_command(loaded.destination))
