"""Loading rows from quarantine again, once the recipe or its target has been mended."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from arrowload.connectors.base import QuarantineDestination, RereadingSource
from arrowload.connectors.live_loads import live_loads
from arrowload.core.casting import CastFailure, cast_exact, shown
from arrowload.core.exceptions import RecipeError, StateError
from arrowload.core.lazy import compute as pc
from arrowload.core.rejection import REJECTED_SCHEMA, Rejection, replayable, source_row, with_load_id
from arrowload.engine.backfill import is_load_of, without_row_counts
from arrowload.planning.capabilities import Split, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from arrowload.connectors.adapters import IterableSource
    from arrowload.connectors.base import Mark, Overlap, Snapshot, SnapshotSource
    from arrowload.core.state import State
    from arrowload.engine.job import Job
    from arrowload.planning.capabilities import SourceFacts

_ALL_SPLITS: Final = (Split(index=0, spec={}, what="the rows in quarantine"),)


def quarantined(job: Job) -> pa.Table:
    """The rows that loads of a recipe and its backfills have put in quarantine, with the id of each load.

    Those of loads that a later one took the place of are told of no more.

    Raises:
        RecipeError: The destination keeps none.
    """
    destination = job.destination
    if destination is None or not isinstance(destination, QuarantineDestination):
        raise RecipeError(f"the destination of `{job.recipe.name}` has no quarantine")
    loads = [load for load in live_loads(destination.all_entries()) if is_load_of(load, job.recipe.name)]
    kept = [destination.quarantined(pipeline) for pipeline in dict.fromkeys(load.pipeline_id for load in loads)]
    rows = pa.concat_tables([with_load_id(REJECTED_SCHEMA.empty_table(), ""), *kept])
    return rows.filter(pc.is_in(rows["load_id"], pa.array([load.load_id for load in loads], pa.string())))


def replay(job: Job, *, force: bool) -> None:
    """Have the next run of `job` load what is in its quarantine, in the place of what is new in its source.

    The rows that it refuses again stay in quarantine, as of that run, and so do single values and ragged rows. What the
    recipe remembers does not change.

    Args:
        job: Not run yet.
        force: Under `merge` too, where a row in quarantine may be older than the one that it would replace.

    Raises:
        StateError: A row would be there twice, or take the place of a newer one.
    """
    name = job.recipe.name
    if job.write_mode == "replace":
        raise StateError(
            f"each run of `{name}` loads everything anew, and rows of an earlier one would be there twice",
            context={"recipe": name},
            hint="run it again: what can be loaded now will be",
        )
    if job.write_mode == "merge" and not force:
        raise StateError(
            f"a row that `{name}` has in quarantine may be older than the one with its key in the target",
            context={"recipe": name},
            hint="load its range from the source again with `arrowload backfill`, or say --force when you know better",
        )
    job.recipe = without_row_counts(job.recipe)
    job.source = _QuarantineSource(job, job.source)


class _QuarantineSource:
    """Rows in quarantine, in the place of those that the recipe's source has now."""

    def __init__(self, job: Job, source: SnapshotSource | IterableSource) -> None:
        self._job = job
        self._source = source

    def facts(self) -> SourceFacts:
        return self._source.facts()

    def schema(self) -> pa.Schema:
        return self._source.schema()

    @contextmanager
    def snapshot(self, state: State, until: Mark | None = None) -> Iterator[Snapshot]:
        # Under the lease and behind the fence: another run may have settled them meanwhile.
        rows = replayable(quarantined(self._job))
        self._job.settles = tuple(dict.fromkeys(rows["load_id"].to_pylist()))
        yield _QuarantineSnapshot(rows, self._source.schema(), state, self._reread)

    def _reread(self, column: pa.Array, field: pa.Field) -> pa.Array:
        if isinstance(self._source, RereadingSource):
            return self._source.reread(column, field)
        return cast_exact(column, field.type)

    def close(self) -> None:
        self._source.close()


class _QuarantineSnapshot:
    overlap: Overlap | None = None

    def __init__(
        self, rows: pa.Table, schema: pa.Schema, state: State, reread: Callable[[pa.Array, pa.Field], pa.Array]
    ) -> None:
        self._rows = rows
        self._reread = reread
        self.schema = schema
        self.state = state
        self.window = Window(empty=not rows.num_rows, statements=("the rows in quarantine",))
        self._reject: Callable[[Rejection], None] | None = None

    def reject_into(self, reject: Callable[[Rejection], None]) -> None:
        self._reject = reject

    def splits(self, n: int) -> Sequence[Split]:
        return _ALL_SPLITS

    def read_split(self, split: Split, *, batch_size: int) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self.schema, self._read())

    def _read(self) -> Iterator[pa.RecordBatch]:
        for place, data in zip(self._rows["place"].to_pylist(), self._rows["source_row"].to_pylist(), strict=True):
            row = source_row(data)
            try:
                yield self._as_source_gives(row)
            except CastFailure as exc:
                if self._reject is None:
                    raise
                reason = f"`{shown(exc.value)}` {exc.reason}"
                self._reject(Rejection(place, None, "source", reason, shown(exc.value), data))

    def _as_source_gives(self, row: pa.RecordBatch) -> pa.RecordBatch:
        columns = []
        for field in self.schema:
            if field.name not in row.schema.names:
                columns.append(pa.nulls(1, field.type))
                continue
            columns.append(self._reread(row.column(field.name), field))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)
