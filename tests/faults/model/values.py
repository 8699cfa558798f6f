"""The things of the model world, all frozen: rows, loads, destination, state backend, runner; and a number for each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from arrowload.connectors.base import LedgerEntry  # noqa: TC001 - NamedTuple keeps its annotations

if TYPE_CHECKING:
    from arrowload.engine import protocol

Recipe = Literal["cursor", "plain", "merge", "replace"]
Sharing = Literal["shared", "separate"]

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TARGET = "target"
NAMES = ("A", "B")
T = TypeVar("T", bound=Hashable)


class Row(NamedTuple):
    """One row of the source."""

    uid: int
    cursor: int
    version: int = 0


# How the source looks before, between and after it has grown: each time, rows tie with the last cursor value loaded.
SOURCES: dict[Recipe, tuple[tuple[Row, ...], ...]] = {
    "cursor": (
        (Row(1, 10), Row(2, 20)),
        (Row(1, 10), Row(2, 20), Row(3, 20)),
        (Row(1, 10), Row(2, 20), Row(3, 20), Row(4, 30)),
    ),
    "merge": (
        (Row(1, 10), Row(2, 20)),
        (Row(1, 20, 1), Row(2, 20)),
        (Row(1, 20, 1), Row(2, 30, 1), Row(3, 30)),
    ),
    "plain": ((Row(1, 0), Row(2, 0)), (Row(1, 0), Row(2, 0), Row(3, 0))),
    "replace": ((Row(1, 0), Row(2, 0)), (Row(2, 0), Row(3, 0))),
}


# Rows that readers see, with load id and epoch of the load that brought each.
Visible: TypeAlias = tuple[tuple[Row, str, int], ...]


class Load(NamedTuple):
    """One commit: what the ledger says, and what it is to be checked against.

    `stage` is how the source looked when the window was planned, `rows` are those that were applied.
    """

    entry: LedgerEntry
    rows: tuple[Row, ...]
    seen: tuple[int, ...]
    stage: int


class Destination(NamedTuple):
    """Fences (pipeline → epoch), committed loads, what readers see, rows left for the next load.

    `pending` is a commit that runner `pending[0]` has sent and that is still under way; `restored`: from a backup, at
    some time.
    """

    fences: tuple[tuple[str, int], ...] = ()
    loads: tuple[Load, ...] = ()
    visible: Visible = ()
    seen: tuple[int, ...] = ()
    pending: tuple[int, Load] | None = None
    restored: bool = False


class Backend(NamedTuple):
    """A state backend. `owed` counts commits whose state is not stored yet; -1: nobody can know any more."""

    home: str
    version: int = 0
    epoch: int = 0
    state: bytes = b"{}"
    holder: int | None = None
    owed: int = 0


class Runner(NamedTuple):
    """A process in the middle of a run; None stands for one that has ended or died.

    `run` is the number of a `commit.Run`; `half` says how far an effect of several steps has come; `excused` that the
    destination was restored under the run, which then cannot promise anything.
    """

    side: int
    full_refresh: bool
    run: int
    planned: tuple[int, tuple[Row, ...]] | None = None
    staged: tuple[tuple[Row, ...], tuple[int, ...]] | None = None
    half: str | None = None
    excused: bool = False


class Moved(NamedTuple):
    """What one runner did: its own new value, its backend's and the destination's, at the price of so many faults."""

    label: str
    faults: int
    runner: Runner | None
    backend: Backend
    destination: Destination
    flaw: str | None = None


class Done(NamedTuple):
    """What became of an effect: an event, or the half of the way that was gone."""

    event: protocol.Event | None
    runner: Runner
    backend: Backend
    destination: Destination
    flaw: str | None = None
    label: str = ""


class Numbers(Generic[T]):
    """Values to small integers and back."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self.values: list[T] = []

    def of(self, value: T, key: Hashable | None = None) -> int:
        """The number of `value`, which `key` stands for when the value itself cannot be hashed."""
        number = self._numbers.setdefault(value if key is None else key, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


class Bounds(NamedTuple):
    """What an exploration may spend: runs started, faults of all kinds, full refreshes among the runs."""

    runs: int = 3
    faults: int = 2
    full_refreshes: int = 0
    attempts: int = 2


@dataclass
class Report:
    """What an exploration found; `trace` is the shortest history to the first flaw."""

    states: int = 0
    transitions: int = 0
    depth: int = 0
    restarts: int = 0
    refusals: int = 0
    flaw: str | None = None
    trace: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        size = f"{self.states} states, {self.transitions} transitions, depth {self.depth}"
        size += f", {self.restarts} lone runs, {self.refusals} rightly refused"
        if self.flaw is None:
            return f"no flaw in {size}"
        return f"{self.flaw}, after {len(self.trace)} steps ({size}):\n  " + "\n  ".join(self.trace)


def position_of(load: Load) -> tuple[int, int]:
    """Generation and number of a load."""
    return load.entry.generation, load.entry.seq


def last_load(destination: Destination) -> Load | None:
    """The newest load by generation and number."""
    return max(destination.loads, key=position_of, default=None)


def tag(entry: LedgerEntry) -> tuple[str, int]:
    """What marks the rows of a load."""
    return entry.load_id, entry.epoch
