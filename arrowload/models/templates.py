"""`{{ env.X }}`, `{{ var.X }}`, `{{ recipe.name }}`, `{{ param.X }}`: Jinja2's syntax, a closed part of its grammar.

Jinja2 parses; what it evaluates with is not used at all. This module walks the syntax tree and knows names with dots,
constants and a few filters. Calls, subscripts, operators, blocks and comments are refused, so nothing that a recipe
writes can reach a Python attribute.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from arrowload.models.limits import MAX_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment, nodes

NAMESPACES: Final = ("env", "var", "recipe", "param")
_MAX_EXPRESSION: Final = 500  # characters; bounds how deep it can nest, too
_MAX_EXPRESSIONS: Final = 200


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


class TemplateError(ValueError):
    """What is wrong with a template.

    Attributes:
        index: Which `{{`, `{%` or `{#` of the string it is about, counted from 0.
        name: The dotted name within that expression that is at fault, if it is one.
        hint: The next thing to do.
    """

    def __init__(self, problem: str, *, index: int = 0, name: str | None = None, hint: str | None = None) -> None:
        super().__init__(problem)
        self.index, self.name, self.hint = index, name, hint


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


@cache
def _environment() -> Environment:
    # Imported late: Jinja2 costs 50 ms, and most commands meet no template.
    from jinja2 import Environment

    return Environment(keep_trailing_newline=True, autoescape=False)  # noqa: S701 - parses only, renders nothing


def parse(text: str) -> list[str | nodes.Expr]:
    """Literal text and expressions, in order.

    Raises:
        TemplateError: As `render`, except for names that stand for nothing.
    """
    from jinja2 import TemplateSyntaxError, nodes

    _check_marks(text)
    try:
        body = _environment().parse(text).body
    except TemplateSyntaxError as exc:
        raise _syntax_error(text, exc.message or "malformed") from exc
    except RecursionError as exc:
        raise TemplateError("the expression is nested too deeply", hint="keep to `{{ var.name | filter }}`") from exc
    parts: list[str | nodes.Expr] = []
    for output in body:
        if not isinstance(output, nodes.Output):
            raise TemplateError("only `{{ … }}` can be used here", hint="write blocks out")
        parts += [node.data if isinstance(node, nodes.TemplateData) else node for node in output.nodes]
    expressions = [part for part in parts if not isinstance(part, str)]
    for index, node in enumerate(expressions):
        _check(node, index)
    return parts


def _check_marks(text: str) -> None:
    """Refuse what is too long, and blocks and comments, which Jinja2 would partly resolve without a trace."""
    from jinja2 import TemplateSyntaxError

    if text.count("{{") > _MAX_EXPRESSIONS:
        raise TemplateError(f"more than {_MAX_EXPRESSIONS} expressions in one string", hint="split the value up")
    for index, mark in enumerate(re.finditer(r"\{\{|\{%|\{#", text)):
        if mark[0] == "{{" and not -1 < text.find("}}", mark.end()) - mark.end() <= _MAX_EXPRESSION:
            raise TemplateError(f"no `}}}}` follows within {_MAX_EXPRESSION} characters", index=index, hint="close it")
    seen = 0
    try:
        for _, kind, value in _environment().lex(text):
            if kind in ("block_begin", "raw_begin", "comment_begin"):
                refused = "{#" if kind == "comment_begin" else "{%"
                raise TemplateError(
                    f"`{refused}` cannot be used here, only `{{{{ … }}}}`",
                    index=seen,
                    hint=f"for these two characters as text write `{{{{ '{refused}' }}}}`",
                )
            seen += len(re.findall(r"\{\{|\{%|\{#", value))
    except TemplateSyntaxError as exc:
        raise _syntax_error(text, exc.message or "malformed") from exc


def _syntax_error(text: str, problem: str) -> TemplateError:
    from jinja2 import TemplateSyntaxError

    index = 0
    for index, match in enumerate(re.finditer(r"\{\{.*?(?:\}\}|$)", text, re.DOTALL)):  # noqa: B007 - used below
        try:
            _environment().parse(match[0])
        except (TemplateSyntaxError, RecursionError):
            break
    problem = problem.rstrip(".")
    return TemplateError(
        f"bad template: {problem[:1].lower()}{problem[1:]}", index=index, hint="write it as `{{ var.name }}`"
    )


# ---------------------------------------------------------------- grammar


def _check(node: nodes.Node, index: int) -> None:
    from jinja2 import nodes

    if isinstance(node, nodes.Const):
        return
    if isinstance(node, nodes.Name | nodes.Getattr):
        _check_name(node, index)
    elif isinstance(node, nodes.Filter):
        _check_filter(node, index)
    else:
        raise TemplateError(
            f"`{type(node).__name__.lower()}` expressions cannot be used here",
            index=index,
            hint="a template is a name with dots and filters: `{{ var.name | upper }}`",
        )


def _check_name(node: nodes.Node, index: int) -> None:
    parts = _parts(node)
    if parts is None:
        raise TemplateError("only names can be followed by a dot", index=index, hint="write it as `{{ var.name }}`")
    name = ".".join(parts)
    for part in parts:
        if part.startswith("__"):
            raise TemplateError(f"the name `{name}` cannot be used here", index=index, name=name, hint="rename it")
    if parts[0] not in NAMESPACES:
        hint = f"names start with `env.`, `var.` or `recipe.`: `{{{{ var.{name} }}}}`"
        raise TemplateError(f"unknown name `{name}`", index=index, name=name, hint=hint)
    if len(parts) == 1:
        raise TemplateError(
            f"`{name}` is no value", index=index, name=name, hint=f"write it as `{{{{ {name}.NAME }}}}`"
        )


def _parts(node: nodes.Node | None) -> tuple[str, ...] | None:
    from jinja2 import nodes

    if isinstance(node, nodes.Name):
        return (node.name,)
    inner = _parts(node.node) if isinstance(node, nodes.Getattr) else None
    return (*inner, node.attr) if inner is not None and isinstance(node, nodes.Getattr) else None


def _check_filter(node: nodes.Filter, index: int) -> None:
    from arrowload.models.origins import nearest

    if node.name not in FILTERS:
        raise TemplateError(
            f"unknown filter `{node.name}`", index=index, name=node.name, hint=nearest(node.name, FILTERS)
        )
    wanted = FILTERS[node.name].arguments
    if node.kwargs or node.dyn_args or node.dyn_kwargs or len(node.args) != wanted:
        counted = f"{wanted} argument{'' if wanted == 1 else 's'}"
        raise TemplateError(
            f"the filter `{node.name}` takes {counted}",
            index=index,
            name=node.name,
            hint="arguments have no names here",
        )
    if node.node is None:
        raise TemplateError("a filter needs a value", index=index, hint="write it as `{{ var.name | upper }}`")
    for inner in (node.node, *node.args):
        _check(inner, index)


# ---------------------------------------------------------------- evaluation


def _evaluate(node: nodes.Node, names: Names, index: int) -> Value:
    from jinja2 import nodes

    if isinstance(node, nodes.Const):
        return Value(node.value)
    if not isinstance(node, nodes.Filter):
        parts = _parts(node) or ()
        try:
            return names.lookup(parts)
        except TemplateError as exc:
            exc.index, exc.name = index, exc.name or ".".join(parts)
            raise
    return _apply(node, names, index)


def _apply(node: nodes.Filter, names: Names, index: int) -> Value:
    arguments = [_evaluate(argument, names, index) for argument in node.args]
    if node.name == "default":
        try:
            return _evaluate(node.node, names, index)  # type: ignore[arg-type] # `_check_filter` saw that it is there
        except UndefinedError:
            return arguments[0]
    value = _evaluate(node.node, names, index)  # type: ignore[arg-type]
    try:
        result = FILTERS[node.name].function(value.value, *(argument.value for argument in arguments))
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


class _Filter(NamedTuple):
    arguments: int
    function: Callable[..., Any]


FILTERS: Final[dict[str, _Filter]] = {
    "default": _Filter(1, lambda value, _: value),
    "int": _Filter(0, _integer),
    "lower": _Filter(0, lambda value: _text(value).lower()),
    "replace": _Filter(2, _replace),
    "string": _Filter(0, lambda value: _as_text(value, 0)),
    "trim": _Filter(0, lambda value: _text(value).strip()),
    "upper": _Filter(0, lambda value: _text(value).upper()),
}
