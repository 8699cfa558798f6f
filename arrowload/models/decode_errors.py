"""msgspec's complaints in the words of a recipe: what is wrong, where, and what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from arrowload.models.origins import Path, name_hint, one_line
from arrowload.models.structs import choices_at, fields_at

if TYPE_CHECKING:
    import msgspec

_WORDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "object": "a mapping",
    "array": "a list",
    "null": "null",
}
_HINTS: Final = {
    "int": "write a number without quotes or a point",
    "float": "write a number without quotes",
    "bool": "write true or false without quotes",
    "str": "put the value into quotes",
    "object": "write `key: value` lines below it",
    "array": "write `- item` lines below it, or [a, b]",
}


class Problem(NamedTuple):
    """One complaint.

    Attributes:
        path: Of the value, from the top of what was decoded; may hold `...` for a key that msgspec leaves out.
        text: What is wrong, in a few words.
        hint: What to do.
        at_key: Whether the key is at fault, and not its value.
    """

    path: Path
    text: str
    hint: str | None
    at_key: bool = False


def parse_message(message: str) -> tuple[str, Path]:
    """Take msgspec's message apart: what is wrong, and the path, where `...` stands for any key of a mapping."""
    match = re.fullmatch(r"(.*?)(?: - at (`key` in )?`\$([^`]*)`)?", message, re.DOTALL)
    if match is None or match[3] is None:
        return message, ()
    parts = re.findall(r"\.([^.\[\]]+)|\[(\d+)\]|\[(\.\.\.)\]", match[3])
    return match[1], tuple(name or (int(index) if index else dots) for name, index, dots in parts)


def explain(text: str, path: Path, struct: type[msgspec.Struct], value: Any) -> Problem:
    """What `text`, a message of msgspec's without its path, means for the recipe.

    Args:
        text: The message.
        path: Where in `value`.
        struct: What `value` was to become.
        value: A plain document.
    """
    if match := re.fullmatch(r"Object contains unknown field `(.*)`", text, re.DOTALL):
        known = fields_at(struct, value, path)
        return Problem((*path, match[1]), "unknown field", name_hint(match[1], known), at_key=True)
    if match := re.fullmatch(r"Object missing required field `(.*)`", text, re.DOTALL):
        known = choices_at(struct, value, (*path, match[1]))
        hint = f"add `{match[1]}:`" + (f", one of {_join(known)}" if known else " to it")
        return Problem(path, f"missing required field `{match[1]}`", hint, at_key=True)
    if match := re.fullmatch(r"Invalid (?:enum )?value (.*)", text, re.DOTALL):
        choices = choices_at(struct, value, path)
        given = match[1].strip("'")
        problem = (
            f"`{one_line(given)}` is none of {_join(choices)}" if choices else f"`{one_line(given)}` is not allowed"
        )
        near = name_hint(given, choices)
        return Problem(path, problem, near if near and near.startswith("did") else "choose one of them")
    if match := re.fullmatch(r"Expected `([^`]*)`, got `([^`]*)`", text):
        return _wrong_kind(path, match[1], match[2])
    if match := re.fullmatch(r"Expected `(\w+)` ([<>]=?|matching regex|of length|that's a multiple of) ?(.*)", text):
        return Problem(path, f"must be {match[2]} {match[3]}".replace("that's ", ""), "change the value")
    return Problem(path, text[:1].lower() + text[1:] if text[:2] != "`" else text, None)


def _wrong_kind(path: Path, expected: str, got: str) -> Problem:
    kinds = expected.split(" | ")
    wanted = " or ".join(_WORDS.get(kind, f"`{kind}`") for kind in kinds if kind != "null" or len(kinds) == 1)
    return Problem(path, f"expected {wanted}, got {_WORDS.get(got, got)}", _HINTS.get(kinds[0]))


def _join(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
