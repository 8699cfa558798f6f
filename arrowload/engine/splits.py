"""How many parts of a window are read at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.connectors.base import Snapshot
    from arrowload.planning.capabilities import Split

# Below this a split costs more (a connection, a thread) than it brings.
_BYTES_WORTH_A_SPLIT: Final = 32 * 2**20


def choose_splits(snapshot: Snapshot, parallelism: int | Literal["auto"]) -> Sequence[Split]:
    """The splits of the window, to be read side by side; none when it is empty.

    `auto` asks for one a core, and for fewer where the window is small: a server and its readers share the cores, and
    more connections than cores were measured to bring nothing. The source may give fewer than it is asked for.
    """
    if snapshot.window.empty:
        return ()
    return snapshot.splits(_auto(snapshot.window.bytes) if parallelism == "auto" else parallelism)


def _auto(window_bytes: int | None) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if window_bytes is None else max(1, min(cores, window_bytes // _BYTES_WORTH_A_SPLIT))
