"""One mechanism behind sources, destinations, transforms and state backends: a name leads to a factory."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, overload

from arrowload.core.exceptions import MissingExtraError, RecipeError
from arrowload.core.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import EntryPoint

    import msgspec

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")


class Registration(NamedTuple):
    """What stands behind a name: `factory(config, …)` makes the thing, its keys decode to the Struct `config`."""

    name: str
    factory: Callable[..., Any]
    config: type[msgspec.Struct] | None
    summary: str


class Registry(Generic[T]):
    """Names to factories; filled by decorator, by direct call and by entry points.

    Args:
        kind: What the names stand for, as error messages call it: `source`, `destination` …
        group: The entry point group that plug-ins use. An entry point names either a module that registers itself
            when it is imported, or a factory.
        home: The package of the built-in ones, each in the module of its name. They are entry points too, which makes
            them known to `names`; to look one up, the entry points of all installed packages need not be read.
    """

    def __init__(self, kind: str, group: str, home: str | None = None) -> None:
        self.kind = kind
        self.group = group
        self.home = home
        self._registrations: dict[str, Registration] = {}
        self._entry_points: dict[str, EntryPoint] | None = None

    @overload
    def register(self, name: str, factory: F, *, config: type[msgspec.Struct] | None = None) -> F: ...
    @overload
    def register(
        self, name: str, factory: None = None, *, config: type[msgspec.Struct] | None = None
    ) -> Callable[[F], F]: ...
    def register(
        self, name: str, factory: F | None = None, *, config: type[msgspec.Struct] | None = None
    ) -> F | Callable[[F], F]:
        """Register `factory` under `name`; without a factory, return the decorator that does."""
        if factory is None:
            return lambda decorated: self.register(name, decorated, config=config)
        summary = (factory.__doc__ or "").strip().partition("\n")[0]
        self._registrations[name] = Registration(name, factory, config, summary)
        return factory

    def names(self) -> list[str]:
        """All names, sorted; loads no plug-in."""
        return sorted({*self._registrations, *self._discovered()})

    def lookup(self, name: str) -> Registration:
        """What is registered under `name`, importing its module when it has not been met yet.

        Raises:
            RecipeError: Nothing has that name; the hint gives the nearest one.
            MissingExtraError: The module needs a package that is not installed.
        """
        if name not in self._registrations:
            self._load(name)
        return self._registrations[name]

    def create(self, name: str, *args: Any, **kwargs: Any) -> T:
        """Call the factory that is registered under `name`."""
        made: T = self.lookup(name).factory(*args, **kwargs)
        return made

    def _discovered(self) -> dict[str, EntryPoint]:
        if self._entry_points is None:
            from importlib.metadata import entry_points

            self._entry_points = {entry.name: entry for entry in entry_points(group=self.group)}
        return self._entry_points

    def _load(self, name: str) -> None:
        if self.home is not None and name.isidentifier() and find_spec(f"{self.home}.{name}") is not None:
            self._import(name, lambda: importlib.import_module(f"{self.home}.{name}"), f"'arrowload[{name}]'")
        if name not in self._registrations:
            self._load_entry_point(name)

    def _load_entry_point(self, name: str) -> None:
        entry = self._discovered().get(name)
        if entry is None:
            raise RecipeError(
                f"unknown {self.kind} `{name}`",
                context={"kind": self.kind, "name": name, "known": self.names()},
                hint=did_you_mean(name, self.names(), f"known are: {', '.join(self.names())}"),
            )
        own = entry.dist is not None and entry.dist.name == "arrowload"
        loaded = self._import(name, entry.load, f"'arrowload[{entry.name}]'" if own else None)
        if name not in self._registrations:
            self.register(name, loaded)

    def _import(self, name: str, load: Callable[[], Any], package: str | None) -> Any:
        try:
            return load()
        except ModuleNotFoundError as exc:
            raise MissingExtraError(
                f"the {self.kind} `{name}` needs the package `{exc.name}`, which is not installed",
                hint=f"pip install {package or exc.name}",
            ) from exc


sources: Registry[Any] = Registry("source", "arrowload.sources", "arrowload.connectors")
destinations: Registry[Any] = Registry("destination", "arrowload.destinations", "arrowload.connectors")
transforms: Registry[Any] = Registry("transform step", "arrowload.transforms", "arrowload.transforms")
state_backends: Registry[Any] = Registry("state backend", "arrowload.state_backends", "arrowload.state")
checks: Registry[Any] = Registry("check", "arrowload.checks", "arrowload.checks")
