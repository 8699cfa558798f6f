"""Postgres to Postgres, rows passed on as they lie on the wire: when that may be, and that nothing changes by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import arrowload
from arrowload.core.exceptions import DataError, DataLoaderError, TransformError
from arrowload.io.sql import quote_literal
from tests.faults.processes import run_recipe
from tests.integration.postgres.test_round_trip import SETUP, VALUES, differences

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

# Read as they lie on the wire, and with a modifier or none that a new table keeps.
AS_IT_LIES = (
    *("bool", "int2", "int4", "int8", "float4", "float8", "numeric(15,2)", "numeric(38,38)", "numeric(76,10)"),
    *("text", "varchar(5)", "char(5)", "bytea", "date", "time", "timestamp", "timestamptz", "interval", "uuid", "json"),
)
OTHERWISE = ("numeric", "numeric(2,4)", "name", "jsonb", "mood", "pair", "oid", "inet", "bit(3)", "int4[]", "int4range")


def recipe_of(postgres: PostgresDatabase, folder: Path, **changes: Any) -> dict[str, Any]:
    """From `source` to `target`; keys are `source=…`, `destination=…` and sections of the recipe."""
    return {
        "name": changes.pop("name", "r"),
        "source": {"type": "postgres", **postgres.keys, "table": "source", **changes.pop("source", {})},
        "destination": {"type": "postgres", **postgres.keys, "table": "target", **changes.pop("destination", {})},
        "state": {"type": "local", "path": str(folder / "state")},
        **changes,
    }


def is_relayed(recipe: dict[str, Any]) -> bool:
    return arrowload.plan(recipe).relayed


def hashes(postgres: PostgresDatabase) -> dict[str, tuple[str, str, int]]:
    """Of each recipe's last load: content hash, schema fingerprint, rows."""
    rows = postgres.query(
        "SELECT recipe, content_hash, schema_fingerprint, rows_written FROM _arrowload.loads ORDER BY seq"
    )
    return {name: (digest, fingerprint, written) for name, digest, fingerprint, written in rows}


def fill(postgres: PostgresDatabase, kind: str) -> None:
    values = ", ".join(f"({n}, {quote_literal(value)})" for n, value in enumerate(VALUES[kind]))
    postgres.execute(f"{SETUP} CREATE TABLE source (n int, v {kind}); INSERT INTO source VALUES {values}, (99, NULL);")


@pytest.mark.parametrize("kind", [*AS_IT_LIES, *OTHERWISE])
@pytest.mark.parametrize("there", [False, True], ids=["made", "there"])
def test_each_type_keeps_its_values_and_its_hash(
    postgres: PostgresDatabase, tmp_path: Path, kind: str, *, there: bool
) -> None:
    """Relayed or not, the ledger has the same hash, and the server the same text of each value."""
    fill(postgres, kind)
    if there:
        postgres.execute("CREATE TABLE target (LIKE source); CREATE TABLE plain (LIKE source);")
    recipe = recipe_of(postgres, tmp_path)
    relayed = is_relayed(recipe)

    arrowload.run(recipe)
    arrowload.run(
        recipe_of(postgres, tmp_path, name="plain", source={"driver": "adbc"}, destination={"table": "plain"})
    )

    if kind in AS_IT_LIES:
        assert relayed
    elif not there or kind not in ("name", "numeric(2,4)", "numeric", "jsonb"):
        assert not relayed
    cast = "trim_scale(v::text::numeric)::text" if kind == "numeric" else f"v::text::{kind}::text"
    assert differences(postgres, cast) == []
    assert hashes(postgres)["r"] == hashes(postgres)["plain"]
    assert hashes(postgres)["r"][2] == len(VALUES[kind]) + 1


WIDE = """
CREATE TABLE source
    (id int8, n int2, f float8, b bool, t text, d timestamptz, j json, u uuid, x bytea, m numeric(20,4));
INSERT INTO source SELECT g, nullif(g % 100, 7), g / 3.0, g % 2 = 0, nullif(repeat(g::text, g % 40), ''), now(),
    '{"a": 1}', gen_random_uuid(), decode(md5(g::text), 'hex'), g / 7.0 FROM generate_series(1, 30000) g;
"""


