"""Files that are many, and files that are cut into parts: every row is loaded once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

import arrowload
from tests.faults.processes import run_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from tests.moto_server import MotoServer

FILES = 1001


def recipe_of(folder: Path, **source: Any) -> dict[str, Any]:
    return {
        "name": "files",
        "source": {"type": "csv", "path": str(folder / "in")} | source,
        "destination": {"type": "duckdb", "path": str(folder / "out.duckdb"), "table": "t"},
        "state": {"type": "local", "path": str(folder / "state")},
    }


def rows(folder: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(folder / "out.duckdb")) as connection:
        return connection.execute("SELECT * FROM t ORDER BY ALL").fetchall()


@pytest.mark.fault(63)
def test_a_thousand_and_one_files(tmp_path: Path) -> None:
    """All are listed, and each is loaded once, though not all are remembered by name."""
    (tmp_path / "in").mkdir()
    for number in range(FILES):
        path = tmp_path / "in" / f"{number}.csv"
        path.write_text(f"n\n{number}\n")
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    recipe = recipe_of(tmp_path, incremental={"strategy": "modified"})

    first = arrowload.run(recipe)
    again = arrowload.run(recipe)
    (tmp_path / "in" / "late.csv").write_text(f"n\n{FILES}\n")
    third = arrowload.run(recipe)

    assert (first.rows_written, again.status, third.rows_written) == (FILES, "up_to_date", 1)
    assert rows(tmp_path) == [(number,) for number in range(FILES + 1)]


@pytest.mark.fault(63)
@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_a_part_that_is_read_before_it_has_its_name_is_read_once(tmp_path: Path, moto: MotoServer, place: str) -> None:
    """The run that wrote a dataset died behind its commit, and the next one moves the part that was read meanwhile."""
    dataset = {"type": "parquet", "path": str(tmp_path / "dataset")}
    if place == "bucket":
        dataset = {"type": "parquet", "path": f"s3://{moto.make_bucket()}/dataset", "aws": moto.keys}
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.csv").write_text("n\n1\n2\n")
    modified = {"incremental": {"strategy": "modified"}}
    writing = recipe_of(tmp_path, **modified) | {"name": "writing", "destination": dataset}
    reading = recipe_of(tmp_path) | {"name": "reading", "source": {**dataset, **modified}}

    killed = run_recipe(writing, failpoints="finalize.published=kill9")
    first = arrowload.run(reading)
    assert run_recipe(writing).exit_code == 0
    again = arrowload.run(reading)

    assert killed.killed
    assert (first.rows_written, again.status) == (2, "up_to_date")
    assert rows(tmp_path) == [(1,), (2,)]


@pytest.mark.slow  # a request for each
@pytest.mark.fault(63)
def test_a_thousand_and_one_objects(tmp_path: Path, moto: MotoServer) -> None:
    """More than a page of the listing: all are found, and each is loaded once."""
    bucket = moto.make_bucket()
    with ThreadPoolExecutor(8) as threads:
        put = moto.client("s3").put_object
        puts = [threads.submit(put, Bucket=bucket, Key=f"in/{n}.csv", Body=f"n\n{n}\n") for n in range(FILES)]
    assert [put.exception() for put in puts if put.exception()] == []
    recipe = recipe_of(tmp_path, path=f"s3://{bucket}/in/", aws=moto.keys, incremental={"strategy": "modified"})

    first = arrowload.run(recipe)
    again = arrowload.run(recipe)

    assert (first.rows_written, again.status) == (FILES, "up_to_date")
    assert rows(tmp_path) == [(number,) for number in range(FILES)]


@pytest.mark.fault(58)
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_splits_change_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """Quotes and line ends stand in the values, in any place that a file may be cut at; one part and many are alike."""
    monkeypatch.setattr("arrowload.connectors.csv.source.MIN_PART", 500)
    text = "\ufeffid,text" + ending
    expected = []
    for number in range(2000):
        value = f'{number}{ending}"x",{ending * (number % 5)}y{number}'
        expected.append((number, value))
        quoted = value.replace('"', '""')
        text += f'{number},"{quoted}"{ending}'
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "f.csv").write_bytes(text.encode())
    hashes = set()
    for parallelism in (1, 2, 7):
        recipe = recipe_of(tmp_path)
        recipe["destination"]["write_mode"] = "replace"
        report = arrowload.run({**recipe, "runtime": {"parallelism": parallelism}})
        hashes.add(report.content_hash)
        assert rows(tmp_path) == expected

    assert len(hashes) == 1
