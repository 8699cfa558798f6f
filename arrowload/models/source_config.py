"""The `source:` section: what every source understands; each connector's own Struct adds its keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from arrowload.models.units import Duration


class CursorIncremental(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="strategy", tag="cursor"
):
    """Load the rows whose cursor column has moved past what was loaded before."""

    cursor_column: str
    lag: Annotated[
        Duration | None, msgspec.Meta(description="Read this much behind the last cursor value again, for late rows.")
    ] = None
    late: Annotated[
        Literal["lag", "xmin"],
        msgspec.Meta(
            description="How rows are found that are committed behind the cursor. lag: by reading `lag` again. xmin: by"
            " the transactions that wrote them, of a Postgres table; `lag` then says how far behind they may be."
        ),
    ] = "lag"
    boundary: Annotated[
        Literal["closed", "hold_back", "open"],
        msgspec.Meta(
            description="closed: rows that tie with the last value are read again and told apart by their hash. "
            "hold_back: rows at the highest value wait for the next run. open: the cursor is unique."
        ),
    ] = "closed"
    null_cursor: Annotated[
        Literal["error", "include", "exclude"],
        msgspec.Meta(description="What to do with rows whose cursor is NULL; include needs merge keys."),
    ] = "error"
    future_cursor: Annotated[
        Literal["wait", "include", "error"],
        msgspec.Meta(
            description="Rows whose cursor is a time more than a day ahead: they wait until it comes, are loaded and"
            " move the cursor there, or end the run."
        ),
    ] = "wait"
    initial_value: Annotated[
        str | int | None, msgspec.Meta(description="Where the first run starts; without it, at the beginning.")
    ] = None
    end_value: Annotated[
        str | int | None, msgspec.Meta(description="Where loading ends: rows from this value on are not read.")
    ] = None


class ModifiedIncremental(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="strategy", tag="modified"
):
    """Load the files that are new or changed since the last run."""

    lag: Annotated[
        Duration | None,
        msgspec.Meta(description="Files may appear this much later than their modification time says."),
    ] = None


IncrementalConfig = CursorIncremental | ModifiedIncremental


class SourceConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys that every source understands."""

    type: str
    incremental: IncrementalConfig | None = None


class PluginSourceConfig(SourceConfig, frozen=True, kw_only=True):
    """The config of a plug-in that registered no Struct of its own: its keys as they stand."""

    options: dict[str, Any] = {}
