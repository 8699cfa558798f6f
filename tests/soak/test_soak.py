"""A short soak, and one that has something to find."""

from __future__ import annotations

import pytest

from tests.soak.__main__ import CELLS, soak
from tests.soak.cell import Result
from tests.soak.report import flaws, slope, table

pytestmark = pytest.mark.slow


def test_a_dozen_kills() -> None:
    """Of every destination in every mode at least one run is killed, and nothing comes of it."""
    results, found = soak(kills=12, seed=12, minutes=15, jobs=2)

    assert found == []
    assert [(result.destination, result.mode) for result in results] == CELLS
    assert sum(result.kills for result in results) == 12
    assert all(result.polls for result in results)


def test_a_defect_is_found() -> None:
    """Rows at the boundary of two loads are not remembered, and loaded twice: reader and comparison tell."""
    _, found = soak(kills=2, seed=1, minutes=5, jobs=1, only="postgres append", defect="seen_rows_not_stored")

    assert any("rows doubled" in flaw for flaw in found)
    assert any("a reader saw" in flaw for flaw in found)


def test_what_grows_is_told() -> None:
    """A line through the counts, which rises by more than noise does."""
    samples = [(kills, {"uploads": kills // 2, "open files": 9 + kills % 2}) for kills in range(20)]
    grown = Result("parquet in S3", "append", kills=20, polls=1, samples=samples)

    assert [flaw.partition(" by")[0] for flaw in flaws(grown)] == ["parquet in S3 append: uploads grows"]
    assert slope([(0, 1), (1, 3), (2, 5)]) == 2.0
    assert "| parquet in S3 | append | 20 |" in table([grown])
