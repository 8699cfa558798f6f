"""The `transform:` section: a list of steps, each with the keys of its own Struct."""

from __future__ import annotations

from typing import Any

import msgspec


class StepConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys that every step understands."""

    type: str


class PluginStepConfig(StepConfig, frozen=True, kw_only=True):
    """The config of a plug-in step that registered no Struct of its own: its keys as they stand."""

    options: dict[str, Any] = {}


class TransformConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The steps, in the order in which they run."""

    steps: tuple[Any, ...] = ()
