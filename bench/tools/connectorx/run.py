"""ConnectorX, and what takes its Arrow stream."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import connectorx as cx

if TYPE_CHECKING:
    import pyarrow as pa


def main() -> None:
    job, stage = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    cores = stage["cores"]
    if job in ("postgres_to_arrow", "postgres_to_arrow_2"):
        print(sum(batch.num_rows for batch in stream(stage, 2 if job.endswith("_2") else 1)))
    elif job in ("postgres_to_duckdb", "wide_to_duckdb", "memory_to_duckdb", "ten_rows"):
        into_duckdb(stage, stream(stage, 1 if job == "ten_rows" else cores))
    elif job in ("postgres_to_parquet", "wide_to_parquet", "memory_to_parquet"):
        into_parquet(stage, stream(stage, cores))
    else:
        print("ConnectorX is a library that reads databases; it writes none, and reads no files", file=sys.stderr)
        sys.exit(3)


def stream(stage: dict, connections: int) -> pa.RecordBatchReader:
    """The table, read by connections that share out the range of its first column."""
    query = f"SELECT * FROM {stage['source_table']}"
    split = {"partition_on": next(iter(stage["types"])), "partition_num": connections} if connections > 1 else {}
    return cx.read_sql(stage["dsn"], query, return_type="arrow_stream", batch_size=65_536, **split)


def into_duckdb(stage: dict, rows: pa.RecordBatchReader) -> None:
    import duckdb

    with duckdb.connect(stage["duckdb"]) as connection:
        connection.register("arrow_rows", rows)
        connection.execute(f"CREATE TABLE {stage['target_table']} AS FROM arrow_rows")


def into_parquet(stage: dict, rows: pa.RecordBatchReader) -> None:
    import pyarrow.parquet as pq

    out = Path(stage["parquet_out"])
    out.mkdir(exist_ok=True)
    with pq.ParquetWriter(out / "rows.parquet", rows.schema, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(batch)


main()
