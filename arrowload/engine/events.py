"""What happens during a run, as small frozen Structs; progress, logs and reports subscribe."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from arrowload.planning.plan import LoadPlan

if TYPE_CHECKING:
    from collections.abc import Callable


class StepStarted(msgspec.Struct, frozen=True, tag=True):
    """The engine began a step of the commit protocol: `acquire`, `head`, `fence`, `plan`, `stage` and so on."""

    step: str


class WindowPlanned(msgspec.Struct, frozen=True, tag=True):
    """The bounds are fixed, inside the source's snapshot."""

    plan: LoadPlan


class RowsMoved(msgspec.Struct, frozen=True, tag=True):
    """A batch was handed to the destination; totals of this attempt and of the chunks before it.

    Attributes:
        rows_read, rows_staged: Rows.
        bytes_read: Bytes of the Arrow buffers read.
    """

    rows_read: int
    rows_staged: int
    bytes_read: int


class Recovered(msgspec.Struct, frozen=True, tag=True):
    """The ledger held a load that the state did not know of; the state was brought forward."""

    load_id: str


class Committed(msgspec.Struct, frozen=True, tag=True):
    """A load is visible in the destination."""

    load_id: str
    rows_written: int


class Retrying(msgspec.Struct, frozen=True, tag=True):
    """The run starts over.

    Attributes:
        attempt: The number of the try that begins.
        wait_s: Seconds until it does.
        reason: The error that ended the last one.
    """

    attempt: int
    wait_s: float
    reason: str


class Warned(msgspec.Struct, frozen=True, tag=True):
    """Something went wrong that does not change the outcome."""

    message: str


RunEvent: TypeAlias = StepStarted | WindowPlanned | RowsMoved | Recovered | Committed | Retrying | Warned

if TYPE_CHECKING:
    Subscriber: TypeAlias = Callable[[RunEvent], None]
