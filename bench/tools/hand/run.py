"""What one writes by hand for one table, knowing all about it: psycopg's COPY, pgpq, MERGE INTO, ON CONFLICT."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psycopg

BINARY = "(FORMAT binary)"
CSV = "(FORMAT csv, HEADER true)"


def main() -> None:
    job, stage = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    scripts = {
        "postgres_to_postgres": postgres_to_postgres,
        "csv_to_postgres": csv_to_postgres,
        "parquet_to_postgres": parquet_to_postgres,
        "merge_to_duckdb": merge_to_duckdb,
        "merge_to_postgres": merge_to_postgres,
    }
    if job not in scripts:
        print(
            "there is no script for it: by hand one would take a driver that has a folder of its own", file=sys.stderr
        )
        sys.exit(3)
    scripts[job](stage)


def postgres_to_postgres(stage: dict) -> None:
    with psycopg.connect(stage["dsn"]) as source, psycopg.connect(stage["dsn"]) as target:
        target.execute(f"CREATE TABLE {stage['target_table']} (LIKE {stage['source_table']})")
        forward(stage, source, target, stage["target_table"])


def forward(stage: dict, source: psycopg.Connection, target: psycopg.Connection, table: str) -> None:
    """COPY out of one connection into another, bytes as they come."""
    columns = names(stage)
    with (
        source.cursor().copy(f"COPY {stage['source_table']} ({columns}) TO STDOUT {BINARY}") as out,
        target.cursor().copy(f"COPY {table} ({columns}) FROM STDIN {BINARY}") as into,
    ):
        for piece in out:
            into.write(piece)


def csv_to_postgres(stage: dict) -> None:
    with (
        psycopg.connect(stage["dsn"]) as connection,
        connection.cursor().copy(f"COPY {stage['target_table']} ({names(stage)}) FROM STDIN {CSV}") as copy,
        Path(stage["csv"]).open("rb") as file,
    ):
        while piece := file.read(1 << 20):
            copy.write(piece)


def parquet_to_postgres(stage: dict) -> None:
    import pyarrow.parquet as pq
    from pgpq import ArrowToPostgresBinaryEncoder

    file = pq.ParquetFile(stage["parquet"])
    encoder = ArrowToPostgresBinaryEncoder(file.schema_arrow)
    columns = ", ".join(file.schema_arrow.names)
    with (
        psycopg.connect(stage["dsn"]) as connection,
        connection.cursor().copy(f"COPY {stage['target_table']} ({columns}) FROM STDIN {BINARY}") as copy,
    ):
        copy.write(encoder.write_header())
        for batch in file.iter_batches():
            copy.write(encoder.write_batch(batch))
        copy.write(encoder.finish())


def merge_to_duckdb(stage: dict) -> None:
    """The changes as the server's CSV: measured as fast as a stream of ADBC's."""
    import duckdb

    file = Path(stage["duckdb"]).with_name("changes.csv")
    query = f"COPY {stage['source_table']} ({names(stage)}) TO STDOUT {CSV}"
    with psycopg.connect(stage["dsn"]) as connection, file.open("wb") as out, connection.cursor().copy(query) as copy:
        out.writelines(copy)
    on = " AND ".join(f"t.{key} = s.{key}" for key in stage["keys"])
    # An empty field is NULL, a quoted one is an empty text.
    rows = (
        f"read_csv('{file}', header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"',"
        f" nullstr = '', allow_quoted_nulls = false, columns = {stage['types']})"
    )
    with duckdb.connect(stage["duckdb"]) as connection:
        connection.execute(
            f"MERGE INTO {stage['target_table']} AS t USING {rows} AS s ON {on}"
            f" WHEN MATCHED THEN UPDATE SET {assignments(stage, 's')} WHEN NOT MATCHED THEN INSERT BY NAME"
        )


def merge_to_postgres(stage: dict) -> None:
    target, columns = stage["target_table"], names(stage)
    with psycopg.connect(stage["dsn"]) as source, psycopg.connect(stage["dsn"]) as connection:
        connection.execute(f"CREATE TEMPORARY TABLE staging (LIKE {target})")
        forward(stage, source, connection, "staging")
        connection.execute(
            f"INSERT INTO {target} ({columns}) SELECT {columns} FROM staging"
            f" ON CONFLICT ({', '.join(stage['keys'])}) DO UPDATE SET {assignments(stage, 'excluded')}"
        )


def names(stage: dict) -> str:
    return ", ".join(stage["types"])


def assignments(stage: dict, alias: str) -> str:
    return ", ".join(f"{name} = {alias}.{name}" for name in stage["types"] if name not in stage["keys"])


main()
