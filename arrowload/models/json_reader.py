"""JSON, read strictly (RFC 8259): plain values that know where they stand; duplicate keys are refused."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from json.decoder import scanstring  # type: ignore[attr-defined] # documented by use only: json.scanner
from typing import Any, Final

from arrowload.models.limits import Budget, check_depth
from arrowload.models.origins import LocatedDict, LocatedList, Origin, Text, is_template, one_line, recipe_error
from arrowload.models.scalars import parse_scalar

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_CONSTANTS: Final = {"true": True, "false": False, "null": None}


def read_json(text: str, file: str) -> Any:
    """The value that `text` is.

    Args:
        text: JSON.
        file: What errors call it.

    Raises:
        RecipeError: Not JSON, or more of it than a recipe may have.
    """
    return _Parser(text, file).document()


class _Parser:
    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._budget = Budget()
        self._end = 0

    def document(self) -> Any:
        if not self._peek():
            raise recipe_error("the file is empty", self._at(), hint="write at least `name` and `source`")
        value, _ = self._value(0)
        if self._peek():
            raise self._unexpected("the end of the file")
        return value

    def _peek(self) -> str:
        match = _SPACE.match(self._text, self._end)
        self._end = match.end() if match else self._end
        return self._text[self._end : self._end + 1]

    def _at(self, index: int | None = None) -> Origin:
        index = self._end if index is None else index
        line = bisect_right(self._lines, index)
        return Origin(self._file, line, index - self._lines[line - 1] + 1)

    def _unexpected(self, wanted: str) -> Exception:
        found = one_line(self._text[self._end : self._end + 1])
        what = f"found `{found}`" if found else "the file ends"
        return recipe_error(
            f"not JSON: {what} in the place of {wanted}", self._at(), hint="check commas, brackets and quotes"
        )

    def _take(self, characters: str, wanted: str) -> str:
        found = self._peek()
        if not found or found not in characters:
            raise self._unexpected(wanted)
        self._end += 1
        return found

    def _value(self, depth: int) -> tuple[Any, Origin]:
        first = self._peek()
        at = self._at()
        self._budget.spend(at)
        if first == "{":
            return self._object(at, depth + 1), at
        if first == "[":
            return self._array(at, depth + 1), at
        if first == '"':
            return self._string(at), at
        return self._word(), at

    def _object(self, at: Origin, depth: int) -> LocatedDict:
        check_depth(depth, at)
        mapping = LocatedDict(at)
        self._end += 1
        if self._peek() == "}":
            self._end += 1
            return mapping
        while True:
            self._member(mapping, depth)
            if self._take(",}", "`,` or `}`") == "}":
                return mapping

    def _member(self, mapping: LocatedDict, depth: int) -> None:
        if self._peek() != '"':
            raise self._unexpected("a key in double quotes")
        key_at = self._at()
        self._budget.spend(key_at)
        key = str(self._string(key_at))
        if not key:
            raise recipe_error("a key is empty", key_at, hint="write the key before the colon")
        if key in mapping:
            first = mapping.keys_at[key].line
            raise recipe_error(
                f"duplicate key `{one_line(key)}`", key_at, hint=f"it stands in line {first} already; keep one of them"
            )
        self._take(":", "`:`")
        value, value_at = self._value(depth)
        mapping.put(key, value, key_at, value_at)

    def _array(self, at: Origin, depth: int) -> LocatedList:
        check_depth(depth, at)
        items = LocatedList(at)
        self._end += 1
        if self._peek() == "]":
            self._end += 1
            return items
        while True:
            items.put(*self._value(depth))
            if self._take(",]", "`,` or `]`") == "]":
                return items

    def _string(self, at: Origin) -> str:
        start = self._end
        try:
            value, self._end = scanstring(self._text, start + 1, True)
            value.encode()
        except json.JSONDecodeError as exc:
            problem = exc.msg.removesuffix(" at").removesuffix(" starting")
            raise recipe_error(
                f"not JSON: {problem[0].lower()}{problem[1:]}", self._at(exc.pos), hint="check quotes and backslashes"
            ) from exc
        except UnicodeEncodeError as exc:
            raise recipe_error("not JSON: half of a surrogate pair", at, hint="write the character itself") from exc
        self._budget.spend(at, nodes=value.count("{{"), characters=len(value))
        return Text(value, self._text[start : self._end], at) if is_template(value) else value

    def _word(self) -> Any:
        number = _NUMBER.match(self._text, self._end)
        if number is None:
            for word, value in _CONSTANTS.items():
                if self._text.startswith(word, self._end):
                    self._end += len(word)
                    return value
            raise self._unexpected("a value")
        try:
            parsed = parse_scalar(number[0])
        except ValueError as exc:
            raise recipe_error(str(exc), self._at(), hint="put it into quotes if it is text") from exc
        self._end = number.end()
        return parsed
