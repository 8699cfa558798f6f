"""Sling: the newest binary that is in a wheel; later ones are fetched on first use."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from pathlib import Path

PACKAGES = Path(sysconfig.get_path("platlib"))
BINARY = PACKAGES / "sling_linux_amd64" / "bin" / "sling-linux-amd64"


def main() -> None:
    job, file = sys.argv[1], Path(sys.argv[2]).absolute()
    stage = json.loads(file.read_text())
    home = file.with_name("sling")
    home.mkdir()
    environment = os.environ | {
        "HOME": str(home),
        "SLING_HOME_DIR": str(home / ".sling"),
        "SLING_DISABLE_TELEMETRY": "TRUE",
        "SLING_LOADED_AT_COLUMN": "FALSE",
        "POSTGRES": f"{stage['dsn']}?sslmode=disable",
        "DUCKDB": f"duckdb:///{stage['duckdb']}",
        "DUCKDB_PATH": str(PACKAGES / "duckdb_cli" / "duckdb"),
    }
    if job == "help":
        os.dup2(1, 2)  # where it writes its help
        os.execve(BINARY, ["sling", "--help"], environment)
    if job.startswith("postgres_to_arrow"):
        print("Sling hands out no Arrow batches, it writes into a target or CSV to its output", file=sys.stderr)
        sys.exit(3)
    extensions(home)
    os.execve(BINARY, ["sling", "run", *source(job, stage), *target(job, stage)], environment)


def source(job: str, stage: dict) -> list[str]:
    if job.startswith("csv_"):
        # Only what it would not infer: columns are mixed up when all of them are given.
        columns = {name: kind.lower() for name, kind in stage["types"].items() if kind.startswith("DECIMAL")}
        return ["--src-stream", f"file://{stage['csv']}", "--columns", json.dumps(columns)]
    if job.startswith("parquet_"):
        return ["--src-stream", f"file://{stage['parquet']}"]
    return ["--src-conn", "POSTGRES", "--src-stream", f"{stage['schema']}.{stage['source_table']}"]


def target(job: str, stage: dict) -> list[str]:
    if job.endswith("_to_parquet"):
        # Without a limit of rows it left out most of a million rows, and ended well all the same.
        options = json.dumps({"format": "parquet", "compression": "zstd", "file_max_rows": 1 << 40})
        return ["--tgt-object", f"file://{stage['parquet_out']}/rows.parquet", "--tgt-options", options]
    if job.endswith("_to_postgres"):
        table = ["--tgt-conn", "POSTGRES", "--tgt-object", f"{stage['schema']}.{stage['target_table']}"]
    else:
        table = ["--tgt-conn", "DUCKDB", "--tgt-object", f"main.{stage['target_table']}"]
    if job.startswith("merge_"):
        return [*table, "--mode", "incremental", "--primary-key", ",".join(stage["keys"])]
    if job in ("csv_to_postgres", "parquet_to_postgres"):
        return [*table, "--mode", "truncate"]
    return [*table, "--mode", "full-refresh"]


def extensions(home: Path) -> None:
    """Put DuckDB's extensions where its command line, which Sling calls, would download them to."""
    for file in PACKAGES.glob("duckdb_extension_*/extensions/*/*.duckdb_extension"):
        folder = home / ".duckdb" / "extensions" / file.parent.name / "linux_amd64"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.name).symlink_to(file)


main()
