"""Turns a recipe and what source and destination say about themselves into a plan, or says why there can be none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from arrowload.core.exceptions import RecipeError
from arrowload.core.names import did_you_mean
from arrowload.core.secret import mask
from arrowload.models.source_config import CursorIncremental, ModifiedIncremental
from arrowload.planning.plan import LoadPlan

if TYPE_CHECKING:
    import pyarrow as pa

    from arrowload.core.typing import Delivery, WriteMode
    from arrowload.models.check_config import CheckConfig
    from arrowload.models.recipe import Recipe
    from arrowload.planning.capabilities import DestinationCapabilities, SourceFacts, TargetFacts, Window
    from arrowload.planning.contract import Drift

# From the weakest to the strongest.
_DELIVERIES: tuple[Delivery, ...] = ("at_least_once", "idempotent_by_key", "exactly_once")


def build_plan(
    recipe: Recipe,
    *,
    source: SourceFacts,
    window: Window,
    input_schema: pa.Schema,
    steps: tuple[str, ...],
    output_schema: pa.Schema,
    capabilities: DestinationCapabilities | None,
    target: TargetFacts | None,
    write_mode: WriteMode,
    drift: tuple[Drift, ...] = (),
) -> LoadPlan:
    """The plan of one load.

    Args:
        recipe: What the person asked for.
        source: What the source said of itself.
        window: Which rows it has now.
        input_schema: Their columns.
        steps: What the transforms do, one line each.
        output_schema: The columns after the last of them.
        capabilities: What the destination can do; None for a recipe that is only read.
        target: What it said of the target; None likewise.
        drift: What the contract found.
        write_mode: Of this load; a full refresh replaces, whatever the recipe says.

    Raises:
        RecipeError: The delivery that the recipe demands cannot be had.
    """
    # A password that is part of a `filter` or a `query` must not travel with the plan.
    window = msgspec.structs.replace(window, statements=tuple(map(mask, window.statements)))
    merge_keys = recipe.destination.merge_keys if recipe.destination is not None else ()
    delivery, reason = _delivery(source, capabilities, write_mode)
    demanded = recipe.runtime.delivery
    if demanded is not None and _DELIVERIES.index(delivery) < _DELIVERIES.index(demanded):
        raise RecipeError(
            f"`{recipe.name}` demands delivery `{demanded}`, and can have `{delivery}`: {reason}",
            context={"recipe": recipe.name, "path": "$.runtime.delivery"},
            hint=f"write `delivery: {delivery}` to accept it",
        )
    return LoadPlan(
        recipe=recipe.name,
        source=source,
        window=window,
        input_schema=input_schema,
        steps=steps,
        output_schema=output_schema,
        target=target,
        write_mode=write_mode,
        merge_keys=merge_keys,
        delivery=delivery,
        delivery_reason=reason,
        batch_size=recipe.runtime.batch_size,
        parallelism=recipe.runtime.parallelism,
        max_memory=int(recipe.runtime.max_memory),
        checks=tuple(mask(_described(check)) for check in recipe.checks),
        commit_every=_commit_every(recipe, write_mode),
        max_rejected=recipe.runtime.max_rejected,
        drift=drift,
        notes=(*window.notes, *_notes(recipe, write_mode, delivery)),
    )


def check_destination(
    recipe: Recipe, capabilities: DestinationCapabilities, output_schema: pa.Schema, write_mode: WriteMode
) -> None:
    """Refuse what the destination cannot do with these rows, before it is asked how it would.

    Raises:
        RecipeError: It lacks the write mode, a merge key is not a column of the output, or a column's name has a NUL.
    """
    destination = recipe.destination
    if destination is None:
        return
    if write_mode not in capabilities.write_modes:
        raise RecipeError(
            f"the destination `{destination.type}` has no write mode `{write_mode}`",
            context={"recipe": recipe.name, "path": "$.destination.write_mode"},
            hint=f"it has: {', '.join(sorted(capabilities.write_modes))}",
        )
    for name in output_schema.names:
        # Between libraries Arrow passes names as C strings, which would end there.
        if "\0" in name:
            raise RecipeError(
                f"the name of the column {name!r} has a NUL in it",
                context={"recipe": recipe.name, "column": name},
                hint="give it another name with a `rename_columns` step",
            )
    for key in destination.merge_keys:
        if key not in output_schema.names:
            raise RecipeError(
                f"the merge key `{key}` is not a column of the rows to be written",
                context={"recipe": recipe.name, "path": "$.destination.merge_keys", "columns": output_schema.names},
                hint=did_you_mean(key, output_schema.names, f"columns are: {', '.join(output_schema.names)}"),
            )


def _delivery(
    source: SourceFacts, capabilities: DestinationCapabilities | None, write_mode: WriteMode
) -> tuple[Delivery, str]:
    if capabilities is None:
        return "at_least_once", "the recipe has no destination; whoever reads decides"
    if capabilities.transactional and source.replayable:
        return "exactly_once", "rows and ledger entry commit in one step, and the source can be read again as it was"
    if write_mode == "merge":
        return "idempotent_by_key", "rows that arrive twice are merged by key"
    if not capabilities.transactional:
        return "at_least_once", "the destination plug-in has no ledger; after a failure rows may arrive twice"
    return "at_least_once", "the source plug-in has no snapshot; after a failure rows may arrive twice"


def _described(check: CheckConfig) -> str:
    """A check on one line: its type, its keys, and that it only warns when it does."""
    keys = {name: getattr(check, name) for name in check.__struct_fields__ if name not in ("type", "on_fail")}
    shown = ", ".join(
        f"{name} {', '.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in keys.items()
        if value is not None
    )
    return f"{check.type}: {shown}{' (warns)' if check.on_fail == 'warn' else ''}"


def _commit_every(recipe: Recipe, write_mode: WriteMode) -> str | None:
    """How much is committed at once, when the load can be divided."""
    chunk = recipe.runtime.commit_every
    divisible = write_mode != "replace" and recipe.source.incremental is not None
    return str(chunk) if chunk is not None and divisible else None


def _notes(recipe: Recipe, write_mode: WriteMode, delivery: Delivery) -> tuple[str, ...]:
    notes = []
    if recipe.destination is not None and write_mode == "append" and recipe.source.incremental is None:
        notes.append("append without `incremental` adds all rows of the source at each run")
    if write_mode == "append" and isinstance(recipe.source.incremental, ModifiedIncremental):
        notes.append("a file that has changed is loaded again whole: under append, its rows are then there twice")
    if recipe.runtime.commit_every is not None and _commit_every(recipe, write_mode) is None:
        notes.append("`commit_every` has no effect here: only windows that follow one another are committed apart")
    if delivery == "at_least_once" and recipe.destination is not None:
        notes.append("delivery is at least once: a run that fails may have written rows that the next writes again")
    incremental = recipe.source.incremental
    if isinstance(incremental, CursorIncremental) and incremental.boundary == "open":
        notes.append("boundary `open` never reads a row again whose cursor equals the last one loaded")
    return tuple(notes)
