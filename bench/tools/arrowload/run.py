"""The project's own program on a recipe for the job; a stream is drained by `drain.py`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

BIN = Path(__file__).parents[3] / ".venv" / "bin"


def source(job: str, stage: dict) -> dict:
    if job.startswith("csv_"):
        decimals = {name: kind.lower() for name, kind in stage["types"].items() if kind.startswith("DECIMAL")}
        return {"type": "csv", "path": stage["csv"], "columns": decimals}
    if job.startswith("parquet_"):
        return {"type": "parquet", "path": stage["parquet"]}
    return {"type": "postgres", "dsn": stage["dsn"], "table": stage["source_table"]}


def destination(job: str, stage: dict) -> dict:
    if job.endswith("_parquet"):
        return {"type": "parquet", "path": stage["parquet_out"], "compression": "zstd"}
    if job.endswith("_postgres"):
        target = {"type": "postgres", "dsn": stage["dsn"], "table": stage["target_table"]}
    else:
        target = {"type": "duckdb", "path": stage["duckdb"], "table": stage["target_table"]}
    if job.startswith("merge_"):
        target |= {"write_mode": "merge", "merge_keys": stage["keys"]}
    return target


def main() -> None:
    job, stage = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    if job == "help":
        os.execv(BIN / "arrowload", ["arrowload", "--help"])
    recipe = {"name": job, "source": source(job, stage), "state": {"type": "local", "path": "state"}}
    runtime = {"max_memory": "512MiB"}
    if "to_arrow" in job:
        recipe["runtime"] = runtime | {"parallelism": 2 if job.endswith("_2") else 1}
    else:
        recipe |= {"destination": destination(job, stage), "runtime": runtime}
    file = Path("recipe.json").absolute()
    file.write_text(json.dumps(recipe))
    if "to_arrow" in job:
        os.execv(BIN / "python", [BIN / "python", Path(__file__).with_name("drain.py"), file])
    os.execv(BIN / "arrowload", ["arrowload", "run", file])


main()
