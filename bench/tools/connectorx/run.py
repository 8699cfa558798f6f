"""ConnectorX as an Arrow stream, and what takes one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import connectorx as cx


def main() -> None:
    job, stage = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    query = f"SELECT * FROM {stage['source_table']}"
    if job == "postgres_to_arrow_2":
        table = cx.read_sql(stage["dsn"], query, partition_on="l_orderkey", partition_num=2, return_type="arrow")
        print(table.num_rows)
        return
    if job not in (
        "postgres_to_arrow",
        "postgres_to_duckdb",
        "postgres_to_parquet",
        "wide_to_duckdb",
        "wide_to_parquet",
    ):
        print("ConnectorX reads databases, and writes nothing")
        sys.exit(3)
    stream = cx.read_sql(stage["dsn"], query, return_type="arrow_stream", batch_size=65_536)
    if job == "postgres_to_arrow":
        print(sum(batch.num_rows for batch in stream))
    elif job.endswith("_duckdb"):
        import duckdb

        with duckdb.connect(stage["duckdb"]) as connection:
            connection.register("arrow_rows", stream)
            connection.execute(f"CREATE TABLE {stage['target_table']} AS FROM arrow_rows")
    else:
        import pyarrow.parquet as pq

        Path(stage["parquet_out"]).mkdir(exist_ok=True)
        with pq.ParquetWriter(f"{stage['parquet_out']}/rows.parquet", stream.schema, compression="zstd") as writer:
            for batch in stream:
                writer.write_batch(batch)


main()
