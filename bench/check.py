"""Is the result right: by DuckDB and psql alone. Every value counts; the order of rows does not.

Each column is reduced to the sum of the hashes of its values, and so is each row as a whole. A column of the expected
type is hashed as it is; a column of another type (VARCHAR for a uuid, DECIMAL(38,9) for DECIMAL(15,2)) by a canonical
text, so that it is compared by value.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING

import duckdb

from bench.stage import exported_rows

if TYPE_CHECKING:
    from pathlib import Path

    from bench.jobs import Job
    from bench.measure import Measured
    from bench.stage import Stage
    from bench.tables import Column, Table

RIGHT = "right"
CANNOT = 3
_FLOATS = ("FLOAT", "DOUBLE")
_ALWAYS_BY_TEXT = ("json", "array")
_MOST_FAULTS = 6


class Checker:
    """Compares results with what is right; keeps that, and its sums, for the invocation."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._expected: dict[str, Path] = {}
        self._sums: dict[tuple[str, tuple[bool, ...]], list[int]] = {}

    def prepare(self, job: Job) -> None:
        """Make what is right for the job, outside of any run."""
        if job.target in ("duckdb", "parquet", "postgres"):
            self._expected_file(job)

    def verdict(self, job: Job, run: Measured) -> tuple[str, int | None]:
        """Of a run: `right`, `WRONG: …`, `failed: …` or `cannot: …`; and how many rows there are in its result."""
        if run.timed_out:
            return f"failed: took more than {run.wall_s:.0f} s", None
        if run.exit_code == CANNOT:
            return f"cannot: {run.last_line}", None
        if run.exit_code:
            return f"failed: {run.last_line}", None
        if job.target == "help":
            return (RIGHT, None) if "usage" in run.stdout.lower() else ("WRONG: no usage in what it printed", None)
        if job.target == "nowhere":
            return self._rows_said(job, run)
        try:
            return self._compared(job)
        except (_NoResultError, duckdb.Error) as error:
            return f"WRONG: {str(error).splitlines()[0]}", None

    def _rows_said(self, job: Job, run: Measured) -> tuple[str, int | None]:
        counts = re.findall(r"^(?:COPY )?(\d+)$", run.stdout, re.MULTILINE)
        if not counts:
            return "unchecked: it did not print how many rows it read", None
        rows = sum(map(int, counts))
        return _row_count(rows, self._stage.source_rows(job)) or RIGHT, rows

    def _compared(self, job: Job) -> tuple[str, int]:
        with ExitStack() as stack:
            connection = stack.enter_context(duckdb.connect())
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"ATTACH '{self._expected_file(job)}' AS right_rows (READ_ONLY)")
            table, relation = self._result(job, connection)
            # Without quotes around literals: a relation may be a function call.
            connection.execute(f"CREATE TEMP VIEW found AS FROM {relation}")
            types = {name.lower(): kind for name, kind, *_ in connection.execute("DESCRIBE found").fetchall()}
            comparison = _Comparison(connection, table, types, job.repeat)
            return comparison.verdict(self._sums, job.expected), comparison.rows

    # What is right.

    def _expected_file(self, job: Job) -> Path:
        if job.expected not in self._expected:
            self._expected[job.expected] = self._make_expected(job)
        return self._expected[job.expected]

    def _make_expected(self, job: Job) -> Path:
        file = self._stage.folder / f"right_{job.expected}.duckdb"
        if job.expected == "lineitem_csv":
            rows = f"read_csv('{self._stage.csv}', header = true, columns = {job.table.types})"
        else:
            query, table = self._stage.expected_query(job.expected)
            exported = file.with_suffix(".csv")
            self._stage.export(query, exported, "csv, HEADER true")
            rows = exported_rows(exported, table)
        with duckdb.connect(str(file)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"CREATE TABLE expected AS FROM {rows}")
        file.with_suffix(".csv").unlink(missing_ok=True)
        return file

    # What there is.

    def _result(self, job: Job, connection: duckdb.DuckDBPyConnection) -> tuple[Table, str]:
        if job.target == "duckdb":
            if not self._stage.duckdb_file.exists():
                raise _NoResultError("there is no DuckDB file")
            connection.execute(f"ATTACH '{self._stage.duckdb_file}' AS target (READ_ONLY)")
            return job.table, _table_in_duckdb(connection, job)
        if job.target == "parquet":
            return job.table, f"read_parquet({_parquet_files(self._stage.parquet_out)}, union_by_name = true)"
        return job.table, self._exported_result(job)

    def _exported_result(self, job: Job) -> str:
        """The Postgres table as the server's own CSV; columns of another type than expected are read as text."""
        schema = self._schema_of_result(job)
        found = dict(
            line.split("|", 1)
            for line in self._psql(
                f"SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
                f" WHERE attrelid = '{schema}.{job.target_table}'::regclass AND attnum > 0 AND NOT attisdropped"
            )
        )
        missing = [column.name for column in job.table.columns if column.name not in found]
        if missing:
            raise _NoResultError(f"{missing[0]}: the column is missing")
        floats = {"real": "FLOAT", "double precision": "DOUBLE"}
        types = {c.name: c.duckdb if found[c.name] == c.postgres else "VARCHAR" for c in job.table.columns}
        types |= {name: floats[kind] for name, kind in found.items() if name in types and kind in floats}
        file = self._stage.run_folder / "result.csv"
        query = f'SELECT {job.table.names} FROM "{schema}".{job.target_table}'
        self._stage.export(query, file, "csv, HEADER true")
        return exported_rows(file, job.table, types)

    def _schema_of_result(self, job: Job) -> str:
        schemas = self._psql(
            f"SELECT schemaname FROM pg_tables WHERE tablename = '{job.target_table}' ORDER BY schemaname <> 'public'"
        )
        if not schemas:
            raise _NoResultError(f"there is no table {job.target_table}")
        return schemas[0]

    def _psql(self, sql: str) -> list[str]:
        return self._stage.server.psql(self._stage.database.name, sql).splitlines()


