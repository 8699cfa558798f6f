"""Modules that cost too much to import before they are needed.

`pyarrow.compute` makes a Python function for each of its hundreds of kernels, which takes longer than it takes to load
ten rows.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyarrow import compute
else:

    class LazyModule:
        """Stands for the module `name`, which is imported when something of it is first asked for."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            value = getattr(importlib.import_module(self._name), attribute)
            setattr(self, attribute, value)
            return value

    compute = LazyModule("pyarrow.compute")

__all__ = ["compute"]
