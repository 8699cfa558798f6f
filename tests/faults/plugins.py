"""Plug-ins as people would write them, with the least that suffices; some of them fail."""

from __future__ import annotations

import json
import resource
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pyarrow as pa

from arrowload.connectors.registry import register_destination, register_source
from arrowload.core.batch import ArrowBatch, DictBatch
from arrowload.models.destination_config import DestinationConfig
from arrowload.models.source_config import SourceConfig
from arrowload.models.transform_config import StepConfig
from arrowload.transforms.registry import register_transform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arrowload.core.batch import Batch
    from arrowload.core.state import State


class NumbersConfig(SourceConfig, frozen=True, kw_only=True):
    """Keys of `source: {type: numbers}`."""

    batches: Annotated[int, msgspec.Meta(description="How many batches of ten rows.")] = 5
    shape: Annotated[str, msgspec.Meta(description="`arrow` or `dict`.")] = "arrow"
    fails_at: Annotated[int | None, msgspec.Meta(description="The batch that cannot be read, from 0.")] = None
    goes_on: Annotated[bool, msgspec.Meta(description="Start after the rows that were loaded before.")] = False


class Numbers:
    """Ten rows a batch: a number and its name."""

    def __init__(self, config: NumbersConfig) -> None:
        self._config = config

    def read_batches(self, state: State) -> Iterator[Batch]:
        """Batch by batch; nothing else is asked of a source."""
        first = state.cursor_values.get("next", 0) if self._config.goes_on else 0
        if self._config.goes_on:
            state.cursor_values["next"] = first + 10 * self._config.batches
        for batch in range(self._config.batches):
            if batch == self._config.fails_at:
                raise RuntimeError(f"the plug-in cannot read batch {batch}")
            numbers = range(first + 10 * batch, first + 10 * (batch + 1))
            if self._config.shape == "dict":
                yield DictBatch(["n", "name"], [{"n": n, "name": f"number {n}"} for n in numbers])
            else:
                names = [f"number {n}" for n in numbers]
                yield ArrowBatch(pa.record_batch({"n": pa.array(numbers, pa.int64()), "name": names}))


class LinesConfig(DestinationConfig, frozen=True, kw_only=True):
    """Keys of `destination: {type: lines}`."""

    path: Annotated[str, msgspec.Meta(description="A file of JSON lines.")]


class Lines:
    """Appends rows to a file of JSON lines."""

    def __init__(self, config: LinesConfig) -> None:
        self._path = Path(config.path)

    def write_batch(self, batch: Batch, state: State) -> None:
        """Append; nothing else is asked of a destination."""
        with self._path.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in batch.to_arrow().to_pylist())


class StumbleConfig(StepConfig, frozen=True, kw_only=True):
    """Keys of a `stumble` step."""

    at: Annotated[int, msgspec.Meta(description="The batch that it cannot handle, from 0.")]
    how: Annotated[
        str, msgspec.Meta(description="`raise`, `panic` in Rust, or want more memory than there is: `limit`, `cgroup`.")
    ] = "raise"


class Stumble:
    """Hands on all batches but one."""

    def __init__(self, config: StumbleConfig) -> None:
        self._at, self._how = config.at, config.how
        self._batches = 0

    def output_schema(self, schema: pa.Schema) -> pa.Schema:
        """As it comes."""
        return schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch itself."""
        if batch.num_rows and self._batches == self._at:
            _stumble(self._how)
        self._batches += bool(batch.num_rows)
        return batch


def _stumble(how: str) -> None:
    if how == "panic":
        import polars as pl

        pl.from_arrow(pa.table({"stumbled": pa.array([Decimal(1)], pa.decimal256(60, 0))}))
    if how == "limit":
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 2**23, resource.RLIM_INFINITY))
    if how in {"limit", "cgroup"}:
        hoard = [bytearray(b"x") * 2**24 for _ in range(64)]
        raise AssertionError(f"there was memory for {len(hoard)} pieces")
    raise ZeroDivisionError("the step stumbled")


def _register() -> None:
    def numbers(config: Any, connection: Any = None) -> Numbers:
        return Numbers(config)

    def lines(config: Any, connection: Any = None) -> Lines:
        return Lines(config)

    register_source("numbers", numbers, config=NumbersConfig)
    register_destination("lines", lines, config=LinesConfig)
    register_transform("stumble", Stumble, config=StumbleConfig)


_register()
