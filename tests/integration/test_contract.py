"""A schema contract says what becomes of a target when the columns that come are not those that it has."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

import arrowload
from arrowload.connectors.memory.store import store
from arrowload.core.exceptions import DataError, RecipeError
from tests.integration.places import places

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

pytestmark = pytest.mark.usefixtures("empty_store")

DATABASES = ["duckdb", "postgres"]


class World:
    """A table that a recipe without a contract has loaded, and the recipe with one."""

    def __init__(self, kind: str, folder: Path, postgres: PostgresDatabase) -> None:
        self.kind, self.folder, self.postgres = kind, folder, postgres

    def recipe(self, contract: Any, mode: str = "append", limit: int = 100) -> dict[str, Any]:
        place = places(self.folder, self.postgres)[self.kind]
        return {
            "name": "r",
            "source": {"type": "memory", "name": "t"},
            "destination": {**place, "write_mode": mode, "contract": contract},
            "runtime": {"max_rejected": limit},
            "state": {"type": "local", "path": str(self.folder / "state")},
        }

    def load(self, rows: dict[str, pa.Array], contract: Any = None, **how: Any) -> arrowload.RunReport:
        store.tables["t"] = pa.table(rows)
        return arrowload.run(self.recipe(contract, **how))

    def rows(self, columns: str = "*") -> list[tuple[Any, ...]]:
        sql = f'SELECT {columns} FROM "out" ORDER BY id'
        if self.kind == "postgres":
            return self.postgres.query(sql)
        with duckdb.connect(str(self.folder / "out.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def type_of(self, column: str) -> str:
        sql = f"SELECT data_type FROM information_schema.columns WHERE table_name = 'out' AND column_name = '{column}'"
        if self.kind == "postgres":
            return str(self.postgres.value(sql)).lower()
        with duckdb.connect(str(self.folder / "out.duckdb"), read_only=True) as connection:
            return str(connection.execute(sql).fetchall()[0][0]).lower()


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path, postgres: PostgresDatabase) -> World:
    world = World(request.param, tmp_path, postgres)
    world.load({"id": pa.array([1, 2], pa.int32()), "v": pa.array([10, 20], pa.int16())})
    return world


@pytest.mark.parametrize("world", [*DATABASES, "parquet"], indirect=True)
@pytest.mark.parametrize(
    ("rows", "change"),
    [
        ({"v": pa.array([3], pa.int64())}, "`v`: int16 → int64"),
        ({"v": pa.array(["x"])}, "`v`: int16 → string"),
        ({"v": pa.array([3], pa.int16()), "w": pa.array([1])}, "`w`: not there → int64"),
        ({}, "`v`: int16 → not there"),
    ],
)
@pytest.mark.fault(65)
def test_freeze_refuses_before_a_row_is_read(world: World, rows: dict[str, pa.Array], change: str) -> None:
    with pytest.raises(RecipeError, match="its contract does not allow that") as raised:
        world.load({"id": pa.array([3], pa.int32()), **rows}, "freeze")

    assert change in raised.value.message
    assert raised.value.context["path"] == "$.destination.contract"


@pytest.mark.parametrize("world", [*DATABASES, "parquet"], indirect=True)
def test_freeze_lets_what_fits_pass(world: World) -> None:
    report = world.load({"id": pa.array([3], pa.int16()), "v": pa.array([3], pa.int8())}, "freeze")

    assert (report.rows_written, report.drift) == (1, ())


@pytest.mark.parametrize("world", DATABASES, indirect=True)
@pytest.mark.parametrize("mode", ["append", "replace"])
def test_a_table_that_is_not_there_is_not_made(
    tmp_path: Path, postgres: PostgresDatabase, mode: str, world: World
) -> None:
    recipe = world.recipe({"table": "freeze"}, mode)
    recipe["destination"]["table"] = "other"

    with pytest.raises(RecipeError, match=r"`(main|public)\.other` is not there"):
        arrowload.run(recipe)


@pytest.mark.parametrize("world", DATABASES, indirect=True)
@pytest.mark.parametrize(
    ("values", "kind", "change"),
    [
        (pa.array([2**40], pa.int64()), "bigint", "`v`: int16 → int64: the column becomes int64"),
        (
            pa.array([Decimal("1.25")], pa.decimal128(8, 2)),
            {"duckdb": "decimal(8,2)", "postgres": "numeric"},
            "`v`: int16 → decimal(8,2): the column becomes decimal(8,2)",
        ),
    ],
)
@pytest.mark.fault(65)
def test_evolve_safe_widens_the_column_in_place(world: World, values: pa.Array, kind: Any, change: str) -> None:
    """In the load's own transaction; the values that were there stay what they were."""
    ids = pa.array([3], pa.int32())
    store.tables["t"] = pa.table({"id": ids, "v": values})
    planned = arrowload.plan(world.recipe("evolve_safe"))
    before = world.type_of("v")

    report = world.load({"id": ids, "v": values}, "evolve_safe")

    assert [str(drift) for drift in planned.drift] == [change]
    assert before == "smallint"
    assert report.drift == (change,)
    assert world.type_of("v") == (kind if isinstance(kind, str) else kind[world.kind])
    assert [Decimal(row[1]) for row in world.rows("id, v")] == [10, 20, values[0].as_py()]


