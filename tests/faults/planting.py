"""A plug-in for pytest that plants one seeded defect: `pytest -p tests.faults.planting --defect NAME TEST`.

The defect replaces one function in the process of pytest and in every run that `processes` starts. What passes without
it must fail with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--defect`."""
    parser.addoption("--defect", help="A function of tests.faults.defects.", required=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Plant it when all modules are imported, since a module may have bound the function by its name."""
    from tests.faults import defects, processes

    defect: Callable[[], Any] = getattr(defects, session.config.getoption("--defect"))
    defect()
    processes.plant(defect)
