"""One registry mechanism: decorator, direct call, entry points, and help with names."""

from __future__ import annotations

import importlib.metadata
import sys
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pytest

from arrowload.core import registry
from arrowload.core.exceptions import MissingExtraError, RecipeError
from arrowload.core.registry import Registry
from arrowload.models.source_config import SourceConfig

if TYPE_CHECKING:
    from pathlib import Path

PLUG_IN = '''
from tests_plug_in_registry import target

@target.register("decorated")
def make(config):
    """Made by the plug-in."""
    return ("made", config)
'''


@pytest.fixture
def target() -> Registry[Any]:
    """A registry of its own."""
    return Registry("source", "arrowload.tests.nothing")


def test_a_decorated_factory_is_found_and_stays_itself(target: Registry[Any]) -> None:
    """The summary is the first line of its docstring."""

    @target.register("thing", config=SourceConfig)
    def make(config: str) -> str:
        """Makes a thing.

        And says more.
        """
        return f"thing of {config}"

    assert make("x") == "thing of x"
    assert target.create("thing", "y") == "thing of y"
    found = target.lookup("thing")
    assert (found.name, found.factory, found.config, found.summary) == ("thing", make, SourceConfig, "Makes a thing.")


def test_a_direct_call_registers_too(target: Registry[Any]) -> None:
    """Any callable; without a docstring it has no summary."""
    assert target.register("list", list) is list

    target.register("plain", lambda: 1)
    assert target.create("list", "ab") == ["a", "b"]
    assert target.lookup("plain").summary == ""
    assert target.lookup("plain").config is None
    assert target.names() == ["list", "plain"]


def test_the_last_registration_counts(target: Registry[Any]) -> None:
    """So a project can put its own in the place of a built-in."""
    target.register("x", lambda: 1)
    target.register("x", lambda: 2)

    assert target.create("x") == 2


def test_an_unknown_name_is_answered_with_the_nearest(target: Registry[Any]) -> None:
    """Or, when none is near, with all of them."""
    target.register("postgres", dict)
    target.register("duckdb", dict)

    with pytest.raises(RecipeError, match="unknown source `postgers`") as near:
        target.lookup("postgers")
    with pytest.raises(RecipeError) as far:
        target.lookup("xyz")

    assert near.value.hint == "did you mean `postgres`?"
    assert near.value.context == {"kind": "source", "name": "postgers", "known": ["duckdb", "postgres"]}
    assert far.value.hint == "known are: duckdb, postgres"


def _discover(target: Registry[Any], monkeypatch: pytest.MonkeyPatch, **found: str) -> None:
    entries = [EntryPoint(name, value, target.group) for name, value in found.items()]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: entries if group == target.group else [])


def test_entry_points_are_named_without_being_loaded_and_loaded_once_wanted(
    target: Registry[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that names a module registers itself; one that names a factory is registered."""
    holder = type(sys)("tests_plug_in_registry")
    holder.target = target  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tests_plug_in_registry", holder)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "tests_plug_in.py").write_text(PLUG_IN)
    _discover(target, monkeypatch, decorated="tests_plug_in", direct="tests_plug_in:make")

    assert target.names() == ["decorated", "direct"]
    assert "tests_plug_in" not in sys.modules
    assert target.create("decorated", 1) == ("made", 1)
    assert target.create("direct", 2) == ("made", 2)
    assert target.lookup("direct").summary == "Made by the plug-in."
    monkeypatch.delitem(sys.modules, "tests_plug_in")


def test_a_missing_package_is_named_with_the_command_that_brings_it(
    target: Registry[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint can be pasted."""
    _discover(target, monkeypatch, postgres="no_such_package_of_arrowload.source")

    with pytest.raises(MissingExtraError, match="needs the package `no_such_package_of_arrowload`") as caught:
        target.lookup("postgres")

    assert caught.value.hint == "pip install no_such_package_of_arrowload"
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_the_built_in_names_come_in_by_the_same_door() -> None:
    """The four registries list what the package brings."""
    assert {"csv", "duckdb", "memory", "parquet", "postgres"} <= set(registry.sources.names())
    assert {"csv", "duckdb", "memory", "parquet", "postgres"} <= set(registry.destinations.names())
    assert {"rename_columns", "cast", "filter"} <= set(registry.transforms.names())
    assert "local" in registry.state_backends.names()
