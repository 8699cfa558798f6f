"""`{{ env.X }}`, `{{ var.X }}`, `{{ recipe.name }}`, `{{ param.X }}`: Jinja2's syntax, a closed part of its grammar.

Jinja2 parses; what it evaluates with is not used at all. `template_grammar` says what may be written; this module
evaluates the syntax tree, so nothing that a recipe writes can reach a Python attribute.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from arrowload.models.limits import MAX_CHARACTERS
from arrowload.models.template_grammar import TemplateError, dotted, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import nodes


class Value(NamedTuple):
    """What an expression stands for.

    Attributes:
        value: The value itself.
        reference: An expression over `env` alone that gives the same value, None when there is none.
        secrets: Values of the environment that are in it.
    """

    value: Any
    reference: str | None = None
    secrets: tuple[str, ...] = ()


class Rendered(str):
    """A string that came from a template.

    Attributes:
        template: A template over `env` alone that gives the same string, None when the environment has no part in it.
        secrets: Values of the environment that are in it.
    """

    __slots__ = ("secrets", "template")

    template: str | None
    secrets: tuple[str, ...]

    def __new__(cls, value: str, template: str | None = None, secrets: tuple[str, ...] = ()) -> Rendered:
        """`value` with where it came from."""
        rendered = super().__new__(cls, value)
        rendered.template, rendered.secrets = template, secrets
        return rendered


class UndefinedError(TemplateError):
    """A name that stands for nothing; the filter `default` catches it."""


class Names(Protocol):
    """Looks dotted names up."""

    def lookup(self, parts: tuple[str, ...]) -> Value:
        """What `parts`, a namespace and at least one name, stands for; raises UndefinedError."""


def render(text: str, names: Names) -> Any:
    """The value of a template.

    Args:
        text: One string of a recipe.
        names: What its names stand for.

    Returns:
        The expression's own value when `text` is one expression and nothing else, with a `Rendered` in the place of a
        str; else a `Rendered`.

    Raises:
        TemplateError: It is malformed, uses more than the grammar has, or a name stands for nothing.
    """
    parts = parse(text)
    if len(parts) == 1 and not isinstance(parts[0], str):
        value = _evaluate(parts[0], names, 0)
        return _rendered(value) if isinstance(value.value, str) else value.value
    return _join(parts, names)


def _rendered(value: Value) -> Rendered:
    if isinstance(value.value, Rendered):
        return value.value
    template = f"{{{{ {value.reference} }}}}" if value.reference else None
    return Rendered(value.value, template, value.secrets)


def _join(parts: list[str | nodes.Expr], names: Names) -> Rendered:
    text, template, secrets, index, size = [], [], [], 0, 0
    for part in parts:
        if isinstance(part, str):
            text.append(part)
            template.append(part)
        else:
            value = _evaluate(part, names, index)
            text.append(_as_text(value.value, index))
            inner = getattr(value.value, "template", None)
            template.append(inner or (f"{{{{ {value.reference} }}}}" if value.reference else text[-1]))
            secrets += [*value.secrets, *getattr(value.value, "secrets", ())]
            index += 1
        size += len(text[-1])
        _check_size(size, max(index - 1, 0))
    return Rendered("".join(text), "".join(template) if secrets else None, tuple(secrets))


def _as_text(value: Any, index: int) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    what = "null" if value is None else "a mapping or list"
    raise TemplateError(f"{what} cannot stand within text", index=index, hint="let the template be the whole value")


# ---------------------------------------------------------------- evaluation


def _evaluate(node: nodes.Node, names: Names, index: int) -> Value:
    from jinja2 import nodes

    if isinstance(node, nodes.Const):
        return Value(node.value)
    if not isinstance(node, nodes.Filter):
        parts = dotted(node) or ()
        try:
            return names.lookup(parts)
        except TemplateError as exc:
            exc.index, exc.name = index, exc.name or ".".join(parts)
            raise
    return _apply(node, names, index)


def _apply(node: nodes.Filter, names: Names, index: int) -> Value:
    if node.name == "default":
        try:
            return _evaluate(node.node, names, index)  # type: ignore[arg-type] # `_check_filter` saw that it is there
        except UndefinedError:
            return _evaluate(node.args[0], names, index)
    arguments = [_evaluate(argument, names, index) for argument in node.args]
    value = _evaluate(node.node, names, index)  # type: ignore[arg-type]
    try:
        result = FILTERS[node.name](value.value, *(argument.value for argument in arguments))
    except ValueError as exc:
        raise TemplateError(
            f"the filter `{node.name}` {exc}", index=index, name=node.name, hint="check its value"
        ) from exc
    secrets = (*_secrets(value), *(secret for argument in arguments for secret in _secrets(argument)))
    reference = f"{value.reference} | {node.name}" if value.reference and not arguments else None
    if isinstance(result, str):
        secrets = (*secrets, result) if secrets else ()
    return Value(result, reference, secrets)


def _secrets(value: Value) -> tuple[str, ...]:
    return (*value.secrets, *getattr(value.value, "secrets", ()))


def _check_size(size: int, index: int) -> None:
    if size > MAX_CHARACTERS:
        raise TemplateError("the text becomes too long", index=index, hint="keep large values in files of their own")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("needs text")  # noqa: TRY004 - one kind of error for all filters
    return str(value)


def _replace(value: Any, old: Any, new: Any) -> str:
    text, old, new = _text(value), _text(old), _text(new)
    # Counted before it is done: chained replacements grow exponentially.
    if len(text) + (text.count(old) * len(new)) > MAX_CHARACTERS:
        raise ValueError("makes the text too long")
    return text.replace(old, new)


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not re.fullmatch(r"\s*[-+]?[0-9]{1,400}\s*", _text(value)):
        raise ValueError("needs a whole number")
    return int(value)


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "int": _integer,
    "lower": lambda value: _text(value).lower(),
    "replace": _replace,
    "string": lambda value: _as_text(value, 0),
    "trim": lambda value: _text(value).strip(),
    "upper": lambda value: _text(value).upper(),
}
