"""`arrowload verify`: does the destination hold what its ledger says?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from arrowload.cli.options import opened_recipe, recipe_options, write_data

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from arrowload.engine.verify import Verification

_EXIT_CODES: Final = {"verified": 0, "differs": 65, "unverifiable": 78}


@click.command("verify", epilog="Example: arrowload verify recipe.yaml")
@recipe_options
@click.option(
    "--format",
    "found_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Of what was found.",
)
@click.pass_context
def verify(context: click.Context, recipe: Path, variables: dict[str, str], *, found_format: str) -> None:
    """Compare the rows that are there with the ledger.

    Rows in the destination are counted and hashed anew, and the load that differs is named. Exits with 65 when rows
    differ, and with 78 when the ledger does not say enough, as of rows that a merge has put in the place of others.
    """
    import msgspec

    from arrowload import api
    from arrowload.core.secret import mask

    with opened_recipe(recipe, variables) as loaded:
        found = api.verify(loaded)
    if found_format == "json":
        facts = {"verdict": found.verdict, **msgspec.to_builtins(found)}
        write_data(mask(msgspec.json.format(msgspec.json.encode(facts), indent=2).decode()) + "\n")
    else:
        write_data(mask("".join(f"{line}\n" for line in _lines(found))))
    context.exit(_EXIT_CODES[found.verdict])


def _lines(found: Verification) -> Iterator[str]:
    yield f"{found.recipe}: {found.target}: {found.verdict}"
    for finding in found.findings:
        loads = f"load {finding.loads[0]}" if len(finding.loads) == 1 else f"{len(finding.loads)} loads"
        why = f": {finding.why}" if finding.why else ""
        yield f"  {loads:<12} {finding.verdict:<12} {finding.rows_found:,} rows, hash {finding.hash_found}{why}"
    if not found.findings:
        yield "  the ledger knows of no load"
