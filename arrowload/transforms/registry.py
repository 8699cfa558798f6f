"""Register and get transform steps by the name that a step's `type:` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from arrowload.core.registry import transforms

if TYPE_CHECKING:
    from arrowload.transforms.base import Transform

register_transform = transforms.register


def get_transform(type: str, config: Any) -> Transform:  # noqa: A002 - the recipe's own word
    """The step registered as `type`, made from its config Struct.

    Raises:
        RecipeError: Nothing is registered under that name, or the config cannot be done as written.
        MissingExtraError: The step needs a package that is not installed.
    """
    made: Transform = transforms.create(type, config)
    return made
