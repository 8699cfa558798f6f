"""What must hold of a load is checked before anybody sees it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

import arrowload
from arrowload.connectors.memory.store import store
from arrowload.core.exceptions import DataError, RecipeError
from arrowload.core.registry import checks
from arrowload.engine.events import RunEvent, Warned

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

pytestmark = pytest.mark.usefixtures("empty_store")

NOW = dt.datetime.now(dt.UTC)
ROWS = {
    "id": pa.array([1, 2, 3, 4], pa.int64()),
    "status": ["open", "closed", None, "open"],
    "price": pa.array([Decimal("1.50"), Decimal("0.00"), None, Decimal("99.99")], pa.decimal128(10, 2)),
    "at": pa.array([NOW - dt.timedelta(hours=n) for n in (3, 2, 1, 4)]),
    "ok": [True, False, True, None],
}


def recipe(folder: Path, *of: dict[str, Any], mode: str = "append", **more: Any) -> dict[str, Any]:
    return {
        "name": "r",
        "source": {"type": "memory", "name": "t"},
        "checks": list(of),
        "destination": {"type": "memory", "name": "out", "write_mode": mode},
        "runtime": {"batch_size": 2, "parallelism": 1},
        "state": {"type": "local", "path": str(folder / "state")},
        **more,
    }


def put(**changes: Any) -> None:
    store.tables["t"] = pa.table({**ROWS, **changes})


PASSING = [
    {"type": "not_null", "columns": ["id", "at"]},
    {"type": "unique", "columns": ["id"]},
    {"type": "unique", "columns": ["price"]},
    {"type": "accepted_values", "column": "status", "values": ["open", "closed"]},
    {"type": "accepted_values", "column": "id", "values": [1, 2, 3, 4]},
    {"type": "accepted_values", "column": "ok", "values": [True, False]},
    {"type": "range", "column": "price", "min": 0, "max": "99.99"},
    {"type": "range", "column": "at", "min": "2020-01-01T00:00:00+00:00"},
    {"type": "row_count", "min": 4, "max": 4, "same_as": "source", "change": "0%"},
    {"type": "freshness", "column": "at", "max_age": "1h30m"},
    {"type": "sql", "expression": "price >= 0 AND id < 5"},
]
FAILING = [
    ({"type": "not_null", "columns": ["id", "status"]}, r"1 row have NULL in `id` or `status` \(row 3 is the first\)"),
    ({"type": "unique", "columns": ["status"]}, "2 rows share 1 values of `status`"),
    (
        {"type": "accepted_values", "column": "status", "values": ["closed"]},
        r"2 rows have another value in `status` than is accepted \(row 1 is the first\)",
    ),
    ({"type": "range", "column": "price", "min": "0.01"}, r"1 row have a value in `price` outside of 0.01 to"),
    (
        {"type": "range", "column": "id", "max": 2},
        r"2 rows have a value in `id` outside of to 2 \(row 3 is the first\)",
    ),
    ({"type": "row_count", "min": 5}, "4 rows are fewer than 5"),
    ({"type": "row_count", "max": 3}, "4 rows are more than 3"),
    ({"type": "freshness", "column": "at", "max_age": "30m"}, "the newest `at`, .* is 1:\\d\\d:\\d\\d old"),
    ({"type": "sql", "expression": "price > 0"}, r"1 row do not meet `price > 0` \(row 2 is the first\)"),
]


@pytest.mark.parametrize("check", PASSING, ids=lambda check: check["type"])
def test_what_holds_passes(tmp_path: Path, check: dict[str, Any]) -> None:
    """NULL passes where it is not the question."""
    put()

    assert arrowload.run(recipe(tmp_path, check)).rows_written == 4


@pytest.mark.parametrize(("check", "problem"), FAILING, ids=lambda case: str(case)[:40])
def test_what_does_not_hold_keeps_the_load_back(tmp_path: Path, check: dict[str, Any], problem: str) -> None:
    """One sentence says what is wrong and where; with `on_fail: warn` the load goes on, and says so."""
    put()
    with pytest.raises(DataError, match=f"check `{check['type']}`: {problem}"):
        arrowload.run(recipe(tmp_path, check))
    assert "out" not in store.tables

    warned: list[RunEvent] = []
    report = arrowload.run(recipe(tmp_path, {**check, "on_fail": "warn"}), subscribers=(warned.append,))
    assert report.rows_written == 4
    assert any(check["type"] in note for note in report.notes)
    assert any(isinstance(event, Warned) and check["type"] in event.message for event in warned)


def test_all_that_fails_is_told_at_once(tmp_path: Path) -> None:
    """In the recipe's order."""
    put()
    with pytest.raises(DataError, match=r"check `row_count`: .*; check `not_null`: ") as failed:
        arrowload.run(recipe(tmp_path, {"type": "row_count", "min": 5}, {"type": "not_null", "columns": ["status"]}))

    assert failed.value.context["checks"] == ["row_count", "not_null"]
    assert failed.value.exit_code == 65


