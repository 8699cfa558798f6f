"""What a careful person writes by hand for one table: psycopg's COPY, pgpq, MERGE INTO, ON CONFLICT."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psycopg


def main() -> None:
    job, stage = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    jobs = {"parquet_to_postgres": pgpq, "merge_to_duckdb": merge_duckdb, "merge_to_postgres": merge_postgres}
    if job not in jobs:
        print("nobody wrote it")
        sys.exit(3)
    jobs[job](stage)


def pgpq(stage: dict) -> None:
    """Decimals become float8: pgpq has no numeric."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pgpq import ArrowToPostgresBinaryEncoder

    file = pq.ParquetFile(stage["parquet"])
    schema = pa.schema(
        [pa.field(f.name, pa.float64() if pa.types.is_decimal(f.type) else f.type) for f in file.schema_arrow]
    )
    encoder = ArrowToPostgresBinaryEncoder(schema)
    names = ", ".join(schema.names)
    types = {n: "float8" for n, f in zip(schema.names, schema, strict=True) if f.type == pa.float64()}
    columns = ", ".join(f"{n} {types.get(n, stage['types'][n])}" for n in schema.names)
    with psycopg.connect(stage["dsn"]) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE staging ({columns})")
        with cursor.copy(f"COPY staging ({names}) FROM STDIN (FORMAT binary)") as copy:
            copy.write(encoder.write_header())
            for batch in file.iter_batches():
                copy.write(encoder.write_batch(batch.cast(schema)))
            copy.write(encoder.finish())
        cursor.execute(f"INSERT INTO {stage['target_table']} ({names}) SELECT {names} FROM staging")


def merge_duckdb(stage: dict) -> None:
    """The changes as the server's CSV, read by DuckDB."""
    import duckdb

    names = list(stage["types"])
    file = Path("changes.csv")
    with psycopg.connect(stage["dsn"]) as connection, connection.cursor() as cursor, file.open("wb") as out:
        cursor.execute("SET TimeZone = 'UTC'")
        with cursor.copy(f"COPY {stage['source_table']} TO STDOUT (FORMAT csv, HEADER true)") as copy:
            for piece in copy:
                out.write(piece)
    changed = ", ".join(f"{name} = s.{name}" for name in names if name not in stage["keys"])
    with duckdb.connect(stage["duckdb"]) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"MERGE INTO {stage['target_table']} AS t USING"
            f" read_csv('{file}', header = true, columns = {stage['types']}) AS s ON t.id = s.id"
            f" WHEN MATCHED THEN UPDATE SET {changed} WHEN NOT MATCHED THEN INSERT BY NAME"
        )


def merge_postgres(stage: dict) -> None:
    """COPY to COPY within one process, then ON CONFLICT."""
    names = list(stage["types"])
    columns = ", ".join(names)
    changed = ", ".join(f"{name} = excluded.{name}" for name in names if name not in stage["keys"])
    target = stage["target_table"]
    with psycopg.connect(stage["dsn"]) as read, psycopg.connect(stage["dsn"]) as write:
        write.execute(f"CREATE TEMPORARY TABLE staging (LIKE {target})")
        with (
            read.cursor().copy(f"COPY {stage['source_table']} ({columns}) TO STDOUT (FORMAT binary)") as source,
            write.cursor().copy(f"COPY staging ({columns}) FROM STDIN (FORMAT binary)") as sink,
        ):
            for piece in source:
                sink.write(piece)
        write.execute(
            f"INSERT INTO {target} ({columns}) SELECT {columns} FROM staging"
            f" ON CONFLICT ({', '.join(stage['keys'])}) DO UPDATE SET {changed}"
        )


main()
