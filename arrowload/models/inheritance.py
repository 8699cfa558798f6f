"""`extends:` and `include:` followed: the files of one recipe, in the order in which they are laid over each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from arrowload.models.files import display_name, read_file, resolve_reference
from arrowload.models.limits import MAX_FILES, MAX_LEVELS
from arrowload.models.merger import RecipeMerger
from arrowload.models.origins import LocatedDict, LocatedList, Origin, name_hint, recipe_error

# Keys that say how a recipe is put together; none of them is left in the recipe itself.
ASSEMBLY_KEYS = ("extends", "include", "delete")


class _Entry(NamedTuple):
    real: Path
    name: str


class Assembly:
    """Puts a recipe together from its own file and those that it extends and includes.

    The deepest parent comes first, and the parents in a list from left to right. A file that is reached twice counts
    once, at its first place: two parents that share a base do not bring its steps twice. `delete:` is applied when
    the file that says it has been laid over all before it.

    Args:
        root: The recipe root, symlinks resolved: nothing outside of it is read.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._merger = RecipeMerger()
        self._merged = LocatedDict()
        self._done: set[Path] = set()
        self._files = 0

    def assemble(self, leaf: LocatedDict, folder: Path, entry: Path | None = None) -> LocatedDict:
        """The merged document of `leaf`; `extends`, `include` and `delete` are no longer in it.

        Args:
            leaf: As read.
            folder: What its references are relative to.
            entry: Its file, None for a mapping.

        Raises:
            RecipeError: A parent cannot be used, they run in a circle, or a path to delete names nothing.
        """
        chain = [_Entry(entry.resolve(), display_name(entry))] if entry else []
        self._lay(leaf, folder, chain)
        return self._merged

    def _lay(self, layer: LocatedDict, folder: Path, chain: list[_Entry]) -> None:
        for reference, at, path in _references(layer, "extends"):
            self._parent(resolve_reference(reference, folder, self._root, at, path), chain, at, path)
        own = self._with_included_macros(layer, folder)
        for key in ASSEMBLY_KEYS:
            if key in own:
                own.drop(key)
        self._merged = self._merger.merge(self._merged, own)
        self._merged = self._merger.delete(self._merged, _deletions(layer))

    def _parent(self, file: Path, chain: list[_Entry], at: Origin, path: tuple[str | int, ...]) -> None:
        entry = _Entry(file.resolve(), display_name(Path(file.parent.resolve(), file.name)))
        if entry.real in (link.real for link in chain):
            names = " → ".join([*(link.name for link in chain), entry.name])
            raise recipe_error(f"`extends` runs in a circle: {names}", at, path, hint="take one of these links out")
        if entry.real in self._done:
            return
        if len(chain) >= MAX_LEVELS:
            raise recipe_error(f"`extends` goes more than {MAX_LEVELS} levels deep", at, path, hint="flatten the chain")
        self._count_file(at)
        self._lay(read_file(Path(file.parent.resolve(), file.name)), file.parent.resolve(), [*chain, entry])
        self._done.add(entry.real)

    def _count_file(self, at: Origin) -> None:
        self._files += 1
        if self._files > MAX_FILES:
            raise recipe_error(f"the recipe takes in more than {MAX_FILES} files", at, hint="join some of them")

    def _with_included_macros(self, layer: LocatedDict, folder: Path) -> LocatedDict:
        included = LocatedDict(layer.origin)
        for reference, at, path in _references(layer, "include"):
            file = resolve_reference(reference, folder, self._root, at, path)
            self._count_file(at)
            included = self._merger.merge(included, _macros_of(file))
        return self._merger.merge(included, layer)


def _macros_of(file: Path) -> LocatedDict:
    document = read_file(Path(file.parent.resolve(), file.name))
    for key in document:
        if key != "macros":
            raise recipe_error(
                "unknown field",
                document.keys_at[key],
                (key,),
                hint="an included file holds only `macros`",
            )
    return document


def _references(layer: LocatedDict, key: str) -> list[tuple[Any, Origin, tuple[str | int, ...]]]:
    value = layer.get(key, [])
    if isinstance(value, LocatedList):
        return [(item, at, (key, i)) for i, (item, at) in enumerate(zip(value, value.values_at, strict=True))]
    return [(value, layer.values_at[key], (key,))] if key in layer else []


def _deletions(layer: LocatedDict) -> LocatedList:
    value = layer.get("delete", LocatedList())
    if not isinstance(value, LocatedList):
        raise recipe_error(
            "expected a list of paths", layer.values_at["delete"], ("delete",), hint="write it as `- a.b`"
        )
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise recipe_error(
                "expected a path",
                value.values_at[index],
                ("delete", index),
                hint="join keys with dots: `runtime.retries`",
            )
    return value


def unknown_key_hint(key: str, fields: tuple[str, ...]) -> str | None:
    """The nearest key that a recipe may have at its top."""
    return name_hint(key, (*fields, *ASSEMBLY_KEYS, "macros"))
