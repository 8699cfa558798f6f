"""`arrowload chaos`: does a recipe survive being killed?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from arrowload.cli.options import Session, opened_recipe, pass_session, recipe_options, write_data

if TYPE_CHECKING:
    from pathlib import Path


@click.command("chaos", epilog="Example: arrowload chaos recipe.yaml --kills 50")
@recipe_options
@click.option("--kills", type=click.IntRange(1), default=20, show_default=True, help="Runs that are killed.")
@click.option("--seed", type=int, help="Of the moments; the same seed kills at the same times.")
@click.pass_context
@pass_session
def chaos(
    session: Session, context: click.Context, recipe: Path, variables: dict[str, str], *, kills: int, seed: int | None
) -> None:
    """Kill runs at random moments, and check every row.

    Loads into a scratch target of the same destination, which is thrown away: a file, a folder, a schema. Each run is
    killed with SIGKILL and the recipe is run again, until a run comes through; then the target must hold what a run
    without kills loads, neither more nor less. Exits with 70 when it does not.
    """
    from arrowload.engine.chaos import chaos as killed

    with opened_recipe(recipe, variables) as loaded:
        report = killed(loaded, kills, seed=seed, tell=session.output.say)
    verdict = "exact" if not report.flaws else f"{len(report.flaws)} flaws"
    write_data(
        f"{report.recipe}: {verdict}: {report.kills} kills in {report.runs} runs, {report.rounds} loads of"
        f" {report.rows:,} rows, {report.seconds:.0f} s\n" + "".join(f"  {flaw}\n" for flaw in report.flaws)
    )
    context.exit(70 if report.flaws else 0)
