"""The ADBC driver for Postgres, and what takes its Arrow stream; numerics come as text and are cast exactly."""

from __future__ import annotations

import json
import re
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
    elif job in ("postgres_to_duckdb", "wide_to_duckdb", "memory_to_duckdb", "ten_rows"):
        into_duckdb(stage)
    elif job in ("postgres_to_parquet", "wide_to_parquet", "memory_to_parquet"):
        into_parquet(stage)
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


def into_duckdb(stage: dict) -> None:
    """DuckDB reads the stream as it comes, and casts what is numeric."""
    import duckdb

    casts = [f"{name}::{sql} AS {name}" for name, sql in stage["types"].items() if sql.startswith("DECIMAL")]
    with (
        dbapi.connect(stage["dsn"]) as source,
        source.cursor() as cursor,
        duckdb.connect(stage["duckdb"]) as target,
    ):
        cursor.execute(f"SELECT * FROM {stage['source_table']}")
        target.register("arrow_rows", cursor.fetch_record_batch())
        rows = f"SELECT * REPLACE ({', '.join(casts)}) FROM arrow_rows"
        target.execute(f"CREATE TABLE {stage['target_table']} AS {rows}")


def into_parquet(stage: dict) -> None:
    """By pyarrow, whose cast to a decimal refuses digits that do not fit."""
    import pyarrow.parquet as pq

    out = Path(stage["parquet_out"])
    out.mkdir(exist_ok=True)
    with dbapi.connect(stage["dsn"]) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {stage['source_table']}")
        rows = cursor.fetch_record_batch()
        schema = pa.schema([pa.field(f.name, decimal(stage["types"][f.name]) or f.type) for f in rows.schema])
        with pq.ParquetWriter(out / "rows.parquet", schema, compression="zstd") as writer:
            for batch in rows:
                columns = [
                    column.storage.cast(field.type) if pa.types.is_decimal(field.type) else column
                    for column, field in zip(batch.columns, schema, strict=True)
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def decimal(sql: str) -> pa.DataType | None:
    found = re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", sql)
    return pa.decimal128(int(found[1]), int(found[2])) if found else None


def csv(stage: dict) -> pa.RecordBatchReader:
    from pyarrow import csv

    arrow = {"BIGINT": pa.int64(), "INTEGER": pa.int32(), "VARCHAR": pa.string(), "DATE": pa.date32()}
    types = {name: decimal(sql) or arrow[sql] for name, sql in stage["types"].items()}
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
    if job == "postgres_to_postgres":
        return "the driver reads numerics as text and cannot write them into numeric columns again; see psql and hand"
    return "the driver appends and does not merge; see hand"


main()
