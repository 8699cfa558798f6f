"""One mechanism behind sources, destinations, transforms and state backends: a name leads to a factory."""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, overload

from arrowload.core.exceptions import MissingExtraError, RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable

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
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
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
            self._entry_points = {entry.name: entry for entry in entry_points(group=self.group)}
        return self._entry_points

    def _load(self, name: str) -> None:
        entry = self._discovered().get(name)
        if entry is None:
            near = difflib.get_close_matches(name, self.names(), n=1)
            raise RecipeError(
                f"unknown {self.kind} `{name}`",
                context={"kind": self.kind, "name": name, "known": self.names()},
                hint=f"did you mean `{near[0]}`?" if near else f"known are: {', '.join(self.names())}",
            )
        try:
            loaded = entry.load()
        except ModuleNotFoundError as exc:
            raise MissingExtraError(
                f"the {self.kind} `{name}` needs the package `{exc.name}`, which is not installed",
                hint=_how_to_install(entry, exc.name),
            ) from exc
        if name not in self._registrations:
            self.register(name, loaded)


def _how_to_install(entry: EntryPoint, missing: str | None) -> str:
    if entry.dist is not None and entry.dist.name == "arrowload":
        return f"pip install 'arrowload[{entry.name}]'"
    return f"pip install {missing}"


sources: Registry[Any] = Registry("source", "arrowload.sources")
destinations: Registry[Any] = Registry("destination", "arrowload.destinations")
transforms: Registry[Any] = Registry("transform step", "arrowload.transforms")
state_backends: Registry[Any] = Registry("state backend", "arrowload.state_backends")
