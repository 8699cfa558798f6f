"""The ADBC driver for Postgres, and what takes its Arrow stream; numerics come as text, which DuckDB casts exactly."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
from adbc_driver_postgresql import dbapi


def main() -> None:
    job, stage = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    if job == "postgres_to_arrow":
        print(count(stage["dsn"], f"SELECT * FROM {stage['source_table']}"))
    elif job == "postgres_to_arrow_2":
        with ThreadPoolExecutor(2) as pool:
            print(sum(pool.map(lambda half: count(stage["dsn"], half), halves(stage))))
    elif job.startswith(("postgres_to_", "wide_to_", "memory_to_", "ten_rows")) and not job.endswith("_postgres"):
        export(job, stage)
    elif job in ("csv_to_postgres", "parquet_to_postgres"):
        ingest(stage, csv(stage) if job.startswith("csv_") else parquet(stage))
    else:
        print(refusal(job), file=sys.stderr)
        sys.exit(3)


def count(dsn: str, query: str) -> int:
    with dbapi.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return sum(batch.num_rows for batch in cursor.fetch_record_batch())


def halves(stage: dict) -> list[str]:
    """The table's rows by the place where they lie."""
    table = stage["source_table"]
    with dbapi.connect(stage["dsn"]) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_relation_size('{table}') / current_setting('block_size')::int / 2")
        (middle,) = cursor.fetchone()
    return [f"SELECT * FROM {table} WHERE ctid {side} '({middle},0)'" for side in ("<", ">=")]


def export(job: str, stage: dict) -> None:
    """DuckDB reads the stream as it comes, casts what is numeric, and writes."""
    import duckdb

    casts = [f"{name}::{sql} AS {name}" for name, sql in stage["types"].items() if sql.startswith("DECIMAL")]
    rows = f"SELECT * REPLACE ({', '.join(casts)}) FROM arrow_rows"
    into_parquet = job.endswith("_to_parquet")
    with (
        dbapi.connect(stage["dsn"]) as source,
        source.cursor() as cursor,
        duckdb.connect(":memory:" if into_parquet else stage["duckdb"]) as target,
    ):
        cursor.execute(f"SELECT * FROM {stage['source_table']}")
        target.register("arrow_rows", cursor.fetch_record_batch())
        if into_parquet:
            out = Path(stage["parquet_out"])
            out.mkdir(exist_ok=True)
            target.execute(f"COPY ({rows}) TO '{out}/rows.parquet' (FORMAT parquet, COMPRESSION zstd)")
        else:
            target.execute(f"CREATE TABLE {stage['target_table']} AS {rows}")


def csv(stage: dict) -> pa.RecordBatchReader:
    from pyarrow import csv

    arrow = {
        "BIGINT": pa.int64(),
        "INTEGER": pa.int32(),
        "DECIMAL(15,2)": pa.decimal128(15, 2),
        "VARCHAR": pa.string(),
        "DATE": pa.date32(),
    }
    types = {name: arrow[sql] for name, sql in stage["types"].items()}
    return csv.open_csv(stage["csv"], convert_options=csv.ConvertOptions(column_types=types))


def parquet(stage: dict) -> pa.RecordBatchReader:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(stage["parquet"])
    return pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches())


def ingest(stage: dict, rows: pa.RecordBatchReader) -> None:
    """Append as it is: the driver sends its own binary form of each Arrow type, which must be the column's."""
    with dbapi.connect(stage["dsn"]) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(stage["target_table"], rows, mode="append")
        connection.commit()


def refusal(job: str) -> str:
    if job == "help":
        return "the driver is a library and has no command line"
    if job in ("csv_to_duckdb", "csv_to_parquet"):
        return "the driver reads and writes Postgres, which this job has none of"
    return "the driver writes the numerics that it reads as text, and merges nothing; see hand"


main()
