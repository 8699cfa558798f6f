"""Each exit code, reached by what really leads there."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from arrowload.state.local import LocalStateBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

RECIPE = "name: {0}\nsource: {{type: {0}}}\ndestination: {{type: duckdb, path: out.duckdb, table: t}}\n"


@pytest.fixture
def busy(project: Path) -> Iterator[None]:
    """This process holds the lease of the recipe."""
    backend = LocalStateBackend(project / ".arrowload/state")
    lease = backend.acquire("orders", "the test", above=0)
    yield
    backend.release(lease)


def test_2_usage(call: Callable) -> None:
    """The call itself is wrong."""
    assert call("run").code == 2


def test_65_bad_data(call: Callable, project: Path) -> None:
    """A value that does not fit its type: the sentence names column and value."""
    data = project / "data/orders.csv"
    data.write_text(data.read_text().replace("7.20", "7.201", 1))

    result = call("run", "shop/recipe.yaml")

    assert result.code == 65
    assert "error: " in result.err
    assert "`unit_price`: `7.201`" in result.err
    assert "Traceback" not in result.err


def test_65_a_ragged_row(call: Callable, project: Path) -> None:
    """A row with too few fields: the sentence names file and line."""
    data = project / "data/orders.csv"
    data.write_text(data.read_text() + "1,2\n")

    result = call("run", "shop/recipe.yaml")

    assert result.code == 65
    assert "orders.csv` line 50 has 2 fields" in result.err


def test_70_a_defect(spawn: Callable, plugin_environment: dict[str, str], tmp_path: Path) -> None:
    """An exception that nobody foresaw: one sentence, and a traceback only when it is asked for."""
    (tmp_path / "recipe.yaml").write_text(RECIPE.format("broken"))

    plain = spawn("run", "recipe.yaml", env=plugin_environment)
    debugged = spawn("--debug", "run", "recipe.yaml", env=plugin_environment)
    by_variable = spawn("run", "recipe.yaml", env={**plugin_environment, "ARROWLOAD_DEBUG": "1"})

    assert plain.code == debugged.code == by_variable.code == 70
    assert 'error: unexpected KeyError: "a plug-in\'s own defect"\nhint: this is a defect' in plain.err
    assert "Traceback" not in plain.err
    assert "Traceback" in debugged.err
    assert 'raise KeyError("a plug-in' in by_variable.err


def test_73_the_report_has_no_place(call: Callable, project: Path) -> None:
    """A report that could not be written is refused before the load."""
    result = call("run", "shop/recipe.yaml", "--report", "nowhere/report.json")

    assert result.code == 73
    assert not (project / "shop.duckdb").exists()


def test_74_outcome_unknown(spawn: Callable, project: Path) -> None:
    """The commit got no answer and the ledger could not be asked; the next run finds out."""
    recipe = project / "recipe.yaml"
    recipe.write_text(recipe.read_text() + "runtime: {retries: {max_attempts: 1}}\n")
    failpoints = {**os.environ, "ARROWLOAD_FAILPOINTS": "finalize.after=lost;read_back.before=err"}

    unknown = spawn("run", "shop/recipe.yaml", "--report", "-", env=failpoints)
    recovered = spawn("run", "shop/recipe.yaml", "--report", "-")

    assert unknown.code == 74
    assert json.loads(unknown.out)["status"] == "failed"
    assert json.loads(unknown.out)["error"] == "OutcomeUnknownError"
    assert recovered.code == 0
    assert json.loads(recovered.out)["status"] == "recovered"


def test_75_busy(call: Callable, project: Path, busy: None) -> None:
    """Somebody else runs the recipe: who, and since when."""
    result = call("run", "shop/recipe.yaml")

    assert result.code == 75
    assert "error: `orders` is being run by the test since 20" in result.err
    assert "hint: " in result.err


def test_77_credentials(call: Callable, postgres: PostgresDatabase, tmp_path: Path) -> None:
    """A password that the server does not take: told without showing it."""
    (tmp_path / ".env").write_text("DB_PASSWORD=wrong-password-of-old\n")
    (tmp_path / "recipe.yaml").write_text(
        "name: orders\n"
        f"source: {{type: postgres, host: {postgres.server.host}, port: {postgres.server.port}, user: somebody,\n"
        f'  database: {postgres.name}, password: "{{{{ env.DB_PASSWORD }}}}", table: orders}}\n'
    )

    plain = call("preview", "recipe.yaml")
    debugged = call("--debug", "preview", "recipe.yaml")

    assert (plain.code, plain.out) == (77, "")
    assert "error: " in plain.err
    assert "wrong-password-of-old" not in plain.err + debugged.err


def test_78_no_recipe(call: Callable) -> None:
    """A recipe that is not there."""
    result = call("run", "recipe.yaml")

    assert (result.code, result.out) == (78, "")
    assert result.err.startswith("error: recipe.yaml  no such file\n")


def test_141_nobody_reads(start: Callable, project: Path) -> None:
    """`arrowload preview … | head -1` ends without a word, as other programs do."""
    process = start("preview", "shop/recipe.yaml", "-n", "40")
    process.stdout.close()

    err = process.stderr.read()
    process.stderr.close()

    assert process.wait(timeout=60) == 141
    assert err == ""


@pytest.mark.fault(11)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_interrupted(
    number: int, code: int, start: Callable, plugin_environment: dict[str, str], tmp_path: Path
) -> None:
    """Ctrl-C and SIGTERM end a run cleanly: nothing committed, the lease given back, the report written."""
    (tmp_path / "recipe.yaml").write_text(RECIPE.format("endless"))
    process = start("run", "recipe.yaml", "--log-format", "json", "--report", "r.json", env=plugin_environment)
    for line in process.stderr:
        if json.loads(line)["event"] == "RowsMoved":
            break

    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    last = json.loads(err.splitlines()[-1])

    assert (process.returncode, out) == (code, "")
    assert last["event"] == "Failed"
    assert last["message"] == f"interrupted by {signal.Signals(number).name}"
    assert json.loads((tmp_path / "r.json").read_text())["exit_code"] == code
    assert "lease" not in json.loads((tmp_path / ".arrowload/state/endless.json").read_text())
