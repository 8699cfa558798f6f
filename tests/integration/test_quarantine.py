"""Rows that a load refuses are put aside with the commit of the others, within a budget, and can be loaded later."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import arrowload
from arrowload.connectors.memory.store import store
from arrowload.core.exceptions import DataError, RecipeError, StateError
from arrowload.core.rejection import source_row
from arrowload.core.secret import register_secret
from tests.faults.processes import run_recipe
from tests.faults.test_kill_everywhere import sampled
from tests.integration.places import places

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

pytestmark = pytest.mark.usefixtures("empty_store")

KINDS = ["duckdb", "postgres", "parquet", "csv", "memory"]
ROWS = 1000


class World:
    """Rows with text that is to become a date, of which some is none; and a destination."""

    def __init__(self, kind: str, folder: Path, postgres: PostgresDatabase) -> None:
        self.kind, self.folder, self.postgres = kind, folder, postgres
        self.source: dict[str, Any] = {"type": "memory", "name": "t"}
        self.cast = {"day": "date"}
        self.checks: list[dict[str, Any]] = []
        self.limit = 100

    def put(self, days: list[str | None]) -> None:
        store.tables["t"] = pa.table({"id": pa.array(range(len(days)), pa.int64()), "day": pa.array(days, pa.string())})

    def put_csv(self, days: list[str | None]) -> None:
        """In a file, which other processes can read."""
        file = self.folder / "in.csv"
        file.write_text("id,day\n" + "".join(f"{n},{day}\n" for n, day in enumerate(days)))
        self.source = {"type": "csv", "path": str(file), "columns": {"day": "string"}}

    def recipe(self, mode: str = "append", **runtime: Any) -> dict[str, Any]:
        place = places(self.folder, self.postgres)[self.kind]
        return {
            "name": "r",
            "source": self.source,
            "transform": {"steps": [{"type": "cast", "columns": self.cast}]},
            "destination": {
                **place,
                "write_mode": mode,
                **({"merge_keys": ["id"]} if mode == "merge" else {}),
            },
            "checks": self.checks,
            "runtime": {"max_rejected": self.limit, "batch_size": 300, **runtime},
            "state": {"type": "local", "path": str(self.folder / "state")},
        }

    def ids(self) -> list[int]:
        if self.kind == "memory":
            found = store.tables["out"]["id"].to_pylist() if "out" in store.tables else []
        elif self.kind == "postgres":
            found = [row[0] for row in self.postgres.query('SELECT id FROM "out"')]
        elif self.kind == "duckdb":
            with duckdb.connect(str(self.folder / "out.duckdb"), read_only=True) as connection:
                found = [row[0] for row in connection.execute('SELECT id FROM "out"').fetchall()]
        else:
            files = [str(path) for path in (self.folder / "out").glob(f"*.{self.kind}")]
            found = ds.dataset(files, format=self.kind).to_table()["id"].to_pylist()
        return sorted(found)


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path, postgres: PostgresDatabase) -> World:
    return World(request.param, tmp_path, postgres)


def days(*, bad: set[int]) -> list[str | None]:
    good = dt.date(2024, 1, 1)
    return ["2024-02-31" if n in bad else str(good + dt.timedelta(days=n % 300)) for n in range(ROWS)]


@pytest.mark.fault(57)
@pytest.mark.parametrize("world", KINDS, indirect=True)
def test_bad_rows_are_put_aside_and_the_others_loaded(world: World) -> None:
    bad = {0, 5, 6, 299, 300, 717, ROWS - 1}
    world.put(days(bad=bad))

    report = arrowload.run(world.recipe())

    kept = arrowload.quarantine(world.recipe())
    assert (report.rows_read, report.rows_written, report.rows_rejected) == (ROWS, ROWS - len(bad), len(bad))
    assert world.ids() == sorted(set(range(ROWS)) - bad)
    assert [source_row(data)["id"][0].as_py() for data in kept["source_row"].to_pylist()] == sorted(bad)
    assert kept["place"].to_pylist() == [f"row {n + 1}" for n in sorted(bad)]
    assert set(kept["column_name"].to_pylist()) == {"day"}
    assert set(kept["value"].to_pylist()) == {"2024-02-31"}
    assert set(kept["code"].to_pylist()) == {"transform"}
    assert set(kept["load_id"].to_pylist()) == {report.load_id}


@pytest.mark.fault(57)
@pytest.mark.parametrize("world", KINDS, indirect=True)
def test_one_row_more_than_the_budget_ends_the_load(world: World) -> None:
    world.limit = 3
    world.put(days(bad={1, 2, 3, 400}))

    with pytest.raises(DataError, match=r"more than 3 rows are refused; the last: row 401: .*`2024-02-31` in row 401"):
        arrowload.run(world.recipe())

    world.limit = 4
    assert arrowload.run(world.recipe()).rows_rejected == 4


def test_without_a_budget_the_first_bad_row_ends_the_load(tmp_path: Path, postgres: PostgresDatabase) -> None:
    world = World("duckdb", tmp_path, postgres)
    world.limit = 0
    world.put(days(bad={41}))

    with pytest.raises(arrowload.TransformError, match=r"column `day`: `2024-02-31` in row 42 is no date"):
        arrowload.run(world.recipe())


@pytest.mark.parametrize("world", KINDS, indirect=True)
def test_what_was_mended_is_loaded_once(world: World) -> None:
    """Replayed, good rows leave the quarantine in the commit that loads them; what is bad still stays."""
    world.put([*days(bad=set()), "29.02.2024", "never"])
    world.cast = {"day": "date"}
    first = arrowload.run(world.recipe())
    world.put([])
    assert first.rows_rejected == 2

    world.cast = {"day": {"type": "date", "format": "%d.%m.%Y"}}
    second = arrowload.replay(world.recipe())
    third = arrowload.replay(world.recipe())

    kept = arrowload.quarantine(world.recipe())
    assert second is not None
    assert (second.rows_read, second.rows_written, second.rows_rejected) == (2, 1, 1)
    assert world.ids() == [*range(ROWS), ROWS]
    assert third is not None
    assert (third.rows_read, third.rows_written, third.rows_rejected) == (1, 0, 1)
    assert kept["value"].to_pylist() == ["never"]


@pytest.mark.fault(57, 58)
def test_ragged_records_are_put_aside_and_the_others_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they were written, numbered over the parts of the file; nothing makes a row of them."""
    monkeypatch.setattr("arrowload.connectors.csv.source.MIN_PART", 500)
    file, out = tmp_path / "in.csv", tmp_path / "out.duckdb"
    ragged = {3: "3,1,more", 700: '"70\n0"', ROWS - 1: ",,"}
    lines = [ragged.get(n, f"{n},{n % 7}") for n in range(ROWS)]
    file.write_text("id,v\n" + "\n".join(lines) + "\n")
    recipe = {
        "name": "r",
        "source": {"type": "csv", "path": str(file)},
        "destination": {"type": "duckdb", "path": str(out), "table": "out"},
        "state": {"type": "local", "path": str(tmp_path / "state")},
        "runtime": {"max_rejected": 2, "batch_size": 64, "parallelism": 4},
    }
    with pytest.raises(DataError, match=r"more than 2 rows are refused; the last: .* fields where 2 are expected"):
        arrowload.run(recipe)

    report = arrowload.run(recipe | {"runtime": {**recipe["runtime"], "max_rejected": 3}})

    kept = arrowload.quarantine(recipe).to_pylist()
    assert (report.rows_read, report.rows_written, report.rows_rejected) == (ROWS, ROWS - 3, 3)
    with duckdb.connect(str(out), read_only=True) as connection:
        rows = connection.execute("SELECT id, v FROM out ORDER BY id").fetchall()
    assert rows == [(n, n % 7) for n in range(ROWS) if n not in ragged]
    assert {(row["place"], row["reason"]) for row in kept} == {
        (f"{file} row 4", "it has 3 fields where 2 are expected"),
        (f"{file} row 701", "it has 1 fields where 2 are expected, over 2 lines"),
        (f"{file} row {ROWS}", "it has 3 fields where 2 are expected"),
    }
    assert {(row["code"], row["column_name"]) for row in kept} == {("ragged", None)}
    texts = {source_row(row["source_row"]).column(0)[0].as_py().decode() for row in kept}
    assert texts == set(ragged.values())
    assert arrowload.replay(recipe) is None


