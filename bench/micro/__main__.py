"""The Python floors, one after the other: `python -m bench.micro`. Each answer is checked before it is timed."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import arrowload
from arrowload import kernels
from arrowload.connectors.memory.store import store
from arrowload.models.loader import RecipeLoader

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 1_000_000
RUNS = 5
RECIPE: dict[str, Any] = {
    "name": "micro",
    "source": {"type": "memory", "name": "micro"},
    "transform": {
        "steps": [
            {"type": "rename_columns", "mapping": {"cust": "customer_id"}},
            {"type": "derive", "columns": {"double": "amount * 2"}},
            {"type": "filter", "where": "id % 2 = 0"},
        ]
    },
}


def seconds(work: Callable[[], object]) -> float:
    """The median of some runs."""
    taken = []
    for _ in range(RUNS):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return median(taken)


def line(name: str, taken: float, rows: int | None = None) -> None:
    """Print one figure."""
    speed = f"{rows / taken:>14,.0f} rows/s" if rows else ""
    print(f"{name:<40} {taken * 1e3:10.2f} ms {speed}")


def table() -> pa.Table:
    """A million rows: whole numbers, decimals, text."""
    numbers = pa.array(range(ROWS), pa.int64())
    amounts = numbers.cast(pa.decimal128(19, 0)).cast(pa.decimal128(21, 2))
    return pa.table({"id": numbers, "amount": amounts, "cust": numbers.cast(pa.string())})


def imports() -> None:
    """A fresh interpreter, with and without us."""
    for name, code in (("python -c pass", "pass"), ("import arrowload", "import arrowload")):
        line(name, seconds(lambda code=code: subprocess.run([sys.executable, "-c", code], check=True)))


def recipes() -> None:
    loader = RecipeLoader()
    if loader.load_mapping(RECIPE).name != "micro":
        raise SystemExit("the recipe lost its name")
    line("load a recipe", seconds(lambda: loader.load_mapping(RECIPE)))


def transforms(rows: pa.Table) -> None:
    store.tables["micro"] = rows
    read = arrowload.read(RECIPE)
    if read.num_rows != ROWS // 2 or read.column_names != ["id", "amount", "customer_id", "double"]:
        raise SystemExit(f"the steps gave {read.num_rows} rows of {read.column_names}")
    line("rename, derive, filter", seconds(lambda: arrowload.read(RECIPE)), ROWS)


def hashes(rows: pa.Table) -> None:
    batch = rows.combine_chunks().to_batches()[0]
    half = [kernels.content_hash(batch.slice(start, ROWS // 2)) for start in (0, ROWS // 2)]
    whole = kernels.content_hash(batch)
    if (half[0][0] + half[1][0], (half[0][1] + half[1][1]) % 2**128) != tuple(whole):
        raise SystemExit("two halves hash to something else than the whole")
    line("kernels.content_hash, 3 columns", seconds(lambda: kernels.content_hash(batch)), ROWS)
    line("kernels.row_hash, 3 columns", seconds(lambda: kernels.row_hash(batch)), ROWS)


def main() -> None:
    """All floors."""
    rows = table()
    imports()
    recipes()
    transforms(rows)
    hashes(rows)


main()
