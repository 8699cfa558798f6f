"""Each row of the catalogue has a test, and each test can fail: with a defect planted, it does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults import defects
from tests.faults.catalogue import CLASSES, FAULTS, SUITE_TESTS, Red
from tests.faults.marks import TESTS, marked_tests

if TYPE_CHECKING:
    from collections.abc import Callable

# Of each class, the rows whose first defect is planted by `make test`; the others are by `make test-all`.
SAMPLES = {16, 18, 36, 38, 57, 61, 65, 69}


def reds() -> list[Any]:
    """Every row with every defect of its own."""
    return [
        pytest.param(
            red,
            id=f"{fault.number}-{red.defect}-{place}",
            marks=[
                pytest.mark.fault(fault.number),
                *([] if fault.number in SAMPLES and place == 0 else [pytest.mark.slow]),
            ],
        )
        for fault in FAULTS
        for place, red in enumerate(fault.reds)
    ]


@pytest.mark.parametrize("red", reds())
def test_a_planted_defect_turns_the_row_red(red: Red, record_property: Callable[[str, object], None]) -> None:
    """The test of the row fails, and by what it asserts."""
    record_property("defect", red.defect)
    plugins = ["-p", "tests.faults.planting", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", *plugins, "--defect", red.defect, "-x", red.test]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}

    done = subprocess.run(
        command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, check=False, timeout=300
    )

    # Of several failures at once Hypothesis draws a group, each line behind a bar.
    failures = re.findall(r"^(?:E|  +\|) +(.*)", done.stdout, re.MULTILINE)
    assert done.returncode == 1, f"nothing failed:\n{done.stdout[-2000:]}\n{done.stderr[-1000:]}"
    assert any(re.match(red.flaw, failure) for failure in failures), failures[:5]


# ---------------------------------------------------------------- the catalogue itself


def test_rows_are_numbered_from_one() -> None:
    """Each once, each of a class."""
    assert [fault.number for fault in FAULTS] == list(range(1, len(FAULTS) + 1))
    assert {fault.group for fault in FAULTS} == set(CLASSES)
    assert {fault.number for fault in FAULTS} >= SAMPLES
    assert {fault.group for fault in FAULTS if fault.number in SAMPLES} == set(CLASSES)


def test_each_row_has_tests_and_defects_or_a_reason() -> None:
    """A row without a test says what is not there yet, and one with a test has a defect that it finds."""
    marked = set(marked_tests()) | {number for numbers in SUITE_TESTS.values() for number in numbers}

    assert {fault.number for fault in FAULTS if not fault.missing} <= marked
    assert {fault.number for fault in FAULTS if fault.reds} == marked
    assert marked <= {fault.number for fault in FAULTS}


def test_each_defect_is_one() -> None:
    """It is a function of its module, and what it is to turn red is a test of the row."""
    marked = marked_tests()
    for fault in FAULTS:
        for red in fault.reds:
            name = red.test.partition("[")[0]
            in_suite = fault.number in SUITE_TESTS.get(name.rpartition("::")[2], ())
            assert callable(getattr(defects, red.defect, None)), red.defect
            assert name in marked.get(fault.number, []) or in_suite, f"{name} is not marked with {fault.number}"
