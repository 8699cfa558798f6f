"""A plug-in for pytest that writes the table of the catalogue: `pytest -p tests.faults.report -m fault`."""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from tests.faults.catalogue import CLASSES, FAULTS
from tests.faults.marks import TESTS

if TYPE_CHECKING:
    import pytest

    from tests.faults.catalogue import Fault

REPORT: Final = TESTS / "faults" / "REPORT.md"
_HEAD: Final = """\
# What can happen to a load, and what was tried

Written by `make faults-report`; not to be changed by hand. Each row is a fault: what must hold then is said beside it,
*result* counts its tests, and *defects* are functions of `tests/faults/defects.py`, each of which was planted and
turned a test of the row red. The rows are in `tests/faults/catalogue.py`; a test says which of them it is about by the
marker `fault(number)`.
"""


class _Results:
    """Outcomes of tests by row, and of planted defects by row and name."""

    def __init__(self) -> None:
        self.tests: dict[int, dict[str, str]] = defaultdict(dict)
        self.defects: dict[tuple[int, str], set[str]] = defaultdict(set)

    def add(self, report: pytest.TestReport) -> None:
        """One phase of one test; a test that is set up and fails later counts as failed."""
        numbers = [int(str(number)) for name, number in report.user_properties if name == "fault"]
        defects = [str(defect) for name, defect in report.user_properties if name == "defect"]
        outcome = "xfailed" if report.outcome == "skipped" and hasattr(report, "wasxfail") else report.outcome
        if report.when != "call" and outcome == "passed":
            return
        for number in numbers:
            if defects:
                self.defects[number, defects[0]].add(outcome)
            else:
                self.tests[number][report.nodeid] = outcome


_results = _Results()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep it."""
    _results.add(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the table, but not in a worker, which has seen a part of the tests."""
    if not hasattr(session.config, "workerinput"):
        REPORT.write_text(_text(session.config.option.markexpr))


def _text(markers: str) -> str:
    run = f'The last run had Python {sys.version_info.major}.{sys.version_info.minor} and `-m "{markers}"`'
    part = ": the slow tests are not counted." if "not slow" in markers else "."
    lines = [_HEAD, f"{run}{part}\n"]
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
    outcomes = list(_results.tests[fault.number].values())
    counted = [
        f"{outcomes.count(kind)} {kind}" for kind in ("passed", "failed", "xfailed", "skipped") if kind in outcomes
    ]
    nothing = "not run" if fault.reds else "not there yet"
    defects = [_defect(fault.number, name) for name in dict.fromkeys(red.defect for red in fault.reds)]
    cells = [
        str(fault.number),
        fault.fault,
        fault.expected,
        fault.where,
        ", ".join(counted) or nothing,
        ", ".join(defects),
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _defect(number: int, name: str) -> str:
    outcomes = _results.defects.get((number, name), set())
    if not outcomes:
        return f"`{name}` (not run)"
    return f"`{name}`" if outcomes == {"passed"} else f"`{name}` (not found)"
