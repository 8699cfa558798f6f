"""Loading a range of the cursor that the recipe's own runs do not cover, beside them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from arrowload.core.exceptions import RecipeError, StateError
from arrowload.core.state import State
from arrowload.engine.moves import is_below
from arrowload.models.source_config import CursorIncremental
from arrowload.models.units import ChunkSize

if TYPE_CHECKING:
    from arrowload.engine.job import Job
    from arrowload.models.recipe import Recipe

_CHUNK: Final = ChunkSize(rows=1_000_000)
_LONGEST_NAME: Final = 128
_SUFFIX: Final = ".backfill."


def backfill_recipe(recipe: Recipe, start: str, end: str, chunk: ChunkSize | None) -> Recipe:
    """The recipe of a backfill: the same, for one range, under a name and with a memory of its own.

    A second call for the same range is the same recipe, and goes on behind the last chunk that was committed.

    Args:
        recipe: What is backfilled.
        start: The first value of the cursor.
        end: The first value that is not loaded any more.
        chunk: How much is committed at once; None for what the recipe says, or a million rows.

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
    range_id = hashlib.blake2b(f"{recipe.name} {start} {end}".encode(), digest_size=4).hexdigest()
    suffix = f"{_SUFFIX}{range_id}"
    return replace(
        recipe,
        name=recipe.name[: _LONGEST_NAME - len(suffix)] + suffix,
        source=replace(
            recipe.source,
            incremental=replace(incremental, initial_value=start, end_value=end, lag=None, late="lag"),
        ),
        runtime=replace(recipe.runtime, commit_every=chunk or recipe.runtime.commit_every or _CHUNK),
    )


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
    if job.destination is None or recipe.destination is None or recipe.destination.write_mode != "append":
        return
    loads = job.destination.all_entries()
    own = [load for load in loads if load.recipe == recipe.name]
    first = next((load.lower for load in own if load.generation == own[-1].generation), None)
    begin = first if own else getattr(recipe.source.incremental, "initial_value", None)
    if begin is None or not is_below(end, str(begin)):
        where = f"from {'the beginning' if begin is None else begin} on by itself"
        raise _doubled(recipe.name, f"loads rows {where}", start, end)
    others = {load.recipe: load for load in loads if _SUFFIX in load.recipe and load.recipe != derived.name}
    for load in others.values():
        between = State.from_json(load.state).metadata.get("question", {}).get("range")
        if between is not None and not is_below(end, between[0]) and not is_below(between[1], start):
            raise _doubled(recipe.name, f"was backfilled from {between[0]} to {between[1]}", start, end)


def _doubled(name: str, why: str, start: str, end: str) -> StateError:
    return StateError(
        f"`{name}` {why}, and would have rows from {start} to {end} twice",
        context={"recipe": name, "start": start, "end": end},
        hint="choose another range, use `write_mode: merge`, or say --force when the rows are known to be missing",
    )
