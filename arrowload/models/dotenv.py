"""`.env` files: values for `{{ env.* }}` that are not in the environment."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from arrowload.core.exceptions import RecipeError
from arrowload.core.secret import register_by_name

if TYPE_CHECKING:
    from collections.abc import Mapping

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)", re.ASCII)
_QUOTED = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)\"""")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def environment(recipe: Path) -> Mapping[str, str]:
    """The environment, completed by `.env` beside the recipe or, if there is none, in the working directory.

    What the environment has already stays. Values whose names sound like a secret's are masked in all output.

    Raises:
        RecipeError: A line of the file cannot be read.
    """
    for folder in (recipe.parent, Path()):
        file = folder / ".env"
        if file.is_file():
            found = read_dotenv(file)
            for name, value in found.items():
                register_by_name(name, value)
            return {**found, **os.environ}
    return os.environ


def read_dotenv(file: Path) -> dict[str, str]:
    """The values in `file`: lines `NAME=value`, comments, quotes; nothing is expanded.

    Raises:
        RecipeError: A line is none of these; the message quotes nothing of it.
    """
    values = {}
    for number, line in enumerate(_text(file).splitlines(), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            match = _LINE.fullmatch(stripped)
            if match is None:
                raise _error(file, number, "is not `NAME=value`")
            values[match[1]] = _value(match[2], file, number)
    return values


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise RecipeError(f"`{file}` is not UTF-8", context={"file": str(file)}, hint="save it as UTF-8") from exc


def _value(written: str, file: Path, number: int) -> str:
    if written[:1] not in ("'", '"'):
        return re.split(r"\s#", written, maxsplit=1)[0].rstrip()
    match = _QUOTED.match(written)
    rest = written[match.end() :].strip() if match else ""
    if match is None or (rest and not rest.startswith("#")):
        raise _error(file, number, "has quotes that do not close at its end")
    if match[1] is not None:
        return match[1]
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), match[2])


def _error(file: Path, number: int, problem: str) -> RecipeError:
    return RecipeError(
        f"{file}:{number}  the line {problem}",
        context={"file": str(file), "line": number},
        hint="write `NAME=value` or `NAME='value'`, one to a line",
    )
