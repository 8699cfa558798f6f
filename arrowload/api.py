"""The Python interface: what the command line does, as functions that return Arrow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from arrowload.core.state import State
from arrowload.engine.job import opened
from arrowload.engine.splits import choose_splits
from arrowload.engine.storing import Storing
from arrowload.engine.transfer import Transfer
from arrowload.models.dotenv import environment
from arrowload.models.loader import RecipeLoader
from arrowload.models.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Generator

    from arrowload.engine.events import Subscriber
    from arrowload.engine.report import RunReport
    from arrowload.engine.verify import Verification
    from arrowload.models.units import ChunkSize
    from arrowload.planning.plan import LoadPlan

RecipeLike: TypeAlias = str | Path | Mapping[str, Any] | Recipe
"""A recipe file, its content as a mapping, or a recipe that is loaded already."""


def load_recipe(recipe: RecipeLike, vars: Mapping[str, Any] | None = None) -> Recipe:  # noqa: A002 - the recipe's word
    """Load a recipe.

    Args:
        recipe: A file, a mapping or a `Recipe`.
        vars: Values for `{{ var.* }}`; they win over the recipe's own.

    Raises:
        RecipeError: It cannot be read or says something that has no meaning; names file, line and column.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, Mapping):
        return RecipeLoader().load_mapping(recipe, cli_vars=dict(vars or {}))
    return RecipeLoader(env=environment(Path(recipe))).load(recipe, cli_vars=dict(vars or {}))


def run(
    recipe: RecipeLike,
    vars: Mapping[str, Any] | None = None,  # noqa: A002 - the recipe's word
    *,
    full_refresh: bool = False,
    subscribers: tuple[Subscriber, ...] = (),
) -> RunReport:
    """Load what is due, exactly once where source and destination allow it.

    Args:
        recipe: A file, a mapping or a `Recipe`; needs a destination.
        vars: Values for `{{ var.* }}`.
        full_refresh: Load everything anew, in the place of what is there.
        subscribers: Told of every event of the run (`arrowload.engine.events`).

    Raises:
        DataLoaderError: The run ended early; `exit_code` says how.
    """
    from arrowload.engine.engine import Engine

    with opened(load_recipe(recipe, vars), full_refresh=full_refresh, needs_destination=True) as job:
        return Engine(job, subscribers).run()


def backfill(
    recipe: RecipeLike,
    start: str,
    end: str,
    vars: Mapping[str, Any] | None = None,  # noqa: A002 - the recipe's word
    *,
    chunk: ChunkSize | None = None,
    force: bool = False,
    subscribers: tuple[Subscriber, ...] = (),
) -> RunReport:
    """Load the rows whose cursor is at least `start` and below `end`, in chunks, beside the recipe's own runs.

    What the recipe remembers stays as it is. Called again after a failure, it goes on behind the last chunk.

    Args:
        recipe: A file, a mapping or a `Recipe`, with a cursor.
        start: The first value of the cursor, as the source writes it.
        end: The first value that is not loaded any more.
        vars: Values for `{{ var.* }}`.
        chunk: How much is committed at once; what the recipe says, or a million rows.
        force: Also where rows would come twice.
        subscribers: Told of every event of the run.

    Raises:
        StateError: Under append, the recipe's own runs load these rows.
        DataLoaderError: The run ended early; `exit_code` says how.
    """
    from arrowload.connectors.live_loads import last_replace
    from arrowload.engine.backfill import backfill_recipe, refuse_doubling

    loaded = load_recipe(recipe, vars)
    with opened(loaded, needs_destination=True) as job:
        before = last_replace(job.destination.all_entries()) if job.destination is not None else None
        derived = backfill_recipe(loaded, start, end, chunk, since=before.load_id if before is not None else None)
        if not force:
            refuse_doubling(job, derived, start, end)
    return run(derived, subscribers=subscribers)


def read(recipe: RecipeLike, vars: Mapping[str, Any] | None = None) -> pa.Table:  # noqa: A002 - the recipe's word
    """All rows that the recipe's source and steps give, as one table; needs no destination, touches no state."""
    return stream(recipe, vars).read_all()


def stream(
    recipe: RecipeLike,
    vars: Mapping[str, Any] | None = None,  # noqa: A002 - the recipe's word
) -> pa.RecordBatchReader:
    """The rows that the recipe's source and steps give, batch by batch, in bounded memory.

    The source's connection is held until the reader is read to its end, or is no longer referred to.
    """
    batches = _batches(load_recipe(recipe, vars))
    schema = next(batches)
    return pa.RecordBatchReader.from_batches(schema, batches)


