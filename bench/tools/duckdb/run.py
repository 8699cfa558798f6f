"""DuckDB alone, on files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb


def main() -> None:
    job, stage = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    rows = f"read_csv('{stage.get('csv')}', header = true, columns = {stage['types']})"
    if job == "csv_to_duckdb":
        with duckdb.connect(stage["duckdb"]) as connection:
            connection.execute(f"CREATE TABLE {stage['target_table']} AS FROM {rows}")
    elif job == "csv_to_parquet":
        Path(stage["parquet_out"]).mkdir(exist_ok=True)
        duckdb.execute(
            f"COPY (FROM {rows}) TO '{stage['parquet_out']}/rows.parquet' (FORMAT parquet, COMPRESSION zstd)"
        )
    else:
        print("DuckDB 2.0 has no postgres extension outside of its own repository; see duckdb_extension")
        sys.exit(3)


main()
