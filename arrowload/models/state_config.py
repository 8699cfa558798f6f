"""The `state:` section: where the recipe's memory is kept."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, TypeAlias

import msgspec

from arrowload.models.units import Duration

LeaseTime: TypeAlias = Annotated[
    Duration, msgspec.Meta(description="A run that is not heard of for so long is taken for dead.")
]
LEASE_TIME: Final = Duration(seconds=30)


class StateConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys that every state backend understands.

    Attributes:
        takes_destination: The factory wants the recipe's destination too, as `destination`.
    """

    takes_destination: ClassVar[bool] = False

    type: str = "local"


class PluginStateConfig(StateConfig, frozen=True, kw_only=True):
    """The config of a plug-in backend that registered no Struct of its own: its keys as they stand."""

    options: dict[str, Any] = {}
