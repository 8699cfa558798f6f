"""Errors that turn up after a recipe was read, with the place in the recipe that they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from arrowload.core.exceptions import RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from arrowload.models.resolved import ResolvedRecipe


def locate(error: RecipeError, resolve: Callable[[], ResolvedRecipe]) -> RecipeError:
    """`error` with `file:line:column  $.path: ` before its message; as it is where the place is not clear.

    Args:
        error: Its context may hold `path`, of the part of the recipe that it is about, and `column`, that is named
            there.
        resolve: Gives the recipe with the place of each leaf.
    """
    if "file" in error.context:
        return error
    resolved = resolve()
    path = _leaf(resolved, error.context)
    if path is None:
        return error
    at = resolved.origins[path]
    context = {**error.context, "path": path, "place": at}
    return RecipeError(f"{at}  {path}: {error.message}", context=context, hint=error.hint)


def _leaf(resolved: ResolvedRecipe, context: dict[str, Any]) -> str | None:
    """The leaf that an error is about: one that names the column, or the first below the path."""
    path, column = context.get("path"), context.get("column")
    below = [
        (leaf, names) for leaf, names in _leaves(resolved.document, (), ()) if path is None or _is_below(leaf, path)
    ]
    named = [leaf for leaf, names in below if column in names]
    if path is None:
        # Without a path a name is a clue only when it stands in one place.
        return named[0] if len(named) == 1 else None
    # What a step is about is rarely its type.
    below.sort(key=lambda leaf: leaf[0].endswith(".type"))
    return named[0] if named else next((leaf for leaf, _ in below), None)


def _is_below(leaf: str, path: str) -> bool:
    return leaf == path or leaf.startswith((f"{path}.", f"{path}["))


def _leaves(
    value: Any, path: tuple[str | int, ...], names: tuple[object, ...]
) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Path of each leaf, with the names that stand there: its own key and its value."""
    from arrowload.models.origins import format_path

    if isinstance(value, dict | list) and value:
        for part, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, (*path, part), (part,))
    else:
        yield format_path(path), (*names, value)