@pytest.mark.parametrize("world", DATABASES, indirect=True)
def test_a_load_in_chunks_reports_what_the_first_has_changed(world: World) -> None:
    recipe = world.recipe("evolve_safe")
    recipe["source"]["incremental"] = {"strategy": "cursor", "cursor_column": "id"}
    recipe["runtime"]["commit_every"] = 1
    store.tables["t"] = pa.table({"id": pa.array([3, 4, 5], pa.int32()), "v": pa.array([2**40] * 3)})

    report = arrowload.run(recipe)

    assert report.commits == 3
    assert report.drift == ("`v`: int16 → int64: the column becomes int64",)


@pytest.mark.parametrize("world", DATABASES, indirect=True)
def test_a_load_that_fails_leaves_the_type_as_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from arrowload.core import failpoint

    failpoint.arm("finalize.fenced=err")
    recipe = world.recipe("evolve_safe")
    recipe["runtime"]["retries"] = {"max_attempts": 1}
    store.tables["t"] = pa.table({"id": pa.array([3], pa.int32()), "v": pa.array([2**40])})
    try:
        with pytest.raises(arrowload.DataLoaderError):
            arrowload.run(recipe)
    finally:
        failpoint.arm("")

    assert world.type_of("v") == "smallint"
    assert world.rows() == [(1, 10), (2, 20)]


@pytest.mark.parametrize("world", DATABASES, indirect=True)
def test_evolve_makes_text_of_what_has_nothing_in_common(world: World) -> None:
    report = world.load({"id": pa.array([3], pa.int32()), "v": pa.array(["n/a"])}, "evolve")

    assert report.drift == ("`v`: int16 → string: the column becomes string",)
    assert world.rows("id, v") == [(1, "10"), (2, "20"), (3, "n/a")]


@pytest.mark.parametrize("world", DATABASES, indirect=True)
@pytest.mark.parametrize("contract", ["evolve_safe", "evolve", {"columns": "evolve_safe"}])
def test_new_columns_are_added(world: World, contract: Any) -> None:
    rows = {"id": pa.array([3], pa.int32()), "v": pa.array([3], pa.int16()), "w": pa.array(["new"])}

    report = world.load(rows, contract)

    assert report.drift == ("`w`: not there → string: added",)
    assert world.rows("id, v, w") == [(1, 10, None), (2, 20, None), (3, 3, "new")]


@pytest.mark.fault(65)
@pytest.mark.parametrize("world", [*DATABASES, "parquet"], indirect=True)
def test_rows_whose_value_does_not_fit_are_put_aside(world: World) -> None:
    rows = {"id": pa.array([3, 4, 5, 6], pa.int32()), "v": pa.array(["30", "n/a", None, "40000"])}

    report = world.load(rows, "quarantine_row")

    kept = arrowload.quarantine(world.recipe("quarantine_row"))
    assert (report.rows_written, report.rows_rejected) == (2, 2)
    assert kept["value"].to_pylist() == ["n/a", "40000"]
    assert kept["code"].to_pylist() == ["target", "target"]
    if world.kind != "parquet":
        assert world.rows("id, v") == [(1, 10), (2, 20), (3, 30), (5, None)]


@pytest.mark.parametrize("world", [*DATABASES, "parquet"], indirect=True)
def test_values_that_do_not_fit_are_put_aside_and_their_rows_loaded(world: World) -> None:
    rows = {"id": pa.array([3, 4, 5, 6], pa.int32()), "v": pa.array(["30", "n/a", None, "40000"])}

    report = world.load(rows, {"types": "quarantine_value"})

    kept = arrowload.quarantine(world.recipe("quarantine_value"))
    assert (report.rows_written, report.rows_rejected) == (4, 0)
    assert kept["value"].to_pylist() == ["n/a", "40000"]
    assert kept["code"].to_pylist() == ["value", "value"]
    if world.kind != "parquet":
        assert world.rows("id, v")[2:] == [(3, 30), (4, None), (5, None), (6, None)]


