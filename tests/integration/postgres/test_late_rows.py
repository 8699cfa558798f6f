"""Rows committed behind the cursor are found by the transactions that wrote them: once each, and none is missed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

import arrowload
from arrowload.connectors.postgres.late_rows import LateRows
from arrowload.core.exceptions import RecipeError, StateError
from arrowload.io.postgres import PostgresSession

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase


class Shop:
    """The table `t (id, at, note)` and the table `out` that it is loaded into."""

    def __init__(self, folder: Path, database: PostgresDatabase) -> None:
        self.folder, self.database = folder, database
        database.execute("CREATE TABLE t (id bigint, at timestamptz NOT NULL, note text)")

    def recipe(self, mode: str = "append", late: str = "xmin", **source: Any) -> dict[str, Any]:
        bound = {"lag": "1d"} if late == "xmin" else {}
        own = source.pop("incremental", {})
        incremental = {"strategy": "cursor", "cursor_column": "at", "late": late, **bound, **own}
        return {
            "name": f"r-{mode}-{late}",
            "source": {
                "type": "postgres",
                **({} if "query" in source else {"table": "t"}),
                **self.database.keys,
                "incremental": incremental,
                **source,
            },
            "destination": {
                "type": "duckdb",
                "path": str(self.folder / f"{mode}-{late}.duckdb"),
                "table": "out",
                "write_mode": mode,
                **({"merge_keys": ["id"]} if mode == "merge" else {}),
            },
            "runtime": {"parallelism": 2},
            "state": {"type": "local", "path": str(self.folder / "state")},
        }

    @contextmanager
    def session(self) -> Iterator[Any]:
        """A connection of its own, for a transaction that stays open."""
        session = PostgresSession(self.database.dsn, lambda exc: exc)
        try:
            yield session
        finally:
            session.close()

    def add(self, number: int, minute: int, session: Any = None) -> None:
        sql = f"INSERT INTO t VALUES ({number}, '2026-01-01 00:{minute:02}:00+00', 'row')"
        (session.run if session is not None else self.database.execute)(sql)

    def rows(self, recipe: dict[str, Any]) -> list[tuple[int, str]]:
        with duckdb.connect(recipe["destination"]["path"], read_only=True) as connection:
            return connection.execute("SELECT id, note FROM out ORDER BY id, note").fetchall()

    def ids(self, recipe: dict[str, Any]) -> list[int]:
        return [number for number, _ in self.rows(recipe)]


@pytest.fixture
def shop(tmp_path: Path, postgres: PostgresDatabase) -> Shop:
    return Shop(tmp_path, postgres)


def late_commits(shop: Shop, recipe: dict[str, Any]) -> None:
    """Rows of a transaction and of its savepoint are committed after later ones were loaded; then rows that tie."""
    shop.add(1, 10)
    with shop.session() as slow:
        slow.run("BEGIN")
        shop.add(2, 5, slow)
        slow.run("SAVEPOINT a")
        shop.add(3, 6, slow)
        slow.run("RELEASE SAVEPOINT a")
        slow.run("SAVEPOINT b")
        shop.add(4, 7, slow)
        shop.add(5, 20)
        arrowload.run(recipe)
        shop.add(6, 20)  # ties with the last
        arrowload.run(recipe)
        slow.run("COMMIT")
    shop.add(7, 1)  # backdated
    arrowload.run(recipe)


@pytest.mark.fault(21)
@pytest.mark.parametrize("mode", ["append", "merge"])
def test_late_commits_are_found(shop: Shop, mode: str) -> None:
    """In whatever order they are committed, in savepoints too; each once, and nothing is new after that."""
    recipe = shop.recipe(mode)
    late_commits(shop, recipe)

    assert shop.ids(recipe) == [1, 2, 3, 4, 5, 6, 7]
    again = arrowload.run(recipe)
    assert (again.status, again.rows_written) == ("up_to_date", 0)
    assert shop.ids(recipe) == [1, 2, 3, 4, 5, 6, 7]


def test_without_it_they_are_missed(shop: Shop) -> None:
    """What the recipe is to be told of: a cursor alone does not find them."""
    recipe = shop.recipe(late="lag")
    late_commits(shop, recipe)

    assert shop.ids(recipe) == [1, 5, 6]


def test_a_row_that_changes_behind_the_cursor(shop: Shop) -> None:
    """It is merged; under append its new version is added, as any version is."""
    shop.add(1, 10)
    shop.add(2, 20)
    merged, appended = shop.recipe("merge"), shop.recipe("append")
    for recipe in (merged, appended):
        arrowload.run(recipe)
    shop.database.execute("UPDATE t SET note = 'changed' WHERE id = 1")
    for recipe in (merged, appended):
        arrowload.run(recipe)

    assert shop.rows(merged) == [(1, "changed"), (2, "row")]
    assert shop.rows(appended) == [(1, "changed"), (1, "row"), (2, "row")]


@pytest.mark.fault(21)
def test_a_transaction_that_stays_open_for_many_runs(shop: Shop) -> None:
    """Rows beside it are loaded as they come, once, however often they are read again; its own when it ends."""
    recipe = shop.recipe()
    shop.add(0, 0)
    with shop.session() as slow:
        slow.run("BEGIN")
        shop.add(100, 1, slow)
        for number in range(1, 6):
            shop.add(number, 10 + number)
            assert arrowload.run(recipe).rows_written == (2 if number == 1 else 1)
        assert arrowload.run(recipe).rows_written == 0
        slow.run("COMMIT")
    arrowload.run(recipe)

    assert shop.ids(recipe) == [0, 1, 2, 3, 4, 5, 100]


def test_equal_rows_are_told_by_their_number(shop: Shop) -> None:
    """Of two equal rows without a key, one committed late, both are there."""
    recipe = shop.recipe()
    shop.add(1, 10)
    with shop.session() as slow:
        slow.run("BEGIN")
        shop.add(1, 10, slow)
        arrowload.run(recipe)
        slow.run("COMMIT")
    arrowload.run(recipe)
    arrowload.run(recipe)

    assert shop.ids(recipe) == [1, 1]


def test_a_lag_bounds_how_far_behind_is_looked(shop: Shop) -> None:
    """Rows further back than it are not asked for."""
    recipe = shop.recipe(incremental={"lag": "10m"})
    shop.add(1, 30)
    arrowload.run(recipe)
    shop.add(2, 21)
    shop.add(3, 19)
    arrowload.run(recipe)

    assert shop.ids(recipe) == [1, 2]


def test_in_chunks_too(shop: Shop) -> None:
    """Each chunk is a window of its own."""
    recipe = shop.recipe()
    recipe["runtime"]["commit_every"] = 2
    for number in range(6):
        shop.add(number, 10 + number)
    with shop.session() as slow:
        slow.run("BEGIN")
        shop.add(100, 1, slow)
        arrowload.run(recipe)
        slow.run("COMMIT")
    shop.add(6, 30)
    shop.add(7, 31)
    shop.add(8, 32)
    arrowload.run(recipe)

    assert shop.ids(recipe) == [*range(9), 100]
    assert arrowload.run(recipe).status == "up_to_date"


@pytest.mark.parametrize("driver", ["adbc", "connectorx"])
def test_by_other_drivers(shop: Shop, driver: str) -> None:
    """The column that tells late rows is read like any other."""
    recipe = shop.recipe(driver=driver)
    late_commits(shop, recipe)

    assert shop.ids(recipe) == [1, 2, 3, 4, 5, 6, 7]


def test_a_partitioned_table(shop: Shop) -> None:
    """Its rows tell who wrote them, too."""
    shop.database.execute("DROP TABLE t")
    shop.database.execute("CREATE TABLE t (id bigint, at timestamptz NOT NULL, note text) PARTITION BY HASH (id)")
    for part in range(2):
        shop.database.execute(f"CREATE TABLE t{part} PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER {part})")
    recipe = shop.recipe()
    late_commits(shop, recipe)

    assert shop.ids(recipe) == [1, 2, 3, 4, 5, 6, 7]


def test_what_cannot_tell_is_refused(shop: Shop) -> None:
    """A query, a view; a source of another kind; a memory without transactions; another server."""
    shop.add(1, 1)
    shop.database.execute("CREATE VIEW v AS SELECT * FROM t")
    for source in ({"query": "SELECT * FROM t"}, {"table": "v"}):
        with pytest.raises(RecipeError, match="`late: xmin` needs a table"):
            arrowload.run(shop.recipe(**source))
    with pytest.raises(RecipeError, match="is for Postgres tables"):
        arrowload.plan(
            {
                "name": "d",
                "source": {
                    "type": "duckdb",
                    "path": str(shop.folder / "x.duckdb"),
                    "table": "t",
                    "incremental": {"strategy": "cursor", "cursor_column": "id", "late": "xmin"},
                },
            }
        )
    recipe = shop.recipe()
    lag = {"strategy": "cursor", "cursor_column": "at", "lag": "1d"}
    lagging = {**recipe, "source": {**recipe["source"], "incremental": lag}}
    arrowload.run(lagging)
    with pytest.raises(StateError, match="was read without `late: xmin`"):
        arrowload.run(recipe)
    arrowload.run(recipe, full_refresh=True)
    assert arrowload.run(recipe).status == "up_to_date"
    ((state,),) = [list((shop.folder / "state").glob("r-append-xmin.json"))]
    assert b'"late"' in state.read_bytes()


@pytest.mark.parametrize("next_id", [1000, 2**32 + 5, 3 * 2**32 + 2**31])
def test_ids_of_rows_get_their_upper_half_back(postgres: PostgresDatabase, next_id: int) -> None:
    """A row that is `n` transactions old is, on whichever side of a wrap-around it lies."""
    late = LateRows("system", next_id - 100, next_id, None)
    for age, is_late in ((1, True), (100, True), (101, False), (900, False)):
        short = (next_id - age) % 2**32
        condition = late.column.expression.replace("xmin::text", f"'{short}'::text")
        assert postgres.value(f"SELECT {condition}") is is_late, (age, short)


def test_what_was_not_meant_is_not_read(shop: Shop) -> None:
    """Rows below `initial_value` are not the recipe's, however late they are written."""
    recipe = shop.recipe(incremental={"initial_value": "2026-01-01 00:10:00+00"})
    shop.add(1, 5)
    shop.add(2, 15)
    arrowload.run(recipe)
    shop.add(3, 6)
    shop.add(4, 12)
    arrowload.run(recipe)

    assert shop.ids(recipe) == [2, 4]


