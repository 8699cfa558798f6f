"""What the server and its own client need, with no rows looked at: the limit for every other tool."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

BINARY = "(FORMAT binary)"


def main() -> None:
    job, stage = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    psql = f"{stage['bindir']}/psql"
    options = ["-X", "-v", "ON_ERROR_STOP=1", "-d", stage["dsn"]]
    source, target = stage["source_table"], stage["target_table"]
    if job == "help":
        os.execv(psql, ["psql", "--help"])
    elif job == "postgres_to_arrow":
        os.execv(psql, ["psql", *options, "-c", rf"\copy {source} TO /dev/null {BINARY}"])
    elif job == "postgres_to_arrow_2":
        asked = [
            psql,
            *options,
            "-Atc",
            f"SELECT pg_relation_size('{source}') / current_setting('block_size')::int / 2",
        ]
        middle = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        halves = (f"SELECT * FROM {source} WHERE ctid {side} '({middle},0)'" for side in ("<", ">="))
        shell(
            psql,
            options,
            " & ".join(rf"""call -c "\\copy ({half}) TO /dev/null {BINARY}" """ for half in halves) + "& wait",
        )
    elif job == "postgres_to_postgres":
        into = f'-c "CREATE TABLE {target} (LIKE {source})" -c "COPY {target} FROM STDIN {BINARY}"'
        shell(psql, options, f'call -c "COPY {source} TO STDOUT {BINARY}" | call {into}')
    elif job == "csv_to_postgres":
        os.execv(psql, ["psql", *options, "-c", rf"\copy {target} FROM '{stage['csv']}' (FORMAT csv, HEADER true)"])
    elif job == "parquet_to_postgres":
        os.execv(psql, ["psql", *options, "-c", rf"\copy {target} FROM '{stage['copy_binary']}' {BINARY}"])
    elif job == "merge_to_postgres":
        shell(psql, options, f'call -c "COPY {source} TO STDOUT {BINARY}" | call {merge(stage)}')
    else:
        written = "Parquet" if job.endswith("_parquet") else "DuckDB files"
        print(f"psql does not write {written}", file=sys.stderr)
        sys.exit(3)


def merge(stage: dict) -> str:
    columns = list(stage["types"])
    changed = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in stage["keys"])
    target, keys = stage["target_table"], ", ".join(stage["keys"])
    steps = (
        f"CREATE TEMPORARY TABLE staging (LIKE {target})",
        f"COPY staging FROM STDIN {BINARY}",
        f"INSERT INTO {target} SELECT * FROM staging ON CONFLICT ({keys}) DO UPDATE SET {changed}",
    )
    return " ".join(f'-c "{step}"' for step in steps)


def shell(psql: str, options: list[str], script: str) -> None:
    """Become a shell in which `call` is psql with `options`."""
    os.execv("/bin/sh", ["sh", "-c", f'call() {{ "$0" {" ".join(options)} "$@"; }}; {script}', psql])


main()
