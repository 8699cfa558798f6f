"""`arrowload verify` finds one altered, lost or doubled row, in every destination that keeps a ledger."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import arrowload
from arrowload.connectors.memory.store import store
from arrowload.core.exceptions import DataError
from tests.integration.places import places

if TYPE_CHECKING:
    from pathlib import Path

    from tests.moto_server import MotoServer
    from tests.postgres_server import PostgresDatabase

pytestmark = pytest.mark.usefixtures("empty_store")

KINDS = ["duckdb", "postgres", "parquet", "csv", "parquet in S3", "csv in S3"]


class Target:
    """A destination with the table or folder `out`, and a hand that changes it."""

    def __init__(self, kind: str, folder: Path, postgres: PostgresDatabase, moto: MotoServer) -> None:
        self.kind, self.folder, self.postgres, self.moto = kind, folder, postgres, moto
        self.bucket = moto.make_bucket() if "S3" in kind else ""

    def recipe(self, mode: str = "append", *, cursor: bool = True, **destination: Any) -> dict[str, Any]:
        here = places(self.folder, self.postgres) | {
            "parquet in S3": {"type": "parquet", "path": f"s3://{self.bucket}/out", "aws": self.moto.keys},
            "csv in S3": {"type": "csv", "path": f"s3://{self.bucket}/out", "aws": self.moto.keys},
        }
        incremental = {"incremental": {"strategy": "cursor", "cursor_column": "id"}} if cursor else {}
        keys = {"merge_keys": ["id"]} if mode == "merge" else {}
        return {
            "name": "r",
            "source": {"type": "memory", "name": "t", **incremental},
            "destination": {**here[self.kind], "write_mode": mode, **keys, **destination},
            "state": {"type": "local", "path": str(self.folder / "state")},
        }

    def change(self, sql: str) -> None:
        if self.kind == "postgres":
            self.postgres.execute(sql)
        else:
            with duckdb.connect(str(self.folder / "out.duckdb")) as connection:
                connection.execute(sql)


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, tmp_path: Path, postgres: PostgresDatabase, moto: MotoServer) -> Target:
    return Target(request.param, tmp_path, postgres, moto)


def put(ids: range) -> None:
    """Rows with a value of each kind that all destinations store."""
    store.tables["t"] = pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "name": [None if i % 7 == 0 else f'it"s, {i}' for i in ids],
            "price": pa.array([Decimal(i) / 100 for i in ids], pa.decimal128(12, 2)),
            "at": pa.array([dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=i) for i in ids]),
            "day": [dt.date(2026, 1, 1) + dt.timedelta(days=i % 300) for i in ids],
            "ratio": [i / 3 for i in ids],
            "ok": [i % 2 == 0 for i in ids],
        }
    )


def loaded(target: Target) -> dict[str, Any]:
    """Three loads, of a thousand rows each."""
    recipe = target.recipe()
    for end in (1000, 2000, 3000):
        put(range(end))
        assert arrowload.run(recipe).rows_written == 1000
    return recipe


def test_what_was_loaded_is_there(target: Target) -> None:
    """Before the first load, after each, and after all were replaced."""
    put(range(10))
    recipe = target.recipe()
    before = arrowload.verify(recipe)
    loaded(target)
    after = arrowload.verify(recipe)
    arrowload.run(recipe, full_refresh=True)
    refreshed = arrowload.verify(recipe)

    assert (before.verdict, before.findings) == ("verified", ())
    assert after.verdict == "verified"
    assert sum(finding.rows_found for finding in after.findings) == 3000
    assert [load for finding in after.findings for load in finding.loads] == ["1.1", "1.2", "1.3"]
    assert (refreshed.verdict, refreshed.findings[0].loads) == ("verified", ("2.1",))


CHANGES = {
    "altered": "UPDATE out SET name = name || '.' WHERE id = 1234",
    "lost": "DELETE FROM out WHERE id = 1234",
    "doubled": "INSERT INTO out SELECT * FROM out WHERE id = 1234",
    "swapped": "UPDATE out SET ok = NOT ok WHERE id = 1234",
}


@pytest.mark.parametrize("target", ["duckdb", "postgres"], indirect=True)
@pytest.mark.parametrize("change", CHANGES)
def test_one_row_that_differs_is_found(target: Target, change: str) -> None:
    """And the load that brought it is named."""
    recipe = loaded(target)
    target.change(CHANGES[change])
    found = arrowload.verify(recipe)

    assert found.verdict == "differs"
    assert [finding.loads for finding in found.findings if finding.verdict == "differs"] == [("1.2",)]
    assert [finding.verdict for finding in found.findings] == ["verified", "differs", "verified"]


@pytest.mark.parametrize("target", ["duckdb", "postgres"], indirect=True)
def test_loads_are_told_apart_by_text_too(target: Target) -> None:
    """Byte by byte, as the source compares it, whatever the database's collation."""
    recipe = target.recipe()
    recipe["source"]["incremental"]["cursor_column"] = "key"
    names = ["B", "_", "a", "ä", "é"]
    for end in (2, 4, 5):
        store.tables["t"] = pa.table({"key": names[:end], "n": range(end)})
        arrowload.run(recipe)

    whole = arrowload.verify(recipe)
    target.change("""UPDATE "out" SET n = 9 WHERE key = 'a'""")
    found = arrowload.verify(recipe)

    assert whole.verdict == "verified"
    assert found.verdict == "differs"
    assert [finding.verdict for finding in found.findings].count("differs") == 1


