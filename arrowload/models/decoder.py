"""From a merged and rendered document to a `Recipe`: strict, and each complaint with its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from arrowload.core import registry
from arrowload.core.exceptions import RecipeError
from arrowload.core.secret import Secret
from arrowload.models.check_config import CheckConfig, PluginCheckConfig
from arrowload.models.decode_errors import explain, parse_message
from arrowload.models.destination_config import DestinationConfig, PluginDestinationConfig
from arrowload.models.inheritance import unknown_key_hint
from arrowload.models.origins import LocatedDict, LocatedList, Path, one_line, origin_of, recipe_error
from arrowload.models.recipe import Recipe
from arrowload.models.runtime_config import RuntimeConfig
from arrowload.models.scalars import parse_scalar
from arrowload.models.secrets import plain, reference_of, register_parts
from arrowload.models.source_config import CursorIncremental, PluginSourceConfig, SourceConfig
from arrowload.models.state_config import PluginStateConfig, StateConfig
from arrowload.models.structs import secret_paths
from arrowload.models.templates import Rendered
from arrowload.models.transform_config import PluginStepConfig, StepConfig, TransformConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

# A database for state is written as a destination is, and its table is always this.
_STATE_DATABASE: Final[Path] = ("state", "database")
_STATE_TABLE: Final = "_arrowload.state"
_FIELDS: Final = tuple(name for name in Recipe.__struct_fields__ if name != "root")


class _Kind(NamedTuple):
    """A sort of section whose `type` names what is registered."""

    registry: registry.Registry[Any]
    base: type[msgspec.Struct]
    plugin: type[msgspec.Struct]


_KINDS: Final = {
    "source": _Kind(registry.sources, SourceConfig, PluginSourceConfig),
    "destination": _Kind(registry.destinations, DestinationConfig, PluginDestinationConfig),
    "state": _Kind(registry.state_backends, StateConfig, PluginStateConfig),
    "steps": _Kind(registry.transforms, StepConfig, PluginStepConfig),
    "checks": _Kind(registry.checks, CheckConfig, PluginCheckConfig),
}


class Section(NamedTuple):
    """A mapping of the recipe and the Struct that it decodes to.

    Attributes:
        path: Of the mapping.
        value: The mapping.
        struct: Its Struct.
        plugin: Whether the Struct is the stand-in for a plug-in that registered none.
    """

    path: Path
    value: LocatedDict
    struct: type[msgspec.Struct]
    plugin: bool


class Decoder:
    """Decodes one document.

    Args:
        document: Merged, macros expanded, templates filled in.
        root: The folder that relative paths start from.
    """

    def __init__(self, document: LocatedDict, root: str) -> None:
        self._document = document
        self._root = root

    def decode(self) -> Recipe:
        """The recipe.

        Raises:
            RecipeError: Anything in the document that a recipe may not say.
        """
        self._check_keys()
        self._check_name()
        sections = list(self.sections())
        for section in sections:
            # All secrets before the first value is decoded, whose error message might quote one.
            for path in secret_paths(section.struct, section.value):
                register_parts(_get(section.value, path))
        made: dict[Path, Any] = {}
        for section in sections:
            made[section.path] = self._convert(section, made)
        steps = self._document.get("transform", {}).get("steps", ())
        recipe = Recipe(
            name=str(self._document["name"]),
            source=made["source",],
            transform=TransformConfig(steps=tuple(made["transform", "steps", i] for i in range(len(steps)))),
            checks=tuple(made["checks", i] for i in range(len(self._document.get("checks", ())))),
            destination=made.get(("destination",)),
            runtime=made["runtime",],
            state=made["state",],
            vars=plain(self._document.get("vars", {})),
            root=self._root,
        )
        self._check_modes(recipe)
        return recipe

    # ------------------------------------------------------------ sections

    def sections(self) -> Iterator[Section]:
        """The sections in the order in which a person reads them, each with its Struct.

        Raises:
            RecipeError: A section is missing or no mapping, or its `type` is unknown.
        """
        if "source" not in self._document:
            raise self._error((), "missing required field `source`", "add `source:` with a `type:`")
        yield self._typed("source", ("source",))
        transform = self._mapping(("transform",), self._document.get("transform", LocatedDict()))
        for key in transform:
            if key != "steps":
                raise self._error(("transform", key), "unknown field", "did you mean `steps`?", at_key=True)
        steps = transform.get("steps", LocatedList())
        if not isinstance(steps, LocatedList):
            raise self._error(("transform", "steps"), "expected a list", "write `- type: …` lines below it")
        for index in range(len(steps)):
            yield self._typed("steps", ("transform", "steps", index))
        checks = self._document.get("checks", LocatedList())
        if not isinstance(checks, LocatedList):
            raise self._error(("checks",), "expected a list", "write `- type: …` lines below it")
        for index in range(len(checks)):
            yield self._typed("checks", ("checks", index))
        if self._document.get("destination") is not None:
            yield self._typed("destination", ("destination",))
        runtime = self._mapping(("runtime",), self._document.get("runtime", LocatedDict()))
        yield Section(("runtime",), runtime, RuntimeConfig, plugin=False)
        state = self._typed("state", ("state",))
        if isinstance(state.value.get("database"), LocatedDict) and "database" in state.struct.__struct_fields__:
            yield self._typed("destination", _STATE_DATABASE)
        yield state

    def _mapping(self, path: Path, value: Any) -> LocatedDict:
        if isinstance(value, LocatedDict):
            return value
        hint = "write `key: value` lines below it"
        if value is None:
            hint = "take the key out, or write `key: value` lines below it"
        raise self._error(path, "expected a mapping", hint)

    def _typed(self, kind: str, path: Path) -> Section:
        value = self._mapping(path, self._given(path))
        if "type" not in value:
            known = ", ".join(_KINDS[kind].registry.names())
            raise self._error(path, "missing required field `type`", f"known are: {known}", at_key=True)
        name = value["type"]
        if not isinstance(name, str):
            raise self._error((*path, "type"), "expected text", "put the value into quotes")
        try:
            config = _KINDS[kind].registry.lookup(str(name)).config
        except RecipeError as exc:
            raise self._error((*path, "type"), one_line(exc.message, 200), exc.hint) from exc
        if config is not None and not issubclass(config, _KINDS[kind].base):
            problem = f"the config of `{one_line(name)}` is no {_KINDS[kind].base.__name__}"
            raise self._error((*path, "type"), problem, "derive the plug-in's Struct from it")
        return Section(path, value, config or _KINDS[kind].plugin, plugin=config is None)

    def _given(self, path: Path) -> Any:
        if path == ("state",):
            return self._state()
        if path == _STATE_DATABASE:
            return self._state_database()
        return self._at(path)

    def _state_database(self) -> LocatedDict:
        """The section as a destination has it, which has a table."""
        given = self._at(_STATE_DATABASE)
        database = LocatedDict(given.origin)
        database.put("table", _STATE_TABLE, given.origin, given.origin)
        for key, item in given.items():
            database.take(given, key, item)
        return database

    def _state(self) -> Any:
        if "state" in self._document and not isinstance(self._document["state"], LocatedDict):
            return self._document["state"]
        state = LocatedDict(self._document.origin)
        state.put("type", "local", state.origin, state.origin)
        given = self._document.get("state", LocatedDict())
        for key, item in given.items():
            state.take(given, key, item)
        return state

    def _at(self, path: Path) -> Any:
        value: Any = self._document
        for part in path:
            value = value[part]
        return value

    # ------------------------------------------------------------ decoding

    def _convert(self, section: Section, made: dict[Path, Any]) -> Any:
        secrets = secret_paths(section.struct, section.value)
        value = plain(section.value, keep=secrets)
        if section.path == ("state",) and _STATE_DATABASE in made:
            value["database"] = made[_STATE_DATABASE]
        if section.plugin:
            known = _KINDS["steps" if section.path[0] == "transform" else str(section.path[0])].base.__struct_fields__
            options = {key: value.pop(key) for key in list(value) if key not in known}
            value["options"] = options
        while True:
            try:
                return msgspec.convert(value, section.struct, dec_hook=self._hook)
            except msgspec.ValidationError as exc:
                text, path = parse_message(str(exc))
                path = self._fill_in(str(exc), path, value, section.struct)
                if not _read_as_scalar(text, path, value, section.value):
                    raise self._decode_error(text, path, value, section) from exc

    def _decode_error(self, text: str, path: Path, value: Any, section: Section) -> RecipeError:
        problem = explain(text, path, section.struct, value)
        problem_text, _, tail = problem.text.partition("; ")
        inner = problem.path[1:] if section.plugin and problem.path[:1] == ("options",) else problem.path
        return self._error((*section.path, *inner), problem_text, problem.hint or tail or None, at_key=problem.at_key)

    def _fill_in(self, message: str, path: Path, value: Any, struct: type[msgspec.Struct]) -> Path:
        """`path` with each `...` replaced by its key: the one that alone draws the same complaint."""
        while "..." in path:
            place = path.index("...")
            mapping = _get(value, path[:place])
            key = next((key for key in mapping if self._complaint(value, path[:place], key, struct) == message), None)
            if key is None:
                return path[:place]
            path = (*path[:place], key, *path[place + 1 :])
        return path

    def _complaint(self, value: Any, path: Path, key: str, struct: type[msgspec.Struct]) -> str | None:
        alone = _with(value, path, {key: _get(value, path)[key]})
        try:
            msgspec.convert(alone, struct, dec_hook=self._hook)
        except msgspec.ValidationError as exc:
            return str(exc)
        return None

    def _hook(self, kind: type, value: Any) -> Any:
        if isinstance(value, kind):
            return value
        if issubclass(kind, Secret):
            if not isinstance(value, str):
                raise TypeError("a secret must be text; put the value into quotes")
            return kind(str(value), reference_of(value))
        if hasattr(kind, "resolve"):
            return kind.resolve(value, self._root)
        if hasattr(kind, "parse"):
            return kind.parse(value)
        raise ValueError(f"a value of type `{kind.__name__}` cannot be written in a recipe")

    def _error(self, path: Path, problem: str, hint: str | None, *, at_key: bool = False) -> RecipeError:
        at = origin_of(self._document, path, key=at_key)
        return recipe_error(problem, at, path, hint=hint)

    # ------------------------------------------------------------ rules that need no connector

    def _check_keys(self) -> None:
        for key in self._document:
            if key not in _FIELDS:
                raise self._error((key,), "unknown field", unknown_key_hint(key, _FIELDS), at_key=True)

    def _check_name(self) -> None:
        if "name" not in self._document:
            raise self._error((), "missing required field `name`", "add `name:`, the key of the recipe's state")
        name = self._document["name"]
        if not isinstance(name, str):
            raise self._error(("name",), "expected text", "put the value into quotes")
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", name) or not name.strip("."):
            raise self._error(
                ("name",), f"`{one_line(name)}` is not a name", "use up to 128 letters, digits, `_`, `-` and `.`"
            )

    def _check_modes(self, recipe: Recipe) -> None:
        destination, incremental = recipe.destination, recipe.source.incremental
        if destination is None:
            return
        mode, keys = destination.write_mode, destination.merge_keys
        if mode == "merge" and not keys:
            hint = "add `merge_keys:`, the columns that identify a row"
            raise self._error(("destination", "write_mode"), "merge needs `merge_keys`", hint)
        if mode != "merge" and keys:
            problem = f"`merge_keys` have no meaning with write_mode {mode}"
            raise self._error(
                ("destination", "merge_keys"), problem, "set `write_mode: merge`, or delete them", at_key=True
            )
        if mode == "replace" and incremental is not None:
            problem = "an incremental load cannot replace: the destination would hold only the new rows"
            raise self._error(("source", "incremental"), problem, "use `write_mode: append` or `merge`", at_key=True)
        if isinstance(incremental, CursorIncremental) and incremental.late == "xmin":
            self._check_xmin(incremental, mode)
        if mode != "merge" and isinstance(incremental, CursorIncremental) and incremental.null_cursor == "include":
            problem = "rows without a cursor are read in every run, which only a merge absorbs"
            raise self._error(
                ("source", "incremental", "null_cursor"), problem, "use `write_mode: merge`, or `exclude`"
            )

    def _check_xmin(self, incremental: CursorIncremental, mode: str) -> None:
        if incremental.boundary != "closed":
            problem = f"`late: xmin` tells rows apart at a closed boundary, and this one is `{incremental.boundary}`"
            raise self._error(("source", "incremental", "late"), problem, "leave `boundary` out")
        if mode == "append" and incremental.lag is None:
            # Ids of transactions come round again, and a row that is rewritten looks like one that is new.
            problem = "under append, `late: xmin` needs to be told how far behind the cursor rows may be"
            raise self._error(("source", "incremental", "late"), problem, "add `lag`, such as `lag: 7d`")


def _get(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _with(value: Any, path: Path, replacement: Any) -> Any:
    """A copy of `value` with `replacement` at `path`."""
    if not path:
        return replacement
    copied: Any = value.copy()
    copied[path[0]] = _with(value[path[0]], path[1:], replacement)
    return copied


def _read_as_scalar(text: str, path: Path, value: Any, located: LocatedDict) -> bool:
    """Turn a rendered string into the number or boolean that its field wants; whether that was possible.

    The environment and the command line know only text, so `port: "{{ env.PORT }}"` takes the type of its field. Text
    that the recipe itself holds does not.
    """
    expected = re.fullmatch(r"Expected `([^`]*)`, got `str`", text)
    try:
        original = _get(located, path)
    except (KeyError, IndexError, TypeError):
        return False
    if expected is None or not isinstance(original, Rendered) or isinstance(_get(value, path), bool | int | float):
        return False
    try:
        scalar = parse_scalar(original)
    except ValueError:
        return False
    kinds = {"int": (int,), "float": (int, float), "bool": (bool,)}
    if not any(type(scalar) in kinds.get(kind, ()) for kind in expected[1].split(" | ")):
        return False
    _get(value, path[:-1])[path[-1]] = scalar
    return True
