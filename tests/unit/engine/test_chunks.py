"""A long load in chunks: each is committed apart, ties stay together, and a run that ends early goes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

import arrowload
from arrowload.connectors.memory.store import store
from arrowload.core import failpoint
from arrowload.core.exceptions import RecipeError, TransientConnectorError
from arrowload.engine.events import Committed, RowsMoved, RunEvent
from arrowload.models.units import ChunkSize

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

pytestmark = pytest.mark.usefixtures("empty_store")


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoint.arm("")


class Databases:
    """A table `t (id, c)` behind a source, and the table `out` behind a DuckDB destination."""

    def __init__(self, kind: str, folder: Path, postgres: PostgresDatabase) -> None:
        self.kind, self.folder, self.postgres = kind, folder, postgres

    def put(self, cursors: list[int | None]) -> None:
        rows = [(i, c) for i, c in enumerate(cursors)]
        if self.kind == "memory":
            store.tables["t"] = pa.table({"id": range(len(cursors)), "c": pa.array(cursors, pa.int64())})
            return
        values = ", ".join(f"({i}, {'NULL' if c is None else c})" for i, c in rows)
        statements = [
            "DROP TABLE IF EXISTS t",
            "CREATE TABLE t (id bigint, c bigint)",
            f"INSERT INTO t VALUES {values}",
        ]
        for statement in statements:
            self.change(statement)

    def change(self, statement: str) -> None:
        if self.kind == "postgres":
            self.postgres.execute(statement)
        else:
            with duckdb.connect(str(self.folder / "source.duckdb")) as connection:
                connection.execute(statement)

    def recipe(self, commit_every: Any, mode: str = "append", **incremental: Any) -> dict[str, Any]:
        sources: dict[str, dict[str, Any]] = {
            "memory": {"type": "memory", "name": "t"},
            "duckdb": {"type": "duckdb", "path": str(self.folder / "source.duckdb"), "table": "t"},
            "postgres": {"type": "postgres", "table": "t", **self.postgres.keys},
        }
        return {
            "name": "r",
            "source": {
                **sources[self.kind],
                "incremental": {"strategy": "cursor", "cursor_column": "c", **incremental},
            },
            "destination": {
                "type": "duckdb",
                "path": str(self.folder / "out.duckdb"),
                "table": "out",
                "write_mode": mode,
                **({"merge_keys": ["id"]} if mode == "merge" else {}),
            },
            "runtime": {"commit_every": commit_every, "batch_size": 3},
            "state": {"type": "local", "path": str(self.folder / "state")},
        }

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.folder / "out.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def ids(self) -> list[int]:
        return [number for (number,) in self.ask("SELECT id FROM out ORDER BY id")]

    def windows(self) -> list[tuple[str | None, str | None, int]]:
        return self.ask('SELECT "lower", "upper", rows_written FROM _arrowload.loads ORDER BY generation, seq')


@pytest.fixture(params=["memory", "duckdb", "postgres"])
def databases(request: pytest.FixtureRequest, tmp_path: Path, postgres: PostgresDatabase) -> Databases:
    return Databases(request.param, tmp_path, postgres)


def test_chunks_follow_one_another(databases: Databases) -> None:
    """Their windows tile the cursor without a hole, each is a load of its own, and the report counts them all."""
    databases.put(list(range(10)))
    committed: list[Committed] = []
    moved: list[int] = []

    def watch(event: RunEvent) -> None:
        if isinstance(event, Committed):
            committed.append(event)
        if isinstance(event, RowsMoved):
            moved.append(event.rows_staged)

    report = arrowload.run(databases.recipe(4), subscribers=(watch,))

    assert databases.windows() == [(None, "3", 4), ("3", "7", 4), ("7", "9", 2)]
    assert (report.commits, report.rows_written, report.status) == (3, 10, "committed")
    assert report.load_id == committed[-1].load_id
    assert len({event.load_id for event in committed}) == 3
    assert moved == sorted(moved)
    assert moved[-1] == 10
    assert databases.ids() == list(range(10))
    assert arrowload.run(databases.recipe(4)).status == "up_to_date"


@pytest.mark.fault(19)
def test_rows_of_one_cursor_value_stay_together(databases: Databases) -> None:
    """However many they are; rows that tie with the last chunk and come later are loaded, once."""
    databases.put([1, 1, 1, 1, 1, 2, 2, 3])
    arrowload.run(databases.recipe(2))

    assert [upper for _, upper, _ in databases.windows()] == ["1", "2", "3"]
    assert databases.ids() == list(range(8))
    databases.put([1, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 4])
    arrowload.run(databases.recipe(2))
    assert databases.ids() == list(range(13))


def test_a_run_that_fails_keeps_its_chunks(databases: Databases) -> None:
    """The next run goes on behind the last of them, also where the state was lost."""
    databases.put(list(range(10)))
    failpoint.arm("stage.after=err@3")

    once = databases.recipe(3)
    once["runtime"]["retries"] = {"max_attempts": 1}
    with pytest.raises(TransientConnectorError):
        arrowload.run(once)
    assert databases.ids() == list(range(6))
    failpoint.arm("")
    (databases.folder / "state").rename(databases.folder / "lost")
    report = arrowload.run(databases.recipe(3))

    assert (report.rows_written, report.commits) == (4, 2)
    assert databases.ids() == list(range(10))


def test_a_failure_that_passes_costs_one_chunk(databases: Databases) -> None:
    """The run starts over behind what is committed, and counts what it did before."""
    databases.put(list(range(10)))
    failpoint.arm("stage.after=err@3")

    report = arrowload.run(databases.recipe(3))

    assert (report.attempts, report.commits, report.rows_written) == (2, 4, 10)
    assert (report.rows_read, report.rows_deduplicated) == (13, 3)  # each chunk reads the last tie of the one before
    assert databases.ids() == list(range(10))


@pytest.mark.parametrize("size", ["1h", "1GiB", 1000, "1us", "1B"])
def test_chunks_are_measured_in_rows_bytes_or_seconds(databases: Databases, size: Any) -> None:
    """Whatever the measure, nothing is lost or doubled."""
    databases.put([i // 2 for i in range(50)])

    report = arrowload.run(databases.recipe(size))

    assert report.rows_written == 50
    assert databases.ids() == list(range(50))


def test_a_lag_is_read_again_with_the_first_chunk(databases: Databases) -> None:
    """NULLs too, where they are included: chunks end where the cursor has a value."""
    databases.put([1, None, 2, 3, 4, None, 5, 6])
    arrowload.run(databases.recipe(2, mode="merge", null_cursor="include"))

    assert databases.ids() == list(range(8))
    assert [upper for _, upper, _ in databases.windows()] == ["2", "4", "6"]


def test_an_end_is_not_crossed(databases: Databases) -> None:
    """Rows from `end_value` on are not read, in chunks or without."""
    databases.put([1, 2, 3, 4, 5])
    report = arrowload.run(databases.recipe(2, initial_value=2, end_value=5))

    assert (report.rows_written, databases.ids()) == (3, [1, 2, 3])
    assert arrowload.run(databases.recipe(2, initial_value=2, end_value=5)).rows_written == 0


def test_a_full_refresh_is_one_step(databases: Databases) -> None:
    """Readers must not see the first chunk of it alone."""
    databases.put(list(range(10)))
    arrowload.run(databases.recipe(3))
    report = arrowload.run(databases.recipe(3), full_refresh=True)

    assert (report.commits, report.rows_written) == (1, 10)
    assert any("commit_every" in note for note in report.notes)


def test_files_are_chunks(tmp_path: Path) -> None:
    """Each file that is new or changed can be committed by itself, oldest first."""
    for number in range(4):
        path = tmp_path / f"{number}.csv"
        path.write_text("id\n" + "".join(f"{number * 10 + i}\n" for i in range(5)))
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    recipe = {
        "name": "files",
        "source": {"type": "csv", "path": str(tmp_path / "*.csv"), "incremental": {"strategy": "modified"}},
        "destination": {"type": "duckdb", "path": str(tmp_path / "out.duckdb"), "table": "out"},
        "runtime": {"commit_every": 5},
        "state": {"type": "local", "path": str(tmp_path / "state")},
    }
    report = arrowload.run(recipe)

    assert (report.commits, report.rows_written) == (4, 20)
    assert arrowload.run(recipe).status == "up_to_date"


def test_a_file_that_changes_between_chunks(tmp_path: Path) -> None:
    """Its chunk is empty then and is gone over; the next run loads it as it is now."""

    def write(name: str, ids: range, at: int) -> None:
        (tmp_path / name).write_text("id\n" + "".join(f"{i}\n" for i in ids))
        os.utime(tmp_path / name, (at, at))

    for number in range(3):
        write(f"{number}.csv", range(number * 10, number * 10 + 5), 1_700_000_000 + number)
    recipe = {
        "name": "files",
        "source": {"type": "csv", "path": str(tmp_path / "*.csv"), "incremental": {"strategy": "modified"}},
        "destination": {"type": "duckdb", "path": str(tmp_path / "out.duckdb"), "table": "out"},
        "runtime": {"commit_every": 5},
        "state": {"type": "local", "path": str(tmp_path / "state")},
    }

    def change(event: RunEvent) -> None:
        if isinstance(event, Committed):
            write("1.csv", range(10, 17), 1_700_000_009)

    first = arrowload.run(recipe, subscribers=(change,))
    second = arrowload.run(recipe)

    assert (first.commits, first.rows_written) == (2, 10)
    assert second.rows_written == 7
    with duckdb.connect(str(tmp_path / "out.duckdb")) as connection:
        found = connection.execute("SELECT id FROM out ORDER BY id").fetchall()
    assert [n for (n,) in found] == [*range(5), *range(10, 17), *range(20, 25)]


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
@pytest.mark.parametrize("name", ["v", "n", "t", "marks"])
def test_a_cursor_column_of_any_name(tmp_path: Path, postgres: PostgresDatabase, kind: str, name: str) -> None:
    """Also one that a query of our own uses."""
    databases = Databases(kind, tmp_path, postgres)
    databases.put([1, 1, 2, 3, 3, 3, 4, 5])
    databases.change(f'ALTER TABLE t RENAME COLUMN c TO "{name}"')

    report = arrowload.run(databases.recipe(3, cursor_column=name))

    assert report.commits > 1
    assert databases.ids() == list(range(8))


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_times_before_all_times(tmp_path: Path, postgres: PostgresDatabase, kind: str) -> None:
    """Rows at -infinity are more than a chunk holds, and no bound of one can be there."""
    databases = Databases(kind, tmp_path, postgres)
    databases.put([None] * 5)
    databases.change("ALTER TABLE t ALTER COLUMN c TYPE timestamp USING CAST('-infinity' AS timestamp)")
    databases.change("INSERT INTO t VALUES (5, '2026-01-01'), (6, '2026-01-02'), (7, '2026-01-03')")

    recipe = databases.recipe(2)
    if kind == "postgres":
        recipe["source"]["infinity"] = "null"
    arrowload.run(recipe)

    assert databases.ids() == list(range(8))


def test_numbers_are_sized_over_all_chunks(tmp_path: Path, postgres: PostgresDatabase) -> None:
    """An undeclared numeric of which a later chunk has more digits than the first."""
    databases = Databases("postgres", tmp_path, postgres)
    databases.put([1, 2, 3, 4])
    databases.change("ALTER TABLE t ADD COLUMN amount numeric; UPDATE t SET amount = power(10::numeric, c * 4) + 0.5")

    report = arrowload.run(databases.recipe(1))

    assert report.commits == 4
    assert [str(n) for (n,) in databases.ask("SELECT amount FROM out ORDER BY id")][-1].startswith(
        "10000000000000000.5"
    )


def test_a_chunk_is_not_compared_with_the_load_before(tmp_path: Path, postgres: PostgresDatabase) -> None:
    databases = Databases("memory", tmp_path, postgres)
    databases.put([1, 2])
    recipe = databases.recipe(1) | {"checks": [{"type": "row_count", "change": "20%"}]}

    with pytest.raises(RecipeError, match="a chunk cannot be compared with the load before it"):
        arrowload.run(recipe)


@pytest.mark.parametrize(
    ("written", "is_"),
    [(1_000_000, "1000000 rows"), ("1_000", "1000 rows"), ("64MiB", "64MiB"), ("90s", "90 s"), ("1h30m", "5400 s")],
)
def test_what_a_chunk_is(written: Any, is_: str) -> None:
    """Rows, bytes or a span of time."""
    assert str(ChunkSize.parse(written)) == is_


@pytest.mark.parametrize("written", [0, -1, "0s", "many", True, "", "1.5"])
def test_what_is_no_chunk(written: Any) -> None:
    """Is told from what would be one."""
    with pytest.raises(ValueError, match=r"write one as 1000000 \(rows\), 1GiB or 10m"):
        ChunkSize.parse(written)
