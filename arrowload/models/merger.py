"""How a recipe is laid over the ones that it extends, and what `delete:` takes out again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from arrowload.models.origins import (
    UNKNOWN,
    LocatedDict,
    LocatedList,
    Origin,
    Path,
    copy,
    name_hint,
    one_line,
    places,
    recipe_error,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Lists that are joined, parent first, where all others are replaced.
_CONCATENATED: Final = frozenset({("transform", "steps"), ("checks",)})
_SEGMENT: Final = re.compile(r'"([^"]*)"|\[(\d+)\]|([^."\[\]]+)')


class RecipeMerger:
    """Merge and delete rules over plain documents; places are kept where the documents know them.

    Scalars override; mappings merge deeply; `transform.steps` and `checks` concatenate, parent first; other lists
    override. Where the kinds differ, a mapping here and a scalar or null there, the child wins.
    """

    def merge(self, parent: Mapping[str, Any], child: Mapping[str, Any]) -> LocatedDict:
        """`child` laid over `parent`; neither is changed. The keys of `parent` come first."""
        return self._merge(parent, child, ())

    def _merge(self, parent: Mapping[str, Any], child: Mapping[str, Any], path: Path) -> LocatedDict:
        merged = LocatedDict(getattr(child, "origin", UNKNOWN))
        for key, value in parent.items():
            merged.take(parent, key, value)
        for key, value in child.items():
            mine = (*path, key)
            inherited = merged.get(key)
            if isinstance(inherited, dict) and isinstance(value, dict):
                merged.take(child, key, self._merge(inherited, value, mine))
            elif isinstance(inherited, list) and isinstance(value, list) and mine in _CONCATENATED:
                merged.take(child, key, _concatenate(inherited, value))
            else:
                merged.take(child, key, value)
        return merged

    def delete(self, document: Mapping[str, Any], paths: Sequence[str]) -> LocatedDict:
        """`document` without what `paths` name; the document itself is not changed.

        A path is keys joined by dots; a list index is a number, `steps.0` or `steps[0]`; a key that holds a dot is
        written in double quotes. All paths name places in the document as it is before anything is deleted.

        Raises:
            RecipeError: A path is malformed, or names nothing.
        """
        remaining: LocatedDict = copy(dict(document) if not isinstance(document, dict) else document)
        found: dict[tuple[int, str | int], tuple[int, Any]] = {}
        for index, (path, at) in enumerate(zip(paths, places(list_of(paths)), strict=True)):
            segments = _parse(path, index, at)
            container, key = _find(remaining, segments, index, at)
            found[id(container), key] = (len(segments), container)
        # Deepest first, and last items first, so that what is left keeps its index until its own turn.
        order = sorted(found, key=lambda where: (found[where][0], where[1] if isinstance(where[1], int) else 0))
        for where in reversed(order):
            found[where][1].drop(where[1])
        return remaining


def list_of(values: Sequence[Any]) -> list[Any]:
    """`values` itself when it is a list."""
    return values if isinstance(values, list) else list(values)


def _concatenate(parent: list[Any], child: list[Any]) -> LocatedList:
    joined = LocatedList(getattr(child, "origin", UNKNOWN))
    for items in (parent, child):
        for item, at in zip(items, places(items), strict=True):
            joined.put(item, at)
    return joined


def _parse(path: str, index: int, at: Origin) -> list[str]:
    rest = path.removeprefix("$.")
    segments, position = [], 0
    while match := _SEGMENT.match(rest, position):
        segments.append(next(group for group in match.groups() if group is not None))
        position = match.end()
        if rest.startswith(".", position) and position + 1 < len(rest):
            position += 1
        elif not rest.startswith("[", position):
            break
    if not segments or position != len(rest):
        raise recipe_error(
            f"`{one_line(path)}` is not a path",
            at,
            ("delete", index),
            hint="join keys with dots: `destination.merge_keys`, `transform.steps.0`",
        )
    return segments


def _find(document: LocatedDict, segments: list[str], index: int, at: Origin) -> tuple[Any, str | int]:
    container: Any = document
    for depth, segment in enumerate(segments):
        key: str | int = (
            int(segment) if isinstance(container, list) and re.fullmatch("[0-9]{1,9}", segment) else segment
        )
        there = key in container if isinstance(container, dict) else isinstance(key, int) and key < len(container)
        if not isinstance(container, dict | list) or not there:
            raise recipe_error(
                f"`{one_line('.'.join(segments))}` deletes nothing",
                at,
                ("delete", index),
                hint=_nearest_path(container, segments, depth),
            )
        if depth == len(segments) - 1:
            return container, key
        container = container[key]  # type: ignore[index] # a list is indexed by a number only, as checked above
        if not isinstance(container, dict | list):
            container = {}
    raise AssertionError("a path has at least one segment")


def _nearest_path(container: Any, segments: list[str], depth: int) -> str:
    above = ".".join(segments[:depth])
    if isinstance(container, list):
        return f"`{above}` has {len(container)} item{'s' * (len(container) != 1)}, counted from 0"
    hint = name_hint(segments[depth], container) or "nothing there has a name like it"
    start = "did you mean `"
    if above and hint.startswith(start):
        return f"{start}{above}.{hint.removeprefix(start)}"
    return hint if not above or container else f"`{above}` holds nothing"
