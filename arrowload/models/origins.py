"""Which file, line and column each part of a recipe came from, and the errors that say so."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from arrowload.core.exceptions import RecipeError, printable
from arrowload.core.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Characters of a problem, and of a hint.
_MAX_TEXT: Final = 300
# A hostile recipe may have thousands of names, each of which costs up to a millisecond.
_MAX_COMPARED: Final = 100
# Keys and list indices from the top of the document.
Path = tuple[str | int, ...]


class Origin(NamedTuple):
    """A place in a recipe file; lines and columns count from 1, a line of 0 stands for the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def after(self, raw: str) -> Origin:
        """The place just behind `raw`, where `raw` starts here."""
        if not self.line:
            return self
        breaks = raw.count("\n")
        column = len(raw) - raw.rfind("\n") if breaks else self.column + len(raw)
        return Origin(self.file, self.line + breaks, column)


UNKNOWN = Origin("<unknown>")


class LocatedDict(dict[str, Any]):
    """A mapping that knows where it, its keys and its values stand; equal to a plain dict of the same items."""

    __slots__ = ("keys_at", "origin", "values_at")

    def __init__(self, origin: Origin = UNKNOWN) -> None:
        super().__init__()
        self.origin = origin
        self.keys_at: dict[str, Origin] = {}
        self.values_at: dict[str, Origin] = {}

    def put(self, key: str, value: Any, key_at: Origin, value_at: Origin) -> None:
        """Set `key` to `value`, with the place of each."""
        self[key] = value
        self.keys_at[key] = key_at
        self.values_at[key] = value_at

    def take(self, source: Mapping[str, Any], key: str, value: Any) -> None:
        """Set `key` to `value`, standing where `key` stands in `source`."""
        if isinstance(source, LocatedDict):
            self.put(key, value, source.keys_at[key], source.values_at[key])
        else:
            self.put(key, value, UNKNOWN, UNKNOWN)

    def drop(self, key: str) -> None:
        """Remove `key` with its places."""
        del self[key], self.keys_at[key], self.values_at[key]


class LocatedList(list[Any]):
    """A list that knows where it and its items stand; equal to a plain list of the same items."""

    __slots__ = ("origin", "values_at")

    def __init__(self, origin: Origin = UNKNOWN) -> None:
        super().__init__()
        self.origin = origin
        self.values_at: list[Origin] = []

    def put(self, value: Any, value_at: Origin) -> None:
        """Append `value`, which stands at `value_at`."""
        self.append(value)
        self.values_at.append(value_at)

    def drop(self, index: int) -> None:
        """Remove the item at `index` with its place."""
        del self[index], self.values_at[index]


class Text(str):
    """A string that holds template marks, with what is needed to say where in a file each of them stands.

    Attributes:
        raw: The string as the file has it, quotes and escapes included.
        origin: Where `raw` starts.
        scope: The parameters of the macro that the string is a part of, None outside of macros.
    """

    __slots__ = ("origin", "raw", "scope")

    raw: str
    origin: Origin
    scope: Any

    def __new__(cls, value: str, raw: str, origin: Origin, scope: Any = None) -> Text:
        """`value` with its place."""
        text = super().__new__(cls, value)
        text.raw, text.origin, text.scope = raw, origin, scope
        return text


def is_template(value: str) -> bool:
    """Whether `value` holds marks of a template."""
    return "{{" in value or "{%" in value or "{#" in value


def copy(value: Any) -> Any:
    """`value` with containers of its own, all located; scalars are shared."""
    if isinstance(value, dict):
        mapping = LocatedDict(getattr(value, "origin", UNKNOWN))
        for key, item in value.items():
            mapping.take(value, key, copy(item))
        return mapping
    if isinstance(value, list):
        items = LocatedList(getattr(value, "origin", UNKNOWN))
        for item, at in zip(value, places(value), strict=True):
            items.put(copy(item), at)
        return items
    return value


def places(items: list[Any]) -> list[Origin]:
    """Where each item of a list stands."""
    return items.values_at if isinstance(items, LocatedList) else [UNKNOWN] * len(items)


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Origin]]:
    """Each scalar and each empty container below `value`: path, value, place."""
    if isinstance(value, LocatedDict):
        pairs: Iterable[tuple[str | int, Any, Origin]] = (
            (key, item, value.values_at[key]) for key, item in value.items()
        )
    elif isinstance(value, LocatedList):
        pairs = ((index, item, value.values_at[index]) for index, item in enumerate(value))
    else:
        return
    for part, item, at in pairs:
        if isinstance(item, dict | list) and item:
            yield from leaves(item, (*path, part))
        else:
            yield (*path, part), item, at


def origin_of(document: LocatedDict, path: Path, *, key: bool = False) -> Origin:
    """Where the value at `path` stands, or with `key` its key; for a path that is not there, its nearest ancestor.

    Args:
        document: The whole document.
        path: From its top.
        key: Point at the key, or for a list item at the item.
    """
    at, value = document.origin, document
    for i, part in enumerate(path):
        last = key and i == len(path) - 1
        if isinstance(value, LocatedDict) and part in value:
            at = value.keys_at[str(part)] if last else value.values_at[str(part)]
            value = value[str(part)]
        elif isinstance(value, LocatedList) and isinstance(part, int) and part < len(value):
            at, value = value.values_at[part], value[part]
        else:
            break
    return at


def format_path(path: Path) -> str:
    """`path` as error messages write it: `$.transform.steps[0].type`."""
    text = "$"
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if re.fullmatch(r"[\w-]{1,60}", part) else f'["{one_line(part)}"]'
    return text


def one_line(value: object, limit: int = 60) -> str:
    """`value` as text that fits into a one-line message: control characters escaped, the end cut off."""
    text = printable(str(value)[: limit + 1])
    return text if len(text) <= limit else text[: limit - 1] + "…"


def name_hint(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the known name closest to `name`, or lists them when none is close and they are few."""
    names = sorted({str(item) for item in islice(known, _MAX_COMPARED)})
    listed = f"known are: {', '.join(names)}" if 0 < len(names) <= 20 else ""
    return did_you_mean(name, names, listed) or None


def recipe_error(problem: str, at: Origin, path: Path | None = None, *, hint: str | None = None) -> RecipeError:
    """The error that reads `file:line:column  $.path: problem; hint`, with these facts in its context.

    Args:
        problem: What is wrong, without the place.
        at: Where.
        path: Of the value within the recipe, when the recipe could be read that far.
        hint: The next thing to do.
    """
    where = f"{at}  {format_path(path)}: " if path is not None else f"{at}  "
    context: dict[str, Any] = {"file": at.file, "line": at.line, "column": at.column}
    if path is not None:
        context["path"] = format_path(path)
    # Names and values of the recipe stand in both, and may hold line ends, a terminal's control codes, or a megabyte.
    hint = None if hint is None else one_line(hint, _MAX_TEXT)
    return RecipeError(one_line(where, _MAX_TEXT) + one_line(problem, _MAX_TEXT), context=context, hint=hint)
