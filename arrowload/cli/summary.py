"""What a run did, in the lines that a person reads at its end, and how to look at what it loaded."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from arrowload.cli.text import size, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arrowload.engine.report import RunReport

_STATUS: Final = {
    "committed": "committed",
    "up_to_date": "up to date, nothing new",
    "recovered": "recovered: an earlier run had committed, its state is brought forward",
}


def summary_lines(report: RunReport, look: str | None) -> Iterator[str]:
    """The report in a few lines; `look` is a command that shows the rows."""
    yield f"{report.recipe}: {_STATUS[report.status]}"
    yield (
        f"  rows      {report.rows_read:,} read, {report.rows_written:,} written, {report.rows_filtered:,} filtered,"
        f" {report.rows_deduplicated:,} deduplicated"
        + (f", {report.rows_rejected:,} rejected" if report.rows_rejected else "")
    )
    yield (
        f"  took      {span(report.seconds)}, {report.rows_per_second:,.0f} rows/s, {size(report.bytes_read)} read,"
        f" peak memory {size(report.peak_memory_bytes)}"
        + (f", {report.attempts} attempts" if report.attempts > 1 else "")
    )
    if report.load_id is not None:
        chunks = f", the last of {report.commits} chunks" if report.commits > 1 else ""
        yield f"  load      {report.load_id}{chunks}"
    yield f"  delivery  {report.delivery.replace('_', ' ')}"
    yield f"  from      {report.source}, by {report.route}"
    yield f"  into      {report.destination}, {report.write_mode}"
    if look is not None:
        yield f"  look      {look}"
    for change in report.drift:
        yield f"  drift     {change}"
    for note in report.notes:
        yield f"  note      {note}"


def checked_line(plan: Any) -> str:
    """What `validate` says of a recipe that can be run."""
    columns = len(plan.output_schema.names)
    into = f" → {plan.target.location}, {plan.write_mode}" if plan.target is not None else ""
    delivery = f", {plan.delivery.replace('_', ' ')}" if plan.target is not None else ""
    return f"{plan.recipe}: valid: {plan.source.location}{into}, {columns} columns{delivery}"


def look_command(destination: Any) -> str | None:
    """A command that shows the first rows of what a destination holds; None for kinds that have no such command.

    Args:
        destination: A recipe's `destination`.
    """
    match destination.type if destination is not None else None:
        case "duckdb":
            return _duckdb(nearby(destination.path), f"FROM {destination.table} LIMIT 10")
        case "postgres":
            return _postgres(destination)
        case "parquet" | "csv" as kind if "://" not in destination.path:
            files = str(Path(nearby(destination.path), f"*.{kind}*")).replace("'", "''")
            return _duckdb(None, f"FROM '{files}' LIMIT 10")
    return None


def nearby(path: str) -> str:
    """`path` relative to the working directory when it lies below it."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def _duckdb(path: str | None, query: str) -> str:
    """`query` by the command-line tool where it is installed, else by the Python package, which always is."""
    if shutil.which("duckdb"):
        return shlex.join(["duckdb", *(["-readonly", path] if path else []), "-c", query])
    # JSON's quotes, so that the single quotes of the shell need no escape.
    connection = f"duckdb.connect({json.dumps(path)}, read_only=True)" if path else "duckdb"
    return shlex.join([_python(), "-c", f"import duckdb; {connection}.sql({json.dumps(query)}).show()"])


def _python() -> str:
    """How this interpreter is called: by its plain name when the shell would find the same one."""
    for name in ("python", "python3"):
        found = shutil.which(name)
        if found is not None and Path(found).absolute() == Path(sys.executable).absolute():
            return name
    return nearby(os.path.abspath(sys.executable))  # noqa: PTH100 - `resolve` would leave the virtual environment


def _postgres(config: Any) -> str | None:
    """Through psql, without the password, which psql asks for or finds where libpq does."""
    query = f"SELECT * FROM {config.table} LIMIT 10"
    if config.dsn is not None:
        variable = re.fullmatch(r"\{\{\s*env\.(\w+)\s*\}\}", config.dsn.reference or "")
        return f'psql "${variable[1]}" -c {shlex.quote(query)}' if variable else None
    named = [("-h", config.host), ("-p", config.port), ("-U", config.user), ("-d", config.database)]
    options = [part for flag, value in named if value is not None for part in (flag, str(value))]
    return shlex.join(["psql", *options, "-c", query])
