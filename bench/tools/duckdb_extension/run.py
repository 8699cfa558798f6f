"""DuckDB with its own postgres extension, by ATTACH."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import duckdb


def extension() -> str:
    """The signed binary that the package brings."""
    spec = importlib.util.find_spec("duckdb_extension_postgres_scanner")
    if spec is None or spec.origin is None:
        raise SystemExit("duckdb-extension-postgres-scanner is not installed")
    return str(next(Path(spec.origin).parent.rglob("*.duckdb_extension")))


def main() -> None:
    job, stage = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    source, target = f"pg.public.{stage['source_table']}", stage["target_table"]
    into_file = job.endswith("_to_duckdb") or job == "ten_rows"
    if job == "help":
        print("the extension has no command line")
        sys.exit(3)
    connection = duckdb.connect(stage["duckdb"] if into_file else ":memory:")
    if job.startswith("csv_"):
        rows = f"read_csv('{stage['csv']}', header = true, columns = {stage['types']})"
    elif job.startswith("parquet_"):
        rows = f"read_parquet('{stage['parquet']}')"
    else:
        rows = source
    if rows == source or job.endswith("_postgres"):
        connection.execute(f"LOAD '{extension()}'")
        connection.execute(f"ATTACH '{stage['dsn']}' AS pg (TYPE postgres)")
    if "to_arrow" in job:
        connection.execute(f"SET threads = {2 if job.endswith('_2') else 1}")
        reader = connection.execute(f"FROM {source}").fetch_record_batch(65_536)
        print(sum(batch.num_rows for batch in reader))
    elif job == "merge_to_duckdb":
        changed = [name for name in stage["types"] if name not in stage["keys"]]
        settings = ", ".join(f"{name} = s.{name}" for name in changed)
        connection.execute(
            f"MERGE INTO {target} AS t USING (FROM {source}) AS s ON t.id = s.id"
            f" WHEN MATCHED THEN UPDATE SET {settings} WHEN NOT MATCHED THEN INSERT BY NAME"
        )
    elif job == "merge_to_postgres":
        print("the extension writes by INSERT alone, not by key")
        sys.exit(3)
    elif into_file:
        connection.execute(f"CREATE TABLE {target} AS FROM {rows}")
    elif job.endswith("_parquet"):
        Path(stage["parquet_out"]).mkdir(exist_ok=True)
        connection.execute(
            f"COPY (FROM {rows}) TO '{stage['parquet_out']}/rows.parquet' (FORMAT parquet, COMPRESSION zstd)"
        )
    elif job == "postgres_to_postgres":
        connection.execute(f"CREATE TABLE pg.public.{target} AS FROM {rows}")
    else:
        connection.execute(f"INSERT INTO pg.public.{target} FROM {rows}")
    connection.close()


main()
