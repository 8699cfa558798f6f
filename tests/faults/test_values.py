"""Values that do not fit, keys that are missing, bytes that are no text, rows of any shape: exact, or refused whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import arrowload
from tests.faults.processes import run_recipe
from tests.faults.test_kill_everywhere import DuckDBTarget, PostgresTarget, Target, World, target

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["target"]  # the fixture

PLACES = ["duckdb", "postgres", "parquet"]
MEBIBYTE = 2**20


def recipe_of(folder: Path, source: dict[str, Any], destination: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "values",
        "source": source,
        "destination": destination,
        "state": {"type": "local", "path": str(folder / "state")},
    }


def csv(folder: Path, data: bytes, **keys: Any) -> dict[str, Any]:
    (folder / "in.csv").write_bytes(data)
    return {"type": "csv", "path": str(folder / "in.csv"), **keys}


def from_duckdb(folder: Path, query: str) -> dict[str, Any]:
    duckdb.connect(str(folder / "empty.duckdb")).close()
    return {"type": "duckdb", "path": str(folder / "empty.duckdb"), "query": query}


@pytest.mark.fault(52)
@pytest.mark.parametrize("target", ["duckdb", "postgres"], indirect=True)
def test_a_key_that_is_null(tmp_path: Path, target: Target) -> None:
    """Exit 65 with the row, however often it is run, and what is there stays as it is."""
    world = World(tmp_path, target, "merge")
    world.start()
    assert run_recipe(world.recipe).exit_code == 0
    before = sorted(target.rows())
    world.grow()
    with duckdb.connect(str(world.source.path)) as connection:
        connection.execute("INSERT INTO events VALUES (NULL, 1, TIMESTAMPTZ '2026-01-01 00:00:20+00', 0)")

    runs = [run_recipe(world.recipe) for _ in range(2)]

    assert [run.exit_code for run in runs] == [65, 65], runs
    assert all("merge key `uid` is NULL in row" in (run.error or "") for run in runs)
    assert sorted(target.rows()) == before
    with duckdb.connect(str(world.source.path)) as connection:
        connection.execute("DELETE FROM events WHERE uid IS NULL")
    assert (run_recipe(world.recipe).exit_code, world.differences()) == (0, [])


@pytest.mark.fault(54)
@pytest.mark.parametrize(
    ("value", "data_type"),
    [("70000", "int16"), ("-1", "uint32"), ("1.5", "int64"), ("1e300", "float32"), ("123456.789", "decimal(6,2)")],
)
@pytest.mark.parametrize("target", PLACES, indirect=True)
def test_a_number_that_does_not_fit(tmp_path: Path, target: Target, value: str, data_type: str) -> None:
    """The load ends with column, value and row; no row is there."""
    source = from_duckdb(
        tmp_path, f"SELECT i AS id, CASE i WHEN 7 THEN {value}::DOUBLE ELSE 1 END AS v FROM range(10) r(i)"
    )
    recipe = recipe_of(tmp_path, source, target.config("append"))
    recipe["transform"] = {"steps": [{"type": "cast", "columns": {"v": data_type}}]}

    run = run_recipe(recipe)

    assert run.exit_code == 65, run
    assert "column `v`" in (run.error or "")
    assert "in row 8" in (run.error or "")
    assert not exists(target)


@pytest.mark.fault(55)
@pytest.mark.parametrize("what", ["surrogate", "latin-1", "cut character"])
@pytest.mark.parametrize("target", PLACES, indirect=True)
def test_bytes_that_are_no_text(tmp_path: Path, target: Target, what: str) -> None:
    """The load ends with line and column; no row is there."""
    bad = {"surrogate": b"\xed\xa0\x80", "latin-1": b"caf\xe9", "cut character": b"\xf0\x9f\x98"}[what]
    source = csv(tmp_path, b"a,b\n" + b"1,x\n" * 4 + b"2," + bad + b"\n3,y\n", columns={"b": "string"})

    run = run_recipe(recipe_of(tmp_path, source, target.config("append")))

    assert run.exit_code == 65, run
    assert "line 6, column `b`" in (run.error or "")
    assert not exists(target)


@pytest.mark.fault(55)
@pytest.mark.parametrize("target", PLACES, indirect=True)
def test_a_nul_in_a_text(tmp_path: Path, target: Target) -> None:
    """Stored as it is, or, by Postgres, which has no such texts, refused."""
    source = from_duckdb(tmp_path, "SELECT i AS id, 'x' || chr(0) || i AS v FROM range(10) r(i)")

    run = run_recipe(recipe_of(tmp_path, source, target.config("append")))

    if isinstance(target, PostgresTarget):
        assert (run.exit_code, exists(target)) == (65, False), run
        assert "column `v`" in (run.error or "")
    else:
        assert run.exit_code == 0, run.error
        assert sorted(back(target)["v"].to_pylist()) == [f"x\0{i}" for i in range(10)]


@pytest.mark.fault(57)
@pytest.mark.parametrize("target", PLACES, indirect=True)
def test_one_bad_row(tmp_path: Path, target: Target) -> None:
    """In a load of good ones: the load ends with its line, and none of the good ones is there."""
    lines = [b"%d,%d\n" % (i, i) for i in range(5000)]
    lines[4321] = b"4321,many\n"
    source = csv(tmp_path, b"id,v\n" + b"".join(lines), columns={"v": "int64"})
    recipe = recipe_of(tmp_path, source, target.config("append"))
    recipe["runtime"] = {"batch_size": 100}

    run = run_recipe(recipe)

    assert run.exit_code == 65, run
    assert "line 4323, column `v`: `many`" in (run.error or "")
    assert not exists(target)
    lines[4321] = b"4321,4321\n"
    (tmp_path / "in.csv").write_bytes(b"id,v\n" + b"".join(lines))
    assert run_recipe(recipe).exit_code == 0
    assert sorted(back(target)["v"].to_pylist()) == list(range(5000))


@pytest.mark.fault(56)
@pytest.mark.parametrize("target", PLACES, indirect=True)
def test_no_rows(tmp_path: Path, target: Target) -> None:
    """The target is there, with its columns, and the load is in the ledger."""
    source = from_duckdb(tmp_path, "SELECT i AS id, 'x' AS v FROM range(0) r(i)")

    run = run_recipe(recipe_of(tmp_path, source, target.config("append")))

    assert run.exit_code == 0, run.error
    assert exists(target)
    assert (back(target).num_rows, back(target).schema.names) == (0, ["id", "v"])
    assert run.report is not None
    assert run.report["commits"] == 1


@pytest.mark.fault(56)
def test_no_columns(tmp_path: Path) -> None:
    """A file whose rows have nothing in them is refused."""
    pq.write_table(pa.table({"a": [1, 2]}).select([]), tmp_path / "none.parquet")
    source = {"type": "parquet", "path": str(tmp_path / "none.parquet")}

    run = run_recipe(recipe_of(tmp_path, source, DuckDBTarget(tmp_path).config("append")))

    assert run.exit_code == 65, run
    assert "has no columns" in (run.error or "")


@pytest.mark.slow
@pytest.mark.fault(56)
@pytest.mark.parametrize("target", PLACES, indirect=True)
def test_ten_thousand_columns(tmp_path: Path, target: Target) -> None:
    """Stored, by DuckDB with more memory; or, by Postgres, which has room for 1600, refused without a trace."""
    names = ",".join(f"c{i}" for i in range(10_000))
    source = csv(tmp_path, f"{names}\n{','.join(['1'] * 10_000)}\n".encode())
    recipe = recipe_of(tmp_path, source, target.config("append"))

    run = run_recipe(recipe, patience_s=300)

    if isinstance(target, DuckDBTarget):
        assert (run.exit_code, exists(target)) == (78, False), run
        assert "`runtime.max_memory`" in (run.error or "")
        run = run_recipe({**recipe, "runtime": {"max_memory": "1GiB"}}, patience_s=300)
    if isinstance(target, PostgresTarget):
        assert (run.exit_code, exists(target)) == (78, False), run
        assert "1600 columns" in (run.error or "")
    else:
        assert run.exit_code == 0, run.error
        assert back(target).shape == (1, 10_000)


@pytest.mark.slow
@pytest.mark.fault(56)
@pytest.mark.parametrize("target", PLACES, indirect=True)
def test_a_cell_of_256_mebibytes(tmp_path: Path, target: Target) -> None:
    """It arrives whole, within four times its size; by DuckDB, once it may take more memory than by default."""
    source = from_duckdb(tmp_path, f"SELECT 1 AS id, repeat('x', {256 * MEBIBYTE}) AS v")
    recipe = recipe_of(tmp_path, source, target.config("append"))

    run = run_recipe(recipe, patience_s=300)

    if isinstance(target, DuckDBTarget):
        assert (run.exit_code, exists(target)) == (78, False), run
        assert "`runtime.max_memory`" in (run.error or "")
        run = run_recipe({**recipe, "runtime": {"max_memory": "2GiB"}}, patience_s=300)
    assert run.exit_code == 0, run.error
    assert run.report is not None
    assert run.report["peak_memory_bytes"] < 4 * 256 * MEBIBYTE + 200 * MEBIBYTE
    assert len(back(target)["v"][0].as_py()) == 256 * MEBIBYTE


def exists(target: Target) -> bool:
    """Whether a load has made the target."""
    if isinstance(target, PostgresTarget):
        return bool(target.database.query("SELECT 1 AS one FROM pg_tables WHERE tablename = 'events'"))
    if isinstance(target, DuckDBTarget):
        with duckdb.connect(str(target.path)) as connection:
            return bool(connection.execute("FROM duckdb_tables() WHERE table_name = 'events'").fetchall())
    return bool(list(target.path.glob("*.parquet")))  # type: ignore[attr-defined]


def back(target: Target) -> pa.Table:
    """What is in the target."""
    source = {key: value for key, value in target.config("append").items() if key != "write_mode"}
    return arrowload.read({"name": "back", "source": source, "runtime": {"max_memory": "2GiB"}})
