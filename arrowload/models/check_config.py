"""The `checks:` section: what must hold of a load before it is published."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec


class CheckConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys that every check understands."""

    type: str
    on_fail: Annotated[
        Literal["fail", "warn", "quarantine"],
        msgspec.Meta(
            description="fail: nothing is published, exit 65. warn: the load goes on, and says so. quarantine: the rows"
            " that fail are put aside, as many as `runtime.max_rejected` allows."
        ),
    ] = "fail"


class PluginCheckConfig(CheckConfig, frozen=True, kw_only=True):
    """The config of a plug-in check that registered no Struct of its own: its keys as they stand."""

    options: dict[str, Any] = {}
