"""The jobs: what each moves from where to where, which rows are right, and what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.tables import ACCOUNTS, CHANGES, LINEITEM, TEN, WIDE, Table

Source = Literal["postgres", "csv", "parquet", "none"]
Target = Literal["nowhere", "duckdb", "parquet", "postgres", "help"]

MANY = 10
"""How often the view of the memory jobs repeats lineitem."""


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        name: As on the command line and in the tool's `run.py`.
        about: One line for the report.
        source, target: Where rows come from and go to; `nowhere`: the tool prints how many there were; `help`: none.
        table: The source's columns.
        source_table: Its name in Postgres.
        target_table: The name of the result in DuckDB or Postgres.
        target_is: Before each run the target is not there (`absent`), an empty table, or the base of a merge.
        expected: Which rows are right, a key of `Stage.expected`.
        repeat: Each of them comes so often.
        usual: Run when no job is named.
    """

    name: str
    about: str
    source: Source
    target: Target
    table: Table = LINEITEM
    source_table: str = "lineitem"
    target_table: str = "lineitem"
    target_is: Literal["absent", "empty", "base"] = "absent"
    expected: str = "lineitem"
    repeat: int = 1
    usual: bool = True


_JOBS = (
    Job("postgres_to_arrow", "Postgres → Arrow batches, thrown away, 1 connection", "postgres", "nowhere"),
    Job("postgres_to_arrow_2", "Postgres → Arrow batches, thrown away, 2 connections", "postgres", "nowhere"),
    Job("postgres_to_duckdb", "Postgres → DuckDB file", "postgres", "duckdb"),
    Job("postgres_to_parquet", "Postgres → Parquet, zstd", "postgres", "parquet"),
    Job(
        "postgres_to_postgres",
        "Postgres → a new Postgres table",
        "postgres",
        "postgres",
        target_table="lineitem_copy",
    ),
    Job(
        "wide_to_duckdb",
        "wide mixed table → DuckDB file",
        "postgres",
        "duckdb",
        table=WIDE,
        source_table="wide",
        target_table="wide",
        expected="wide",
    ),
    Job(
        "wide_to_parquet",
        "wide mixed table → Parquet, zstd",
        "postgres",
        "parquet",
        table=WIDE,
        source_table="wide",
        target_table="wide",
        expected="wide",
    ),
    Job("csv_to_duckdb", "CSV → DuckDB file", "csv", "duckdb", expected="lineitem_csv"),
    Job("csv_to_parquet", "CSV → Parquet, zstd", "csv", "parquet", expected="lineitem_csv"),
    Job(
        "csv_to_postgres",
        "CSV → an empty, logged Postgres table",
        "csv",
        "postgres",
        target_table="lineitem_copy",
        target_is="empty",
    ),
    Job(
        "parquet_to_postgres",
        "Parquet → an empty, logged Postgres table",
        "parquet",
        "postgres",
        target_table="lineitem_copy",
        target_is="empty",
    ),
    Job(
        "merge_to_duckdb",
        "a tenth of changed and new rows → DuckDB table, merged by key",
        "postgres",
        "duckdb",
        table=CHANGES,
        source_table="changes",
        target_table="accounts",
        target_is="base",
        expected="merged",
    ),
    Job(
        "merge_to_postgres",
        "a tenth of changed and new rows → Postgres table, merged by key",
        "postgres",
        "postgres",
        table=CHANGES,
        source_table="changes",
        target_table="accounts",
        target_is="base",
        expected="merged",
    ),
    Job(
        "ten_rows",
        "ten rows, Postgres → a new DuckDB file, whole process",
        "postgres",
        "duckdb",
        table=TEN,
        source_table="ten",
        target_table="ten",
        expected="ten",
    ),
    Job("help", "the command line's help, whole process", "none", "help", expected="none"),
    Job(
        "memory_to_duckdb",
        f"a view of lineitem, {MANY} times over → DuckDB file, max_memory 512 MiB",
        "postgres",
        "duckdb",
        source_table="lineitem_many",
        target_table="lineitem_many",
        repeat=MANY,
        usual=False,
    ),
    Job(
        "memory_to_parquet",
        f"a view of lineitem, {MANY} times over → Parquet, max_memory 512 MiB",
        "postgres",
        "parquet",
        source_table="lineitem_many",
        target_table="lineitem_many",
        repeat=MANY,
        usual=False,
    ),
)

JOBS = {job.name: job for job in _JOBS}

BASE = ACCOUNTS
"""What a merge finds in its target."""
