"""One row dated 9999-12-31 does not take all later rows with it: it waits until its time comes."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

import arrowload
from arrowload.connectors.memory.store import store
from arrowload.core.exceptions import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

pytestmark = pytest.mark.usefixtures("empty_store")

TODAY = dt.datetime.now(dt.UTC).replace(microsecond=0)
KINDS = {"timestamptz": pa.timestamp("us", "UTC"), "timestamp": pa.timestamp("us"), "date": pa.date32()}


class Source:
    """A table `t (id, at)` in one of three places."""

    def __init__(self, kind: str, cursor: str, folder: Path, postgres: PostgresDatabase) -> None:
        self.kind, self.cursor, self.folder, self.postgres = kind, cursor, folder, postgres
        self.execute(f'CREATE TABLE t (id bigint, "at" {cursor})')

    def execute(self, sql: str) -> None:
        if self.kind == "postgres":
            self.postgres.execute(sql)
        elif self.kind == "duckdb":
            with duckdb.connect(str(self.folder / "t.duckdb")) as connection:
                connection.execute(sql)

    def put(self, number: int, at: dt.datetime) -> None:
        self.execute(f"INSERT INTO t VALUES ({number}, '{at:%Y-%m-%d %H:%M:%S}')")
        if self.kind == "memory":
            kind = KINDS[self.cursor]
            value = (
                at.date() if kind == pa.date32() else at if self.cursor == "timestamptz" else at.replace(tzinfo=None)
            )
            row = pa.table({"id": pa.array([number], pa.int64()), "at": pa.array([value], kind)})
            store.tables["t"] = pa.concat_tables([store.tables["t"], row]) if "t" in store.tables else row

    def recipe(self, **incremental: Any) -> dict[str, Any]:
        places: dict[str, dict[str, Any]] = {
            "memory": {"type": "memory", "name": "t"},
            "duckdb": {"type": "duckdb", "path": str(self.folder / "t.duckdb"), "table": "t"},
            "postgres": {"type": "postgres", "table": "t", **self.postgres.keys},
        }
        cursor = {"strategy": "cursor", "cursor_column": "at", **incremental}
        return {
            "name": "r",
            "source": {**places[self.kind], "incremental": cursor},
            "destination": {"type": "memory", "name": "out"},
            "state": {"type": "local", "path": str(self.folder / "state")},
        }


@pytest.fixture(params=[(kind, cursor) for kind in ("memory", "duckdb", "postgres") for cursor in KINDS], ids=str)
def source(request: pytest.FixtureRequest, tmp_path: Path, postgres: PostgresDatabase) -> Source:
    return Source(*request.param, tmp_path, postgres)


def ids() -> list[int]:
    return sorted(store.tables["out"]["id"].to_pylist())


@pytest.mark.fault(28)
def test_it_waits(source: Source) -> None:
    """Rows that come after it are loaded, and the plan tells of it."""
    source.put(1, TODAY - dt.timedelta(days=5))
    source.put(2, dt.datetime(9999, 12, 31, tzinfo=dt.UTC))
    report = arrowload.run(source.recipe())
    source.put(3, TODAY - dt.timedelta(days=2))
    arrowload.run(source.recipe())

    assert ids() == [1, 3]
    assert any("1 rows wait until their `at` comes; the furthest is 9999-12-31" in note for note in report.notes)
    assert arrowload.run(source.recipe()).rows_written == 0


def test_a_day_ahead_is_the_present(source: Source) -> None:
    """Clocks differ."""
    source.put(1, TODAY)
    source.put(2, TODAY + dt.timedelta(hours=20))
    arrowload.run(source.recipe())

    assert ids() == [1, 2]


def test_it_can_be_an_error_or_be_loaded(source: Source) -> None:
    """As the recipe says; loaded, it is the cursor, and what comes behind it is not seen."""
    source.put(1, TODAY - dt.timedelta(days=5))
    source.put(2, dt.datetime(9999, 12, 31, tzinfo=dt.UTC))
    with pytest.raises(DataError, match="the cursor `at` lies in the future in 1 rows, up to 9999-12-31"):
        arrowload.run(source.recipe(future_cursor="error"))
    arrowload.run(source.recipe(future_cursor="include"))
    source.put(3, TODAY)
    arrowload.run(source.recipe(future_cursor="include"))

    assert ids() == [1, 2]