@pytest.mark.fault(57, 58)
def test_a_record_of_zero_bytes_goes_into_the_quarantine_of_postgres(
    tmp_path: Path, postgres: PostgresDatabase
) -> None:
    """Which takes none in a text: they are written out, and the record itself is kept as it was."""
    (tmp_path / "in.csv").write_bytes(b"id,v\n1,2\n\0\0\n3,4\n")
    recipe = {
        "name": "r",
        "source": {"type": "csv", "path": str(tmp_path / "in.csv")},
        "destination": places(tmp_path, postgres)["postgres"],
        "state": {"type": "local", "path": str(tmp_path / "state")},
        "runtime": {"max_rejected": 1},
    }

    report = arrowload.run(recipe)

    [kept] = arrowload.quarantine(recipe).to_pylist()
    assert (report.rows_written, kept["value"]) == (2, r"\x00\x00")
    assert source_row(kept["source_row"]).column(0)[0].as_py() == b"\0\0"


@pytest.mark.fault(58)
def test_what_is_no_ragged_record_is_not_explained_by_one(tmp_path: Path) -> None:
    """A row that is too long ends the load and is named, whatever was put aside before it."""
    (tmp_path / "in.csv").write_text("id,v\n1\n" + "x" * 200_000 + ",2\n")
    recipe = {
        "name": "r",
        "source": {"type": "csv", "path": str(tmp_path / "in.csv"), "block_size": "64KiB"},
        "destination": {"type": "duckdb", "path": str(tmp_path / "out.duckdb"), "table": "out"},
        "state": {"type": "local", "path": str(tmp_path / "state")},
        "runtime": {"max_rejected": 1},
    }

    with pytest.raises(DataError, match="has a row longer than 64KiB"):
        arrowload.run(recipe)


