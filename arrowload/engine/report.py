"""What a run did, in figures."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import msgspec

from arrowload.core.typing import Delivery, WriteMode
from arrowload.engine.protocol import Status


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did.

    Attributes:
        recipe, load_id: `load_id` is of the last load; None when nothing was committed.
        status: `committed`; `up_to_date`: nothing new; `recovered`: an earlier run had committed, and was finished.
        delivery: The level that the recipe has.
        rows_*: read = written + filtered + rejected + deduplicated.
        bytes_read: Bytes of the Arrow buffers read.
        seconds, rows_per_second: Of the whole run; rows read.
        peak_memory_bytes: Largest resident size of this process so far.
        commits: Loads committed: one for each chunk, 0 when there was nothing new.
        state_before, state_after: As JSON objects.
        route: How the source was read.
        source, destination: What was read and written, for people.
        attempts: Tries that it took.
        content_hash: Of the rows staged, as the ledger has it.
        drift: Columns that were not in the target as they came: old type → new type, and what became of them.
        notes: What a person should know.
    """

    recipe: str
    load_id: str | None
    status: Status
    delivery: Delivery
    write_mode: WriteMode
    rows_read: int
    rows_written: int
    rows_filtered: int
    rows_rejected: int
    rows_deduplicated: int
    bytes_read: int
    seconds: float
    rows_per_second: float
    peak_memory_bytes: int
    commits: int
    state_before: dict[str, Any]
    state_after: dict[str, Any]
    route: str
    source: str
    destination: str
    attempts: int
    content_hash: str | None
    drift: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """The report as indented UTF-8 JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2)


def peak_memory_bytes() -> int:
    """Largest resident size of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage counts what a parent held before it became us by exec; VmHWM does not (proc(5)).
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, kilobytes on the BSDs (getrusage(2) of each).
    return peak if sys.platform == "darwin" else peak * 1024
