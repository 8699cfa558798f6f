"""Polars: streaming over files, ConnectorX under `read_database_uri` (measured faster than ADBC)."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import polars as pl

TYPES = {"BIGINT": pl.Int64, "INTEGER": pl.Int32, "VARCHAR": pl.String, "DATE": pl.Date}


def polars_type(sql: str) -> pl.DataType | type[pl.DataType]:
    decimal = re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", sql)
    return pl.Decimal(int(decimal[1]), int(decimal[2])) if decimal else TYPES[sql]


def main() -> None:
    job, stage = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    out = Path(stage["parquet_out"])
    if job.startswith("csv_"):
        rows = pl.scan_csv(stage["csv"], schema={name: polars_type(sql) for name, sql in stage["types"].items()})
    if job == "csv_to_parquet":
        out.mkdir(exist_ok=True)
        rows.sink_parquet(out / "rows.parquet", compression="zstd")
    elif job == "csv_to_duckdb":
        import duckdb

        with duckdb.connect(stage["duckdb"]) as connection:
            table = rows.collect(engine="streaming").to_arrow()
            connection.register("arrow_rows", table)
            connection.execute(f"CREATE TABLE {stage['target_table']} AS FROM arrow_rows")
    elif job in ("postgres_to_arrow", "postgres_to_parquet", "wide_to_parquet"):
        frame = pl.read_database_uri(f"SELECT * FROM {stage['source_table']}", stage["dsn"], engine="connectorx")
        if job == "postgres_to_arrow":
            print(frame.height)
        else:
            out.mkdir(exist_ok=True)
            frame.write_parquet(out / "rows.parquet", compression="zstd")
    else:
        print("Polars reads databases and writes files; it writes databases through other drivers alone")
        sys.exit(3)


main()
