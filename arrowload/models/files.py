"""Recipe files: read within limits, and only from below the recipe root."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from arrowload.core.names import did_you_mean
from arrowload.models.json_reader import read_json
from arrowload.models.limits import MAX_BYTES
from arrowload.models.origins import LocatedDict, Origin, one_line, recipe_error


def display_name(path: Path) -> str:
    """How messages call a file: relative to the working directory where it lies below it."""
    try:
        return one_line(path.relative_to(Path.cwd()), limit=400)
    except (ValueError, OSError):
        return one_line(path, limit=400)


def read_file(path: Path) -> LocatedDict:
    """The mapping in a recipe file: JSON when the name ends in `.json`, else YAML.

    Raises:
        RecipeError: No such file, too large, not UTF-8, not a mapping, or refused by the reader.
    """
    name = display_name(path)
    text = _read_text(path, Origin(name))
    document = read_json(text, name) if path.suffix.lower() == ".json" else _read_yaml(text, name)
    if not isinstance(document, LocatedDict):
        raise recipe_error("a recipe must be a mapping", Origin(name, 1, 1), hint="start with `name:` and `source:`")
    return document


def _read_yaml(text: str, name: str) -> Any:
    from arrowload.models.yaml_reader import read_yaml  # PyYAML takes a while to import

    return read_yaml(text, name)


def _read_text(path: Path, at: Origin) -> str:
    try:
        if not path.is_file():
            if path.is_dir():
                raise recipe_error("is a folder, not a recipe", at, hint="name the recipe file in it")
            problem = "is not a file" if path.exists() else "no such file"
            raise recipe_error(problem, at, hint=_similar_file(path))
        # One byte more than allowed shows a file that is too large, even one that grows while it is read.
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as exc:
        raise recipe_error(
            f"cannot be read: {getattr(exc, 'strerror', None) or exc}", at, hint="check path and permissions"
        ) from exc
    if len(data) > MAX_BYTES:
        raise recipe_error(
            f"the file is larger than {MAX_BYTES >> 20} MiB",
            at,
            hint="keep data and long queries in files of their own",
        )
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as exc:
        before = data[: exc.start].decode()
        raise recipe_error(
            f"the byte 0x{data[exc.start]:02x} is not UTF-8",
            Origin(at.file, 1, 1).after(before),
            hint="save the file as UTF-8",
        ) from exc


def _similar_file(path: Path) -> str:
    folder = path.parent
    names = sorted(item.name for item in folder.iterdir()) if folder.is_dir() else []
    return did_you_mean(path.name, names, "check the path", cutoff=0.75)


def resolve_reference(reference: Any, folder: Path, root: Path, at: Origin, path: tuple[str | int, ...]) -> Path:
    """The file that `extends` or `include` names.

    Args:
        reference: As written; relative to `folder`.
        folder: That of the file that names it.
        root: The recipe root, symlinks resolved.
        at: Where the reference stands.
        path: Of the reference within its recipe.

    Raises:
        RecipeError: Not a path, a URL, or a file outside of `root`.
    """
    if not isinstance(reference, str) or not reference or "\0" in reference:
        raise recipe_error("expected the path of a recipe file", at, path, hint="write it relative to this file")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", reference):
        raise recipe_error(
            f"`{one_line(reference)}` is a URL", at, path, hint="only files below the recipe root can be used"
        )
    file = Path(folder, reference)
    try:
        real = file.resolve()
        inside = real.is_relative_to(root)
    except (OSError, RuntimeError) as exc:
        raise recipe_error(f"`{one_line(reference)}` cannot be resolved", at, path, hint="check its symlinks") from exc
    if not inside:
        raise recipe_error(
            f"`{one_line(reference)}` lies outside of the recipe root",
            at,
            path,
            hint="keep it below the working directory, or run from a folder that holds both",
        )
    if not real.is_file():
        raise recipe_error(f"no such file: `{one_line(reference)}`", at, path, hint=_similar_file(file))
    return file


def default_root(recipe: Path) -> Path:
    """The working directory when the recipe lies below it, else the recipe's own folder; symlinks resolved."""
    working, folder = Path.cwd().resolve(), recipe.parent.resolve()
    return working if folder.is_relative_to(working) else folder
