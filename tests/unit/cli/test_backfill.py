"""`arrowload backfill`, as a person uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RECIPE = """\
name: orders
source:
  type: duckdb
  path: shop.duckdb
  table: orders
  incremental: {strategy: cursor, cursor_column: day, initial_value: "2026-02-01"}
destination: {type: duckdb, path: warehouse.duckdb, table: orders}
"""


def test_a_backfill(tmp_path: Path, call: Callable) -> None:
    """It loads what it is told, tells what it did, and refuses what the recipe's own runs load."""
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as shop:
        shop.execute(
            "CREATE TABLE orders AS SELECT day::DATE AS day FROM range(DATE '2026-01-01', DATE '2026-03-01', INTERVAL"
            " 1 DAY) AS days (day)"
        )
    (tmp_path / "orders.yaml").write_text(RECIPE)
    call("run", "orders.yaml")
    refused = call("backfill", "orders.yaml", "--from", "2026-01-01", "--to", "2026-02-02")
    bad = call("backfill", "orders.yaml", "--from", "2026-01-01", "--to", "2026-02-01", "--chunk", "some")
    done = call("backfill", "orders.yaml", "--from", "2026-01-01", "--to", "2026-02-01", "--chunk", "10")

    assert (refused.code, bad.code, done.code) == (78, 2, 0), (refused, bad, done)
    assert "would have rows from 2026-01-01 to 2026-02-02 twice" in refused.err
    assert "write one as 1000000 (rows), 1GiB or 10m" in bad.err
    assert "31 written" in done.err
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as warehouse:
        assert warehouse.execute("SELECT count(*), count(DISTINCT day) FROM orders").fetchall() == [(59, 59)]
