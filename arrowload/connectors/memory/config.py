"""What a recipe may say about a table in this process."""

from __future__ import annotations

from typing import Annotated

import msgspec

from arrowload.models.destination_config import DestinationConfig
from arrowload.models.source_config import SourceConfig


class MemorySourceConfig(SourceConfig, frozen=True, kw_only=True):
    """Keys of `source: {type: memory}`."""

    name: Annotated[str, msgspec.Meta(description="The table's name in `arrowload.connectors.memory.store`.")]


class MemoryDestinationConfig(DestinationConfig, frozen=True, kw_only=True):
    """Keys of `destination: {type: memory}`."""

    name: Annotated[str, msgspec.Meta(description="The table's name in `arrowload.connectors.memory.store`.")]
