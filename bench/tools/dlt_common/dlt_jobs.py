"""The jobs by dlt; its folders differ in the backend that reads Postgres."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# Large enough that the cost of a chunk does not show, small enough that a few of them fit into any memory.
CHUNK_ROWS = 100_000


@dataclass(frozen=True)
class Backend:
    """How dlt reads Postgres.

    Attributes:
        name: Of the backend of `sql_table`.
        options: Its `backend_kwargs`.
        partitioned: Its further options to read by as many connections, given the key; None when it has but one.
    """

    name: str
    options: dict[str, Any]
    partitioned: Callable[[str, int], dict[str, Any]] | None = None


def main(backend: Backend) -> None:
    job, file = sys.argv[1], Path(sys.argv[2]).absolute()
    stage = json.loads(file.read_text())
    # Before dlt is imported: it reads them then. Everything it keeps lies beside stage.json.
    os.environ |= settings(job, stage, file.with_name("dlt"))
    if job == "help":
        os.execv(Path(sys.executable).with_name("dlt"), ["dlt", "--help"])
    if job.startswith("postgres_to_arrow"):
        count(job, stage, backend)
    else:
        load(job, stage, backend, file.with_name("dlt"))


def settings(job: str, stage: dict, home: Path) -> dict[str, str]:
    return {
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "DLT_DATA_DIR": str(home),
        "DLT_PROJECT_DIR": str(home),
        "DATA_WRITER__BUFFER_MAX_ITEMS": str(CHUNK_ROWS),
        "LOAD__WORKERS": str(stage["cores"]),
        # Postgres is loaded by a connection a file.
        **({"DATA_WRITER__FILE_MAX_ITEMS": "1000000"} if job.endswith("_to_postgres") else {}),
        **({"DATA_WRITER__COMPRESSION": "zstd"} if job.endswith("_to_parquet") else {}),
    }


def count(job: str, stage: dict, backend: Backend) -> None:
    """Read the table and print how many rows came."""
    connections = 2 if job.endswith("_2") else 1
    if connections > 1 and backend.partitioned is None:
        print(f"dlt reads a table by one connection with its `{backend.name}` backend", file=sys.stderr)
        sys.exit(3)
    print(sum(batch.num_rows for batch in postgres(stage, backend, connections)))


def load(job: str, stage: dict, backend: Backend, home: Path) -> None:
    import dlt

    pipeline = dlt.pipeline(
        job, pipelines_dir=str(home), destination=destination(job, stage), dataset_name=dataset(job, stage)
    )
    if job.startswith("csv_"):
        rows = csv(stage)
    elif job.startswith("parquet_"):
        rows = parquet(stage)
    else:
        # A second connection brought nothing to a load of a million rows.
        rows = postgres(stage, backend, 1)
    rows.apply_hints(table_name=stage["target_table"])
    if job.startswith("merge_"):
        rows.apply_hints(write_disposition={"disposition": "merge", "strategy": "upsert"}, primary_key=stage["keys"])
    pipeline.run(rows, loader_file_format="parquet").raise_on_failed_jobs()


def postgres(stage: dict, backend: Backend, connections: int):
    from dlt.sources.sql_database import sql_table

    options = backend.options
    if connections > 1:
        options = options | backend.partitioned(next(iter(stage["types"])), connections)
    return sql_table(
        # SQLAlchemy 2.1 would take psycopg 3 for a plain `postgresql:`.
        stage["dsn"].replace("postgresql:", "postgresql+psycopg2:", 1),
        table=stage["source_table"],
        schema=stage["schema"],
        backend=backend.name,
        backend_kwargs=options,
        chunk_size=CHUNK_ROWS,
        reflection_level="full_with_precision",
    )


def csv(stage: dict):
    from dlt.sources.filesystem import read_csv_duckdb

    return files(stage["csv"]) | read_csv_duckdb(
        use_pyarrow=True, chunk_size=CHUNK_ROWS, header=True, dtype=stage["types"]
    )


def parquet(stage: dict):
    from dlt.sources.filesystem import read_parquet

    return files(stage["parquet"]) | read_parquet(use_pyarrow=True, chunksize=CHUNK_ROWS)


def files(path: str):
    from dlt.sources.filesystem import filesystem

    return filesystem(bucket_url=Path(path).parent.as_uri(), file_glob=Path(path).name)


def destination(job: str, stage: dict):
    import dlt

    if job.endswith("_parquet"):
        return dlt.destinations.filesystem(bucket_url=Path(stage["parquet_out"]).as_uri())
    if job.endswith("_to_postgres"):
        # dlt wants a password; a server that trusts the user does not ask for it.
        return dlt.destinations.postgres(stage["dsn"].replace("@", ":unused@", 1))
    return dlt.destinations.duckdb(stage["duckdb"])


def dataset(job: str, stage: dict) -> str:
    """The schema of the target: where the other tools write."""
    return stage["schema"] if job.endswith("_to_postgres") else "main"
