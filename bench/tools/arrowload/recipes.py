"""The recipe of each job."""

from __future__ import annotations

import json
from pathlib import Path


def write_recipe(job: str, stage: dict) -> Path:
    """A recipe for the job in the working directory."""
    recipe = {"name": job, "source": source(job, stage), "state": {"type": "local", "path": "state"}}
    runtime = {"max_memory": "512MiB"}
    if "to_arrow" in job:
        recipe["runtime"] = runtime | {"parallelism": 2 if job.endswith("_2") else 1}
    else:
        recipe |= {"destination": destination(job, stage), "runtime": runtime}
    file = Path("recipe.json").absolute()
    file.write_text(json.dumps(recipe))
    return file


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
