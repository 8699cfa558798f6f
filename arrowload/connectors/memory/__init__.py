"""Tables in this process, by name: for tests, notebooks and recipes that start from Arrow data at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrowload.connectors.memory.config import MemoryDestinationConfig, MemorySourceConfig
from arrowload.connectors.registry import register_destination, register_source

if TYPE_CHECKING:
    from arrowload.connectors.memory.destination import MemoryDestination
    from arrowload.connectors.memory.source import MemorySource
    from arrowload.connectors.memory.store import MemoryStore


@register_source("memory", config=MemorySourceConfig)
def create_memory_source(config: MemorySourceConfig, connection: MemoryStore | None = None) -> MemorySource:
    """A table of this process."""
    from arrowload.connectors.memory.source import MemorySource

    return MemorySource(config, connection)


@register_destination("memory", config=MemoryDestinationConfig)
def create_memory_destination(
    config: MemoryDestinationConfig, connection: MemoryStore | None = None
) -> MemoryDestination:
    """A table of this process."""
    from arrowload.connectors.memory.destination import MemoryDestination

    return MemoryDestination(config, connection)
