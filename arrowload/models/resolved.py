"""A recipe as it stands after inheritance, macros and templates, for people to read; secrets masked."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from arrowload.core.secret import MASK, mask
from arrowload.models.decoder import Decoder, Section
from arrowload.models.origins import LocatedDict, Path, copy, format_path, leaves
from arrowload.models.scalars import parse_scalar
from arrowload.models.secrets import reference_of, register_parts
from arrowload.models.structs import secret_paths


class ResolvedRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """The merged and rendered recipe.

    Attributes:
        document: Plain values. A secret shows its template when that gives nothing away, else `***`.
        origins: Path of each leaf (`$.source.host`) → where it stands (`recipes/base.yaml:4:9`).
    """

    document: dict[str, Any]
    origins: dict[str, str]

    def to_yaml(self, *, origins: bool = False) -> str:
        """The document as YAML, with `origins` as a comment behind each leaf."""
        lines = _lines(self.document, 0, (), self.origins if origins else {})
        width = min(60, max((len(line) for line, _ in lines), default=0))
        return "".join(f"{line:<{width}}  # {at}\n" if at else f"{line}\n" for line, at in lines)


def resolve(document: LocatedDict, root: str) -> ResolvedRecipe:
    """`document`, merged and rendered, as it may be shown.

    Raises:
        RecipeError: A section has no known type, so that its secrets are not known either.
    """
    shown: LocatedDict = copy(document)
    for section in Decoder(document, root).sections():
        _mask_section(section, shown)
    found = list(leaves(shown))
    return ResolvedRecipe(
        document=_masked(shown),
        origins={format_path(path): str(at) for path, _, at in found},
    )


def _mask_section(section: Section, shown: LocatedDict) -> None:
    paths = secret_paths(section.struct, section.value)
    if section.plugin:
        # No Struct says what is a secret here, so whatever came from the environment may be one.
        paths |= {path for path, value, _ in leaves(section.value) if getattr(value, "template", None)}
    for path in paths:
        value = _follow(section.value, path)
        if value is None:
            continue
        register_parts(value)
        container = _follow(shown, (*section.path, *path[:-1]))
        container[path[-1]] = reference_of(value) or MASK


def _follow(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return mask(value) if isinstance(value, str) else value


# ---------------------------------------------------------------- YAML


def _lines(value: Any, indent: int, path: Path, origins: dict[str, str]) -> list[tuple[str, str | None]]:
    lines: list[tuple[str, str | None]] = []
    pad = "  " * indent
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for part, item in pairs:
        here = (*path, part)
        head = f"{pad}{_scalar(part)}:" if isinstance(value, dict) else f"{pad}-"
        if isinstance(item, dict | list) and item:
            inner = _lines(item, indent + 1, here, origins)
            if isinstance(value, list):
                first, at = inner[0]
                inner[0] = (f"{head} {first.removeprefix(pad + '  ')}", at)
            else:
                lines.append((head, None))
            lines += inner
        else:
            lines.append((f"{head} {_scalar(item)}", origins.get(format_path(here))))
    return lines


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        bare = re.fullmatch(r"[A-Za-z0-9_/][\w./@+-]*(?: [\w./@+-]+)*", value, re.ASCII)
        return value if bare and _reads_as_itself(value) else _quoted(value)
    if isinstance(value, float) and value.is_integer():
        return repr(value)
    if value is None or isinstance(value, bool | int | float | dict | list):
        return json.dumps(value)
    return json.dumps(f"<{type(value).__name__}>")


def _quoted(value: str) -> str:
    """As JSON, which is YAML too but for some control characters and line ends; these are escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else rf"\U{ord(c):08x}" for c in text)


def _reads_as_itself(value: str) -> bool:
    try:
        return parse_scalar(value) == value
    except ValueError:
        return False
