"""Somebody looks every ten milliseconds while replaces are killed and begun anew: all old rows or all new, always."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

import arrowload
from arrowload.core.exceptions import DataLoaderError
from tests.faults.processes import run_recipe
from tests.faults.test_kill_everywhere import ParquetTarget, PostgresTarget, Target, World, arrow_rows, target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.test_kill_everywhere import Rows

__all__ = ["target"]  # the fixture

EVERY_S = 0.01
SITES = [
    "stage.before",
    "stage.batch@3",
    "seal.after",
    "finalize.applied",
    "finalize.ledger",
    "finalize.fenced",
    "finalize.after",
]
FILE_SITES = ["finalize.published", "finalize.renamed"]


class Reader(threading.Thread):
    """Reads again and again; keeps what it saw, each sight once."""

    def __init__(self, read: Callable[[], Rows]) -> None:
        super().__init__(daemon=True)
        self._read = read
        self._stopping = threading.Event()
        self.sights: list[Rows] = []
        self.looks = 0

    def run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            rows = sorted(self._read())
            self.looks += 1
            if rows not in self.sights:
                self.sights.append(rows)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def as_readers_do(target: Target) -> Callable[[], Rows]:
    """Of Postgres by SQL; of a folder through its log: a plain glob may see old files until they are swept."""
    if isinstance(target, PostgresTarget):
        return target.rows
    assert isinstance(target, ParquetTarget)
    recipe = {"name": "back", "source": {"type": "parquet", "path": str(target.path)}}

    def read() -> Rows:
        while True:
            try:
                return arrow_rows(arrowload.read(recipe))
            except DataLoaderError:  # what was listed was swept before it was read: an error, and no rows
                time.sleep(EVERY_S)

    return read


@pytest.mark.slow
@pytest.mark.fault(8)
@pytest.mark.parametrize("target", ["postgres", "parquet"], indirect=True)
def test_a_reader_during_killed_replaces(tmp_path: Path, target: Target) -> None:
    """It never sees none of the rows, or some of them, or a mixture."""
    world = World(tmp_path, target, "replace")
    world.start()
    assert run_recipe(world.recipe).exit_code == 0
    whole = [sorted(target.rows())]
    sites = SITES if isinstance(target, PostgresTarget) else SITES + FILE_SITES
    reader = Reader(as_readers_do(target))
    reader.start()
    for number, site in enumerate(sites):
        world.source.put(world.oracle.insert(range(1000 * (number + 1), 1000 * (number + 1) + 20), second=number))
        name, _, at = site.partition("@")
        assert run_recipe(world.recipe, failpoints=f"{name}=kill9@{at or 1}").killed, site
        assert run_recipe(world.recipe).exit_code == 0
        whole.append(sorted(target.rows()))
    reader.stop()

    assert world.differences() == []
    assert [len(sight) for sight in reader.sights if sight not in whole] == []
    assert reader.looks > len(sites)
