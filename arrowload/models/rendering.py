"""Templates filled in throughout a recipe: which values its names have, and where an error lies."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from arrowload.core.names import did_you_mean
from arrowload.core.secret import register_by_name
from arrowload.models.limits import Budget
from arrowload.models.origins import (
    LocatedDict,
    LocatedList,
    Origin,
    Path,
    Text,
    is_template,
    name_hint,
    one_line,
    recipe_error,
)
from arrowload.models.template_grammar import TemplateError
from arrowload.models.templates import UndefinedError, Value, render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from arrowload.models.macros import Scope

COMMAND_LINE = Origin("--var")


class Renderer:
    """Fills the templates of one recipe in. Only string values are templates, never keys.

    `vars:` are filled in first, from the environment alone; then `name`, from these two; then all else.

    Args:
        env: The environment.
        cli_vars: Variables from the command line; they win over the recipe's own and are taken as they stand.
    """

    def __init__(self, env: Mapping[str, str], cli_vars: LocatedDict) -> None:
        self._env = env
        self._cli_vars = cli_vars
        self._budget = Budget()
        self._namespaces: dict[str, Mapping[str, Any]] = {}
        self._used: set[str] = set()

    def render(self, document: LocatedDict) -> LocatedDict:
        """`document` with its templates filled in; `vars` holds the values that were used.

        Raises:
            RecipeError: A template is malformed, a name stands for nothing, or a variable of the command line is
                neither declared nor used.
        """
        declared = document.get("vars")
        variables = self._variables(document)
        self._namespaces["var"] = variables
        rendered = LocatedDict(document.origin)
        if "name" in document:
            self._item(document, "name", (), rendered)
            self._namespaces["recipe"] = {"name": rendered["name"]}
        for key in document:
            if key == "vars":
                rendered.put("vars", variables, document.keys_at["vars"], document.values_at["vars"])
            elif key != "name":
                self._item(document, key, (), rendered)
        if variables and "vars" not in rendered:
            rendered.put("vars", variables, COMMAND_LINE, COMMAND_LINE)
        self._check_used(declared if isinstance(declared, dict) else {})
        return rendered

    def _variables(self, document: LocatedDict) -> LocatedDict:
        defaults = document.get("vars")
        if defaults is None:
            defaults = LocatedDict(document.origin)
        if not isinstance(defaults, LocatedDict):
            raise recipe_error(
                "expected a mapping", document.values_at["vars"], ("vars",), hint="write `name: value` lines"
            )
        variables = LocatedDict(defaults.origin)
        for key in defaults:
            if key in self._cli_vars:
                variables.put(key, self._cli_vars[key], defaults.keys_at[key], COMMAND_LINE)
            else:
                self._item(defaults, key, ("vars",), variables)
        for key in self._cli_vars:
            if key not in variables:
                variables.take(self._cli_vars, key, self._cli_vars[key])
        return variables

    def _check_used(self, declared: Mapping[str, Any]) -> None:
        known = {*declared, *self._used}
        for key in self._cli_vars:
            if key not in known:
                hint = name_hint(key, known) or "the recipe has no variables"
                raise recipe_error(f"the variable `{one_line(key)}` is used nowhere", COMMAND_LINE, hint=hint)

    def _item(self, source: LocatedDict, key: str, path: Path, into: LocatedDict) -> None:
        value, at = self._value(source[key], source.values_at[key], (*path, key))
        into.put(key, value, source.keys_at[key], at)

    def _value(self, value: Any, at: Origin, path: Path) -> tuple[Any, Origin]:
        if isinstance(value, LocatedDict):
            mapping = LocatedDict(value.origin)
            for key in value:
                self._item(value, key, path, mapping)
            return mapping, at
        if isinstance(value, LocatedList):
            items = LocatedList(value.origin)
            for index, (item, item_at) in enumerate(zip(value, value.values_at, strict=True)):
                items.put(*self._value(item, item_at, (*path, index)))
            return items, at
        if isinstance(value, str) and is_template(value):
            return self._text(value, at, path), at
        return value, at

    def _text(self, text: str, at: Origin, path: Path) -> Any:
        self._budget.spend(at, nodes=text.count("{{"))
        names = _Names(self, getattr(text, "scope", None), path)
        try:
            value = render(text, names)
        except TemplateError as exc:
            raise recipe_error(str(exc), _place(text, at, exc), path, hint=exc.hint) from exc
        self._count(value, at)
        return value

    def _count(self, value: Any, at: Origin) -> None:
        if isinstance(value, dict | list):
            for item in value.values() if isinstance(value, dict) else value:
                self._count(item, at)
        self._budget.spend(at, characters=len(value) if isinstance(value, str) else 0)

    def lookup(self, parts: tuple[str, ...], scope: Scope | None, path: Path) -> Value:
        """What a dotted name stands for; raises UndefinedError."""
        namespace, name = parts[0], parts[1]
        if namespace == "env":
            return self._environment_variable(parts)
        if namespace == "param":
            return _dig(self._parameters(scope, name, path), parts)
        if namespace == "var":
            self._used.add(name)
        if namespace not in self._namespaces:
            where = "`vars`" if path[:1] == ("vars",) else "`name`"
            raise TemplateError(f"`{namespace}` is not known within {where}", hint="only `env` is" + _also(path))
        return _dig(self._namespaces[namespace], parts)

    def _environment_variable(self, parts: tuple[str, ...]) -> Value:
        if len(parts) > 2:
            raise TemplateError(f"`{'.'.join(parts)}` has too many dots", hint="write `{{ env.NAME }}`")
        name = parts[1]
        if name not in self._env:
            otherwise = f"export it, or give a default: `{{{{ env.{name} | default('…') }}}}`"
            hint = did_you_mean(name, self._env, otherwise)
            raise UndefinedError(f"the environment variable `{name}` is not set", hint=hint)
        value = self._env[name]
        register_by_name(name, value)
        return Value(value, f"env.{name}", (value,))

    def _parameters(self, scope: Scope | None, name: str, path: Path) -> Mapping[str, Any]:
        if scope is None:
            raise TemplateError("`param` is known only within a macro", hint="use `var` here")
        if name in scope.values and name not in scope.rendered:
            scope.rendered[name], _ = self._value(scope.values[name], scope.values.values_at[name], path)
        return {key: scope.rendered.get(key) for key in scope.values}


class _Names:
    """The names that one string may use."""

    def __init__(self, renderer: Renderer, scope: Scope | None, path: Path) -> None:
        self._renderer, self._scope, self._path = renderer, scope, path

    def lookup(self, parts: tuple[str, ...]) -> Value:
        return self._renderer.lookup(parts, self._scope, self._path)


def _also(path: Path) -> str:
    return "" if path[:1] == ("vars",) else ", and `var`"


def _dig(value: Any, parts: tuple[str, ...]) -> Value:
    """Follow the names behind the namespace through mappings."""
    for depth, part in enumerate(parts[1:], 1):
        if not isinstance(value, dict) or part not in value:
            name, above = ".".join(parts[: depth + 1]), ".".join(parts[:depth])
            near = name_hint(part, value) if isinstance(value, dict) else None
            hint = near.replace("`", f"`{above}.", 1) if near and near.startswith("did") else near
            raise UndefinedError(f"`{name}` is not defined", hint=hint or _define(parts))
        value = value[part]
    template = getattr(value, "template", None)
    single = re.fullmatch(r"\{\{ ((?:(?!\{\{|\}\}).)*) \}\}", template) if template else None
    return Value(value, single[1] if single else None, getattr(value, "secrets", ()))


def _define(parts: tuple[str, ...]) -> str:
    if parts[0] == "var":
        return f"give it a default under `vars:`, or pass `--var {parts[1]}=…`"
    if parts[0] == "param":
        return "declare it under the macro's `params:`"
    return "known is `recipe.name`"


def _place(text: str, at: Origin, error: TemplateError) -> Origin:
    """Where in the file the error lies: at the name, else at the expression, else at the string."""
    if not isinstance(text, Text):
        return at
    mark = next(islice(re.finditer(r"\{\{|\{%|\{#", text.raw), error.index, None), None)
    if mark is None:
        return text.origin
    start = mark.start()
    if error.name is not None:
        spaced = r"\s*\.\s*".join(map(re.escape, error.name.split(".")))
        found = re.compile(rf"(?<![\w.]){spaced}(?!\w)").search(text.raw, start)
        start = found.start() if found else start
    return text.origin.after(text.raw[:start])
