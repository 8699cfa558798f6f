"""What a source, a target and a window of rows say about themselves, as values that the planner is handed."""

from __future__ import annotations

from typing import Literal

import msgspec
import pyarrow as pa

from arrowload.core.typing import WriteMode


class SourceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a source says about itself before a row is read.

    Attributes:
        location: What is read, for people: `postgres shop/public.orders`, `flights/*.csv`.
        identity: What remembered bounds belong to: the table, or the folder of the files. Rows of another are others.
        route: How: `adbc`, `duckdb`, `arrow` …
        route_reason: Why this route, in one sentence.
        replayable: The same window can be read twice with the same rows (a snapshot, pinned files). Without it
            the load is at-least-once.
    """

    location: str
    identity: str = ""
    route: str
    route_reason: str
    replayable: bool = True


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one load, fixed before the first is read.

    Attributes:
        strategy: `full`: all rows; `cursor`: by a column's value; `modified`: by the files' modification time.
        empty: Nothing is there to load.
        statements: What will be read: the SQL with its bounds, or the files.
        lower, upper: The bounds as text, None where open.
        bytes: About how much there is to read; None when nobody knows.
        notes: What a person should know, one sentence each: rows left out for a NULL cursor, a cursor that fell.
    """

    strategy: Literal["full", "cursor", "modified"] = "full"
    empty: bool = False
    statements: tuple[str, ...] = ()
    lower: str | None = None
    upper: str | None = None
    bytes: int | None = None
    notes: tuple[str, ...] = ()


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a window that can be read by itself.

    Attributes:
        index: Its place in the order of the rows.
        spec: The source's own, plain data.
        what: The part, for people: `blocks 0 to 56 419`, the name of a file.
    """

    index: int
    spec: dict[str, object]
    what: str = "all rows"


class DestinationCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a destination can do.

    Attributes:
        write_modes: The modes that it has.
        transactional: Rows and ledger entry become visible in one step.
    """

    write_modes: frozenset[WriteMode]
    transactional: bool


class TargetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a destination says about the target of one load.

    Attributes:
        location: The target for people: `duckdb flights.duckdb main.flights`.
        exists: It is there already.
        schema: What the destination wants to be handed: the output columns, in the order and the exact types that
            it stores them in.
        ddl: The statements that make or alter the target, in order; empty when it is there as it should be.
        finalize: The statements, or the steps, that make the rows visible.
    """

    location: str
    exists: bool
    schema: pa.Schema
    ddl: tuple[str, ...] = ()
    finalize: tuple[str, ...] = ()
