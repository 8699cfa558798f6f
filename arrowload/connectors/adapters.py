"""Plug-ins that have only `read_batches` or `write_batch`, seen through the contracts that the engine works with."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from arrowload.connectors.base import SEEN_SCHEMA, Sealed
from arrowload.core.batch import ArrowBatch
from arrowload.core.exceptions import ConnectorError
from arrowload.core.state import State
from arrowload.planning.capabilities import DestinationCapabilities, SourceFacts, Split, TargetFacts, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from arrowload.connectors.base import Destination, LedgerEntry, LedgerHead, Load, Mark, Overlap, Snapshot, Source
    from arrowload.core.batch import Batch
    from arrowload.core.typing import WriteMode


class IterableSource:
    """A source with only `read_batches`; its schema is that of its first batch.

    Args:
        source: The plug-in. It is handed a copy of the state, and what it changes in it is remembered after the load.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    def facts(self) -> SourceFacts:
        """Not replayable."""
        return SourceFacts(
            location=type(self._source).__name__,
            route="read_batches",
            route_reason="the plug-in offers nothing else",
            replayable=False,
        )

    def schema(self) -> pa.Schema:
        """The schema of the first batch, which is read for it."""
        with self.snapshot(State()) as snapshot:
            return snapshot.schema

    @contextmanager
    def snapshot(self, state: State, until: Mark | None = None) -> Iterator[Snapshot]:
        """Start reading; the plug-in knows of no bounds."""
        yield _IterableSnapshot(self._source, copy.deepcopy(state))

    def close(self) -> None:
        """The plug-in has no way to be closed."""


class _IterableSnapshot:
    """One reading of the plug-in's batches."""

    overlap: Overlap | None = None

    def __init__(self, source: Source, state: State) -> None:
        self.state = state
        self._batches: Iterator[Batch] = iter(source.read_batches(state))
        self._first = next(self._batches, None)
        self.schema: pa.Schema = self._first.to_arrow().schema if self._first is not None else pa.schema([])
        self.window = Window(strategy="full", empty=self._first is None)

    def splits(self, n: int) -> Sequence[Split]:
        """One; a plug-in cannot be split."""
        return [Split(index=0, spec={})]

    def read_split(self, split: Split, *, batch_size: int) -> pa.RecordBatchReader:
        """All batches, as the plug-in cuts them."""
        return pa.RecordBatchReader.from_batches(self.schema, self._checked())

    def _checked(self) -> Iterator[pa.RecordBatch]:
        batch, number = self._first, 0
        while batch is not None:
            record_batch = batch.to_arrow()
            if not record_batch.schema.equals(self.schema):
                raise ConnectorError(
                    f"batch {number} has another schema than the first",
                    context={"first": str(self.schema), "batch": str(record_batch.schema)},
                    hint="declare the types in the plug-in, so that every batch has the same",
                )
            yield record_batch
            batch, number = next(self._batches, None), number + 1


class AtLeastOnceDestination:
    """A destination with only `write_batch`: no ledger, no transaction; what was written stays written.

    Args:
        destination: The plug-in.
        name: The name that it is registered under.
    """

    def __init__(self, destination: Destination, name: str) -> None:
        self._destination = destination
        self.target_name = name

    def capabilities(self) -> DestinationCapabilities:
        """Append, without transactions."""
        return DestinationCapabilities(write_modes=frozenset({"append"}), transactional=False)

    def target(self, schema: pa.Schema, *, write_mode: WriteMode, merge_keys: Sequence[str]) -> TargetFacts:
        """The rows are handed over as they are."""
        return TargetFacts(
            location=self.target_name, exists=True, schema=schema, finalize=("write_batch, batch by batch",)
        )

    def head(self, recipe: str, pipeline_id: str | None) -> LedgerHead | None:
        """There is no ledger."""
        return None

    def fence(self, pipeline_id: str, recipe: str, epoch: int, owner: str) -> LedgerHead | None:
        """There is no fence; the state backend's lease alone keeps a second runner out."""
        return None

    def find(self, pipeline_id: str, load_id: str) -> LedgerEntry | None:
        """There is no ledger."""
        return None

    def entries(self, pipeline_id: str) -> Sequence[LedgerEntry]:
        """There is no ledger."""
        return ()

    def all_entries(self) -> Sequence[LedgerEntry]:
        """There is no ledger."""
        return ()

    def amend(self, entry: LedgerEntry, seen: pa.Table | None) -> None:
        """There is no ledger; what is remembered is in the state backend alone."""

    def seen(self, pipeline_id: str) -> pa.Table:
        """There is no ledger, so nothing is remembered of rows at the boundary."""
        return SEEN_SCHEMA.empty_table()

    def begin(self, load: Load) -> _DirectWriter:
        """Rows are written as they come."""
        return _DirectWriter(self._destination)

    def sweep(self, pipeline_id: str, epoch: int) -> None:
        """Nothing is staged."""

    def close(self) -> None:
        """The plug-in has no way to be closed."""


class _DirectWriter:
    """Hands each batch to the plug-in as it comes."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._rows = 0

    def stage(self, stream: pa.RecordBatchReader) -> None:
        """Write; there is no staging."""
        for batch in stream:
            self._destination.write_batch(ArrowBatch(batch), State())
            self._rows += batch.num_rows

    def seal(self) -> Sealed:
        """What was handed over."""
        return Sealed(rows_staged=self._rows)

    def finalize(self, entry: LedgerEntry, seen: pa.Table | None) -> None:
        """Everything is written already."""

    def abort(self) -> None:
        """What was written stays written."""
