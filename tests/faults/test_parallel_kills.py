"""SIGKILL while several parts are read and staged at once: readers see nothing of it, and the next run loads all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.faults.oracle import Oracle
from tests.faults.processes import run_recipe
from tests.faults.test_kill_everywhere import Target, sampled, target

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["target"]  # the fixture

FILES, ROWS = 6, 120
SITES = ["stage.batch@2", "stage.batch@7", "stage.batch@11", "stage.after@1", "seal.after@1", "finalize.ledger@1"]


@pytest.mark.fault(4)
@pytest.mark.parametrize(
    ("target", "site"),
    sampled([(place, site) for site in SITES for place in ("duckdb", "postgres", "parquet")], 2),
    indirect=["target"],
)
def test_a_run_of_many_parts_is_killed(tmp_path: Path, target: Target, site: str) -> None:
    """Some parts are staged whole, some in part, some not at all."""
    oracle = Oracle()
    (tmp_path / "in").mkdir()
    for number in range(FILES):
        rows = oracle.insert(range(number * ROWS, (number + 1) * ROWS), second=number)
        columns = [pa.array([getattr(row, name) for row in rows]) for name in ("uid", "version", "moved_at", "crc")]
        table = pa.table(columns, names=["uid", "version", "moved_at", "crc"])
        pq.write_table(table, tmp_path / "in" / f"{number}.parquet", row_group_size=40)
    recipe = {
        "name": "parts",
        "source": {"type": "parquet", "path": str(tmp_path / "in")},
        "destination": target.config("append"),
        "state": {"type": "local", "path": str(tmp_path / "state")},
        "runtime": {"batch_size": 40, "parallelism": 4},
    }
    name, _, at = site.partition("@")

    killed = run_recipe(recipe, failpoints=f"{name}=kill9@{at}")
    seen = target.rows()
    rerun = run_recipe(recipe)

    assert killed.killed, killed
    assert seen == []
    assert (rerun.exit_code, oracle.differences(target.rows())) == (0, []), rerun.error
