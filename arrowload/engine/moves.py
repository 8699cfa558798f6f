"""What moving the bounds of a recipe by hand does to its rows."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal

from arrowload.core.state import CursorValue

if TYPE_CHECKING:
    from arrowload.connectors.sql_cursor import CursorKind
    from arrowload.core.state import State
    from arrowload.core.typing import WriteMode


def harm_of(before: State, after: State, *, write_mode: WriteMode) -> list[str]:
    """Which rows would be left out or come twice, one sentence each; none when the move is harmless.

    A cursor that goes forward leaves out the rows in between; one that goes back reads rows again, which doubles them
    under append and does nothing under merge.
    """
    harms = []
    for name in sorted({*before.cursor_values, *after.cursor_values}):
        old, new = before.cursor_values.get(name), after.cursor_values.get(name)
        where = _direction(old, new)
        if where in ("forward", "unclear"):
            harms.append(f"`{name}` goes from {_text(old)} to {_text(new)}: rows in between would not be loaded")
        if where in ("back", "unclear") and write_mode == "append":
            harms.append(f"`{name}` goes from {_text(old)} to {_text(new)}: rows from there on would come twice")
    if before.watermarks != after.watermarks:
        harms.append("the files that count as loaded are others: some would be left out, or come twice")
    return harms


def is_below(one: str, other: str, kind: CursorKind | None) -> bool | None:
    """Whether a bound lies below, or at, another one, both as their source writes them; None when nobody can tell."""
    if kind is None:
        return None
    before, after = (_comparable(CursorValue(text, kind)) for text in (one, other))
    return None if before is None or after is None else bool(before <= after)


def _direction(old: Any, new: Any) -> Literal["same", "forward", "back", "unclear"]:
    if old == new:
        return "same"
    if new is None:
        return "back"
    if old is None:
        return "forward"
    before, after = _comparable(old), _comparable(new)
    if before is None or after is None or type(before) is not type(after):
        return "unclear"
    try:
        return "forward" if after > before else "back"
    except TypeError:  # a time with a zone and one without
        return "unclear"


def _comparable(value: Any) -> Any:
    """The value in a type that sorts as the source's does; None where that cannot be told."""
    if not isinstance(value, CursorValue):
        return value
    try:
        if value.type == "number":
            return Decimal(value.text)
        if value.type != "time":
            return (value.text.lower() if value.type == "uuid" else value.text).encode()
        moment = dt.datetime.fromisoformat(value.text)
        # Sessions are set to UTC, so that is what a text without a zone stands for.
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
    except (ValueError, InvalidOperation):
        return None


def _text(value: Any) -> str:
    return "the beginning" if value is None else value.text if isinstance(value, CursorValue) else str(value)
