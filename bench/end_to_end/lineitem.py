"""TPC-H lineitem through whole `arrowload run` processes: time, memory, and every value compared."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from tests.postgres_server import running_postgres

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postgres_server import PostgresDatabase

DATA = Path(__file__).parents[1] / "data"

# Clause 1.4.1 of the TPC-H specification.
POSTGRES_TABLE = """
CREATE TABLE {name} (
  l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL, l_suppkey bigint NOT NULL, l_linenumber integer NOT NULL,
  l_quantity numeric(15,2) NOT NULL, l_extendedprice numeric(15,2) NOT NULL, l_discount numeric(15,2) NOT NULL,
  l_tax numeric(15,2) NOT NULL, l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL,
  l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL,
  l_shipinstruct char(25) NOT NULL, l_shipmode char(10) NOT NULL, l_comment varchar(44) NOT NULL)
"""
TYPES = {
    **dict.fromkeys(("l_orderkey", "l_partkey", "l_suppkey"), "BIGINT"),
    "l_linenumber": "INTEGER",
    **dict.fromkeys(("l_quantity", "l_extendedprice", "l_discount", "l_tax"), "DECIMAL(15,2)"),
    **dict.fromkeys(("l_returnflag", "l_linestatus"), "VARCHAR"),
    **dict.fromkeys(("l_shipdate", "l_commitdate", "l_receiptdate"), "DATE"),
    **dict.fromkeys(("l_shipinstruct", "l_shipmode", "l_comment"), "VARCHAR"),
}
CSV_TYPES = {name: kind.lower() for name, kind in TYPES.items() if kind.startswith("DECIMAL")}


@dataclass(frozen=True)
class Measured:
    """One run of one job."""

    job: str
    rows: int
    wall_s: float
    cpu_s: float
    peak_mib: float
    different_rows: int

    def line(self) -> str:
        verdict = "every value equal" if self.different_rows == 0 else f"{self.different_rows} ROWS DIFFER"
        return (
            f"{self.job:<22} {self.wall_s:7.1f} s wall {self.cpu_s:7.1f} s CPU {self.peak_mib:7.0f} MiB peak"
            f" {self.rows / self.wall_s:>10,.0f} rows/s   {verdict}"
        )


class Stage:
    """The data, the server and a scratch folder that the jobs work with."""

    def __init__(self, folder: Path, database: PostgresDatabase, rows: int | None) -> None:
        self.folder = folder
        self.database = database
        self.csv = folder / "lineitem.csv"
        self._make_csv(rows)

    def load_postgres(self) -> None:
        """Fill the source table from the CSV, by the server itself."""
        self.database.execute(POSTGRES_TABLE.format(name="lineitem"))
        self.database.execute(f"COPY lineitem FROM '{self.csv}' (FORMAT csv, HEADER true)")
        self.database.execute("VACUUM ANALYZE lineitem")

    def exported(self, table: str) -> str:
        """The rows of a Postgres table as DuckDB reads them from the server's own CSV, char(n) with its padding."""
        file = self.folder / f"{table}.exported.csv"
        columns = ", ".join(f"rpad({n}::text, {w}) AS {n}" if (w := padding(n)) else n for n in TYPES)
        self.database.execute(f"COPY (SELECT {columns} FROM {table}) TO '{file}' (FORMAT csv, HEADER true)")
        return f"read_csv('{file}', header = true, columns = {TYPES})"

    def _make_csv(self, rows: int | None) -> None:
        made = DATA / "lineitem.csv"
        if not made.exists():
            DATA.mkdir(parents=True, exist_ok=True)
            program = Path(sys.executable).with_name("tpchgen-cli")
            subprocess.run([program, "csv", "-s", "1", "--tables", "lineitem", "--output-dir", DATA], check=True)
        if rows is None:
            shutil.copyfile(made, self.csv)
        else:
            with made.open() as source, self.csv.open("w") as target:
                target.writelines(line for _, line in zip(range(rows + 1), source, strict=False))


def padding(column: str) -> int:
    return {"l_returnflag": 1, "l_linestatus": 1, "l_shipinstruct": 25, "l_shipmode": 10}.get(column, 0)