@pytest.mark.parametrize("world", [*DATABASES, "parquet"], indirect=True)
@pytest.mark.parametrize(("mode", "written", "rejected"), [("quarantine_row", 1, 1), ("quarantine_value", 2, 0)])
def test_a_column_that_the_target_lacks_goes_to_quarantine(
    world: World, mode: str, written: int, rejected: int
) -> None:
    rows = {"id": pa.array([3, 4], pa.int32()), "v": pa.array([3, 4], pa.int16()), "w": pa.array(["extra", None])}

    report = world.load(rows, {"columns": mode})

    kept = arrowload.quarantine(world.recipe({"columns": mode}))
    assert (report.rows_written, report.rows_rejected) == (written, rejected)
    assert kept["value"].to_pylist() == ["extra"]
    assert kept["column_name"].to_pylist() == ["w"]
    if world.kind != "parquet":
        assert world.rows() == [(1, 10), (2, 20), *([(3, 3)] if mode == "quarantine_value" else []), (4, 4)]


@pytest.mark.parametrize("world", [*DATABASES, "parquet"], indirect=True)
def test_a_value_in_quarantine_is_not_loaded_again(world: World) -> None:
    """Its row is in the target already; a row of the same load that is not is loaded, and the value stays."""
    contract = {"overrides": {"v": "quarantine_value", "id": "quarantine_row"}}
    world.load({"id": pa.array(["3"]), "v": pa.array(["n/a"])}, contract)
    assert arrowload.replay(world.recipe(contract)) is None

    world.load({"id": pa.array(["4", "x"]), "v": pa.array(["n/a", "5"])}, contract)
    again = arrowload.replay(world.recipe(contract))

    assert again is not None
    assert (again.rows_read, again.rows_rejected) == (1, 1)
    assert arrowload.quarantine(world.recipe(contract))["code"].to_pylist() == ["value", "value", "target"]


@pytest.mark.fault(65)
def test_single_columns_have_contracts_of_their_own(tmp_path: Path, postgres: PostgresDatabase) -> None:
    world = World("duckdb", tmp_path, postgres)
    world.load({"id": pa.array([1], pa.int32()), "v": pa.array([1], pa.int16()), "u": pa.array([1], pa.int16())})
    rows = {"id": pa.array([2], pa.int32()), "v": pa.array([2**20]), "u": pa.array([2**20])}
    contract = {"types": "evolve_safe", "overrides": {"u": "freeze"}}

    with pytest.raises(RecipeError, match="allow that: `u`: int16 → int64;"):
        world.load(rows, contract)

    world.load({**rows, "u": pa.array([2], pa.int16())}, contract)
    assert world.type_of("v") == "bigint"


def test_a_contract_that_quarantines_needs_a_budget(tmp_path: Path, postgres: PostgresDatabase) -> None:
    world = World("duckdb", tmp_path, postgres)
    world.load({"id": pa.array([1], pa.int32()), "v": pa.array([10], pa.int16())})
    rows = {"id": pa.array([3, 4], pa.int32()), "v": pa.array(["x", "y"])}

    with pytest.raises(RecipeError, match="nothing may be rejected"):
        world.load(rows, "quarantine_value", limit=0)
    with pytest.raises(DataError, match="more than 1 rows are refused"):
        world.load(rows, "quarantine_value", limit=1)
    assert world.rows() == [(1, 10)]


def test_files_cannot_change_their_types(tmp_path: Path, postgres: PostgresDatabase) -> None:
    world = World("parquet", tmp_path, postgres)
    world.load({"id": pa.array([1], pa.int32()), "v": pa.array([10], pa.int16())})

    with pytest.raises(RecipeError, match="the types of `v` cannot be changed"):
        world.load({"id": pa.array([3], pa.int32()), "v": pa.array([2**40])}, "evolve_safe")


def test_replace_takes_new_types_and_says_so(tmp_path: Path, postgres: PostgresDatabase) -> None:
    world = World("duckdb", tmp_path, postgres)
    world.load({"id": pa.array([1], pa.int32()), "v": pa.array([10], pa.int16())}, mode="replace")

    report = world.load({"id": pa.array([1], pa.int32()), "v": pa.array(["x"])}, "evolve", mode="replace")

    assert report.drift == ("`v`: int16 → string: the column becomes string",)
    assert world.rows() == [(1, "x")]
    with pytest.raises(RecipeError, match="its contract does not allow that"):
        world.load({"id": pa.array([1], pa.int32())}, "freeze", mode="replace")
