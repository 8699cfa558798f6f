"""Named, parameterised step lists: `{macro: name, with: {…}}` becomes the steps of the macro."""

from __future__ import annotations

from typing import Any

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

_MACRO_KEYS = ("params", "steps")
_STEP_KEYS = ("macro", "with")
_PARAM_KEYS = ("default", "description")


class Scope:
    """The parameters of one use of a macro, not yet rendered.

    Attributes:
        macro: Its name.
        values: Parameter → value as written where the macro is used, or its default.
        rendered: Filled by the renderer, so that a value is rendered once.
    """

    def __init__(self, macro: str, values: LocatedDict) -> None:
        self.macro = macro
        self.values = values
        self.rendered: dict[str, Any] = {}


class MacroExpander:
    """Replaces each use of a macro by the macro's steps, in place; macros may use macros.

    Args:
        macros: The `macros:` section, name → `{params: {…}, steps: […]}`. A parameter without a `default` is required.
        at: Where the section stands, for errors.
    """

    def __init__(self, macros: Any, at: Origin) -> None:
        self._macros: LocatedDict = _expect(macros, LocatedDict, at, ("macros",), "a mapping of macros")
        self._budget = Budget()

    def expand(self, steps: LocatedList) -> LocatedList:
        """`steps` without macros. Each string of a macro's steps knows the parameters of the use that it came from.

        Raises:
            RecipeError: An unknown macro, parameters that do not fit, or macros that use each other in a circle.
        """
        expanded = LocatedList(steps.origin)
        for index, (step, at) in enumerate(zip(steps, steps.values_at, strict=True)):
            self._expand_step(step, at, ("transform", "steps", index), (), expanded)
        return expanded

    def _expand_step(self, step: Any, at: Origin, path: Path, chain: tuple[str, ...], into: LocatedList) -> None:
        if not isinstance(step, LocatedDict) or "macro" not in step:
            into.put(step, at)
            return
        name, macro = self._lookup(step, path, chain)
        scope = Scope(name, self._arguments(step, macro, name, path))
        body = _expect(
            macro.get("steps"),
            LocatedList,
            macro.values_at.get("steps", macro.origin),
            ("macros", name, "steps"),
            "a list",
        )
        for index, (item, item_at) in enumerate(zip(body, body.values_at, strict=True)):
            bound = self._bind(item, item_at, scope)
            self._expand_step(bound, item_at, ("macros", name, "steps", index), (*chain, name), into)

    def _lookup(self, step: LocatedDict, path: Path, chain: tuple[str, ...]) -> tuple[str, LocatedDict]:
        _check_keys(step, _STEP_KEYS, path, hint="a step that uses a macro has only `macro` and `with`")
        name, at = step["macro"], step.values_at["macro"]
        if not isinstance(name, str) or name not in self._macros:
            hint = name_hint(str(name), self._macros) or "define it under `macros:`, or `include:` the file that does"
            raise recipe_error(f"unknown macro `{one_line(name)}`", at, (*path, "macro"), hint=hint)
        if name in chain:
            names = " → ".join((*chain, name))
            raise recipe_error(f"macros use each other in a circle: {names}", at, (*path, "macro"), hint="break it up")
        macro = _expect(self._macros[name], LocatedDict, self._macros.values_at[name], ("macros", name), "a mapping")
        _check_keys(macro, _MACRO_KEYS, ("macros", name))
        return name, macro

    def _arguments(self, step: LocatedDict, macro: LocatedDict, name: str, path: Path) -> LocatedDict:
        given = _section(step, "with", path)
        params = _section(macro, "params", ("macros", name))
        for key in given:
            if key not in params:
                hint = name_hint(key, params) or "the macro takes no parameters"
                where = (*path, "with", key)
                raise recipe_error(
                    f"the macro `{one_line(name)}` has no parameter `{one_line(key)}`",
                    given.keys_at[key],
                    where,
                    hint=hint,
                )
        values = LocatedDict(given.origin)
        for key, declared in params.items():
            declaration = _declaration(declared, params.values_at[key], ("macros", name, "params", key))
            if key in given:
                values.take(given, key, given[key])
            elif "default" in declaration:
                values.put(key, declaration["default"], params.keys_at[key], declaration.values_at["default"])
            else:
                raise recipe_error(
                    f"the macro `{one_line(name)}` needs the parameter `{one_line(key)}`",
                    step.values_at["macro"],
                    path,
                    hint=f"add `with: {{{key}: …}}`",
                )
        return values

    def _bind(self, value: Any, at: Origin, scope: Scope) -> Any:
        self._budget.spend(at)
        if isinstance(value, LocatedDict):
            mapping = LocatedDict(value.origin)
            for key, item in value.items():
                mapping.take(value, key, self._bind(item, value.values_at[key], scope))
            return mapping
        if isinstance(value, LocatedList):
            items = LocatedList(value.origin)
            for item, item_at in zip(value, value.values_at, strict=True):
                items.put(self._bind(item, item_at, scope), item_at)
            return items
        if isinstance(value, str):
            self._budget.spend(at, nodes=0, characters=len(value))
            if is_template(value):
                return Text(value, getattr(value, "raw", value), getattr(value, "origin", at), scope)
        return value


def _declaration(declared: Any, at: Origin, path: Path) -> LocatedDict:
    if declared is None:
        return LocatedDict(at)
    declaration: LocatedDict = _expect(declared, LocatedDict, at, path, "`default: …`, or nothing for a required one")
    _check_keys(declaration, _PARAM_KEYS, path)
    return declaration


def _section(parent: LocatedDict, key: str, path: Path) -> LocatedDict:
    if parent.get(key) is None:
        return LocatedDict(parent.origin)
    section: LocatedDict = _expect(parent[key], LocatedDict, parent.values_at[key], (*path, key), "a mapping")
    return section


def _expect(value: Any, kind: type, at: Origin, path: Path, what: str) -> Any:
    if isinstance(value, kind):
        return value
    hint = "a macro is `name: {params: {…}, steps: […]}`"
    raise recipe_error(f"expected {what}", at, path, hint=hint)


def _check_keys(mapping: LocatedDict, known: tuple[str, ...], path: Path, hint: str | None = None) -> None:
    for key in mapping:
        if key not in known:
            raise recipe_error("unknown field", mapping.keys_at[key], (*path, key), hint=hint or name_hint(key, known))
