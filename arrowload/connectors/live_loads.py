"""Which of its loads a target still has the rows of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.connectors.base import LedgerEntry


def live_loads(loads: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """Those whose rows no `replace` took away later, in the order in which they come.

    The loads of one pipeline are numbered; between pipelines the clocks of their runs tell which was later.
    """
    last: dict[str, LedgerEntry] = {}
    for load in loads:
        if load.write_mode == "replace" and _number(load) >= _number(last.get(load.pipeline_id, load)):
            last[load.pipeline_id] = load
    return [load for load in loads if not any(_is_before(load, replace) for replace in last.values())]


def last_replace(loads: Sequence[LedgerEntry]) -> LedgerEntry | None:
    """The load that took all earlier rows away; None when none did."""
    replaces = [load for load in live_loads(loads) if load.write_mode == "replace"]
    return max(replaces, key=lambda load: load.committed_at, default=None)


def _is_before(load: LedgerEntry, other: LedgerEntry) -> bool:
    if load.pipeline_id == other.pipeline_id:
        return _number(load) < _number(other)
    return load.committed_at < other.committed_at


def _number(load: LedgerEntry) -> tuple[int, int]:
    return load.generation, load.seq