def same_rows(postgres: PostgresDatabase, times: int = 1) -> bool:
    """Whether `target` holds each row of `source` so many times."""
    rows = [
        f"SELECT t::text AS v, count(*) * {n} AS n FROM {name} t GROUP BY 1"
        for name, n in (("source", times), ("target", 1))
    ]
    return postgres.query(f"({rows[0]} EXCEPT {rows[1]}) UNION ALL ({rows[1]} EXCEPT {rows[0]})") == []


@pytest.mark.parametrize("splits", [1, 2, 5])
def test_several_splits_append_and_replace(postgres: PostgresDatabase, tmp_path: Path, splits: int) -> None:
    """Each row once by each load; a replaced table holds the new rows alone."""
    postgres.execute(WIDE)
    runtime = {"parallelism": splits}
    append = recipe_of(postgres, tmp_path, runtime=runtime)
    replace = recipe_of(postgres, tmp_path, name="again", runtime=runtime, destination={"write_mode": "replace"})

    plan = arrowload.plan(append)
    report = arrowload.run(append)
    made = same_rows(postgres)
    assert is_relayed(append)
    arrowload.run(append)
    appended = same_rows(postgres, times=2)
    assert is_relayed(replace)
    arrowload.run(replace)

    assert (plan.relayed, len(plan.splits)) == (True, splits)
    assert (made, appended, same_rows(postgres)) == (True, True, True)
    assert (report.rows_read, report.rows_written) == (30_000, 30_000)
    arrowload.run(recipe_of(postgres, tmp_path, name="p", source={"driver": "adbc"}, destination={"table": "p"}))
    assert hashes(postgres)["r"] == hashes(postgres)["again"] == hashes(postgres)["p"]


def test_an_empty_table_is_made(postgres: PostgresDatabase, tmp_path: Path) -> None:
    """No row, no piece; the table is there all the same, and a replace empties it."""
    postgres.execute("CREATE TABLE source (v int, t text);")

    report = arrowload.run(recipe_of(postgres, tmp_path))
    postgres.execute("INSERT INTO target VALUES (1, 'x');")
    emptied = {"write_mode": "replace", "allow_empty": True}
    arrowload.run(recipe_of(postgres, tmp_path, name="e", destination=emptied))

    assert report.rows_written == 0
    assert postgres.value("SELECT count(*) FROM target") == 0


def test_a_row_larger_than_a_piece_and_no_columns_but_nulls(postgres: PostgresDatabase, tmp_path: Path) -> None:
    """Pieces hold whole rows, whatever their size."""
    postgres.execute(
        "CREATE TABLE source (v text, x bytea); INSERT INTO source SELECT repeat('é', 700000), NULL"
        " FROM generate_series(1, 3); INSERT INTO source SELECT NULL, NULL FROM generate_series(1, 1000);"
    )

    assert is_relayed(recipe_of(postgres, tmp_path))
    arrowload.run(recipe_of(postgres, tmp_path))

    assert same_rows(postgres)


