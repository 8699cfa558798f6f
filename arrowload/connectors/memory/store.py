"""Where the tables of this process are, with their ledger."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from arrowload.connectors.base import LedgerEntry, LedgerHead
from arrowload.core.exceptions import BusyError, another_pipeline

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Pipeline:
    """What the ledger holds of one pipeline."""

    recipe: str
    target: str
    epoch: int
    owner: str
    entries: list[LedgerEntry] = field(default_factory=list)
    seen: pa.Table | None = None
    quarantine: dict[str, pa.Table] = field(default_factory=dict)


@dataclass
class MemoryStore:
    """Tables by name, and the ledger of the loads that made them; `lock` guards both.

    `store.tables["orders"] = table` puts a table there for a source to read.
    """

    tables: dict[str, pa.Table] = field(default_factory=dict)
    pipelines: dict[str, Pipeline] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def clear(self) -> None:
        """Forget everything."""
        with self.lock:
            self.tables.clear()
            self.pipelines.clear()

    def head(self, recipe: str, target: str, pipeline_id: str | None) -> LedgerHead | None:
        """The pipeline of that id or, when there is none, the one of that recipe and target."""
        with self.lock:
            found = {pipeline_id: self.pipelines[pipeline_id]} if pipeline_id in self.pipelines else {}
            found = found or {k: p for k, p in self.pipelines.items() if (p.recipe, p.target) == (recipe, target)}
            for key, pipeline in found.items():
                last = max(pipeline.entries, key=lambda e: (e.generation, e.seq), default=None)
                return LedgerHead(
                    pipeline_id=str(key), target=pipeline.target, epoch=pipeline.epoch, owner=pipeline.owner, last=last
                )
            return None

    def install_fence(self, pipeline_id: str, recipe: str, target: str, epoch: int, owner: str) -> None:
        """Raise the fence of a pipeline; BusyError when it is not lower than `epoch`."""
        with self.lock:
            if pipeline_id not in self.pipelines and self.head(recipe, target, None) is not None:
                raise another_pipeline(recipe)
            pipeline = self.pipelines.setdefault(pipeline_id, Pipeline(recipe, target, 0, owner))
            if pipeline.epoch >= epoch:
                raise BusyError(f"another run of `{recipe}` took over: {pipeline.owner} (epoch {pipeline.epoch})")
            pipeline.epoch, pipeline.owner = epoch, owner

    def check_fence(self, entry: LedgerEntry) -> None:
        """BusyError when the fence is no longer at the epoch of `entry`."""
        pipeline = self.pipelines[entry.pipeline_id]
        if pipeline.epoch != entry.epoch:
            raise BusyError(f"another run of `{entry.recipe}` took over: {pipeline.owner} (epoch {pipeline.epoch})")


store: Final = MemoryStore()
