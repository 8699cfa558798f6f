"""YAML, read safely: from libyaml's events straight to plain values that know where they stand.

Refused are duplicate keys, tags beyond the core ones, merge keys (`<<`), a second document, and aliases that blow the
document up. Keys are text, whatever they look like. No object is constructed, so there is nothing to exploit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml
from yaml import events

from arrowload.models.limits import Budget, check_depth
from arrowload.models.origins import LocatedDict, LocatedList, Origin, Text, is_template, one_line, recipe_error
from arrowload.models.scalars import parse_scalar

if TYPE_CHECKING:
    from arrowload.core.exceptions import RecipeError

# PyYAML built without libyaml has no C loader; its own parser gives the same events, slower.
_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE: Final = "tag:yaml.org,2002:"
_SCALAR_TAGS: Final[dict[str, tuple[type, ...]]] = {
    f"{_CORE}null": (type(None),),
    f"{_CORE}bool": (bool,),
    f"{_CORE}int": (int,),
    f"{_CORE}float": (float, int),
}


def read_yaml(text: str, file: str) -> Any:
    """The one document in `text`.

    Args:
        text: YAML.
        file: What errors call it.

    Raises:
        RecipeError: Not YAML, or YAML that a recipe may not use.
    """
    control = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if control is not None:
        at = Origin(file, 1, 1).after(text[: control.start()])
        raise recipe_error(f"the character U+{ord(control[0]):04X} is not allowed in YAML", at, hint="remove it")
    try:
        return _Composer(text, file).document()
    except yaml.YAMLError as exc:
        raise _syntax_error(exc, text, file) from exc


class _Composer:
    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._loader = _Loader(text)
        self._budget = Budget()
        # Anchor → value and what it counts; None while the value is still being read.
        self._anchors: dict[str, tuple[Any, int, int] | None] = {}

    def document(self) -> Any:
        self._next()
        first = self._next()
        if isinstance(first, events.StreamEndEvent):
            raise recipe_error("the file is empty", self._at(first), hint="write at least `name:` and `source:`")
        value, _ = self._value(self._next(), 0)
        self._next()
        last = self._next()
        if not isinstance(last, events.StreamEndEvent):
            raise recipe_error("a second document starts here", self._at(last), hint="keep one recipe per file")
        return value

    def _next(self) -> Any:
        return self._loader.get_event()

    def _at(self, event: Any) -> Origin:
        return Origin(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _value(self, event: Any, depth: int) -> tuple[Any, Origin]:
        at = self._at(event)
        if isinstance(event, events.AliasEvent):
            return self._alias(event, at), at
        self._budget.spend(at)
        before = self._budget.nodes - 1, self._budget.characters
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        value = self._collection(event, at, depth + 1) if isinstance(event, events.CollectionStartEvent) else None
        if isinstance(event, events.ScalarEvent):
            value = self._scalar(event, at)
        if event.anchor is not None:
            cost = self._budget.nodes - before[0], self._budget.characters - before[1]
            self._anchors[event.anchor] = (value, *cost)
        return value, at

    def _alias(self, event: Any, at: Origin) -> Any:
        if event.anchor not in self._anchors:
            raise recipe_error(
                f"there is no anchor `&{one_line(event.anchor)}` before this", at, hint="define it first"
            )
        target = self._anchors[event.anchor]
        if target is None:
            raise recipe_error(
                f"the alias `*{one_line(event.anchor)}` refers to itself", at, hint="write the value out"
            )
        value, nodes, characters = target
        self._budget.spend(at, nodes=nodes, characters=characters)
        return value

    def _collection(self, event: Any, at: Origin, depth: int) -> LocatedDict | LocatedList:
        check_depth(depth, at)
        kind = "map" if isinstance(event, events.MappingStartEvent) else "seq"
        if event.tag not in (None, "!", f"{_CORE}{kind}"):
            raise _tag_error(event.tag, at)
        return self._mapping(at, depth) if kind == "map" else self._sequence(at, depth)

    def _sequence(self, at: Origin, depth: int) -> LocatedList:
        items = LocatedList(at)
        while not isinstance(event := self._next(), events.SequenceEndEvent):
            items.put(*self._value(event, depth))
        return items

    def _mapping(self, at: Origin, depth: int) -> LocatedDict:
        mapping = LocatedDict(at)
        while not isinstance(event := self._next(), events.MappingEndEvent):
            key, key_at = self._key(event), self._at(event)
            if key in mapping:
                first = mapping.keys_at[key].line
                raise recipe_error(
                    f"duplicate key `{one_line(key)}`",
                    key_at,
                    hint=f"it stands in line {first} already; keep one of them",
                )
            value, value_at = self._value(self._next(), depth)
            mapping.put(key, value, key_at, value_at)
        return mapping

    def _key(self, event: Any) -> str:
        at = self._at(event)
        if not isinstance(event, events.ScalarEvent) or event.anchor is not None or event.tag is not None:
            templated = self._text.startswith("{{", max(event.start_mark.index - 1, 0))
            raise recipe_error(
                "a key must be plain text",
                at,
                hint='put a template into quotes: "{{ … }}"'
                if templated
                else "write it without brackets, `*`, `&` and `!`",
            )
        if event.value == "<<" and event.implicit[0]:
            raise recipe_error(
                "merge keys (`<<`) are not supported", at, hint="use `extends`, a macro or a whole alias"
            )
        if not event.value:
            raise recipe_error("a key is empty", at, hint="write the key before the colon")
        self._budget.spend(at, characters=len(event.value))
        return str(event.value)

    def _scalar(self, event: Any, at: Origin) -> Any:
        text: str = event.value
        self._budget.spend(at, nodes=0, characters=len(text))
        if event.tag in (None, "!", f"{_CORE}str"):
            if event.tag is None and event.implicit[0]:
                return self._plain(text, at, event)
            return self._string(text, at, event)
        if event.tag not in _SCALAR_TAGS:
            raise _tag_error(event.tag, at)
        value = self._plain(text, at, event)
        if type(value) not in _SCALAR_TAGS[event.tag]:
            raise recipe_error(f"`{one_line(text)}` is no {event.tag.removeprefix(_CORE)}", at, hint="remove the tag")
        return value

    def _plain(self, text: str, at: Origin, event: Any) -> Any:
        try:
            value = parse_scalar(text)
        except ValueError as exc:
            raise recipe_error(str(exc), at, hint="put it into quotes if it is text") from exc
        return self._string(text, at, event) if isinstance(value, str) else value

    def _string(self, text: str, at: Origin, event: Any) -> str:
        if not is_template(text):
            return text
        self._budget.spend(at, nodes=text.count("{{"))
        return Text(text, self._text[event.start_mark.index : event.end_mark.index], at)


def _tag_error(tag: str, at: Origin) -> RecipeError:
    name = one_line(tag.replace(_CORE, "!!"))
    return recipe_error(f"the tag `{name}` is not allowed", at, hint="write the value without it")


def _syntax_error(exc: yaml.YAMLError, text: str, file: str) -> RecipeError:
    mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
    problem = getattr(exc, "problem", None) or getattr(exc, "reason", None) or "cannot be read"
    if mark is None:
        return recipe_error(f"not YAML: {problem}", Origin(file), hint="check the encoding of the file")
    rest = text.splitlines()[mark.line][mark.column :] if mark.line < len(text.splitlines()) else ""
    if rest.startswith("\t"):
        hint = "indent with spaces, not tabs"
    elif "mapping values" in problem:
        hint = "put a value that holds `: ` into quotes"
    elif rest[:1] in ("@", "`", "%"):
        hint = f"put a value that starts with `{rest[0]}` into quotes"
    else:
        hint = "check indentation, brackets and quotes here and in the line above"
    return recipe_error(f"not YAML: {problem}", Origin(file, mark.line + 1, mark.column + 1), hint=hint)
