"""Every error that arrowload raises: what is wrong, the facts about it, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from arrowload.core.secret import mask

if TYPE_CHECKING:
    from collections.abc import Mapping


def printable(text: str, *, but: str = "") -> str:
    r"""`text` with what a terminal would not show, or would obey, written as `\x1b`; the characters `but` stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in but else c.encode("unicode_escape").decode() for c in text)


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    return {key: _masked(item) for key, item in value.items()} if isinstance(value, dict) else value


class DataLoaderError(Exception):
    """Base of all errors; one sentence, with facts and a next step beside it.

    Attributes:
        message: One sentence, secrets masked.
        context: Facts for machines: recipe, path, table, column, row, `sqlstate` …
        hint: The next thing to do, or None.
        exit_code: What the command line exits with (sysexits.h).
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, context: Mapping[str, Any] | None = None, hint: str | None = None) -> None:
        # Names and values of the data stand in messages; what a database has to say has lines.
        self.message = printable(mask(message), but="\n\t")
        self.context: dict[str, Any] = _masked(dict(context or {}))
        self.hint = printable(mask(hint), but="\n\t") if hint is not None else None
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class RecipeError(DataLoaderError):
    """The recipe says something that cannot be done as written."""

    exit_code = 78


class ConnectorError(DataLoaderError):
    """A source or destination lacks or refuses what the recipe asks for; trying again is of no use."""

    exit_code = 78


class TransientConnectorError(ConnectorError):
    """A source or destination failed in a way that may pass: cut connection, deadlock, busy file."""

    exit_code = 75


class CredentialsError(ConnectorError):
    """A source or destination does not know us, or does not let us."""

    exit_code = 77


class DataError(ConnectorError):
    """A value or a row that cannot be read or written as it is."""

    exit_code = 65


class MissingExtraError(ConnectorError):
    """A driver is not installed; the hint names the extra that brings it."""

    exit_code = 78


class TransformError(DataLoaderError):
    """A transform step met a value that it cannot handle."""

    exit_code = 65


class StateError(DataLoaderError):
    """State and ledger contradict each other, or the state cannot be read."""

    exit_code = 78


class EngineError(DataLoaderError):
    """The engine cannot go on."""

    exit_code = 70


class BusyError(EngineError):
    """Another run holds the recipe, or took it over; nothing was committed by this one."""

    exit_code = 75


def another_pipeline(recipe: str) -> TransientConnectorError:
    """What a first run is told when another first run of the same recipe was faster."""
    return TransientConnectorError(
        f"another run of `{recipe}` has just begun to load the same target",
        context={"recipe": recipe},
        hint="run again; the two are one pipeline from now on",
    )


class OutcomeUnknownError(EngineError):
    """A commit was sent and its answer never came; neither success nor failure could be established."""

    exit_code = 74
