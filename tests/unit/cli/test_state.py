"""`arrowload state …` and `repair`, as a person uses them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import duckdb
import pytest

from arrowload.cli.commands.state import state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RECIPE = """\
name: {name}
source:
  type: duckdb
  path: shop.duckdb
  table: orders
  incremental: {{strategy: cursor, cursor_column: id}}
destination: {{type: duckdb, path: warehouse.duckdb, table: orders}}
"""


@pytest.fixture
def orders(tmp_path: Path, call: Callable) -> Path:
    """A recipe with an integer cursor, whose three rows are loaded."""
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as shop:
        shop.execute("CREATE TABLE orders AS SELECT range AS id FROM range(1, 4)")
    (tmp_path / "orders.yaml").write_text(RECIPE.format(name="orders"))
    assert call("run", "orders.yaml").code == 0
    return tmp_path


def add(folder: Path, number: int) -> None:
    """One more row for the source."""
    with duckdb.connect(str(folder / "shop.duckdb")) as shop:
        shop.execute(f"INSERT INTO orders VALUES ({number})")


def loaded(folder: Path) -> list[int]:
    """What is in the destination."""
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as warehouse:
        return [number for (number,) in warehouse.execute("SELECT id FROM orders ORDER BY id").fetchall()]


@pytest.mark.parametrize("command", list(state.commands))
def test_help_has_an_example(command: str, call: Callable) -> None:
    """Each command says what it does, with an example."""
    result = call("state", command, "--help")

    assert (result.code, result.err) == (0, "")
    assert f"Example: arrowload state {command} " in result.out


def test_looking(orders: Path, call: Callable) -> None:
    """What is remembered, where, and whether the ledger agrees."""
    shown = json.loads(call("state", "show", "orders.yaml").out)
    compared = call("state", "diff", "orders.yaml")
    history = json.loads(call("state", "history", "orders.yaml").out)

    assert shown == json.loads(call("show-state", "orders.yaml").out)
    assert shown["location"].endswith("orders.json")
    assert shown["lease"] is None
    assert compared.code == 0
    assert json.loads(compared.out)["verdict"] == "equal"
    assert json.loads(compared.out)["state"] == json.loads(compared.out)["ledger"] == shown["state"]
    assert [each["version"] for each in history["versions"]] == [1, 0]
    assert [(each["load"], each["rows_written"]) for each in history["loads"]] == [("1.1", 3)]


def test_setting_the_cursor(orders: Path, call: Callable) -> None:
    """Refused where rows would be lost; done when the person insists."""
    refused = call("state", "set", "orders.yaml", "id", "10")
    unknown = call("state", "set", "orders.yaml", "idd", "10")
    done = call("state", "set", "orders.yaml", "id", "10", "--force")
    add(orders, 5)
    add(orders, 11)
    call("run", "orders.yaml")

    assert (refused.code, unknown.code) == (78, 78)
    assert "`id` goes from 3 to 10: rows in between would not be loaded" in refused.err
    assert "did you mean `id`?" in unknown.err
    assert (done.code, done.err) == (0, "id: 3 -> 10\n")
    assert loaded(orders) == [1, 2, 3, 11]


def test_export_and_import(orders: Path, call: Callable) -> None:
    """What was exported can be brought back; rows that would come twice are told."""
    (orders / "kept.json").write_text(call("state", "export", "orders.yaml").out)
    add(orders, 4)
    call("run", "orders.yaml")
    refused = call("state", "import", "orders.yaml", "kept.json")
    forced = call("state", "import", "orders.yaml", "kept.json", "--force")
    call("run", "orders.yaml")

    assert refused.code == 78
    assert "would come twice" in refused.err
    assert forced.code == 0
    assert loaded(orders) == [1, 2, 3, 3, 4, 4]


def test_rolling_back(orders: Path, call: Callable) -> None:
    """To the version before, or to one that is named; a version that is not kept is told from those that are."""
    add(orders, 4)
    call("run", "orders.yaml")
    refused = call("state", "rollback", "orders.yaml")
    unknown = call("state", "rollback", "orders.yaml", "--to", "17")
    done = call("state", "rollback", "orders.yaml", "--to", "1", "--force")
    now = json.loads(call("state", "show", "orders.yaml").out)

    assert (refused.code, unknown.code, done.code) == (78, 78, 0)
    assert "kept are: 2, 1" in unknown.err
    assert now["state"]["cursor_values"]["id"]["value"]["text"] == "3"
    assert now["state"]["checkpoints"] == {"generation": 1, "seq": 3}


def test_copying(orders: Path, call: Callable) -> None:
    """A recipe that was renamed goes on where it was."""
    (orders / "renamed.yaml").write_text(RECIPE.format(name="renamed"))
    copied = call("state", "copy", "orders.yaml", "renamed.yaml")
    add(orders, 4)
    ran = call("run", "renamed.yaml")

    assert (copied.code, ran.code) == (0, 0)
    assert loaded(orders) == [1, 2, 3, 4]


def test_unlocking(orders: Path, call: Callable) -> None:
    """Nobody holds a lease of a run that has ended."""
    assert call("state", "unlock", "orders.yaml") == (0, "", "nobody holds it\n")


def test_repairing(orders: Path, call: Callable) -> None:
    """After the destination was emptied: refused, compared, and mended as the person says."""
    (orders / "warehouse.duckdb").unlink()
    refused = call("run", "orders.yaml")
    compared = call("state", "diff", "orders.yaml")
    repaired = call("repair", "orders.yaml", "--trust", "ledger")
    ran = call("run", "orders.yaml")

    assert (refused.code, compared.code, repaired.code, ran.code) == (78, 78, 0, 0)
    assert "arrowload repair" in refused.err
    assert json.loads(compared.out)["verdict"] == "state_ahead"
    assert json.loads(compared.out)["ledger"] is None
    assert "the next run starts from the beginning" in repaired.err
    assert loaded(orders) == [1, 2, 3]
