"""Connectors of the recipe layer's own tests, so that these depend on no real one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest

from arrowload.core import registry, secret
from arrowload.core.registry import Registration
from arrowload.core.secret import Secret  # noqa: TC001 - msgspec resolves field types when the program runs
from arrowload.models.destination_config import DestinationConfig
from arrowload.models.source_config import SourceConfig
from arrowload.models.state_config import StateConfig
from arrowload.models.transform_config import StepConfig
from arrowload.models.units import ResourcePath  # noqa: TC001

ENV = {"DB_HOST": "db.example", "DB_PORT": "5432", "DB_PASSWORD": "c4nary-p4ssword", "EMPTY": ""}


class DbSource(SourceConfig, frozen=True, kw_only=True):
    """A source with one field of each sort."""

    table: str
    host: str = "localhost"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 5432
    ssl: bool = False
    ratio: float = 1.0
    driver: Literal["auto", "copy", "adbc"] = "auto"
    password: Secret | None = None
    headers: dict[str, Secret] = msgspec.field(default_factory=dict)
    limits: dict[str, int] = msgspec.field(default_factory=dict)
    columns: tuple[str, ...] = ()


class SinkDestination(DestinationConfig, frozen=True, kw_only=True):
    """A destination that has a path."""

    path: ResourcePath


class PlainStep(StepConfig, frozen=True, kw_only=True):
    """A step that has a mapping."""

    mapping: dict[str, str] = msgspec.field(default_factory=dict)
    value: Any = None


class FolderState(StateConfig, frozen=True, kw_only=True):
    """A state backend that has a folder."""

    folder: str = "state"


@pytest.fixture(autouse=True)
def connectors(monkeypatch):
    """Register the test connectors for the time of one test."""
    for where, name, config in (
        (registry.sources, "test_db", DbSource),
        (registry.sources, "test_plugin", None),
        (registry.destinations, "test_sink", SinkDestination),
        (registry.destinations, "test_plugin", None),
        (registry.transforms, "test_step", PlainStep),
        (registry.transforms, "test_plugin", None),
        (registry.state_backends, "local", FolderState),
    ):
        monkeypatch.setitem(where._registrations, name, Registration(name, dict, config, ""))
    monkeypatch.setattr(secret, "_known", set())


@pytest.fixture
def env():
    """The environment that templates see."""
    return dict(ENV)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write recipe files into an empty working directory: `write("a.yaml", text)`."""
    monkeypatch.chdir(tmp_path)

    def write_file(name: str, text: str):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


MINIMAL = """\
name: minimal
source: {type: test_db, table: t}
"""


@pytest.fixture
def minimal():
    """The smallest recipe."""
    return MINIMAL
