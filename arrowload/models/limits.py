"""How large a recipe may be, so that a hostile one is refused before it costs time or memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final

from arrowload.models.origins import LocatedDict, LocatedList, Origin, one_line, recipe_error

MAX_BYTES: Final = 1 << 20  # of one file
MAX_DEPTH: Final = 64  # containers within containers
MAX_NODES: Final = 10_000  # keys, values and expressions, after aliases, macros and variables are filled in
MAX_CHARACTERS: Final = 2 << 20  # of all strings together, likewise
MAX_LEVELS: Final = 100  # of `extends`
MAX_FILES: Final = 256  # read for one recipe


class Budget:
    """Counts what a recipe grows to while it is read or filled in."""

    def __init__(self) -> None:
        self.nodes = 0
        self.characters = 0

    def spend(self, at: Origin, *, nodes: int = 1, characters: int = 0) -> None:
        """Count some more.

        Raises:
            RecipeError: That is more than a recipe may have.
        """
        self.nodes += nodes
        self.characters += characters
        if self.nodes > MAX_NODES:
            raise recipe_error(
                f"the recipe has more than {MAX_NODES} keys, values and templates, aliases and macros filled in",
                at,
                hint="split it into several recipes",
            )
        if self.characters > MAX_CHARACTERS:
            raise recipe_error(
                f"the recipe has more than {MAX_CHARACTERS >> 20} MiB of text, aliases and templates filled in",
                at,
                hint="keep large values in files of their own",
            )


def check_depth(depth: int, at: Origin) -> None:
    """Refuse containers that are nested too deeply.

    Raises:
        RecipeError: `depth` is more than a recipe may have.
    """
    if depth > MAX_DEPTH:
        raise recipe_error(
            f"mappings and lists are nested more than {MAX_DEPTH} deep", at, hint="check for stray brackets"
        )


def located(value: Any, origin: Origin, depth: int = 0) -> Any:
    """A document given in Python, with containers of its own that all stand at `origin`.

    Raises:
        RecipeError: A key is not text, or containers are nested too deeply, as in one that holds itself.
    """
    check_depth(depth, origin)
    if isinstance(value, Mapping):
        mapping = LocatedDict(origin)
        for key, item in value.items():
            if not isinstance(key, str):
                raise recipe_error(f"the key `{one_line(key)}` is not text", origin, hint="put it into quotes")
            mapping.put(str(key), located(item, origin, depth + 1), origin, origin)
        return mapping
    if isinstance(value, list | tuple):
        items = LocatedList(origin)
        for item in value:
            items.put(located(item, origin, depth + 1), origin)
        return items
    return str(value) if isinstance(value, PurePath) else value
