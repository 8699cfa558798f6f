"""A range of the cursor, loaded beside the recipe's own runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pytest

import arrowload
from arrowload.connectors.memory.store import store
from arrowload.core import failpoint
from arrowload.core.exceptions import RecipeError, StateError, TransientConnectorError
from arrowload.models.units import ChunkSize
from tests.unit.engine.test_chunks import Databases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    store.clear()
    failpoint.arm("")


@pytest.fixture
def databases(tmp_path: Path, postgres: PostgresDatabase) -> Databases:
    """Ten rows, of which the recipe's own runs load those from 6 on."""
    databases = Databases("duckdb", tmp_path, postgres)
    databases.put(list(range(10)))
    return databases


def live(databases: Databases, mode: str = "append") -> dict[str, Any]:
    return databases.recipe(1000, mode, initial_value=6)


def test_it_loads_its_range_and_leaves_the_cursor_alone(databases: Databases) -> None:
    """In chunks of its own, from the first value up to the one that it names."""
    first = arrowload.run(live(databases))
    report = arrowload.backfill(live(databases), "2", "6", chunk=ChunkSize(rows=2))
    databases.put(list(range(12)))
    later = arrowload.run(live(databases))

    assert (report.rows_written, report.commits) == (4, 2)
    assert databases.ids() == list(range(2, 12))
    assert later.state_before == first.state_after
    assert later.rows_written == 2


def test_it_goes_on_behind_its_last_chunk(databases: Databases) -> None:
    """After a failure, and when there is nothing left to do."""
    recipe = live(databases)
    recipe["runtime"]["retries"] = {"max_attempts": 1}
    failpoint.arm("stage.after=err@2")
    with pytest.raises(TransientConnectorError):
        arrowload.backfill(recipe, "0", "6", chunk=ChunkSize(rows=2))
    failpoint.arm("")
    report = arrowload.backfill(recipe, "0", "6", chunk=ChunkSize(rows=2))
    again = arrowload.backfill(recipe, "0", "6", chunk=ChunkSize(rows=2))

    assert report.rows_written == 4
    assert again.status == "up_to_date"
    assert databases.ids() == list(range(6))


@pytest.mark.parametrize("before", [True, False], ids=["after the first run", "before it"])
@pytest.mark.parametrize(("start", "end"), [("2", "7"), ("8", "9"), ("6", "8")])
def test_rows_are_not_doubled(databases: Databases, before: bool, start: str, end: str) -> None:
    """A range that the recipe's own runs load is refused under append; a merge absorbs it."""
    if before:
        arrowload.run(live(databases))
    with pytest.raises(StateError, match=r"loads rows from 6 on by itself.*twice.*--force"):
        arrowload.backfill(live(databases), start, end)

    merged = live(databases, "merge")
    merged["name"], merged["destination"]["table"] = "merged", "merged"
    arrowload.run(merged)
    arrowload.backfill(merged, start, end)
    assert databases.ask("SELECT count(*), count(DISTINCT id) FROM merged") == [
        (len({*range(int(start), int(end)), *range(6, 10)}),) * 2
    ]


def test_who_insists_may_double(databases: Databases) -> None:
    """When rows are known to be missing."""
    arrowload.run(live(databases))
    arrowload.backfill(live(databases), "8", "9", force=True)

    assert databases.ids() == [6, 7, 8, 8, 9]


def test_checks_of_how_many_rows_a_load_has_are_not_for_a_range(databases: Databases) -> None:
    """A backfill is cut into chunks of its own, which the load before says nothing of."""
    recipe = live(databases) | {"checks": [{"type": "row_count", "min": 3, "change": "10%"}]}
    del recipe["runtime"]["commit_every"]
    arrowload.run(recipe)

    assert arrowload.backfill(recipe, "4", "6").rows_written == 2


def test_without_a_cursor_there_is_no_range(databases: Databases) -> None:
    """And the error says where one is missing."""
    recipe = live(databases)
    del recipe["source"]["incremental"]

    with pytest.raises(RecipeError, match="has no cursor"):
        arrowload.backfill(recipe, "1", "2")


def test_backfills_do_not_overlap(databases: Databases) -> None:
    """Not even with one whose end was never reached: when it goes on, it would bring the rest again."""
    recipe = live(databases)
    recipe["runtime"]["retries"] = {"max_attempts": 1}
    failpoint.arm("stage.after=err@2")
    with pytest.raises(TransientConnectorError):
        arrowload.backfill(recipe, "2", "5", chunk=ChunkSize(rows=1))
    failpoint.arm("")

    for start, end in (("4", "6"), ("0", "3"), ("3", "4"), ("2", "5.0")):
        with pytest.raises(StateError, match=r"was backfilled from 2 to 5.*twice"):
            arrowload.backfill(recipe, start, end)
    arrowload.backfill(recipe, "5", "6")
    arrowload.backfill(recipe, "0", "2")
    arrowload.backfill(recipe, "2", "5")
    assert databases.ids() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("mode", ["append", "merge"])
def test_what_a_full_refresh_took_away_can_be_backfilled_again(databases: Databases, mode: str) -> None:
    """The same range, and one that overlaps it: nothing of them is there any more."""
    recipe = live(databases, mode)
    arrowload.run(recipe)
    arrowload.backfill(recipe, "2", "5")
    arrowload.run(recipe, full_refresh=True)
    assert databases.ids() == [6, 7, 8, 9]

    again = arrowload.backfill(recipe, "2", "5")
    arrowload.run(recipe, full_refresh=True)
    arrowload.backfill(recipe, "1", "4")

    assert again.rows_written == 3
    assert databases.ids() == [1, 2, 3, 6, 7, 8, 9]


def test_texts_are_compared_as_the_cursor_sorts_them(databases: Databases) -> None:
    """As numbers they would say that the range ends below where the recipe starts."""
    databases.folder.joinpath("source.duckdb").unlink()
    with duckdb.connect(str(databases.folder / "source.duckdb")) as connection:
        connection.execute("CREATE TABLE t AS SELECT n AS id, n::VARCHAR AS c FROM range(5, 20) AS r (n)")

    with pytest.raises(StateError, match=r"loads rows from 10 on by itself.*twice"):
        arrowload.backfill(databases.recipe(1000, initial_value="10"), "1", "9")


def test_the_last_rows_of_a_range_are_not_held_back(databases: Databases) -> None:
    """When the source goes on beyond the end, nothing below it is still to come."""
    recipe = databases.recipe(1000, boundary="hold_back", initial_value=6)
    arrowload.run(recipe)
    assert databases.ids() == [6, 7, 8]
    arrowload.backfill(recipe, "2", "6")

    assert databases.ids() == [2, 3, 4, 5, 6, 7, 8]


def test_a_lag_does_not_reach_below_where_the_recipe_starts(databases: Databases) -> None:
    """Rows there are those of a backfill."""
    databases.folder.joinpath("source.duckdb").unlink()
    with duckdb.connect(str(databases.folder / "source.duckdb")) as connection:
        connection.execute("CREATE TABLE t AS SELECT n AS id, DATE '2026-01-01' + n::INT AS c FROM range(10) AS r (n)")
    recipe = databases.recipe(1000, initial_value="2026-01-06", lag="7d")
    arrowload.run(recipe)
    arrowload.backfill(recipe, "2026-01-01", "2026-01-06")
    arrowload.run(recipe)

    assert databases.ids() == list(range(10))
