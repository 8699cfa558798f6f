"""The ADBC driver for Postgres by hand, and what takes its streams; numerics come as text and are cast by DuckDB."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow as pa
from adbc_driver_postgresql import dbapi


def main() -> None:
    job, stage = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    if job in ("csv_to_postgres", "parquet_to_postgres"):
        ingest(job, stage)
        return
    if job not in ("postgres_to_arrow", "postgres_to_duckdb", "ten_rows", "wide_to_duckdb"):
        print("the driver reads and writes Postgres, nothing else")
        sys.exit(3)
    with dbapi.connect(stage["dsn"]) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {stage['source_table']}")
        reader = cursor.fetch_record_batch()
        if job == "postgres_to_arrow":
            print(sum(batch.num_rows for batch in reader))
        else:
            into_duckdb(stage, reader)


def into_duckdb(stage: dict, reader: pa.RecordBatchReader) -> None:
    import duckdb

    plain = [pa.field(f.name, getattr(f.type, "storage_type", f.type)) for f in reader.schema]
    batches = (
        pa.RecordBatch.from_arrays([getattr(c, "storage", c) for c in batch.columns], schema=pa.schema(plain))
        for batch in reader
    )
    rows = pa.RecordBatchReader.from_batches(pa.schema(plain), batches)
    decimals = {name: sql for name, sql in stage["types"].items() if sql.startswith("DECIMAL")}
    items = ", ".join(f"{n}::{decimals[n]} AS {n}" if n in decimals else n for n in rows.schema.names)
    with duckdb.connect(stage["duckdb"]) as connection:
        connection.register("arrow_rows", rows)
        connection.execute(f"CREATE TABLE {stage['target_table']} AS SELECT {items} FROM arrow_rows")


def ingest(job: str, stage: dict) -> None:
    if job == "csv_to_postgres":
        from pyarrow import csv

        arrow = {"BIGINT": pa.int64(), "INTEGER": pa.int32(), "VARCHAR": pa.string(), "DATE": pa.date32()}
        types = {n: arrow.get(sql, pa.decimal128(15, 2)) for n, sql in stage["types"].items()}
        rows = csv.open_csv(stage["csv"], convert_options=csv.ConvertOptions(column_types=types))
    else:
        import pyarrow.parquet as pq

        file = pq.ParquetFile(stage["parquet"])
        rows = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches())
    with dbapi.connect(stage["dsn"]) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(stage["target_table"], rows, mode="append")
        connection.commit()


main()
