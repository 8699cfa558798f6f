"""A recipe, loaded: what to move, from where, how, and to where."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from arrowload.models.destination_config import DestinationConfig
from arrowload.models.runtime_config import RuntimeConfig
from arrowload.models.source_config import SourceConfig
from arrowload.models.state_config import StateConfig
from arrowload.models.transform_config import TransformConfig


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to move, from where, how, and to where; `extends`, `delete`, macros and templates are resolved.

    Attributes:
        name: The key of its state.
        source, destination, state: Instances of the connector's own Struct.
        transform: Its steps are instances of each step's own Struct.
        checks: Instances of each check's own Struct.
        vars: The values that `{{ var.* }}` had.
        root: The folder that relative paths in it start from: the recipe file's own, or the working directory.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]+$", max_length=128)]
    source: SourceConfig
    transform: TransformConfig = TransformConfig()
    destination: DestinationConfig | None = None
    checks: tuple[Any, ...] = ()
    runtime: RuntimeConfig = RuntimeConfig()
    state: StateConfig = StateConfig()
    vars: dict[str, Any] = {}
    root: str = "."