class _NoResultError(Exception):
    """There is nothing to compare."""


def _table_in_duckdb(connection: duckdb.DuckDBPyConnection, job: Job) -> str:
    """The table of the job's name; of several in schemas of the tool's own, that with the most rows."""
    found = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables()"
        " WHERE database_name = 'target' AND lower(table_name) = ? ORDER BY estimated_size DESC, schema_name <> 'main'",
        [job.target_table],
    ).fetchall()
    if not found:
        raise _NoResultError(f"there is no table {job.target_table}")
    return f'target."{found[0][0]}"."{found[0][1]}"'


def _parquet_files(out: Path) -> list[str]:
    """All Parquet files; folders and files that begin with `_` or `.` are the tool's own, by Hive's convention."""
    candidates = [out] if out.is_file() else sorted(out.rglob("*.parquet"))
    files = [
        str(file)
        for file in candidates
        if file.is_file() and not any(part.startswith(("_", ".")) for part in file.relative_to(out).parts)
    ]
    if not files:
        raise _NoResultError("there is no Parquet file")
    return files


class _Comparison:
    """Of the view `found` with `right_rows.expected`, column by column and as rows.

    Attributes:
        rows: How many were found.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, table: Table, types: dict[str, str], repeat: int) -> None:
        self.rows = 0
        self._connection = connection
        self._table = table
        self._types = types
        self._repeat = repeat

    def verdict(self, known: dict[tuple[str, tuple[bool, ...]], list[int]], key: str) -> str:
        """`right`, or what is wrong in each column; `known` holds sums of what is right."""
        missing = [column.name for column in self._table.columns if column.name not in self._types]
        if missing:
            return f"WRONG: {', '.join(missing)}: the column is missing"
        as_it_is = tuple(self._as_it_is(column) for column in self._table.columns)
        if (key, as_it_is) not in known:
            known[key, as_it_is] = self._sums("right_rows.expected", as_it_is, self._table.types)
        rows, *expected = (value * self._repeat for value in known[key, as_it_is])
        self.rows, *found = self._sums("found", as_it_is, self._types)
        wrong_count = _row_count(self.rows, rows)
        if wrong_count:
            return wrong_count
        pairs = zip(self._table.columns, expected, found, strict=False)
        faults = [
            self._fault(column) for column, right, sum_found in pairs if right != sum_found or self._float(column)
        ]
        if faults:
            more = f"; and {len(faults) - _MOST_FAULTS} more columns" if len(faults) > _MOST_FAULTS else ""
            return f"WRONG: {'; '.join(faults[:_MOST_FAULTS])}{more}"
        if expected[-1] != found[-1]:
            return "WRONG: each column has the right values, but rows are mixed up"
        return RIGHT

    def _as_it_is(self, column: Column) -> bool:
        return self._types[column.name] == column.duckdb and column.kind not in _ALWAYS_BY_TEXT

    def _float(self, column: Column) -> bool:
        return column.kind == "decimal" and self._types[column.name] in _FLOATS

    def _sums(self, relation: str, as_it_is: tuple[bool, ...], types: dict[str, str]) -> list[int]:
        """Row count, a sum for each column, and one for the rows."""
        values = [
            column.name if same else canonical(column, types[column.name])
            for column, same in zip(self._table.columns, as_it_is, strict=True)
        ]
        names = [f"v{i}" for i in range(len(values))]
        select = ", ".join(f"{value} AS {name}" for value, name in zip(values, names, strict=True))
        hashes = ", ".join(f"sum(hash({name})::HUGEINT)" for name in [*names, ", ".join(names)])
        (sums,) = self._connection.execute(
            f"SELECT count(*), {hashes} FROM (SELECT {select} FROM {relation})"
        ).fetchall()
        return [int(value or 0) for value in sums]

    def _fault(self, column: Column) -> str:
        """What is wrong in one column, for a reader."""
        if self._float(column):
            return f"{column.name}: decimals are kept as floats"
        expected = canonical(column, column.duckdb)
        found = canonical(column, self._types[column.name])
        if column.padded and not self._differing(f"rtrim({expected})", found):
            return f"{column.name}: padding of char(n) is gone"
        differing = self._differing(expected, found)
        nulls = self._count(f"FROM found WHERE {found} IS NULL") - self._repeat * self._count(
            f"FROM right_rows.expected WHERE {expected} IS NULL"
        )
        detail = f" ({nulls:+,} NULLs)" if nulls else ""
        return f"{column.name}: other values in {differing:,} rows{detail}"

    def _differing(self, expected: str, found: str) -> int:
        """How many of the right values of a column were not found, however often each comes."""
        repeated = f"right_rows.expected, range({self._repeat})"
        return self._count(f"FROM (SELECT {expected} FROM {repeated} EXCEPT ALL SELECT {found} FROM found)")

    def _count(self, rest: str) -> int:
        ((count,),) = self._connection.execute(f"SELECT count(*) {rest}").fetchall()
        return int(count)


def _row_count(found: int, expected: int) -> str | None:
    return None if found == expected else f"WRONG: {found:,} rows in the place of {expected:,}"


def canonical(column: Column, found_type: str) -> str:
    """SQL for the text that stands for a value, whatever type the column was given; NULL where it cannot be had."""
    name = column.name
    text = f"CAST({name} AS VARCHAR)"
    if column.kind in ("integer", "decimal"):
        return f"CASE WHEN contains({text}, '.') THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"
    if column.kind in ("float4", "float8"):
        exact = "FLOAT" if column.kind == "float4" else "DOUBLE"
        return f"CAST(TRY_CAST({name} AS {exact}) AS VARCHAR)"
    if column.kind == "time":
        return f"CAST(epoch_us(TRY_CAST({name} AS TIMESTAMP WITH TIME ZONE)) AS VARCHAR)"
    if column.kind == "boolean":
        return f"CAST(TRY_CAST({name} AS BOOLEAN) AS VARCHAR)"
    if column.kind == "uuid":
        return f"lower(hex({name}))" if found_type == "BLOB" else f"lower(replace({text}, '-', ''))"
    if column.kind == "json":
        return _canonical_json(column, text, found_type)
    if column.kind == "array":
        return f"upper(translate({text}, '{{}} ', '[]'))"
    return text


def _canonical_json(column: Column, text: str, found_type: str) -> str:
    """Without blanks, and with keys in one order; the length tells what `from_json` forgives: other keys, quotes."""
    if found_type not in ("VARCHAR", "JSON"):
        text = f"decode({column.name})" if found_type == "BLOB" else f"CAST(to_json({column.name}) AS VARCHAR)"
    in_order = f"CAST(to_json(from_json({text}, '{column.shape}')) AS VARCHAR)"
    return f"CASE WHEN json_valid({text}) THEN {in_order} || length(CAST(json({text}) AS VARCHAR)) ELSE {text} END"
