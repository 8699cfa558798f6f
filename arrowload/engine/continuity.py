"""What the remembered bounds belong to: a recipe that asks another question cannot go on from the last answer."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import msgspec

from arrowload.core.exceptions import StateError
from arrowload.models.source_config import CursorIncremental

if TYPE_CHECKING:
    from arrowload.core.state import State
    from arrowload.core.typing import WriteMode
    from arrowload.models.recipe import Recipe
    from arrowload.planning.capabilities import SourceFacts

_KEY: Final = "question"


def question(recipe: Recipe, facts: SourceFacts) -> dict[str, Any]:
    """What the bounds of this recipe's next load are an answer to, as `State.metadata` keeps it."""
    incremental = recipe.source.incremental
    asked: dict[str, Any] = {"type": recipe.source.type, "source": facts.identity}
    if isinstance(incremental, CursorIncremental):
        asked |= {"cursor_column": incremental.cursor_column, "lag": incremental.lag or dt.timedelta()}
        if incremental.end_value is not None:
            asked["range"] = [str(incremental.initial_value), str(incremental.end_value)]
    return {_KEY: asked}


def without_other_files(recipe: Recipe, facts: SourceFacts, remembered: State) -> State:
    """`remembered`, but for files of another folder: what is known of these says nothing of the files that are read."""
    before: dict[str, Any] | None = remembered.metadata.get(_KEY)
    if before is None or before["source"] == question(recipe, facts)[_KEY]["source"]:
        return remembered
    return msgspec.structs.replace(remembered, watermarks={})


def _holds_back(recipe: Recipe) -> bool:
    incremental = recipe.source.incremental
    return (
        isinstance(incremental, CursorIncremental) and incremental.boundary == "hold_back" and incremental.lag is None
    )


def require_same_question(recipe: Recipe, facts: SourceFacts, remembered: State, write_mode: WriteMode) -> None:
    """Refuse to go on where rows would be lost, or doubled under append.

    Another table behind the same cursor has rows below it that nobody loaded. Under append, another cursor column,
    another folder or a longer lag would load rows again that are there.

    Raises:
        StateError: The recipe asks something else than the run that left `remembered`.
    """
    before: dict[str, Any] | None = remembered.metadata.get(_KEY)
    if before is None or not (remembered.cursor_values or remembered.watermarks):
        return
    now: dict[str, Any] = question(recipe, facts)[_KEY]
    appends = write_mode == "append"
    changed = {
        "the source": before["type"] != now["type"]
        or (before["source"] != now["source"] and (appends or "cursor_column" in now)),
        "the cursor column": appends and before.get("cursor_column") != now.get("cursor_column"),
        # What ties with the last cursor value was left for this run to find.
        "the boundary": _holds_back(recipe) and "seen_columns" in remembered.metadata,
        "the lag": appends and now.get("lag", dt.timedelta()) > before.get("lag", dt.timedelta()),
    }
    what = next((name for name, is_changed in changed.items() if is_changed), None)
    if what is not None:
        raise StateError(
            f"`{recipe.name}` cannot go on from its last run: {what} is another since",
            context={"recipe": recipe.name, "path": "$.source", "before": str(before), "now": str(now)},
            hint="load everything anew with --full-refresh, or give the recipe another name",
        )