@pytest.mark.parametrize(
    "changes",
    [
        {"transform": {"steps": [{"type": "filter", "where": "v > 0"}]}},
        {"destination": {"write_mode": "merge", "merge_keys": ["v"]}},
        {"source": {"numeric_special": "null"}},
        {"source": {"infinity": "null"}},
        {"source": {"driver": "adbc"}},
        {"source": {"driver": "connectorx"}},
        {"source": {"columns": {"v": "text"}}},
        {"destination": {"driver": "adbc"}},
        {"source": {"incremental": {"strategy": "cursor", "cursor_column": "v"}}},
    ],
    ids=lambda changes: str(next(iter(changes.values())))[:40],
)
def test_recipes_that_look_at_rows_are_not_relayed(
    postgres: PostgresDatabase, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Steps, merges, policies, casts, other drivers, windows that overlap; they load the same rows."""
    postgres.execute("CREATE TABLE source (v int); INSERT INTO source VALUES (1), (2);")
    recipe = recipe_of(postgres, tmp_path, **changes)

    assert not is_relayed(recipe)
    arrowload.run(recipe)
    assert postgres.value("SELECT sum(v::int) FROM target") == 3


def test_an_open_window_is_relayed(postgres: PostgresDatabase, tmp_path: Path) -> None:
    """It shares no row with the next; the cursor is remembered."""
    postgres.execute("CREATE TABLE source (v int); INSERT INTO source VALUES (1), (2);")
    incremental = {"strategy": "cursor", "cursor_column": "v", "boundary": "open"}
    recipe = recipe_of(postgres, tmp_path, source={"incremental": incremental})

    relayed = is_relayed(recipe)
    arrowload.run(recipe)
    postgres.execute("INSERT INTO source VALUES (3), (2);")
    arrowload.run(recipe)

    assert relayed
    assert postgres.query("SELECT v FROM target ORDER BY v") == [(1,), (2,), (3,)]


@pytest.mark.parametrize(
    ("stored", "target", "value"),
    [
        ("json", "jsonb", '{"b": 1}'),
        ("jsonb", "json", '{"b": 1}'),
        ("int4", "int8", "5"),
        ("int4", "numeric(10,2)", "5"),
        ("float4", "float8", "0.5"),
        ("text", "varchar(3)", "abc"),
        ("varchar(5)", "varchar(3)", "abc"),
        ("text", "char(5)", "abcde"),
        ("char(5)", "varchar(5)", "abcde"),
        ("numeric(10,2)", "numeric(12,2)", "1.25"),
        ("numeric(10,2)", "numeric(10,3)", "1.25"),
        ("timestamp", "timestamp(0)", "2024-01-01"),
        ("timestamp", "seconds", "2024-01-01"),
        ("time", "time(0)", "10:00:00"),
        ("text", "inet", "10.0.0.1"),
        ("text", "name", "x"),
        ("int8", "oid", "5"),
    ],
)
def test_columns_of_other_types_or_modifiers_are_not_relayed(
    postgres: PostgresDatabase, tmp_path: Path, stored: str, target: str, value: str
) -> None:
    """They are cast, and checked, on the way."""
    postgres.execute(
        f"CREATE DOMAIN seconds AS timestamp(0); CREATE TABLE source (v {stored}); CREATE TABLE target (v {target});"
        f"INSERT INTO source VALUES ('{value}'), (NULL);"
    )
    recipe = recipe_of(postgres, tmp_path)

    assert not is_relayed(recipe)
    arrowload.run(recipe)
    assert postgres.value("SELECT v::text FROM target WHERE v IS NOT NULL") == postgres.value(
        f"SELECT v::{target}::text FROM source WHERE v IS NOT NULL"
    )


@pytest.mark.parametrize(
    ("stored", "target", "value"),
    [
        ("timestamp", "timestamp(0)", "2024-01-01 00:00:00.6"),
        ("timestamp", "seconds", "2024-01-01 00:00:00.6"),
        ("timestamp(3)", "seconds", "2024-01-01 00:00:00.6"),
        ("numeric(10,2)", "numeric(10,1)", "1.25"),
        ("numeric(10,2)", "tenths", "1.25"),
        ("text", "varchar(3)", "abcd"),
        ("text", "short", "abcd"),
    ],
)
def test_no_value_is_rounded_or_cut(
    postgres: PostgresDatabase, tmp_path: Path, stored: str, target: str, value: str
) -> None:
    """A column that keeps less ends the load, also where a domain hides its modifier."""
    postgres.execute(
        "CREATE DOMAIN seconds AS timestamp(0); CREATE DOMAIN tenths AS numeric(10,1);"
        "CREATE DOMAIN short AS varchar(3);"
        f"CREATE TABLE source (v {stored}); CREATE TABLE target (v {target}); INSERT INTO source VALUES ('{value}');"
    )

    with pytest.raises((DataError, TransformError)):
        arrowload.run(recipe_of(postgres, tmp_path))
    assert postgres.value("SELECT count(*) FROM target") == 0


def test_tables_with_triggers_rules_or_other_columns_order(postgres: PostgresDatabase, tmp_path: Path) -> None:
    """A trigger sees rows as ever; columns are matched by name, wherever they stand."""
    postgres.execute(
        "CREATE TABLE source (a int, b text); INSERT INTO source VALUES (1, 'x'), (2, NULL);"
        "CREATE TABLE target (b text, more int DEFAULT 5, a int); CREATE TABLE watched (a int, b text);"
        "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.b := ''seen''; RETURN NEW; END';"
        "CREATE TRIGGER t BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION pass();"
    )
    watched = recipe_of(postgres, tmp_path, name="w", destination={"table": "watched"})

    assert is_relayed(recipe_of(postgres, tmp_path))
    assert not is_relayed(watched)
    arrowload.run(recipe_of(postgres, tmp_path))
    arrowload.run(watched)

    assert postgres.query("SELECT a, b, more FROM target ORDER BY a") == [(1, "x", 5), (2, None, 5)]
    assert postgres.query("SELECT a, b FROM watched ORDER BY a") == [(1, "seen"), (2, "seen")]


def test_a_generated_column_is_refused(postgres: PostgresDatabase, tmp_path: Path) -> None:
    """As without relay."""
    postgres.execute(
        "CREATE TABLE source (a int, b int); INSERT INTO source VALUES (1, 2);"
        "CREATE TABLE target (a int, b int GENERATED ALWAYS AS (a * 2) STORED);"
    )

    with pytest.raises(DataLoaderError, match="`b`"):
        arrowload.run(recipe_of(postgres, tmp_path))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("numeric(10,2)", "NaN"),
        ("timestamptz", "infinity"),
        ("date", "-infinity"),
        ("interval", "infinity"),
        ("time", "24:00:00"),
        ("timestamp", "294276-12-31"),
    ],
)
def test_a_value_that_arrow_has_not_ends_the_load_as_without_relay(
    postgres: PostgresDatabase, tmp_path: Path, kind: str, value: str
) -> None:
    """Late in the table, when pieces have been stored already; nothing is committed."""
    good = {"numeric(10,2)": "1", "interval": "1 day", "time": "10:00"}.get(kind, "2024-01-01")
    postgres.execute(
        f"CREATE TABLE source (v {kind}, t text); CREATE TABLE target (LIKE source);"
        f"INSERT INTO source SELECT '{good}', repeat('x', 200) FROM generate_series(1, 8000);"
        f"INSERT INTO source VALUES ('{value}', '');"
    )
    recipe = recipe_of(postgres, tmp_path, runtime={"parallelism": 2})

    assert is_relayed(recipe)
    with pytest.raises(DataError, match="`v`"):
        arrowload.run(recipe)
    assert postgres.value("SELECT count(*) FROM target") == 0


def test_a_constraint_of_the_target_ends_the_load(postgres: PostgresDatabase, tmp_path: Path) -> None:
    """With the server's words; nothing is committed."""
    postgres.execute(
        "CREATE TABLE source AS SELECT g AS v FROM generate_series(1, 100000) g;"
        "CREATE TABLE target (v int CHECK (v < 99000));"
    )

    with pytest.raises(DataError, match="violates check constraint"):
        arrowload.run(recipe_of(postgres, tmp_path))
    assert postgres.value("SELECT count(*) FROM target") == 0


@pytest.mark.fault(4)
@pytest.mark.parametrize("site", ["stage.batch=kill9@2", "stage.after=kill9", "finalize.fenced=kill9"])
def test_a_killed_run_leaves_nothing_and_the_next_loads_all(
    postgres: PostgresDatabase, tmp_path: Path, site: str
) -> None:
    """Also of a table that it was about to make."""
    postgres.execute(WIDE)
    recipe = recipe_of(postgres, tmp_path, runtime={"parallelism": 2})

    outcome = run_recipe(recipe, failpoints=site)
    left = postgres.value("SELECT to_regclass('target') IS NOT NULL")
    arrowload.run(recipe)

    assert outcome.killed, outcome
    assert not left
    assert same_rows(postgres)
