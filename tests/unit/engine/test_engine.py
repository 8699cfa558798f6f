"""Whole runs within one process, for what the parts alone do not show."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

import arrowload
from arrowload.connectors.memory.store import store
from arrowload.core import failpoint
from arrowload.core.batch import ArrowBatch
from arrowload.core.exceptions import DataError, RecipeError, StateError
from arrowload.core.registry import sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("empty_store")


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoint.arm("")


def recipe(folder: Path, mode: str = "append", **source: Any) -> dict[str, Any]:
    return {
        "name": "r",
        "source": {"type": "memory", "name": "t", **source},
        "destination": {
            "type": "memory",
            "name": "out",
            "write_mode": mode,
            **({"merge_keys": ["id"]} if mode == "merge" else {}),
        },
        "state": {"type": "local", "path": str(folder / "state")},
    }


def cursor(column: str = "c", **more: Any) -> dict[str, Any]:
    return {"strategy": "cursor", "cursor_column": column, **more}


def put(name: str = "t", **columns: Any) -> None:
    store.tables[name] = pa.table(columns)


def ids() -> list[int]:
    return sorted(store.tables["out"]["id"].to_pylist())


def test_another_table_behind_the_same_cursor_is_refused(tmp_path: Path) -> None:
    """Its rows below the remembered bound would never be read."""
    put(id=[1, 2], c=[1, 5])
    put("other", id=[7, 8], c=[1, 2])
    arrowload.run(recipe(tmp_path, "merge", incremental=cursor()))

    with pytest.raises(StateError, match="the source is another"):
        arrowload.run(recipe(tmp_path, "merge", name="other", incremental=cursor()))

    report = arrowload.run(recipe(tmp_path, "merge", name="other", incremental=cursor()), full_refresh=True)
    assert (report.status, ids()) == ("committed", [7, 8])


def test_another_cursor_column_is_refused_under_append(tmp_path: Path) -> None:
    """All rows would be loaded again."""
    put(id=[1, 2], c=[1, 5])
    arrowload.run(recipe(tmp_path, incremental=cursor()))

    with pytest.raises(StateError, match="the cursor column is another"):
        arrowload.run(recipe(tmp_path, incremental=cursor("id")))


@pytest.mark.fault(30)
def test_a_longer_lag_is_refused_under_append(tmp_path: Path) -> None:
    """The last run left hashes of fewer rows than would be read again."""
    put(id=[1, 2], c=pa.array([1, 5], pa.timestamp("s")))
    arrowload.run(recipe(tmp_path, incremental=cursor(lag="1s")))

    with pytest.raises(StateError, match="the lag is another"):
        arrowload.run(recipe(tmp_path, incremental=cursor(lag="1h")))

    assert arrowload.run(recipe(tmp_path, incremental=cursor(lag="1s"))).rows_written == 0


@pytest.mark.parametrize("mode", ["append", "merge"])
def test_hold_back_does_not_go_on_from_a_closed_boundary(tmp_path: Path, mode: str) -> None:
    """Rows that tie with the last cursor value were left for a run that reads it again."""
    put(id=[1, 2], c=[1, 2])
    arrowload.run(recipe(tmp_path, mode, incremental=cursor()))
    put(id=[1, 2, 3, 4], c=[1, 2, 2, 3])

    with pytest.raises(StateError, match="the boundary is another since"):
        arrowload.run(recipe(tmp_path, mode, incremental=cursor(boundary="hold_back")))
    arrowload.run(recipe(tmp_path, mode, incremental=cursor()))
    assert ids() == [1, 2, 3, 4]


def test_another_folder_is_read_from_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the first were forgotten by their names, and those of the other are as old."""
    monkeypatch.setattr("arrowload.connectors.files.listing._REMEMBERED", 2)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for n in range(5):
            file = tmp_path / folder / f"{n}.csv"
            file.write_text(f"id\n{n + (10 if folder == 'b' else 0)}\n")
            os.utime(file, (1_700_000_000 + n, 1_700_000_000 + n))
    files = {"type": "csv", "path": str(tmp_path / "a"), "incremental": {"strategy": "modified"}}
    arrowload.run(recipe(tmp_path, "merge") | {"source": files})

    arrowload.run(recipe(tmp_path, "merge") | {"source": files | {"path": [str(tmp_path / "a"), str(tmp_path / "b")]}})

    assert ids() == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]


def test_hashes_that_no_run_left_are_missed(tmp_path: Path) -> None:
    """After a run with `boundary: open` the rows at the bound cannot be told apart."""
    put(id=[1, 2], c=[1, 5])
    arrowload.run(recipe(tmp_path, incremental=cursor(boundary="open")))

    with pytest.raises(StateError, match="left no hashes"):
        arrowload.run(recipe(tmp_path, incremental=cursor()))


def test_a_uuid_is_a_cursor(tmp_path: Path) -> None:
    """Ties at the bound are found again, though Arrow compares no uuids."""
    made = [uuid.UUID(int=n) for n in (1, 2, 2)]
    database = tmp_path / "in.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE t (id BIGINT, c UUID)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", list(enumerate(made)))
    asked = recipe(tmp_path) | {
        "source": {"type": "duckdb", "path": str(database), "table": "t", "incremental": cursor()}
    }
    arrowload.run(asked)
    with duckdb.connect(str(database)) as connection:
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(3, made[-1]), (4, uuid.UUID(int=9))])

    report = arrowload.run(asked)

    assert (report.rows_written, report.rows_deduplicated, ids()) == (2, 2, [0, 1, 2, 3, 4])


