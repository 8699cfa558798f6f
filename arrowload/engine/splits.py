"""The parts of a window, and how many of them are read at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from arrowload.connectors.base import SharedSnapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.connectors.base import Snapshot
    from arrowload.planning.capabilities import Split

# Below this a split costs more (a connection, a thread) than it brings.
_BYTES_WORTH_A_SPLIT: Final = 32 * 2**20


class Splits(NamedTuple):
    """The splits of a window.

    Attributes:
        parts: In the order of the rows; none when the window is empty.
        readers: How many are read at once.
    """

    parts: Sequence[Split] = ()
    readers: int = 1


def choose_splits(snapshot: Snapshot, parallelism: int | Literal["auto"]) -> Splits:
    """The splits of the window, to be read side by side.

    `auto` asks for one reader a core, and for fewer where the window is small: a server and its readers share the
    cores, and more connections than cores were measured to bring nothing. The source may have room for fewer.
    """
    if snapshot.window.empty:
        return Splits()
    readers = _auto(snapshot.window.bytes) if parallelism == "auto" else parallelism
    if isinstance(snapshot, SharedSnapshot):
        readers = snapshot.readers(readers)
    parts = snapshot.splits(readers)
    return Splits(parts, max(1, min(readers, len(parts))))


def _auto(window_bytes: int | None) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if window_bytes is None else max(1, min(cores, window_bytes // _BYTES_WORTH_A_SPLIT))
