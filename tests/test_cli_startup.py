"""`arrowload --help` answers at once: no driver is imported before it is needed."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

START = "from arrowload.cli.start import main; main()"
HEAVY = (
    "pyarrow",
    "polars",
    "duckdb",
    "adbc_driver_manager",
    "adbc_driver_postgresql",
    "msgspec",
    "yaml",
    "jinja2",
    "fsspec",
    "rich",
    "dataclasses",
)
# What a load of a few rows has no use for; pyarrow.compute makes a function for each of its kernels.
UNUSED = (
    "pyarrow.compute",
    "polars",
    "jinja2",
    "rich.console",
    "fsspec",
    "stamina",
    "asyncio",
    "pyarrow.dataset",
    "numpy",
)
CODE = f"""
import json, sys
from arrowload.cli.main import invoke
code = invoke(sys.argv[1:])
print(json.dumps([code, [name for name in {HEAVY!r} if name in sys.modules]]), file=sys.stderr)
"""


def test_help_imports_no_driver() -> None:
    """Neither the group's help nor a command's, nor a call that is wrong."""
    for arguments, expected in ((["--help"], 0), (["run", "--help"], 0), (["run"], 2), (["--version"], 0)):
        done = subprocess.run([sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, check=True)

        assert json.loads(done.stderr.splitlines()[-1]) == [expected, []]


def _until_closed(screen: io.FileIO) -> Iterator[bytes]:
    """What was written; reading from a terminal that nobody writes to any more is an error and not an end."""
    with contextlib.suppress(OSError):
        while data := screen.read(65_536):
            yield data


def test_help_is_drawn_by_rich_on_a_terminal() -> None:
    """With colours there, and without them, and what draws them, anywhere else."""
    for arguments in (["--help"], ["run", "-h"]):
        screen, terminal = pty.openpty()
        with os.fdopen(screen, "rb", buffering=0) as output:
            subprocess.run([sys.executable, "-c", START, *arguments], stdout=terminal, check=True)
            os.close(terminal)
            drawn = b"".join(_until_closed(output))
        piped = subprocess.run([sys.executable, "-c", START, *arguments], stdout=subprocess.PIPE, check=True).stdout

        assert b"\x1b[" in drawn
        assert b"\x1b[" not in piped
        assert b"Options" in drawn
        assert b"Options:" in piped


def test_help_takes_little_time() -> None:
    """0.1 s on an idle machine; counted in CPU time, which other processes do not stretch, and with room to spare."""
    command = [sys.executable, "-c", START, "--help"]

    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    assert min(times) < 0.3


def test_a_small_load_imports_only_what_it_uses(tmp_path: Path) -> None:
    """Parquet to DuckDB and to Parquet, with no step and no template."""
    pq.write_table(pa.table({"id": range(10)}), tmp_path / "ten.parquet")
    targets = ({"type": "duckdb", "path": "out.duckdb", "table": "t"}, {"type": "parquet", "path": "out"})
    for target in targets:
        recipe = {"name": "ten", "source": {"type": "parquet", "path": "ten.parquet"}, "destination": target}
        (tmp_path / "recipe.json").write_text(json.dumps(recipe))
        code = CODE.replace(repr(HEAVY), repr(UNUSED))
        arguments = [sys.executable, "-c", code, "run", str(tmp_path / "recipe.json"), "--full-refresh"]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)

        assert json.loads(done.stderr.splitlines()[-1]) == [0, []]


def test_a_stream_imports_nothing_that_writes(tmp_path: Path) -> None:
    """Neither a destination's driver nor the engine that runs loads."""
    pq.write_table(pa.table({"id": range(10)}), tmp_path / "ten.parquet")
    recipe = {"name": "ten", "source": {"type": "parquet", "path": str(tmp_path / "ten.parquet")}}
    code = (
        f"import sys, arrowload; rows = arrowload.read({recipe!r}).num_rows;"
        f" print(rows, [name for name in {(*UNUSED, 'duckdb', 'arrowload.engine.engine')!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "10 []\n"
