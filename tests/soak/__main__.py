"""Kills runs of every destination in every write mode, for as long as you like: `python -m tests.soak --kills 500`.

Each run is a process of its own, `python -m arrowload run`, while a writer changes the source. It is killed at a
random moment; one plain run follows, and has to end well. A reader looks at the destination all the while: what it sees
must be what one transaction of the source left, whole, and never older than what it saw before. In the end every row is
compared.

A seed gives the same moments, as shares of what a run usually takes, and the same changes to the source; what a kill
then meets depends on the machine too.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.moto_server import running_moto
from tests.postgres_server import running_postgres
from tests.soak.cell import Cell, Result
from tests.soak.report import flaws, table
from tests.soak.targets import BucketTarget, DuckDBTarget, PostgresTarget, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.moto_server import MotoServer
    from tests.postgres_server import PostgresServer

TARGETS = {"duckdb": DuckDBTarget, "postgres": PostgresTarget, "parquet in S3": BucketTarget}
CELLS = [(name, mode) for name, target in TARGETS.items() for mode in target.modes]


def soak(
    *, kills: int, seed: int, minutes: float, jobs: int, only: str = "", defect: str = ""
) -> tuple[list[Result], list[str]]:
    """Kill `kills` runs, dealt out to the cells whose name contains `only`; what came of each, and all flaws."""
    cells = [cell for cell in CELLS if only in " ".join(cell)]
    until = time.monotonic() + minutes * 60
    told = threading.Lock()

    def run(number: int, name: str, mode: str) -> Result:
        share = kills // len(cells) + (number < kills % len(cells))
        with tempfile.TemporaryDirectory(prefix="arrowload-soak-") as folder:
            target = _target(name, Path(folder), postgres, moto)
            cell = Cell(name, mode, target, postgres.create_database(), Path(folder), f"{seed} {name} {mode}", defect)
            result = cell.soak(share, until)
        with told:
            print(f"{name} {mode}: {result.kills} kills, {len(flaws(result))} flaws", file=sys.stderr, flush=True)
        return result

    with running_postgres() as postgres, running_moto() as moto, ThreadPoolExecutor(jobs) as threads:
        futures = [threads.submit(run, number, *cell) for number, cell in enumerate(cells)]
        results = [future.result() for future in futures]
    return results, [flaw for result in results for flaw in flaws(result)]


def _target(name: str, folder: Path, postgres: PostgresServer, moto: MotoServer) -> Target:
    match name:
        case "duckdb":
            return DuckDBTarget(folder)
        case "postgres":
            return PostgresTarget(postgres.create_database())
        case _:
            return BucketTarget(moto)


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, print what came of it, and return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=500, help="in all")
    parser.add_argument("--minutes", type=float, default=600, help="begin no kill after so many")
    parser.add_argument("--seed", type=int, help="of the moments; printed when it is not given")
    parser.add_argument("--jobs", type=int, default=2, help="cells at once")
    parser.add_argument("--only", default="", help="part of a cell's name, such as `S3` or `postgres merge`")
    parser.add_argument("--defect", default="", help="of tests/faults/defects.py, planted in each run")
    parser.add_argument("--out", type=Path, help="a file for the summary")
    given = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    print(f"seed {seed}", file=sys.stderr, flush=True)
    results, found = soak(
        kills=given.kills, seed=seed, minutes=given.minutes, jobs=given.jobs, only=given.only, defect=given.defect
    )
    summary = "\n".join([f"seed {seed}", "", table(results), "", *(found or ["no flaws"])])
    print(summary)
    if given.out is not None:
        given.out.write_text(summary + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
