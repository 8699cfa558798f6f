"""The session that the README and `init` propose, as a person would type it."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def rows_in(project: Path) -> list[tuple]:
    with duckdb.connect(str(project / "shop.duckdb"), read_only=True) as database:
        return database.sql("FROM orders ORDER BY order_id").fetchall()


def test_init_then_run_twice(call: Callable, project: Path, tmp_path: Path) -> None:
    """The first run loads the example, the second nothing; a changed and a new row come in by the third."""
    report_file = tmp_path / "report.json"
    first = call("run", "shop/recipe.yaml", "--report", str(report_file))
    report = json.loads(report_file.read_text())
    loaded = rows_in(project)

    assert (first.code, first.out) == (0, "")
    assert report["status"] == "committed"
    assert (report["rows_read"], report["rows_filtered"], report["rows_written"]) == (48, 7, 41)
    assert len(loaded) == 41
    assert all(row[-1] == row[4] * row[5] for row in loaded)

    second = call("run", "shop/recipe.yaml", "--report", "-")
    report = json.loads(second.out)

    assert second.code == 0
    assert (report["status"], report["rows_read"], report["rows_written"]) == ("up_to_date", 0, 0)
    assert rows_in(project) == loaded

    (project / "data/more.csv").write_text(
        (project / "data/orders.csv").read_text().splitlines()[0]
        + "\n1001,2026-03-02 16:05:00,Hedy Lamarr,scale,1,24.50,paid,"
        + "\n2000,2026-05-02 16:05:00,Ada Byron,scale,2,24.50,paid,2026-05-03\n"
    )
    third = call("run", "shop/recipe.yaml")

    assert third.code == 0
    assert len(rows_in(project)) == 42
    assert rows_in(project)[0][3] == "scale"


def test_the_command_that_shows_the_result(call: Callable, project: Path) -> None:
    """The summary ends with a command line that prints the rows."""
    look = re.search(r"look +(.*)", call("run", "shop/recipe.yaml").err)

    shown = subprocess.run(["sh", "-c", look[1]], capture_output=True, text=True, check=True)

    assert "Hedy Lamarr" in shown.stdout


def test_summary_of_a_run(call: Callable, project: Path, snapshot: Callable) -> None:
    """What a run prints when nobody watches: plain lines on stderr."""
    err = call("run", "shop/recipe.yaml").err
    for pattern, name in (
        (str(project.parent), "<folder>"),
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<load id>"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>"),
        (r"took .*", "took      <figures>"),
        (r"look .*python3?", "look      <python>"),
    ):
        err = re.sub(pattern, name, err)

    snapshot("run_summary.txt", err)


def test_full_refresh(call: Callable, project: Path) -> None:
    """`--full-refresh` puts everything in the place of what is there, read or not; a much smaller source is told."""
    call("run", "shop/recipe.yaml")
    (project / "data/orders.csv").write_text(
        "order_id,ordered_at,customer,product,quantity,unit_price,status,shipped_on\n"
        "1,2026-03-02 16:05:00,Ada Byron,scale,1,24.50,paid,2026-03-03\n"
    )

    refused = call("run", "shop/recipe.yaml", "--full-refresh")
    recipe = project / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("write_mode: merge", "write_mode: merge\n  max_shrink: 100%"))
    result = call("run", "shop/recipe.yaml", "--full-refresh")

    assert refused.code == 65
    assert "would shrink from" in refused.err
    assert result.code == 0
    assert [row[0] for row in rows_in(project)] == [1]


def test_validate(call: Callable, project: Path) -> None:
    """One line on stderr, nothing on stdout, nothing made."""
    result = call("validate", "shop/recipe.yaml")

    assert (result.code, result.out) == (0, "")
    assert re.fullmatch(r"orders: valid: csv \S+ → duckdb .*, merge, 9 columns, exactly once\n", result.err)
    assert not (project / "shop.duckdb").exists()


def test_plan(call: Callable, project: Path) -> None:
    """The plan is data, as text or as JSON, and changes nothing."""
    text = call("plan", "shop/recipe.yaml")
    as_json = call("plan", "shop/recipe.yaml", "--format", "json", "--full-refresh")

    assert (text.code, text.err) == (0, "")
    assert "write mode   merge by order_id" in text.out
    assert json.loads(as_json.out)["write_mode"] == "replace"
    assert not (project / "shop.duckdb").exists()
    assert not (project / ".arrowload").exists()


def test_preview(call: Callable, project: Path) -> None:
    """CSV when piped; the rows as they would be loaded; nothing written."""
    result = call("preview", "shop/recipe.yaml", "-n", "2")
    lines = call("preview", "shop/recipe.yaml", "-n", "2", "--format", "jsonl").out.splitlines()

    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[:2] == [
        "order_id,ordered_at,customer_name,product,quantity,unit_price,status,shipped_on,total",
        '1001,2026-03-02 16:05:00.000000,Hedy Lamarr,"cup, white",2,7.20,cancelled,,14.40',
    ]
    assert len(result.out.splitlines()) == 3
    assert json.loads(lines[0])["total"] == "14.40"
    assert not (project / "shop.duckdb").exists()


def test_show(call: Callable, project: Path) -> None:
    """The recipe with its variables filled in, and with the place of each value."""
    result = call("show", "shop/recipe.yaml", "--resolved", "--origins", "--var", "database=other.duckdb")

    assert (result.code, result.err) == (0, "")
    assert re.search(r"path: other\.duckdb +# shop/recipe\.yaml:\d+:\d+", result.out)


def test_show_state(call: Callable, project: Path) -> None:
    """State, version and epoch as JSON; looking takes no lease."""
    before = json.loads(call("show-state", "shop/recipe.yaml").out)
    call("run", "shop/recipe.yaml")
    after = json.loads(call("show-state", "shop/recipe.yaml").out)
    again = json.loads(call("show-state", "shop/recipe.yaml").out)

    assert (before["version"], before["epoch"]) == (0, 0)
    assert after["recipe"] == "orders"
    assert after["version"] == 1
    assert after["epoch"] > 0
    assert "modified" in after["state"]["watermarks"]
    assert again == after


def test_variables(call: Callable, project: Path) -> None:
    """`--var` wins over the recipe's own variables; the last of a name counts."""
    result = call("run", "shop/recipe.yaml", "--var", "database=no.duckdb", "--var", "database=a=b.duckdb")

    assert result.code == 0
    assert (project / "a=b.duckdb").exists()


def test_init_overwrites_nothing(call: Callable, project: Path) -> None:
    """A second `init` is refused, and leaves everything as it was."""
    (project / "recipe.yaml").write_text("mine")
    (project / ".gitignore").unlink()

    result = call("init", "shop")

    assert (result.code, result.out) == (73, "")
    assert result.err.startswith("error: `shop/recipe.yaml` is there already\nhint: ")
    assert (project / "recipe.yaml").read_text() == "mine"
    assert not (project / ".gitignore").exists()


def test_init_says_what_comes_next(call: Callable) -> None:
    """In the working directory too; the commands that it names work."""
    result = call("init")
    commands = re.findall(r"^  arrowload (\S+) (\S+)", result.err, re.MULTILINE)

    assert [command for command, _ in commands] == ["preview", "plan", "run"]
    assert all(call(*command).code == 0 for command in commands)
