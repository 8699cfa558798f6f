"""What the jobs need: the data, the Postgres server, a scratch folder; and stage.json, which tells a tool where."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from bench.jobs import BASE, MANY
from bench.tables import ACCOUNTS, CHANGES, LINEITEM, LINEITEM_ROWS, TEN, WIDE, Table
from tests.postgres_server import PostgresDatabase, running_postgres

if TYPE_CHECKING:
    from types import TracebackType

    from bench.jobs import Job

BENCH = Path(__file__).parent
DATA = BENCH / "data"
SCRATCH = BENCH / ".scratch"

# What a server that keeps its promises has; memory and WAL are sized so that no checkpoint falls into a run.
SETTINGS = {
    "shared_buffers": "2GB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "autovacuum": "off",
}

# What a reader of Parquet that knows nothing of DuckDB 2.0's own storage can open.
_STORAGE_VERSION = "v1.0.0"


class Stage:
    """The server, the tables and the files of one invocation; a context, since it cleans up behind itself.

    Args:
        rows: Of lineitem; the other tables keep their share. None is all, at scale 1.
    """

    def __init__(self, rows: int | None) -> None:
        self.rows = min(rows or LINEITEM_ROWS, LINEITEM_ROWS)
        whole = self.rows == LINEITEM_ROWS
        self.wide_rows = 2_000_000 if whole else max(self.rows // 3, 1)
        self.account_rows = 1_500_000 if whole else max(self.rows // 4, 20)
        self._stack = ExitStack()
        self._made: set[str] = set()

    def __enter__(self) -> Stage:
        SCRATCH.mkdir(exist_ok=True)
        DATA.mkdir(exist_ok=True)
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=SCRATCH)))
            self.server = stack.enter_context(running_postgres(SETTINGS))
            self.server.psql("postgres", "CREATE DATABASE bench TEMPLATE template0")
            self.database = PostgresDatabase(self.server, "bench")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @cached_property
    def postmaster(self) -> int:
        """Process id of the server."""
        return int((self.server.folder / "data" / "postmaster.pid").read_text().split()[0])

    @property
    def run_folder(self) -> Path:
        """Where a run may leave what it likes; emptied before each."""
        return self.folder / "run"

    @property
    def duckdb_file(self) -> Path:
        return self.run_folder / "target.duckdb"

    @property
    def parquet_out(self) -> Path:
        return self.run_folder / "out"

    def source_rows(self, job: Job) -> int:
        """How many rows the job reads."""
        rows = {"lineitem": self.rows, "wide": self.wide_rows, "changes": self.account_rows // 20 * 2, "ten": 10}
        return 0 if job.source == "none" else rows[job.table.name] * job.repeat

    # What a job needs, made once.

    def prepare(self, job: Job) -> None:
        """Make what the job reads, and read it once, so that no run is the first to."""
        if job.source == "postgres":
            self._source_table(job.table)
            if job.repeat > 1:
                self._once(
                    "view",
                    f"CREATE VIEW {job.source_table} AS SELECT l.* FROM generate_series(1, {MANY}) AS g, lineitem l",
                )
            self.export(f"SELECT * FROM {job.table.name}", Path(os.devnull), "binary")
        elif job.source != "none":
            for file in (self.csv, self.parquet) if job.source == "parquet" else (self.csv,):
                _read_through(file)
        if job.target_is == "base":
            self._source_table(BASE)
        if job.name == "parquet_to_postgres":
            _read_through(self.copy_binary)

    def _source_table(self, table: Table) -> None:
        if table.name in self._made:
            return
        target = "accounts_base" if table is BASE else table.name
        self.database.execute(table.ddl(target))
        if table.select is None:
            self._psql(f"COPY {target} FROM STDIN (FORMAT csv, HEADER true)", stdin=self.csv)
        else:
            rows = {WIDE.name: self.wide_rows, TEN.name: 10}.get(table.name, self.account_rows)
            self.database.execute(f"INSERT INTO {target} {table.select.replace('{rows}', str(rows))}")
        self.database.execute(f"VACUUM (FREEZE, ANALYZE) {target}")
        self._made.add(table.name)

    def _once(self, key: str, sql: str) -> None:
        if key not in self._made:
            self.database.execute(sql)
            self._made.add(key)

    # Files, kept in bench/data from one invocation to the next.

    @cached_property
    def csv(self) -> Path:
        """Lineitem as CSV: of `tpchgen-cli`, or its first rows."""
        whole = DATA / "lineitem.csv"
        if not whole.exists():
            _tpchgen("csv")
        if self.rows == LINEITEM_ROWS:
            return whole
        part = DATA / f"lineitem_{self.rows}.csv"
        if not part.exists():
            with whole.open() as source, _being_made(part).open("w") as target:
                target.writelines(islice(source, self.rows + 1))
            _being_made(part).rename(part)
        return part

    @cached_property
    def parquet(self) -> Path:
        """The same rows as Parquet: of `tpchgen-cli`, or written by DuckDB."""
        whole = DATA / "lineitem.parquet"
        if self.rows == LINEITEM_ROWS:
            if not whole.exists():
                _tpchgen("parquet")
            return whole
        part = DATA / f"lineitem_{self.rows}.parquet"
        if not part.exists():
            with duckdb.connect() as connection:
                rows = f"SELECT * FROM read_csv('{self.csv}', header = true, columns = {LINEITEM.types})"
                connection.execute(f"COPY ({rows}) TO '{_being_made(part)}' (FORMAT parquet)")
            _being_made(part).rename(part)
        return part

    @cached_property
    def copy_binary(self) -> Path:
        """The same rows as the server writes them with `COPY … (FORMAT binary)`."""
        file = DATA / f"lineitem_{self.rows}.copy"
        if not file.exists():
            self._source_table(LINEITEM)
            self.export("SELECT * FROM lineitem", _being_made(file), "binary")
            _being_made(file).rename(file)
        return file

    # Before each run.

    def fresh(self, job: Job) -> Path:
        """Put everything back to where a run begins: targets gone, or as the job finds them; nothing left to write.

        Returns:
            stage.json of the run.
        """
        shutil.rmtree(self.run_folder, ignore_errors=True)
        self.run_folder.mkdir()
        self._drop_what_runs_left()
        if job.target == "postgres" and job.target_is == "empty":
            self.database.execute(job.table.ddl(job.target_table))
        if job.target == "postgres" and job.target_is == "base":
            self.database.execute(
                f"{BASE.ddl()}; INSERT INTO accounts TABLE accounts_base; ALTER TABLE accounts ADD PRIMARY KEY (id)"
            )
        if job.target == "duckdb" and job.target_is == "base":
            shutil.copyfile(self._duckdb_base, self.duckdb_file)
        if job.target == "postgres" and job.target_is != "absent":
            self.database.execute(f"VACUUM ANALYZE {job.target_table}")
        self.database.execute("CHECKPOINT")
        os.sync()
        return self._description(job)

    def _drop_what_runs_left(self) -> None:
        """Every table and schema that is not the stage's own."""
        kept = ("lineitem", "lineitem_many", "wide", "ten", "changes", "accounts_base")
        self.database.execute(
            f"""
            DO $$ DECLARE statement text; BEGIN
              FOR statement IN
                SELECT format('DROP TABLE IF EXISTS %I.%I CASCADE', schemaname, tablename) FROM pg_tables
                WHERE schemaname = 'public' AND tablename NOT IN {kept}
                UNION ALL
                SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace
                WHERE nspname NOT IN ('public', 'information_schema') AND nspname NOT LIKE 'pg\\_%'
              LOOP EXECUTE statement; END LOOP;
            END $$
            """
        )

    @cached_property
    def _duckdb_base(self) -> Path:
        """A DuckDB file with the base of a merge in it, in a format that DuckDB 1.x opens as well."""
        file, rows = self.folder / "base.duckdb", self.folder / "base.csv"
        self.export("SELECT * FROM accounts_base", rows, "csv, HEADER true")
        columns = ", ".join(f"{c.name} {c.duckdb} {c.constraint}" for c in BASE.columns)
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"ATTACH '{file}' AS base (STORAGE_VERSION '{_STORAGE_VERSION}')")
            connection.execute(f"CREATE TABLE base.main.accounts ({columns}, PRIMARY KEY (id))")
            connection.execute(f"INSERT INTO base.main.accounts FROM {exported_rows(rows, BASE)}")
            connection.execute("DETACH base")
        return file

    def _description(self, job: Job) -> Path:
        files: dict[str, Any] = {}
        if job.source in ("csv", "parquet"):
            files["csv"] = str(self.csv)
        if job.source == "parquet":
            files |= {"parquet": str(self.parquet), "copy_binary": str(self.copy_binary)}
        description = {
            "dsn": self.database.dsn,
            "bindir": str(self.server.bindir),
            "schema": "public",
            "source_table": job.source_table,
            "target_table": job.target_table,
            "duckdb": str(self.duckdb_file),
            "parquet_out": str(self.parquet_out),
            **files,
            "types": job.table.types,
            "keys": ["id"],
            "cursor": "updated_at",
            "rows": self.source_rows(job),
            "cores": len(os.sched_getaffinity(0)),
        }
        file = self.run_folder / "stage.json"
        file.write_text(json.dumps(description, indent=1))
        return file

    # The server's own word.

    def export(self, select: str, file: Path, form: str) -> None:
        """Write the rows of a query as the server's own COPY gives them."""
        with file.open("wb") as out:
            self._psql(f"COPY ({select}) TO STDOUT (FORMAT {form})", stdout=out)

    def _psql(self, statement: str, *, stdin: Path = Path(os.devnull), stdout: Any = subprocess.DEVNULL) -> None:
        command = [
            self.server.bindir / "psql",
            "-XAqt",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            self.database.dsn,
            "-c",
            statement,
        ]
        with stdin.open("rb") as given:
            done = subprocess.run(command, stdin=given, stdout=stdout, stderr=subprocess.PIPE, check=False, cwd="/")
        if done.returncode:
            raise RuntimeError(f"psql failed: {done.stderr.decode(errors='replace').strip()}")

    def expected_query(self, key: str) -> tuple[str, Table]:
        """The rows that are right, as a query for the server, and their columns."""
        if key == "merged":
            self._source_table(CHANGES)
            self._source_table(ACCOUNTS)
            names = ACCOUNTS.names
            unchanged = (
                f"SELECT {names} FROM accounts_base b WHERE NOT EXISTS (SELECT FROM changes c WHERE c.id = b.id)"
            )
            return f"SELECT {names} FROM changes UNION ALL {unchanged}", ACCOUNTS
        table = {"lineitem": LINEITEM, "wide": WIDE, "ten": TEN}[key]
        self._source_table(table)
        return f"SELECT {table.names} FROM {table.name}", table


def exported_rows(file: Path, table: Table, types: dict[str, str] | None = None) -> str:
    """A DuckDB relation of what the server exported as CSV: an empty field is NULL, a quoted one is an empty text.

    Args:
        file: The CSV.
        table: Its columns.
        types: Of the columns, where they are not the table's.
    """
    parallel = "false" if table.quoted_newlines else "true"
    return (
        f"read_csv('{file}', header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"',"
        f" nullstr = '', allow_quoted_nulls = false, parallel = {parallel}, columns = {types or table.types})"
    )


def _tpchgen(form: str) -> None:
    program = Path(sys.executable).with_name("tpchgen-cli")
    subprocess.run([program, form, "-s", "1", "--tables", "lineitem", "--output-dir", DATA], check=True)


def _being_made(file: Path) -> Path:
    return file.with_name(f"{file.name}.part")


def _read_through(file: Path) -> None:
    with file.open("rb") as stream:
        while stream.read(1 << 24):
            pass