def test_a_replay_reads_kept_text_as_the_source_does(tmp_path: Path) -> None:
    """What would not stay as it is written was no number when it was first read, and is none later."""
    odd = ["007", "12E4", "+5"]
    (tmp_path / "in.csv").write_text("id,v\n" + "".join(f"{n},{n}\n" for n in range(30)))
    with (tmp_path / "in.csv").open("a") as file:
        file.writelines(f"{n},{value}\n" for n, value in enumerate(odd, 30))
    recipe = {
        "name": "r",
        "source": {"type": "csv", "path": str(tmp_path / "in.csv"), "sample_rows": 10},
        "destination": {"type": "duckdb", "path": str(tmp_path / "out.duckdb"), "table": "out"},
        "state": {"type": "local", "path": str(tmp_path / "state")},
        "runtime": {"max_rejected": 5},
    }
    arrowload.run(recipe)

    again = arrowload.replay(recipe)

    assert again is not None
    assert (again.rows_written, again.rows_rejected) == (0, 3)
    assert sorted(arrowload.quarantine(recipe)["value"].to_pylist()) == sorted(odd)


@pytest.mark.parametrize("world", ["duckdb", "postgres", "parquet", "memory"], indirect=True)
def test_what_a_backfill_refused_is_replayed_with_the_rest(world: World) -> None:
    """The quarantine of a recipe is that of its backfills, too; a full refresh leaves nothing of either."""
    world.source |= {"incremental": {"strategy": "cursor", "cursor_column": "id", "initial_value": ROWS // 2}}
    world.put(days(bad={3, ROWS - 1}))
    arrowload.run(world.recipe())
    arrowload.backfill(world.recipe(), "0", str(ROWS // 2))
    assert arrowload.quarantine(world.recipe()).num_rows == 2

    mended = world.recipe() | {
        "transform": {"steps": [{"type": "derive", "columns": {"day": "CAST('2024-01-01' AS DATE)"}}]}
    }
    again = arrowload.replay(mended)

    assert again is not None
    assert (again.rows_read, again.rows_written) == (2, 2)
    assert world.ids() == list(range(ROWS))
    assert arrowload.replay(mended) is None


def test_rows_that_a_filter_drops_leave_the_quarantine(tmp_path: Path, postgres: PostgresDatabase) -> None:
    """They are accounted for: nobody wants them any more."""
    world = World("duckdb", tmp_path, postgres)
    world.source |= {"incremental": {"strategy": "cursor", "cursor_column": "id"}}
    world.put(days(bad={3}))
    arrowload.run(world.recipe())
    dropping = world.recipe()
    dropping["transform"]["steps"].insert(0, {"type": "filter", "where": "day <> '2024-02-31'"})

    again = arrowload.replay(dropping)

    assert again is not None
    assert (again.rows_read, again.rows_filtered) == (1, 1)
    assert arrowload.quarantine(dropping).num_rows == 0


def test_a_replay_leaves_the_cursor_alone(tmp_path: Path, postgres: PostgresDatabase) -> None:
    world = World("duckdb", tmp_path, postgres)
    world.source |= {"incremental": {"strategy": "cursor", "cursor_column": "id"}}
    world.put(days(bad={3, ROWS - 1}))
    arrowload.run(world.recipe())
    world.cast = {"day": "string"}
    with duckdb.connect(str(tmp_path / "out.duckdb")) as connection:
        connection.execute('ALTER TABLE "out" ALTER day TYPE varchar')

    arrowload.replay(world.recipe())
    world.put([*days(bad={3, ROWS - 1}), "2024-01-01"])
    report = arrowload.run(world.recipe())

    assert world.ids() == list(range(ROWS + 1))
    assert report.rows_written == 1


@pytest.mark.fault(57)
@pytest.mark.parametrize("world", ["duckdb", "postgres", "parquet"], indirect=True)
@pytest.mark.parametrize("site", ["finalize.applied", "finalize.fenced", "finalize.after", "save_state.before"])
def test_killed_anywhere_a_row_is_loaded_or_put_aside_once(world: World, site: str) -> None:
    world.put_csv(days(bad={7, 600}))

    killed = run_recipe(world.recipe(), failpoints=f"{site}=kill9")
    rerun = run_recipe(world.recipe())

    assert killed.killed
    assert rerun.exit_code == 0, rerun.error
    assert world.ids() == sorted(set(range(ROWS)) - {7, 600})
    assert arrowload.quarantine(world.recipe())["value"].to_pylist() == ["2024-02-31", "2024-02-31"]


@pytest.mark.parametrize(
    ("world", "site"),
    sampled(
        [
            (place, site)
            for place in ("duckdb", "postgres", "parquet")
            for site in ("stage.after", "finalize.fenced", "finalize.after", "save_state.before")
        ],
        0,
        one_in=5,
    ),
    indirect=["world"],
)
def test_a_replay_that_is_killed_doubles_nothing(world: World, site: str, tmp_path: Path) -> None:
    world.put_csv([*days(bad={7}), "29.02.2024"])
    arrowload.run(world.recipe())
    world.cast = {"day": {"type": "date", "format": "%d.%m.%Y"}}
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(world.recipe()))
    command = [sys.executable, "-c", "from arrowload.cli.start import main; main()", "quarantine", "replay", str(file)]

    killed = subprocess.run(command, env={**os.environ, "ARROWLOAD_FAILPOINTS": f"{site}=kill9"}, check=False)
    rerun = subprocess.run(command, check=False)

    assert killed.returncode == -signal.SIGKILL
    assert rerun.returncode == 0
    assert world.ids() == sorted({*range(ROWS + 1)} - {7})
    assert arrowload.quarantine(world.recipe())["value"].to_pylist() == ["2024-02-31"]


@pytest.mark.parametrize("world", ["duckdb", "postgres", "parquet", "memory"], indirect=True)
def test_what_is_loaded_anew_empties_the_quarantine(world: World) -> None:
    world.put(days(bad={7, 600}))
    arrowload.run(world.recipe("replace"))
    assert arrowload.quarantine(world.recipe("replace")).num_rows == 2

    world.put(days(bad={8}))
    arrowload.run(world.recipe("replace"))
    assert arrowload.quarantine(world.recipe("replace")).num_rows == 1

    world.put(days(bad=set()))
    world.limit = 0
    arrowload.run(world.recipe("replace"))
    assert arrowload.quarantine(world.recipe("replace")).num_rows == 0
    assert world.ids() == list(range(ROWS))


def test_a_replay_that_could_double_or_age_rows_is_refused(tmp_path: Path, postgres: PostgresDatabase) -> None:
    world = World("duckdb", tmp_path, postgres)
    world.put(days(bad={7}))
    arrowload.run(world.recipe("merge"))

    with pytest.raises(StateError, match="may be older than the one with its key"):
        arrowload.replay(world.recipe("merge"))
    with pytest.raises(StateError, match="loads everything anew"):
        arrowload.replay(world.recipe("replace"))
    world.put([])
    world.cast = {"day": {"type": "date", "format": "%Y-%d-%m"}}
    assert arrowload.replay(world.recipe("merge"), force=True) is not None


@pytest.mark.fault(52)
@pytest.mark.parametrize("world", ["duckdb", "memory"], indirect=True)
def test_null_merge_keys_are_put_aside(world: World) -> None:
    store.tables["t"] = pa.table({"id": pa.array([1, None, 3, None]), "day": ["2024-01-01"] * 4})

    report = arrowload.run(world.recipe("merge"))
    again = arrowload.run(world.recipe("merge"))

    kept = arrowload.quarantine(world.recipe("merge"))
    assert world.ids() == [1, 3]
    assert report.rows_rejected == again.rows_rejected == 2
    assert kept["code"].to_pylist() == ["merge_key"] * 4
    assert kept["column_name"].to_pylist() == ["id"] * 4


def test_of_equal_keys_the_last_row_wins_also_beside_rejected_rows(tmp_path: Path, postgres: PostgresDatabase) -> None:
    world = World("duckdb", tmp_path, postgres)
    texts = ["2024-01-01", "none", "2024-01-02", "none", "2024-01-03"]
    store.tables["t"] = pa.table({"id": pa.array([1, 2, 1, 1, 2]), "day": texts})

    arrowload.run(world.recipe("merge"))

    with duckdb.connect(str(tmp_path / "out.duckdb")) as connection:
        found = connection.execute('SELECT id, day::text FROM "out" ORDER BY id').fetchall()
    assert found == [(1, "2024-01-02"), (2, "2024-01-03")]


CHECKS: list[tuple[dict[str, Any], str]] = [
    ({"type": "not_null", "columns": ["day"]}, "check `not_null`: the row has NULL in `day`"),
    ({"type": "range", "column": "id", "max": 997}, "check `range`: the row has a value in `id` outside of to 997"),
    ({"type": "sql", "expression": "id <> 5"}, "check `sql`: the row does not meet `id <> 5`"),
    (
        {"type": "accepted_values", "column": "id", "values": list(range(999))},
        "check `accepted_values`: the row has another value in `id` than is accepted",
    ),
]


@pytest.mark.parametrize(("check", "why"), CHECKS)
def test_rows_that_fail_a_check_are_put_aside(
    tmp_path: Path, postgres: PostgresDatabase, check: dict[str, Any], why: str
) -> None:
    world = World("duckdb", tmp_path, postgres)
    texts = days(bad={3})
    texts[10] = None
    world.put(texts)
    world.checks = [{**check, "on_fail": "quarantine"}, {"type": "row_count", "min": 990}]

    report = arrowload.run(world.recipe())

    kept = arrowload.quarantine(world.recipe())
    by_check = kept.filter(pa.compute.equal(kept["code"], "check"))
    assert set(by_check["reason"].to_pylist()) == {why}
    assert report.rows_rejected == kept.num_rows == by_check.num_rows + 1
    assert report.rows_written == ROWS - kept.num_rows


def test_a_check_of_all_rows_together_cannot_quarantine(tmp_path: Path, postgres: PostgresDatabase) -> None:
    world = World("duckdb", tmp_path, postgres)
    world.put(days(bad=set()))
    world.checks = [{"type": "unique", "columns": ["id"], "on_fail": "quarantine"}]

    with pytest.raises(RecipeError, match="`unique` looks at all rows together"):
        arrowload.run(world.recipe())


def test_a_check_that_quarantines_needs_a_budget(tmp_path: Path, postgres: PostgresDatabase) -> None:
    world = World("duckdb", tmp_path, postgres)
    world.put(days(bad=set()))
    world.limit = 0
    world.checks = [{"type": "not_null", "columns": ["id"], "on_fail": "quarantine"}]

    with pytest.raises(RecipeError, match="no row may be rejected"):
        arrowload.run(world.recipe())


@pytest.mark.fault(55)
def test_values_that_a_csv_file_does_not_hold_are_put_aside(tmp_path: Path, postgres: PostgresDatabase) -> None:
    """Over several batches and splits, several columns, with bytes that are no text; each row once."""
    world = World("duckdb", tmp_path, postgres)
    lines = [b"id,amount,day,note"]
    for n in range(2000):
        amount = b"1.005" if n % 250 == 3 else b"%d.5" % n
        day = b"2024-13-01" if n % 250 in (3, 4) else b"2024-01-01"
        lines.append(b"%d,%s,%s,%s" % (n, amount, day, b"\xff\xfe" if n % 500 == 7 else b"fine"))
    (tmp_path / "in.csv").write_bytes(b"\n".join(lines) + b"\n")
    columns = {"amount": "decimal(10,2)", "day": "date", "note": "string"}
    world.source = {"type": "csv", "path": str(tmp_path / "in.csv"), "columns": columns}
    world.cast = {"id": "int64"}

    report = arrowload.run(world.recipe(parallelism=2))

    kept = arrowload.quarantine(world.recipe())
    bad = [n for n in range(2000) if n % 250 in (3, 4) or n % 500 == 7]
    assert world.ids() == sorted(set(range(2000)) - set(bad))
    assert (report.rows_read, report.rows_rejected) == (2000, len(bad))
    places = dict(zip(kept["place"].to_pylist(), kept["value"].to_pylist(), strict=True))
    assert places == {
        f"{tmp_path}/in.csv row {n + 1}": "1.005" if n % 250 == 3 else "2024-13-01" if n % 250 == 4 else "b'\\xff\\xfe'"
        for n in bad
    }

    (tmp_path / "in.csv").write_text("id,amount,day,note\n")
    world.source |= {"columns": {**columns, "amount": "decimal(12,3)"}}
    with duckdb.connect(str(tmp_path / "out.duckdb")) as connection:
        connection.execute('ALTER TABLE "out" ALTER amount TYPE decimal(12,3)')
    replayed = arrowload.replay(world.recipe())
    assert replayed is not None
    assert (replayed.rows_written, replayed.rows_rejected) == (0, len(bad))


@pytest.mark.fault(55)
def test_a_zero_byte_is_put_aside_before_postgres_refuses_it(tmp_path: Path, postgres: PostgresDatabase) -> None:
    world = World("postgres", tmp_path, postgres)
    world.cast = {"id": "int64"}
    world.put(["fine", "zero\0byte", "fine too"])

    report = arrowload.run(world.recipe())

    kept = arrowload.quarantine(world.recipe())
    assert world.ids() == [0, 2]
    assert report.rows_rejected == 1
    assert kept["code"].to_pylist() == ["target"]
    assert "zero byte" in kept["reason"][0].as_py()


@pytest.mark.fault(54)
def test_a_value_that_the_target_cannot_hold_is_put_aside(tmp_path: Path, postgres: PostgresDatabase) -> None:
    world = World("postgres", tmp_path, postgres)
    postgres.execute('CREATE TABLE "out" (id smallint, day text)')
    world.cast = {"day": "string"}
    store.tables["t"] = pa.table({"id": pa.array([1, 40_000, 3]), "day": ["a", "b", "c"]})

    arrowload.run(world.recipe())

    kept = arrowload.quarantine(world.recipe())
    assert world.ids() == [1, 3]
    assert kept["reason"].to_pylist() == ["the target cannot hold it: column `id`: `40000` in row 2 is no int16"]


def test_the_budget_is_of_the_whole_run(tmp_path: Path, postgres: PostgresDatabase) -> None:
    """Chunks that are committed stay so, with what they refused; the one that goes over the budget is not."""
    world = World("duckdb", tmp_path, postgres)
    world.source |= {"incremental": {"strategy": "cursor", "cursor_column": "id"}}
    world.limit = 3
    world.put(days(bad={10, 20, 110, 210}))

    with pytest.raises(DataError, match="more than 3 rows are refused"):
        arrowload.run(world.recipe(commit_every=100))

    assert arrowload.quarantine(world.recipe()).num_rows == 3
    assert world.ids() == sorted(set(range(200)) - {10, 20, 110})
    assert arrowload.run(world.recipe(commit_every=100)).rows_rejected == 1


def test_nothing_secret_is_put_aside_in_the_open(tmp_path: Path, postgres: PostgresDatabase) -> None:
    register_secret("hunter2-canary")
    world = World("duckdb", tmp_path, postgres)
    world.put(["hunter2-canary"])

    arrowload.run(world.recipe())

    (row,) = arrowload.quarantine(world.recipe()).drop_columns("source_row").to_pylist()
    assert "hunter2" not in str(row)


def test_it_is_an_error_where_nothing_can_be_kept(tmp_path: Path, postgres: PostgresDatabase) -> None:
    class Prints:
        def write_batch(self, batch: object, state: object) -> None: ...

    arrowload.register_destination("prints")(lambda _: Prints())
    world = World("duckdb", tmp_path, postgres)
    world.put(days(bad={3}))
    recipe = world.recipe() | {"destination": {"type": "prints"}}

    with pytest.raises(RecipeError, match="cannot keep rejected rows"):
        arrowload.run(recipe)
