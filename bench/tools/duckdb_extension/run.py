"""DuckDB with its own postgres extension, at the newest version that PyPI has the extension of."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import duckdb


def main() -> None:
    job, stage = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    if job == "help":
        print("DuckDB's Python package has no command line", file=sys.stderr)
        sys.exit(3)
    into_file = job.endswith("_to_duckdb") or job == "ten_rows"
    with duckdb.connect(stage["duckdb"] if into_file else ":memory:") as connection:
        connection.execute(f"SET threads = {1 if job == 'postgres_to_arrow' else stage['cores']}")
        if not job.startswith("csv_") or job.endswith("_postgres"):
            connection.execute(f"LOAD '{extension()}'")
            connection.execute(f"ATTACH '{stage['dsn']}' AS pg (TYPE postgres)")
        run(job, stage, connection)


def extension() -> str:
    """The signed binary that the package brings."""
    package = Path(importlib.util.find_spec("duckdb_extension_postgres_scanner").origin).parent
    return str(next(package.rglob("*.duckdb_extension")))


def run(job: str, stage: dict, connection: duckdb.DuckDBPyConnection) -> None:
    rows, target = source(job, stage), stage["target_table"]
    in_postgres = f"pg.{stage['schema']}.{target}"
    if job.startswith("postgres_to_arrow"):
        print(sum(batch.num_rows for batch in connection.sql(rows).to_arrow_reader(65_536)))
    elif job.startswith("merge_"):
        on = " AND ".join(f"t.{key} = s.{key}" for key in stage["keys"])
        changed = ", ".join(f"{name} = s.{name}" for name in stage["types"] if name not in stage["keys"])
        connection.execute(
            f"MERGE INTO {target if job.endswith('_duckdb') else in_postgres} AS t USING ({rows}) AS s ON {on}"
            f" WHEN MATCHED THEN UPDATE SET {changed} WHEN NOT MATCHED THEN INSERT BY NAME"
        )
    elif job.endswith("_to_parquet"):
        out = Path(stage["parquet_out"])
        out.mkdir(exist_ok=True)
        connection.execute(f"COPY ({rows}) TO '{out}/rows.parquet' (FORMAT parquet, COMPRESSION zstd)")
    elif job == "postgres_to_postgres":
        connection.execute(f"CREATE TABLE {in_postgres} AS {rows}")
    elif job.endswith("_to_postgres"):
        connection.execute(f"INSERT INTO {in_postgres} {rows}")
    else:
        connection.execute(f"CREATE TABLE {target} AS {rows}")


def source(job: str, stage: dict) -> str:
    if job.startswith("csv_"):
        return f"FROM read_csv('{stage['csv']}', header = true, columns = {stage['types']})"
    if job.startswith("parquet_"):
        return f"FROM read_parquet('{stage['parquet']}')"
    return f"FROM pg.{stage['schema']}.{stage['source_table']}"


main()
