"""Loading a range of the cursor that the recipe's own runs do not cover, beside them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from msgspec.structs import replace

from arrowload.connectors.live_loads import live_loads
from arrowload.core.exceptions import RecipeError, StateError
from arrowload.core.state import State
from arrowload.engine.moves import is_below
from arrowload.models.source_config import CursorIncremental
from arrowload.models.units import ChunkSize

if TYPE_CHECKING:
    from arrowload.connectors.base import LedgerEntry
    from arrowload.connectors.sql_cursor import CursorKind
    from arrowload.engine.job import Job
    from arrowload.models.recipe import Recipe

_CHUNK: Final = ChunkSize(rows=1_000_000)
_LONGEST_NAME: Final = 128
_SUFFIX: Final = ".backfill."
_ID_BYTES: Final = 4


def backfill_recipe(
    recipe: Recipe, start: str, end: str, chunk: ChunkSize | None, *, since: str | None = None
) -> Recipe:
    """The recipe of a backfill: the same, for one range, under a name and with a memory of its own.

    A second call for the same range is the same recipe, and goes on behind the last chunk that was committed.

    Args:
        recipe: What is backfilled.
        start: The first value of the cursor.
        end: The first value that is not loaded any more.
        chunk: How much is committed at once; None for what the recipe says, or a million rows.
        since: The load that took all earlier rows away, and with them what earlier backfills had brought.

    Raises:
        RecipeError: It has no cursor.
    """
    incremental = recipe.source.incremental
    if not isinstance(incremental, CursorIncremental):
        raise RecipeError(
            f"`{recipe.name}` has no cursor, and a backfill is a range of one",
            context={"recipe": recipe.name, "path": "$.source.incremental"},
            hint="add `incremental: {strategy: cursor, cursor_column: …}`, or load everything with --full-refresh",
        )
    identity = " ".join(filter(None, (recipe.name, start, end, since)))
    range_id = hashlib.blake2b(identity.encode(), digest_size=_ID_BYTES).hexdigest()
    return replace(
        recipe,
        name=_prefix(recipe.name) + range_id,
        checks=without_row_counts(recipe).checks,
        source=replace(
            recipe.source,
            incremental=replace(incremental, initial_value=start, end_value=end, lag=None, late="lag"),
        ),
        runtime=replace(recipe.runtime, commit_every=chunk or recipe.runtime.commit_every or _CHUNK),
    )


def without_row_counts(recipe: Recipe) -> Recipe:
    """The recipe without checks of how many rows a load has, which say nothing of a range, nor of a replay."""
    return replace(recipe, checks=tuple(check for check in recipe.checks if check.type != "row_count"))


def is_load_of(load: LedgerEntry, recipe: str) -> bool:
    """Whether a load is of the recipe of that name, or of a backfill of it."""
    return load.recipe == recipe or load.recipe.startswith(_prefix(recipe))


def refuse_doubling(job: Job, derived: Recipe, start: str, end: str) -> None:
    """Refuse, under append, a range that the recipe's own runs, or other backfills, have loaded or will.

    Args:
        job: Of the recipe itself.
        derived: Of the backfill.
        start: Where the range begins.
        end: Where it ends.

    Raises:
        StateError: Rows would be there twice.
    """
    recipe = job.recipe
    incremental = recipe.source.incremental
    if job.destination is None or recipe.destination is None or recipe.destination.write_mode != "append":
        return
    if not isinstance(incremental, CursorIncremental):
        return
    kind = _kind_of(job.source.schema(), incremental.cursor_column)
    loads = live_loads(job.destination.all_entries())
    own = [load for load in loads if load.recipe == recipe.name]
    first = next((load.lower for load in own if load.generation == own[-1].generation), None)
    begin = first if own else incremental.initial_value
    if begin is None or not is_below(end, str(begin), kind):
        where = f"from {'the beginning' if begin is None else begin} on by itself"
        raise _doubled(recipe.name, f"loads rows {where}", start, end)
    others = {load.recipe: load for load in loads if _SUFFIX in load.recipe and load.recipe != derived.name}
    for load in others.values():
        between = State.from_json(load.state).metadata.get("question", {}).get("range")
        if between is not None and not is_below(end, between[0], kind) and not is_below(between[1], start, kind):
            raise _doubled(recipe.name, f"was backfilled from {between[0]} to {between[1]}", start, end)


def _prefix(recipe: str) -> str:
    """What the names of a recipe's backfills begin with."""
    return recipe[: _LONGEST_NAME - len(_SUFFIX) - 2 * _ID_BYTES] + _SUFFIX


def _kind_of(schema: pa.Schema, column: str) -> CursorKind | None:
    if column not in schema.names:
        return None
    cursor = schema.field(column).type
    if pa.types.is_integer(cursor) or pa.types.is_decimal(cursor) or pa.types.is_floating(cursor):
        return "number"
    return "time" if pa.types.is_date(cursor) or pa.types.is_timestamp(cursor) else "text"


def _doubled(name: str, why: str, start: str, end: str) -> StateError:
    return StateError(
        f"`{name}` {why}, and would have rows from {start} to {end} twice",
        context={"recipe": name, "start": start, "end": end},
        hint="choose another range, use `write_mode: merge`, or say --force when the rows are known to be missing",
    )
