"""The part of Jinja2's grammar that templates may use: names with dots, constants and a few filters.

Jinja2 parses; this module walks its syntax tree and refuses every other node, so that calls, subscripts, operators,
blocks and comments are met by name or not at all.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from arrowload.models.origins import name_hint

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

NAMESPACES: Final = ("env", "var", "recipe", "param")

# Filter → how many arguments it takes.
ARITIES: Final = {"default": 1, "int": 0, "lower": 0, "replace": 2, "string": 0, "trim": 0, "upper": 0}

_MAX_EXPRESSION: Final = 500  # characters; bounds how deep it can nest, too
_MAX_EXPRESSIONS: Final = 200


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


# Parser and lexer are called below, and not the environment's own methods: for the traceback of an error these compile
# a piece of code, and nothing at all is to be compiled here.
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
    from jinja2.parser import Parser

    _check_marks(text)
    try:
        body = Parser(_environment(), text).parse().body
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
        for _, kind, value in _environment().lexer.tokeniter(text, None):
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
    from jinja2.parser import Parser

    index = 0
    for index, match in enumerate(re.finditer(r"\{\{.*?(?:\}\}|$)", text, re.DOTALL)):  # noqa: B007 - used below
        try:
            Parser(_environment(), match[0]).parse()
        except (TemplateSyntaxError, RecursionError):
            break
    problem = problem.rstrip(".")
    return TemplateError(
        f"bad template: {problem[:1].lower()}{problem[1:]}", index=index, hint="write it as `{{ var.name }}`"
    )


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
    parts = dotted(node)
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


def dotted(node: nodes.Node | None) -> tuple[str, ...] | None:
    """The parts of a name with dots, None for any other node."""
    from jinja2 import nodes

    if isinstance(node, nodes.Name):
        return (node.name,)
    inner = dotted(node.node) if isinstance(node, nodes.Getattr) else None
    return (*inner, node.attr) if inner is not None and isinstance(node, nodes.Getattr) else None


def _check_filter(node: nodes.Filter, index: int) -> None:
    if node.name not in ARITIES:
        raise TemplateError(
            f"unknown filter `{node.name}`", index=index, name=node.name, hint=name_hint(node.name, ARITIES)
        )
    wanted = ARITIES[node.name]
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
