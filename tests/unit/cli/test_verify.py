"""`arrowload verify`, as a person uses it."""

from __future__ import annotations

import json
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
  incremental: {strategy: cursor, cursor_column: id}
destination: {type: duckdb, path: warehouse.duckdb, table: orders}
"""


def test_verifying(tmp_path: Path, call: Callable) -> None:
    """Exit code and text say whether all is well; JSON has the figures."""
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as shop:
        shop.execute("CREATE TABLE orders AS SELECT range AS id FROM range(100)")
    (tmp_path / "orders.yaml").write_text(RECIPE)
    before = call("verify", "orders.yaml")
    call("run", "orders.yaml")
    well = call("verify", "orders.yaml")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute("DELETE FROM orders WHERE id = 17")
    lost = call("verify", "orders.yaml")
    facts = json.loads(call("verify", "orders.yaml", "--format", "json").out)

    assert (before.code, before.out) == (
        0,
        "orders: main.orders: verified\n  the ledger knows of no load\n",
    )
    assert (well.code, lost.code) == (0, 65)
    assert "load 1.1     verified     100 rows, hash " in well.out
    assert "differs      99 rows" in lost.out
    assert "100 rows were loaded and 99 are there" in lost.out
    assert facts["verdict"] == "differs"
    assert (facts["findings"][0]["rows_expected"], facts["findings"][0]["rows_found"]) == (100, 99)