@dataclass(frozen=True)
class Job:
    """A recipe without its name and state, and SQL for DuckDB that gives the rows of source and of destination."""

    source: Callable[[Stage], dict[str, Any]]
    destination: Callable[[Stage], dict[str, Any]]
    expected: Callable[[Stage], str]
    found: Callable[[Stage], str]


def postgres_source(stage: Stage) -> dict[str, Any]:
    return {"type": "postgres", "dsn": stage.database.dsn, "table": "lineitem"}


def duckdb_destination(stage: Stage) -> dict[str, Any]:
    return {"type": "duckdb", "path": str(stage.folder / "target.duckdb"), "table": "lineitem"}


def csv_rows(stage: Stage) -> str:
    return f"read_csv('{stage.csv}', header = true, columns = {TYPES})"


JOBS = {
    "postgres_to_duckdb": Job(
        postgres_source,
        duckdb_destination,
        lambda stage: stage.exported("lineitem"),
        lambda _: "target.lineitem",
    ),
    "postgres_to_parquet": Job(
        postgres_source,
        lambda stage: {"type": "parquet", "path": str(stage.folder / "parquet")},
        lambda stage: stage.exported("lineitem"),
        lambda stage: f"read_parquet('{stage.folder}/parquet/*.parquet')",
    ),
    "postgres_to_postgres": Job(
        postgres_source,
        lambda stage: {"type": "postgres", "dsn": stage.database.dsn, "table": "lineitem_copy"},
        lambda stage: stage.exported("lineitem"),
        lambda stage: stage.exported("lineitem_copy"),
    ),
    "csv_to_duckdb": Job(
        lambda stage: {"type": "csv", "path": str(stage.csv), "columns": CSV_TYPES},
        duckdb_destination,
        csv_rows,
        lambda _: "target.lineitem",
    ),
}


def measure(name: str, stage: Stage) -> Measured:
    """Run one job in a process of its own, and compare."""
    job = JOBS[name]
    recipe = {
        "name": name,
        "source": job.source(stage),
        "destination": job.destination(stage),
        "state": {"type": "local", "path": str(stage.folder / "state")},
    }
    file, report = stage.folder / f"{name}.json", stage.folder / f"{name}.report.json"
    file.write_text(json.dumps(recipe))
    command = [str(Path(sys.executable).with_name("arrowload")), "run", str(file), "--report", str(report)]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = process.stderr.read() if process.stderr else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.monotonic() - started
    if process.returncode:
        raise SystemExit(f"{name} failed with {process.returncode}:\n{said}")
    figures = json.loads(report.read_text())
    return Measured(
        job=name,
        rows=figures["rows_written"],
        wall_s=wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        # Not of `usage`: that counts what this process held when it forked.
        peak_mib=figures["peak_memory_bytes"] / 2**20,
        different_rows=different_rows(job, stage),
    )


def different_rows(job: Job, stage: Stage) -> int:
    """How many rows only one side has; every column counts, each in its exact type."""
    columns = ", ".join(TYPES)
    target = stage.folder / "target.duckdb"
    with duckdb.connect() as connection:
        if target.exists():
            connection.execute(f"ATTACH '{target}' AS target (READ_ONLY)")
        connection.execute(f"CREATE TABLE expected AS SELECT {columns} FROM {job.expected(stage)}")
        connection.execute(f"CREATE VIEW found AS SELECT {columns} FROM {job.found(stage)}")
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM (FROM expected EXCEPT ALL FROM found))"
            " + (SELECT count(*) FROM (FROM found EXCEPT ALL FROM expected))"
        ).fetchall()
    target.unlink(missing_ok=True)
    return int(counts[0][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", nargs="*", metavar="JOB", help="all when none is named")
    parser.add_argument("--rows", type=int, help="only so many rows")
    arguments = parser.parse_args()
    jobs = arguments.jobs or list(JOBS)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="arrowload-bench-")))
        folder.chmod(0o777)
        stage = Stage(folder, stack.enter_context(running_postgres()).create_database(), arguments.rows)
        if any(name.startswith("postgres") for name in jobs):
            stage.load_postgres()
        measured = [measure(name, stage) for name in jobs]
    for line in measured:
        print(line.line())
    sys.exit(any(line.different_rows for line in measured))


if __name__ == "__main__":
    main()
