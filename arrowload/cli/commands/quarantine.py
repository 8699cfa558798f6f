"""`arrowload quarantine …`: the rows that a recipe's loads have put aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from arrowload.cli.options import Session, opened_recipe, pass_session, recipe_options, write_data
from arrowload.cli.signals import stop_if_interrupted

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa


@click.group(
    "quarantine",
    subcommand_metavar="COMMAND [ARGS]...",
    epilog="Example: arrowload quarantine show recipe.yaml",
)
def quarantine() -> None:
    """Look at the rows that loads refused, and load them again.

    Rows go there when `runtime.max_rejected` allows it, in the same step in which the others are committed.
    """


@quarantine.command("show", epilog="Example: arrowload quarantine show recipe.yaml --limit 20")
@recipe_options
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Rows, the newest.")
@click.option(
    "--format",
    "shown_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one row a line, with the whole row as the source gave it.",
)
def show(recipe: Path, variables: dict[str, str], *, limit: int, shown_format: str) -> None:
    """Print the rows in quarantine.

    Each with the load that refused it, where it stands in the source, and why.
    """
    from arrowload import api

    with opened_recipe(recipe, variables) as loaded:
        rows = api.quarantine(loaded)
        newest = rows.slice(max(0, rows.num_rows - limit))
        write_data(_as_json(newest) if shown_format == "json" else _as_text(loaded.name, rows.num_rows, newest))


@quarantine.command("replay", epilog="Example: arrowload quarantine replay recipe.yaml")
@recipe_options
@click.option("--force", is_flag=True, help="Under merge too, where a row may be older than the one it replaces.")
@pass_session
def replay(session: Session, recipe: Path, variables: dict[str, str], *, force: bool) -> None:
    """Load the rows in quarantine again, exactly once.

    For when the recipe or the target has been mended. Rows that are refused again stay there.
    """
    from arrowload import api
    from arrowload.cli.summary import look_command

    with opened_recipe(recipe, variables) as loaded:
        result = api.replay(loaded, force=force, subscribers=(session.output.event, stop_if_interrupted))
        if result is None:
            session.output.say(f"{loaded.name}: nothing is in quarantine")
            return
    session.output.finished(result, look_command(loaded.destination))


def _as_text(recipe: str, count: int, rows: pa.Table) -> str:
    lines = [
        f"{recipe}: {count:,} rows in quarantine" + (f", the last {rows.num_rows}" if count > rows.num_rows else "")
    ]
    for row in rows.drop_columns("source_row").to_pylist():
        column = f" `{row['column_name']}`" if row["column_name"] else ""
        lines.append(f"  load {row['load_id'][:8]}  {row['place']}{column}  {row['code']}: {row['reason']}")
    return "\n".join(lines) + "\n"


def _as_json(rows: pa.Table) -> str:
    import json

    from arrowload.core.rejection import source_row
    from arrowload.core.secret import mask

    lines = []
    for row in rows.to_pylist():
        whole = source_row(row.pop("source_row")).to_pylist()[0]
        lines.append(mask(json.dumps({**row, "row": whole}, default=_as_text_value, ensure_ascii=False)))
    return "".join(f"{line}\n" for line in lines)


def _as_text_value(value: object) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
