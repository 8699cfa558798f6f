"""The matrix: what the conformance suites of this folder cover, compared with what is registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


@pytest.fixture
def covered() -> Callable[[ModuleType, type[Any]], set[str]]:
    """The registered names that the subclasses of a suite in a test module say they are about."""

    def names(module: ModuleType, suite: type[Any]) -> set[str]:
        classes = [value for value in vars(module).values() if isinstance(value, type)]
        suites = [value for value in classes if issubclass(value, suite)]
        return {each.registered_as for each in suites if each.__name__.startswith("Test")}

    return names