def test_the_newest_file_wins_however_many_are_read_at_once(tmp_path: Path) -> None:
    """A merge orders rows by where they stand, not by when they arrive."""
    (tmp_path / "in").mkdir()
    old, new = tmp_path / "in" / "a.csv", tmp_path / "in" / "b.csv"
    old.write_text("id,v\n" + "".join(f"{n},old\n" for n in range(50_000, -1, -1)))
    new.write_text("id,v\n0,new\n")
    os.utime(old, (1_700_000_000, 1_700_000_000))
    asked = recipe(tmp_path, "merge") | {
        "source": {"type": "csv", "path": str(tmp_path / "in" / "*.csv"), "incremental": {"strategy": "modified"}},
        "runtime": {"parallelism": 2},
    }

    arrowload.run(asked)

    rows = store.tables["out"].to_pylist()
    assert [row["v"] for row in rows if row["id"] == 0] == ["new"]


def test_a_source_that_is_used_up_by_reading_loses_nothing(tmp_path: Path) -> None:
    """It is asked once a run, and one without rows and columns is nothing new."""
    waiting = [{"id": [1]}, {"id": [2]}, {"id": [3]}]

    class Queue:
        def read_batches(self, state: Any) -> Iterator[ArrowBatch]:
            while waiting:
                yield ArrowBatch(pa.record_batch(waiting.pop(0)))

    sources.register("test_queue", lambda config: Queue())
    asked = recipe(tmp_path) | {"source": {"type": "test_queue"}}
    asked["transform"] = {"steps": [{"type": "select", "columns": ["id"]}]}

    first, second = arrowload.run(asked), arrowload.run(asked)

    assert (first.rows_written, second.status, ids()) == (3, "up_to_date", [1, 2, 3])


@pytest.mark.parametrize("site", ["release.before", "release.after", "sweep.before"])
def test_what_fails_after_the_state_is_saved_is_a_warning(tmp_path: Path, site: str) -> None:
    """The load is done; an error would invite to do it again."""
    put(id=[1, 2])
    failpoint.arm(f"{site}=err")
    told: list[Any] = []

    report = arrowload.run(recipe(tmp_path), subscribers=(told.append,))

    assert (report.status, ids()) == ("committed", [1, 2])
    assert any("clean-up was left to the next run" in getattr(event, "message", "") for event in told)


def test_a_plan_travels(tmp_path: Path) -> None:
    """As MessagePack, schemas included."""
    put(id=[1, 2])
    plan = arrowload.plan(recipe(tmp_path))

    assert type(plan).from_msgpack(plan.to_msgpack()) == plan


# ---------------------------------------------------------------- a replace that would hurt


def replacing(folder: Path, **destination: Any) -> dict[str, Any]:
    of = recipe(folder, "replace")
    return {**of, "destination": {**of["destination"], **destination}}


@pytest.mark.fault(9)
def test_an_empty_source_does_not_empty_the_target(tmp_path: Path) -> None:
    """Unless the recipe says that it may."""
    put(id=[1, 2])
    arrowload.run(replacing(tmp_path))
    put(id=pa.array([], pa.int64()))

    with pytest.raises(DataError, match=r"has no rows, and `out` would lose all its 2.*allow_empty"):
        arrowload.run(replacing(tmp_path))
    assert ids() == [1, 2]

    report = arrowload.run(replacing(tmp_path, allow_empty=True))
    assert (report.status, ids()) == ("committed", [])
    assert arrowload.run(replacing(tmp_path)).status == "committed"


@pytest.mark.fault(9)
@pytest.mark.parametrize(("max_shrink", "left"), [(None, 5), ("20%", 8), ("70%", 3), (0.7, 3), (0.95, 1), ("100%", 1)])
def test_a_much_smaller_source_does_not_shrink_the_target(tmp_path: Path, max_shrink: Any, left: int) -> None:
    """By more than a half, or what the recipe says."""
    keys = {} if max_shrink is None else {"max_shrink": max_shrink}
    put(id=list(range(10)))
    arrowload.run(replacing(tmp_path, **keys))
    if left > 1:
        put(id=list(range(left - 1)))
        with pytest.raises(DataError, match=rf"would shrink from 10 rows to {left - 1}.*max_shrink"):
            arrowload.run(replacing(tmp_path, **keys))
        assert ids() == list(range(10))
    put(id=list(range(left)))

    assert arrowload.run(replacing(tmp_path, **keys)).status == "committed"
    assert ids() == list(range(left))


def test_a_full_refresh_does_not_empty_the_target_either(tmp_path: Path) -> None:
    """It replaces, whatever the recipe's own write mode."""
    put(id=[1, 2], c=[1, 2])
    arrowload.run(recipe(tmp_path, incremental=cursor()))
    put(id=pa.array([], pa.int64()), c=pa.array([], pa.int64()))

    with pytest.raises(DataError, match="would lose all its 2"):
        arrowload.run(recipe(tmp_path, incremental=cursor()), full_refresh=True)
    assert ids() == [1, 2]


def test_a_column_with_a_nul_in_its_name_is_refused(tmp_path: Path) -> None:
    """It would have another name wherever the rows pass from one library to the next; renamed, it is loaded."""
    store.tables["t"] = pa.table({"a\0b": [1]})
    with pytest.raises(RecipeError, match=r"'a\\x00b' has a NUL in it"):
        arrowload.run(recipe(tmp_path))

    steps = [{"type": "rename_columns", "mapping": {"a\0b": "a"}}]
    arrowload.run({**recipe(tmp_path), "transform": {"steps": steps}})

    assert store.tables["out"].column_names == ["a"]