def preview(
    recipe: RecipeLike,
    n: int = 10,
    vars: Mapping[str, Any] | None = None,  # noqa: A002 - the recipe's word
) -> pa.Table:
    """The first `n` rows that the recipe's source and steps give."""
    batches = _batches(load_recipe(recipe, vars), parallelism=1)
    schema = next(batches)
    taken: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        taken.append(batch.slice(0, n - rows))
        rows += taken[-1].num_rows
        if rows >= n:
            break
    batches.close()
    return pa.Table.from_batches(taken, schema)


def plan(
    recipe: RecipeLike,
    vars: Mapping[str, Any] | None = None,  # noqa: A002 - the recipe's word
    *,
    full_refresh: bool = False,
) -> LoadPlan:
    """What `run` would do now; changes nothing.

    Raises:
        DataLoaderError: It could not be done; says why.
    """
    with opened(load_recipe(recipe, vars), full_refresh=full_refresh) as job:
        return job.plan()


def validate(recipe: RecipeLike, vars: Mapping[str, Any] | None = None) -> LoadPlan:  # noqa: A002 - the recipe's word
    """Check the recipe against its source's and its destination's catalogues, without reading rows.

    Raises:
        DataLoaderError: It could not be run; says why.
    """
    with opened(load_recipe(recipe, vars)) as job:
        return job.check()


def verify(recipe: RecipeLike, vars: Mapping[str, Any] | None = None) -> Verification:  # noqa: A002 - the recipe's word
    """Read the rows of the recipe's target again, and compare them with what its ledger says; changes nothing.

    Raises:
        DataLoaderError: It cannot be done; says why.
    """
    from arrowload.engine.verify import verify as verify_job

    with opened(load_recipe(recipe, vars), needs_destination=True) as job:
        return verify_job(job)


def quarantine(recipe: RecipeLike, vars: Mapping[str, Any] | None = None) -> pa.Table:  # noqa: A002 - the recipe's word
    """The rows that the recipe's loads have put in quarantine, oldest first; changes nothing.

    Columns: `load_id`, `place`, `column_name`, `code`, `reason`, `value` (text), `source_row` (an Arrow IPC stream of
    the one row, as the source gave it).

    Raises:
        DataLoaderError: It cannot be done; says why.
    """
    from arrowload.engine.replay import quarantined

    with opened(load_recipe(recipe, vars), needs_destination=True) as job:
        return quarantined(job)


def replay(
    recipe: RecipeLike,
    vars: Mapping[str, Any] | None = None,  # noqa: A002 - the recipe's word
    *,
    force: bool = False,
    subscribers: tuple[Subscriber, ...] = (),
) -> RunReport | None:
    """Load the rows in quarantine once more, exactly once; None when there are none that could be.

    Those that are refused again stay there. What the recipe remembers does not change.

    Args:
        recipe: As for `run`.
        vars: As for `run`.
        force: Under `merge` too, where a row in quarantine may be older than the one that it would replace.
        subscribers: As for `run`.

    Raises:
        DataLoaderError: Nothing was loaded; says why.
    """
    from arrowload.core.rejection import replayable
    from arrowload.engine.engine import Engine
    from arrowload.engine.replay import quarantined
    from arrowload.engine.replay import replay as prepare

    with opened(load_recipe(recipe, vars), needs_destination=True) as job:
        if not replayable(quarantined(job)).num_rows:
            return None
        prepare(job, force=force)
        return Engine(job, subscribers).run()


def _batches(recipe: Recipe, parallelism: int | None = None) -> Generator[Any]:
    """The output schema, then the batches; gives back connections when it is closed.

    Args:
        recipe: What is read.
        parallelism: In the place of the recipe's.
    """
    with opened(recipe) as job, job.source.snapshot(State()) as snapshot:
        pipeline = job.pipeline.bind(snapshot.schema)
        transfer = Transfer(
            snapshot=snapshot,
            pipeline=pipeline,
            splits=choose_splits(snapshot, parallelism or recipe.runtime.parallelism),
            storing=Storing(pipeline.output_schema),
            hashed=False,
            batch_size=recipe.runtime.batch_size,
            max_memory=int(recipe.runtime.max_memory),
        )
        try:
            yield pipeline.output_schema
            yield from transfer.stream()
        except Exception as exc:
            if transfer.error is not None:
                raise transfer.error from exc
            raise
        finally:
            transfer.close()
