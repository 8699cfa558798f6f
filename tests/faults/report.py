"""A plug-in for pytest that writes the table of the catalogue: `pytest -p tests.faults.report -m fault`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tests.faults.catalogue import CLASSES, FAULTS
from tests.faults.marks import TESTS

if TYPE_CHECKING:
    import pytest

    from tests.faults.catalogue import Fault

REPORT: Final = TESTS / "faults" / "REPORT.md"
_KEPT: Final = "faults/results"
_OUTCOMES: Final = ("passed", "failed", "xfailed", "skipped")
_HEAD: Final = """\
# What can happen to a load, and what was tried

Written by `make faults-report`; not to be changed by hand. Each row is a fault: what must hold then is said beside it,
*result* counts its tests, and *defects* are functions of `tests/faults/defects.py`, each of which was planted and
turned a test of the row red. The rows are in `tests/faults/catalogue.py`; a test says which of them it is about by the
marker `fault(number)`. What says *not run* was not, since the outcomes were last forgotten.
"""


class Result(NamedTuple):
    """The last outcome of one test.

    Attributes:
        numbers: Of the rows that it is about.
        defect: That was planted, if one was.
        outcome: `passed`, `failed`, `xfailed` or `skipped`.
    """

    numbers: list[int]
    defect: str | None
    outcome: str


_results: dict[str, Result] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--faults-anew`."""
    parser.addoption("--faults-anew", action="store_true", help="Forget the outcomes of earlier runs.")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the outcome; of a test that is set up and fails later, that it failed."""
    properties = dict(report.user_properties)
    numbers = [int(str(number)) for name, number in report.user_properties if name == "fault"]
    outcome = "xfailed" if report.outcome == "skipped" and hasattr(report, "wasxfail") else report.outcome
    if numbers and (report.when == "call" or outcome != "passed"):
        defect = properties.get("defect")
        _results[report.nodeid] = Result(numbers, None if defect is None else str(defect), str(outcome))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the table, but not in a worker, which has seen a part of the tests.

    Outcomes are kept from run to run, so that the table can be made in parts.
    """
    if hasattr(session.config, "workerinput"):
        return
    cache = session.config.cache
    if cache is not None:
        anew = session.config.getoption("--faults-anew")
        kept = {} if anew else {test: Result(*result) for test, result in cache.get(_KEPT, {}).items()}
        cache.set(_KEPT, kept | _results)
        _results.update(kept | _results)
    REPORT.write_text(_text())


def _text() -> str:
    lines = [_HEAD]
    for group, title in CLASSES.items():
        lines += [f"## {group}: {title}\n", "| # | fault | what must hold | tried with | result | defects |"]
        lines += ["| --: | --- | --- | --- | --- | --- |"]
        lines += [_row(fault) for fault in FAULTS if fault.group == group]
        lines.append("")
    absent = [f"{fault.number}. {fault.missing}" for fault in FAULTS if fault.missing]
    parts = "Of a row that has tests, the part that none of them is about.\n"
    lines += ["## Not there yet\n", parts, *(f"- {line.replace('. ', ': ', 1)}" for line in absent)]
    return "\n".join(lines) + "\n"


def _row(fault: Fault) -> str:
    mine = [result for result in _results.values() if fault.number in result.numbers]
    outcomes = [result.outcome for result in mine if result.defect is None]
    counted = [f"{outcomes.count(kind)} {kind}" for kind in _OUTCOMES if kind in outcomes]
    nothing = "not run" if fault.reds else "not there yet"
    found = {(result.defect, result.outcome) for result in mine}
    defects = [_defect(name, found) for name in dict.fromkeys(red.defect for red in fault.reds)]
    result, planted = ", ".join(counted) or nothing, ", ".join(defects)
    cells = [str(fault.number), fault.fault, fault.expected, fault.where, result, planted]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _defect(name: str, found: set[tuple[str | None, str]]) -> str:
    if (name, "failed") in found:
        return f"`{name}` (not found)"
    return f"`{name}`" if (name, "passed") in found else f"`{name}` (not run)"
