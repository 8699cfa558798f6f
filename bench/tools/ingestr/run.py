"""ingestr: the binary of the newest wheel that has one in it; later wheels fetch theirs on first use."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from pathlib import Path

BINARY = Path(sys.executable).with_name("ingestr")
TYPES = {"BIGINT": "bigint", "INTEGER": "int32", "VARCHAR": "string", "DATE": "date"}


def main() -> None:
    job, file = sys.argv[1], Path(sys.argv[2]).absolute()
    stage = json.loads(file.read_text())
    environment = os.environ | {"INGESTR_DISABLE_TELEMETRY": "true"}
    if job == "help":
        os.execve(BINARY, ["ingestr", "--help"], environment)
    if job.startswith("postgres_to_arrow"):
        print("ingestr hands out no Arrow batches, it writes into a destination", file=sys.stderr)
        sys.exit(3)
    if not job.endswith(("_to_postgres", "_to_parquet")):
        environment |= duckdb_driver(file.with_name("adbc"))
    command = ["ingestr", "ingest", "--yes", "--progress=log", "--no-load-timestamp"]
    os.execve(BINARY, [*command, *source(job, stage), *destination(job, stage)], environment)


def source(job: str, stage: dict) -> list[str]:
    if job.startswith("csv_"):
        columns = ",".join(f"{name}:{TYPES.get(kind, kind.lower())}" for name, kind in stage["types"].items())
        return [f"--source-uri=csv://{stage['csv']}", "--source-table=csv", "--no-inference", f"--columns={columns}"]
    if job.startswith("parquet_"):
        return [f"--source-uri=parquet://{stage['parquet']}", "--source-table=parquet"]
    table = f"--source-table={stage['schema']}.{stage['source_table']}"
    # DuckDB's ADBC driver fails on this table in batches that are larger than its vectors.
    page = ["--page-size=2048"] if job == "wide_to_duckdb" else []
    return [f"--source-uri={stage['dsn']}?sslmode=disable", table, *page]


def destination(job: str, stage: dict) -> list[str]:
    if job.endswith("_to_parquet"):
        table = stage["target_table"]
        return [f"--dest-uri=parquet://{stage['parquet_out']}/{table}.parquet", f"--dest-table={table}"]
    if job.endswith("_to_postgres"):
        uri, table = f"{stage['dsn']}?sslmode=disable", f"{stage['schema']}.{stage['target_table']}"
    else:
        uri, table = f"duckdb:///{stage['duckdb']}", f"main.{stage['target_table']}"
    return [f"--dest-uri={uri}", f"--dest-table={table}", *strategy(job, stage)]


def strategy(job: str, stage: dict) -> list[str]:
    if job.startswith("merge_"):
        return ["--incremental-strategy=merge", *(f"--primary-key={key}" for key in stage["keys"])]
    if job in ("csv_to_postgres", "parquet_to_postgres"):
        # The table is there and empty.
        return ["--incremental-strategy=append"]
    return ["--incremental-strategy=replace"]


def duckdb_driver(folder: Path) -> dict[str, str]:
    """Environment that gives it the wheel's DuckDB as ADBC driver, where it would download one.

    The wheel's library is a module of Python's and needs its symbols. Where Python is no shared library, ingestr is
    left to its download.
    """
    library = Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME"))
    module = next(Path(sysconfig.get_path("platlib")).glob("_duckdb.*.so"))
    if library.suffix == ".a" or not library.exists():
        return {}
    folder.mkdir()
    (folder / "duckdb.toml").write_text(
        f"""manifest_version = 1
[Driver]
entrypoint = "duckdb_adbc_init"
shared = "{module}"
"""
    )
    return {"ADBC_DRIVER_PATH": str(folder), "LD_PRELOAD": str(library)}


main()