def test_rows_are_checked_as_they_are_stored(tmp_path: Path) -> None:
    """After the steps: under their new names, and without those that were filtered out."""
    put()
    steps = [{"type": "rename_columns", "mapping": {"status": "state"}}, {"type": "filter", "where": "id <> 3"}]
    of = recipe(tmp_path, {"type": "not_null", "columns": ["state"]}, transform={"steps": steps})

    assert arrowload.run(of).rows_written == 3


def test_a_load_is_compared_with_the_last(tmp_path: Path) -> None:
    """The last that wrote rows; the first has nothing to be compared with."""
    check = {"type": "row_count", "change": "50%"}
    of = recipe(tmp_path, check, mode="replace")
    put()
    arrowload.run(of)
    store.tables["t"] = store.tables["t"].slice(0, 2)
    arrowload.run(of)
    put()
    with pytest.raises(DataError, match="4 rows differ from the 2 of the last load by more than 50%"):
        arrowload.run(of)


def test_a_run_without_news_is_not_checked(tmp_path: Path) -> None:
    """It publishes nothing."""
    put()
    cursor = {"incremental": {"strategy": "cursor", "cursor_column": "id"}}
    of = recipe(tmp_path, {"type": "row_count", "min": 1, "change": "10%"})
    of["source"] |= cursor
    arrowload.run(of)

    assert arrowload.run(of).status == "up_to_date"


def test_of_rows_with_one_key_one_counts(tmp_path: Path) -> None:
    """In each load alike."""
    put(id=pa.array([1, 1, 2, 2], pa.int64()))
    of = recipe(tmp_path, {"type": "row_count", "max": 2, "change": "0%"}, mode="merge")
    of["destination"]["merge_keys"] = ["id"]

    assert [arrowload.run(of).rows_written for _ in range(2)] == [2, 2]


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_the_source_counts_what_was_read(tmp_path: Path, postgres: PostgresDatabase, kind: str) -> None:
    """In the snapshot that the rows were read from."""
    sql = "CREATE TABLE t AS SELECT * FROM generate_series(1, 1000) AS s (id)"
    if kind == "postgres":
        postgres.execute(sql)
        source = {"type": "postgres", "table": "t", **postgres.keys}
    else:
        with duckdb.connect(str(tmp_path / "t.duckdb")) as connection:
            connection.execute(sql)
        source = {"type": "duckdb", "path": str(tmp_path / "t.duckdb"), "table": "t"}
    of = recipe(tmp_path, {"type": "row_count", "same_as": "source"})

    assert arrowload.run({**of, "source": source}).rows_written == 1000


def test_a_source_that_cannot_count_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """And not when everything is staged."""
    (tmp_path / "t.csv").write_text("id\n1\n")
    of = recipe(tmp_path, {"type": "row_count", "same_as": "source"})

    with pytest.raises(RecipeError, match="the source cannot count its rows"):
        arrowload.run({**of, "source": {"type": "csv", "path": str(tmp_path / "t.csv")}})


BROKEN = [
    ({"type": "not_null", "columns": ["idd"]}, "no column `idd` to be checked.*did you mean `id`"),
    ({"type": "range", "column": "id"}, "give `min`, `max` or both"),
    ({"type": "range", "column": "id", "min": "few"}, "are no values of `id`, which is int64"),
    ({"type": "row_count"}, "give one of `min`, `max`, `same_as` and `change`"),
    ({"type": "freshness", "column": "id", "max_age": "1d"}, "freshness needs a date or a timestamp"),
    ({"type": "sql", "expression": "sum(id) > 1"}, "uses an aggregate"),
    ({"type": "notnull", "columns": ["id"]}, "unknown check `notnull`.*did you mean `not_null`"),
    ({"columns": ["id"]}, "missing required field `type`"),
]


@pytest.mark.parametrize(("check", "problem"), BROKEN, ids=lambda case: str(case)[:40])
def test_what_cannot_be_checked_is_told_before_a_row_is_read(
    tmp_path: Path, check: dict[str, Any], problem: str
) -> None:
    """As `validate` does."""
    put()
    with pytest.raises(RecipeError, match=problem):
        arrowload.validate(recipe(tmp_path, check))


def test_the_plan_lists_them(tmp_path: Path) -> None:
    """One line each."""
    put()
    plan = arrowload.plan(recipe(tmp_path, PASSING[0], {**PASSING[6], "on_fail": "warn"}))

    assert plan.checks == ("not_null: columns id, at", "range: column price, min 0, max 99.99 (warns)")


def test_checks_of_a_parent_are_kept(tmp_path: Path) -> None:
    """A child adds its own; it cannot lose them by having some."""
    (tmp_path / "base.yaml").write_text("checks: [{type: row_count, min: 1}]\n")
    (tmp_path / "child.yaml").write_text(
        "name: child\nextends: base.yaml\nsource: {type: memory, name: t}\nchecks: [{type: not_null, columns: [id]}]\n"
    )

    loaded = arrowload.load_recipe(tmp_path / "child.yaml")
    assert [check.type for check in loaded.checks] == ["row_count", "not_null"]


def test_every_built_in_check_is_tried_here() -> None:
    """Each passes and fails at least once."""
    names = {entry.name for entry in entry_points(group=checks.group)}

    assert {check["type"] for check in PASSING} == names
    assert {check["type"] for check, _ in FAILING} == names
