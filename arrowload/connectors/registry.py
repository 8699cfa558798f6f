"""Register and get sources and destinations by the name that a recipe's `type:` gives."""

from __future__ import annotations

from typing import Any

from arrowload.core.registry import destinations, sources

register_source = sources.register
register_destination = destinations.register


def get_source(type: str, config: Any, connection: Any = None) -> Any:  # noqa: A002 - the recipe's own word
    """The source registered as `type`, made from its config Struct; `connection` is used in place of a new one.

    Raises:
        RecipeError: Nothing is registered under that name.
        MissingExtraError: Its driver is not installed.
    """
    return sources.create(type, config) if connection is None else sources.create(type, config, connection)


def get_destination(type: str, config: Any, connection: Any = None) -> Any:  # noqa: A002 - the recipe's own word
    """The destination registered as `type`, made from its config Struct; raises as `get_source` does."""
    return destinations.create(type, config) if connection is None else destinations.create(type, config, connection)