def test_rows_without_a_cursor_in_the_first_window(shop: Shop) -> None:
    """There is no bound yet that anything could lie behind."""
    shop.database.execute("ALTER TABLE t ALTER at DROP NOT NULL")
    shop.database.execute("INSERT INTO t VALUES (1, NULL, 'row')")
    recipe = shop.recipe("merge", incremental={"null_cursor": "include"})
    arrowload.run(recipe)
    shop.add(2, 10)
    arrowload.run(recipe)

    assert shop.ids(recipe) == [1, 2]


@pytest.mark.parametrize(
    ("keys", "why"), [({"boundary": "open"}, "closed boundary"), ({"lag": None}, "needs to be told how far behind")]
)
def test_what_has_no_meaning_is_refused(shop: Shop, keys: dict[str, Any], why: str) -> None:
    """In the recipe, before anything is read."""
    with pytest.raises(RecipeError, match=why):
        arrowload.validate(shop.recipe(incremental=keys))


def test_a_quiet_table_in_a_busy_server(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of transactions does not grow too old: now and then a load of no rows is committed."""
    recipe = shop.recipe()
    shop.add(1, 10)
    arrowload.run(recipe)
    quiet = arrowload.run(recipe)
    monkeypatch.setattr("arrowload.connectors.postgres.late_rows._MANY_TRANSACTIONS", 0)
    renewed = arrowload.run(recipe)

    assert (quiet.status, renewed.status, renewed.rows_written) == ("up_to_date", "committed", 0)
    assert shop.ids(recipe) == [1]