@pytest.mark.parametrize("target", ["duckdb", "postgres"], indirect=True)
def test_rows_of_a_lag_belong_to_the_load_that_brought_them(target: Target) -> None:
    """One that came late, below the bound of the load before, is not held against that load."""
    recipe = target.recipe()
    recipe["source"]["incremental"] |= {"cursor_column": "at", "lag": "1h"}
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    rows = [(0, start), (1, start + dt.timedelta(minutes=50))]
    for late in ([], [(2, start + dt.timedelta(minutes=30))], [(3, start + dt.timedelta(minutes=60))]):
        rows += late
        store.tables["t"] = pa.table({"id": [n for n, _ in rows], "at": [at for _, at in rows]})
        arrowload.run(recipe)

    assert arrowload.verify(recipe).verdict == "verified"


@pytest.mark.parametrize("target", ["parquet"], indirect=True)
def test_a_part_that_differs_is_found(target: Target) -> None:
    """A file whose rows are others, though as many bytes; one that is gone is told at once."""
    recipe = loaded(target)
    parts = sorted((target.folder / "out").glob("*.parquet"), key=lambda part: part.stat().st_mtime_ns)
    rows = pq.read_table(parts[1])
    size = parts[1].stat().st_size
    ids = rows["id"].to_pylist()
    changed = rows.set_column(0, "id", pa.array([ids[0] + 5000, *ids[1:]], pa.int64()))
    pq.write_table(changed, parts[1], compression="zstd")
    data = parts[1].read_bytes()
    log = sorted((target.folder / "out" / "_arrowload" / "log").iterdir())
    entry = next(path for path in log if parts[1].name in path.read_text())
    entry.write_text(entry.read_text().replace(f'"bytes":{size}', f'"bytes":{len(data)}'))
    found = arrowload.verify(recipe)

    assert [finding.verdict for finding in found.findings] == ["verified", "differs", "verified"]
    parts[0].unlink()
    with pytest.raises(DataError, match="is not as it was committed"):
        arrowload.verify(recipe)


@pytest.mark.parametrize("target", ["duckdb", "postgres"], indirect=True)
def test_a_merge_is_verified_as_far_as_the_ledger_goes(target: Target) -> None:
    """Its first load like any other; later ones put rows in the place of others, and nobody says that all is well."""
    put(range(100))
    recipe = target.recipe("merge", cursor=False)
    arrowload.run(recipe)
    first = arrowload.verify(recipe)
    put(range(50, 150))
    arrowload.run(recipe)
    second = arrowload.verify(recipe)

    assert first.verdict == "verified"
    assert second.verdict == "unverifiable"
    assert "merge" in (second.findings[0].why or "")


@pytest.mark.parametrize("target", ["duckdb", "postgres"], indirect=True)
def test_all_recipes_that_load_a_table_are_counted(target: Target) -> None:
    """Rows of one are not taken for rows too many of another."""
    put(range(100))
    recipe = target.recipe(cursor=False)
    arrowload.run(recipe)
    arrowload.run({**recipe, "name": "another"})

    assert arrowload.verify(recipe).verdict == "verified"
    assert arrowload.verify({**recipe, "name": "another"}).findings[0].rows_found == 200
