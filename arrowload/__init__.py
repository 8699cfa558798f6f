"""Load data: fast, exact, nothing lost and nothing twice.

The names below are imported when they are first used, so that `import arrowload` costs next to nothing and loads no
driver.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arrowload._version import __version__
    from arrowload.api import (
        backfill,
        load_recipe,
        plan,
        preview,
        quarantine,
        read,
        replay,
        run,
        stream,
        validate,
        verify,
    )
    from arrowload.connectors.registry import get_destination, get_source, register_destination, register_source
    from arrowload.core.batch import ArrowBatch, Batch, DictBatch
    from arrowload.core.exceptions import (
        ConnectorError,
        DataLoaderError,
        EngineError,
        RecipeError,
        StateError,
        TransformError,
    )
    from arrowload.core.state import State
    from arrowload.engine.report import RunReport
    from arrowload.models.loader import RecipeLoader
    from arrowload.models.recipe import Recipe
    from arrowload.planning.plan import LoadPlan
    from arrowload.transforms.registry import get_transform, register_transform

_HOMES = {
    "__version__": "_version",
    "backfill": "api",
    "load_recipe": "api",
    "plan": "api",
    "preview": "api",
    "quarantine": "api",
    "read": "api",
    "replay": "api",
    "run": "api",
    "stream": "api",
    "validate": "api",
    "verify": "api",
    "get_destination": "connectors.registry",
    "get_source": "connectors.registry",
    "register_destination": "connectors.registry",
    "register_source": "connectors.registry",
    "ArrowBatch": "core.batch",
    "Batch": "core.batch",
    "DictBatch": "core.batch",
    "ConnectorError": "core.exceptions",
    "DataLoaderError": "core.exceptions",
    "EngineError": "core.exceptions",
    "RecipeError": "core.exceptions",
    "StateError": "core.exceptions",
    "TransformError": "core.exceptions",
    "State": "core.state",
    "RunReport": "engine.report",
    "RecipeLoader": "models.loader",
    "Recipe": "models.recipe",
    "LoadPlan": "planning.plan",
    "get_transform": "transforms.registry",
    "register_transform": "transforms.registry",
}

__all__ = [
    "ArrowBatch",
    "Batch",
    "ConnectorError",
    "DataLoaderError",
    "DictBatch",
    "EngineError",
    "LoadPlan",
    "Recipe",
    "RecipeError",
    "RecipeLoader",
    "RunReport",
    "State",
    "StateError",
    "TransformError",
    "__version__",
    "backfill",
    "get_destination",
    "get_source",
    "get_transform",
    "load_recipe",
    "plan",
    "preview",
    "quarantine",
    "read",
    "register_destination",
    "register_source",
    "register_transform",
    "replay",
    "run",
    "stream",
    "validate",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'arrowload' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"arrowload.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
