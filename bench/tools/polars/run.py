"""Polars: its streaming engine on files; Postgres by `read_database_uri` with ConnectorX, which is faster than ADBC."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import polars as pl

TYPES = {"BIGINT": pl.Int64, "INTEGER": pl.Int32, "VARCHAR": pl.String, "DATE": pl.Date}


def main() -> None:
    job, stage = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    if job == "csv_to_parquet":
        csv(stage).sink_parquet(parquet_file(stage), compression="zstd")
    elif job == "csv_to_duckdb":
        into_duckdb(stage, csv(stage))
    elif job.endswith("_to_parquet"):
        postgres(stage, stage["cores"]).write_parquet(parquet_file(stage), compression="zstd")
    elif job.startswith("postgres_to_arrow"):
        print(postgres(stage, 2 if job.endswith("_2") else 1).height)
    else:
        print(refusal(job), file=sys.stderr)
        sys.exit(3)


def csv(stage: dict) -> pl.LazyFrame:
    return pl.scan_csv(stage["csv"], schema={name: polars_type(sql) for name, sql in stage["types"].items()})


def polars_type(sql: str) -> pl.DataType | type[pl.DataType]:
    decimal = re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", sql)
    return pl.Decimal(int(decimal[1]), int(decimal[2])) if decimal else TYPES[sql]


def postgres(stage: dict, connections: int) -> pl.DataFrame:
    """The table, read by connections that share out the range of its first column."""
    query = f"SELECT * FROM {stage['source_table']}"
    split = {"partition_on": next(iter(stage["types"])), "partition_num": connections} if connections > 1 else {}
    return pl.read_database_uri(query, stage["dsn"], engine="connectorx", **split)


def parquet_file(stage: dict) -> Path:
    out = Path(stage["parquet_out"])
    out.mkdir(exist_ok=True)
    return out / "rows.parquet"


def into_duckdb(stage: dict, rows: pl.LazyFrame) -> None:
    """DuckDB reads the batches as an Arrow stream while Polars makes them."""
    import duckdb

    with duckdb.connect(stage["duckdb"]) as connection:
        connection.register("batches", rows.collect_batches(chunk_size=122_880, lazy=True))
        connection.execute(f"CREATE TABLE {stage['target_table']} AS FROM batches")


def refusal(job: str) -> str:
    if job == "help":
        return "Polars is a library and has no command line"
    if job.endswith("_to_postgres"):
        return "Polars has no Postgres writer of its own: `write_database` hands the rows to ADBC or SQLAlchemy"
    return "Polars has no Postgres reader of its own and writes no DuckDB: ConnectorX and DuckDB would do it all"


main()
