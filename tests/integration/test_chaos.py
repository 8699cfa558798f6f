"""`arrowload chaos` kills runs for real, cleans up after itself, and can find a flaw."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.moto_server import MotoServer
    from tests.postgres_server import PostgresDatabase

ROWS = 3000
RUN = """
import sys
from arrowload.cli.main import main
from tests.faults import defects
if sys.argv[1]:
    getattr(defects, sys.argv[1])()
del sys.argv[1]
main()
"""


def recipe(
    kind: str, folder: Path, postgres: PostgresDatabase, mode: str = "append", bucket: dict[str, Any] | None = None
) -> dict[str, Any]:
    source = folder / "source.duckdb"
    if not source.exists():
        with duckdb.connect(str(source)) as connection:
            connection.execute(f"CREATE TABLE t AS SELECT range AS id, 'row ' || range AS name FROM range({ROWS})")
    places: dict[str, dict[str, Any]] = {
        "duckdb": {"type": "duckdb", "path": str(folder / "own.duckdb"), "table": "t"},
        "postgres": {"type": "postgres", "table": "t", **postgres.keys},
        "parquet": {"type": "parquet", "path": str(folder / "own")},
        "parquet in S3": {"type": "parquet", **(bucket or {})},
        "memory": {"type": "memory", "name": "own"},
    }
    keys = {"merge_keys": ["id"]} if mode == "merge" else {}
    return {
        "name": "killed",
        "source": {
            "type": "duckdb",
            "path": str(source),
            "table": "t",
            "incremental": {"strategy": "cursor", "cursor_column": "id"},
        },
        "destination": {**places[kind], "write_mode": mode, **keys},
        "runtime": {"commit_every": 1000},
    }


def chaos(folder: Path, of: dict[str, Any], *options: str, defect: str = "") -> subprocess.CompletedProcess[str]:
    """The command line, in a process of its own that has touched no driver."""
    (folder / "recipe.json").write_text(json.dumps(of))
    command = [sys.executable, "-c", RUN, defect, "chaos", str(folder / "recipe.json"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("duckdb", "append"),
        pytest.param("postgres", "append", marks=pytest.mark.slow),
        ("postgres", "merge"),
        ("parquet", "append"),
        pytest.param("parquet in S3", "append", marks=pytest.mark.slow),
    ],
)
def test_killed_runs_leave_every_row_once(
    tmp_path: Path, postgres: PostgresDatabase, moto: MotoServer, kind: str, mode: str
) -> None:
    """The recipe's own target, ledger and state are not touched, and nothing is left behind."""
    name = moto.make_bucket()
    bucket = {"path": f"s3://{name}/own", "aws": moto.keys}
    done = chaos(tmp_path, recipe(kind, tmp_path, postgres, mode, bucket), "--kills", "4", "--seed", "1")

    assert done.returncode == 0, done
    assert re.fullmatch(r"killed: exact: \d+ kills in \d+ runs, \d+ loads of 3,000 rows, \d+ s\n", done.stdout)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["recipe.json", "source.duckdb"]
    assert "Contents" not in moto.client("s3").list_objects_v2(Bucket=name)
    if kind == "postgres":
        left = "SELECT count(*) FROM information_schema.schemata WHERE schema_name LIKE '%chaos%'"
        assert postgres.value(left) == 0
        assert [postgres.value(f"SELECT count(*) FROM _arrowload.{name}") for name in ("fence", "loads", "seen")] == [
            0,
            0,
            0,
        ]


def test_a_flaw_is_found(tmp_path: Path, postgres: PostgresDatabase) -> None:
    """With a planted defect: a commit without an answer counts as done, and rows are committed before their entry."""
    flawed = recipe("postgres", tmp_path, postgres)
    del flawed["source"]["incremental"], flawed["runtime"]
    for seed in range(10):
        done = chaos(tmp_path, flawed, "--kills", "12", "--seed", str(seed), defect="rows_before_entry")
        if done.returncode:
            break

    assert done.returncode == 70, done
    assert "flaws: " in done.stdout


def test_what_has_no_scratch_target_is_refused(tmp_path: Path, postgres: PostgresDatabase) -> None:
    """By name."""
    done = chaos(tmp_path, recipe("memory", tmp_path, postgres), "--kills", "1")

    assert done.returncode == 70
    assert "no targets that can be thrown away" in done.stderr
