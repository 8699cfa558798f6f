"""Append, replace and merge into tables that are there, that are altered, and that are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from arrowload.connectors.base import CURSOR_COLUMN, ORDINAL_COLUMN
from arrowload.core.exceptions import DataError, EngineError, RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from arrowload.connectors.postgres.destination import PostgresDestination
    from tests.postgres_server import PostgresDatabase

ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int32()), "name": ["a", None, "c"]})
ALL = "SELECT id, name FROM target ORDER BY id, name"


def versions(*rows: tuple[int, str, int | None]) -> pa.Table:
    """Rows of (id, name, cursor), as a merge is handed them."""
    return pa.table(
        {
            "id": pa.array([row[0] for row in rows], pa.int32()),
            "name": [row[1] for row in rows],
            CURSOR_COLUMN: pa.array([row[2] for row in rows], pa.int64()),
            ORDINAL_COLUMN: pa.array(range(len(rows)), pa.int64()),
        }
    )


def test_append_makes_the_table_and_its_schema(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """The second load adds to it."""
    loads = loading("crm.target")

    sealed = loads.load(ROWS)
    loads.load(ROWS)

    assert (sealed.rows_staged, sealed.rows_duplicate) == (3, 0)
    assert postgres.query(ALL.replace("target", "crm.target")) == [
        (1, "a"), (1, "a"), (2, None), (2, None), (3, "c"), (3, "c"),
    ]  # fmt: skip


def test_an_empty_load_makes_the_table_too(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """With no row in it."""
    for table, mode, keys in (("a", "append", ()), ("r", "replace", ()), ("m", "merge", ("id",))):
        rows = ROWS.slice(0, 0)
        extra = {ORDINAL_COLUMN: pa.array([], pa.int64())} if keys else {}
        for name, column in extra.items():
            rows = rows.append_column(name, column)
        loading(table).load(rows, mode, keys)

        assert postgres.query(f"SELECT id, name FROM {table}") == []


def test_columns_are_matched_by_name(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """Whatever their order; those that the load lacks get their default."""
    postgres.execute("CREATE TABLE target (name text, at int NOT NULL DEFAULT 7, id serial);")

    loading().load(ROWS.select(["name"]))
    loading().load(pa.table({"id": pa.array([9], pa.int64()), "name": ["x"]}))

    assert postgres.query("SELECT name, at, id FROM target ORDER BY id") == [
        ("a", 7, 1), (None, 7, 2), ("c", 7, 3), ("x", 7, 9),
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["append", "merge"])
def test_a_new_column_is_added_to_the_table(postgres: PostgresDatabase, loading: Callable[..., Any], mode: str) -> None:
    """Old rows have NULL there; nobody waits for the ALTER while rows are staged."""
    postgres.execute("CREATE TABLE target (id int PRIMARY KEY); INSERT INTO target VALUES (0);")
    keys = ("id",) if mode == "merge" else ()
    rows = ROWS.append_column(ORDINAL_COLUMN, pa.array([0, 1, 2], pa.int64())) if keys else ROWS

    loads = loading()
    writer, load = loads.staged(rows, mode, keys)
    postgres.execute("SET lock_timeout = '2s'; INSERT INTO target VALUES (10);")
    sealed = writer.seal()
    writer.finalize(loads.entry(load, rows_written=sealed.rows_staged), None)

    assert postgres.query(ALL) == [(0, None), (1, "a"), (2, None), (3, "c"), (10, None)]


def test_rows_are_seen_only_after_the_commit(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """An aborted load leaves nothing, not even the table."""
    loads = loading()
    writer, _ = loads.staged(ROWS)
    writer.seal()

    seen_before = postgres.value("SELECT to_regclass('target')::text AS t")
    writer.abort()

    assert seen_before is None
    assert postgres.value("SELECT to_regclass('target')::text AS t") is None
    assert postgres.value("SELECT count(*) FROM _arrowload.loads") == 0


def test_replace_puts_all_new_rows_in_the_place_of_all_old_ones(
    postgres: PostgresDatabase, loading: Callable[..., Any]
) -> None:
    """A reader sees the old ones until the commit, in the same table: views, indexes and grants stay."""
    postgres.execute(
        "CREATE TABLE target (id int PRIMARY KEY, name varchar(9)); INSERT INTO target VALUES (1, 'old');"
        "CREATE VIEW v AS SELECT * FROM target; GRANT SELECT ON target TO PUBLIC;"
    )
    before = postgres.value("SELECT 'target'::regclass::oid::int8 AS o")

    loads = loading()
    writer, load = loads.staged(ROWS, "replace")
    during = postgres.query(ALL)
    sealed = writer.seal()
    writer.finalize(loads.entry(load, rows_written=sealed.rows_staged), None)

    assert sealed.rows_staged == 3
    assert during == [(1, "old")]
    assert postgres.query("SELECT id, name FROM v ORDER BY id") == [(1, "a"), (2, None), (3, "c")]
    assert postgres.value("SELECT 'target'::regclass::oid::int8 AS o") == before


def test_replace_adds_the_columns_that_a_table_lacks(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """It is the same table, with all that hangs on it; a column that nothing comes for is NULL."""
    postgres.execute(
        "CREATE TABLE target (id int PRIMARY KEY, extra text CHECK (extra <> ''));INSERT INTO target VALUES (1, 'x');"
        "CREATE INDEX ON target (extra); CREATE VIEW v AS SELECT id FROM target; GRANT SELECT ON target TO PUBLIC;"
    )
    before = postgres.value("SELECT 'target'::regclass::oid::int8 AS o")

    loading().load(ROWS, "replace")

    assert postgres.query("SELECT id, name, extra FROM target ORDER BY id") == [
        (1, "a", None),
        (2, None, None),
        (3, "c", None),
    ]
    assert postgres.value("SELECT 'target'::regclass::oid::int8 AS o") == before
    assert postgres.value("SELECT count(*) AS n FROM pg_indexes WHERE tablename = 'target'") == 2


def test_a_table_that_is_made_anew_belongs_to_whom_the_old_one_did(
    postgres: PostgresDatabase, loading: Callable[..., Any]
) -> None:
    """Not to the role that loads."""
    postgres.execute(
        "DROP ROLE IF EXISTS owner_role; CREATE ROLE owner_role; CREATE TABLE target (id smallint);"
        "ALTER TABLE target OWNER TO owner_role"
    )

    loading().load(ROWS, "replace")

    owner = "SELECT pg_get_userbyid(relowner)::text AS o FROM pg_class WHERE oid = 'target'::regclass"
    assert postgres.value(owner) == "owner_role"
    postgres.execute("DROP TABLE target; DROP ROLE owner_role")


def test_replace_makes_the_table_anew_when_its_columns_cannot_hold_the_rows(
    postgres: PostgresDatabase, loading: Callable[..., Any]
) -> None:
    """The new one has the grants of the old one; readers see the old rows until then."""
    postgres.execute(
        "DROP ROLE IF EXISTS reader_role; CREATE ROLE reader_role;"
        "CREATE TABLE target (id smallint, gone text NOT NULL); INSERT INTO target VALUES (1, 'x');"
        "GRANT SELECT, UPDATE ON target TO reader_role; GRANT SELECT ON target TO PUBLIC;"
    )

    loads = loading()
    writer, load = loads.staged(ROWS, "replace")
    during = postgres.query("SELECT id, gone FROM target")
    sealed = writer.seal()
    writer.finalize(loads.entry(load, rows_written=sealed.rows_staged), None)

    assert during == [(1, "x")]
    assert postgres.query(ALL) == [(1, "a"), (2, None), (3, "c")]
    assert (
        postgres.value(
            "SELECT format_type(atttypid, -1) FROM pg_attribute WHERE attrelid='target'::regclass AND attname='id'"
        )
        == "integer"
    )
    assert postgres.value("SELECT has_table_privilege('reader_role', 'target', 'UPDATE') AS p")
    assert (
        postgres.query("SELECT relname::text AS r FROM pg_class WHERE relname LIKE '%arrowload%' AND relkind = 'r'")
        == []
    )


@pytest.mark.parametrize(
    ("hanging", "what"),
    [
        ("CREATE VIEW v AS SELECT * FROM target", "a view"),
        (
            "ALTER TABLE target ADD UNIQUE (id); CREATE TABLE other (id smallint REFERENCES target (id))",
            "a foreign key",
        ),
        ("CREATE PUBLICATION p FOR TABLE target", "a publication"),
        ("CREATE TABLE child () INHERITS (target)", "a partition or child"),
    ],
)
def test_a_table_that_others_depend_on_is_not_made_anew(
    postgres: PostgresDatabase, loading: Callable[..., Any], hanging: str, what: str
) -> None:
    """The plan says so, and nothing is changed."""
    postgres.execute(f"CREATE TABLE target (id smallint); {hanging};")

    with pytest.raises(RecipeError, match=what):
        loading().load(ROWS, "replace")


def test_replace_does_not_reach_into_other_tables(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """A foreign key with ON DELETE CASCADE would carry the deletion on."""
    postgres.execute(
        "CREATE TABLE target (id int PRIMARY KEY, name text);"
        "CREATE TABLE other (id int REFERENCES target (id) ON DELETE CASCADE);"
        "INSERT INTO target VALUES (1, 'a'); INSERT INTO other VALUES (1);"
    )

    with pytest.raises(RecipeError, match="`other`"):
        loading().load(ROWS, "replace")

    assert postgres.value("SELECT count(*) FROM other") == 1


def test_merge_updates_and_adds_by_key(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """Columns that the load lacks keep their values; of equal keys the last by (cursor, ordinal) wins."""
    postgres.execute(
        "CREATE TABLE target (id int PRIMARY KEY, name text, kept int DEFAULT 0);"
        "INSERT INTO target VALUES (1, 'old', 5), (7, 'other', 6);"
    )
    rows = versions(
        (1, "late", 20), (1, "early", 10), (2, "null", None), (2, "first", 3), (2, "second", 3), (3, "n", None)
    )

    sealed = loading().load(rows, "merge", ("id",))

    assert (sealed.rows_staged, sealed.rows_duplicate) == (6, 3)
    assert postgres.query("SELECT id, name, kept FROM target ORDER BY id") == [
        (1, "late", 5), (2, "second", 0), (3, "n", 0), (7, "other", 6),
    ]  # fmt: skip


def test_merge_makes_a_table_with_a_primary_key(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """Merging the same rows again changes nothing; a table of keys alone can be merged too."""
    loads, keys_only = loading(), loading("keys")
    rows = versions((1, "a", 1), (2, "b", 1))

    for _ in range(2):
        loads.load(rows, "merge", ("id", "name"))
        keys_only.load(rows.select(["id", CURSOR_COLUMN, ORDINAL_COLUMN]), "merge", ("id",))

    assert postgres.query(ALL) == [(1, "a"), (2, "b")]
    assert postgres.query("SELECT id FROM keys ORDER BY id") == [(1,), (2,)]
    assert postgres.query(
        "SELECT pg_get_constraintdef(oid) AS c FROM pg_constraint WHERE conrelid = 'target'::regclass AND contype = 'p'"
    ) == [("PRIMARY KEY (id, name)",)]


def test_replace_with_merge_keys_keeps_one_row_of_each(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """As when a recipe that merges is loaded anew, into a table that is there, made, or made anew."""
    rows = versions((1, "a", 1), (1, "b", 2), (2, "c", 1))
    postgres.execute("CREATE TABLE target (id int, name text); INSERT INTO target VALUES (9, 'old');")
    postgres.execute("CREATE TABLE other (id text); INSERT INTO other VALUES ('old');")

    for table in ("target", "made", "other"):
        sealed = loading(table).load(rows, "replace", ("id",))
        assert (sealed.rows_staged, sealed.rows_duplicate) == (3, 1)
        assert postgres.query(f"SELECT id, name FROM {table} ORDER BY id") == [(1, "b"), (2, "c")]


def test_merge_compares_keys_as_the_column_does(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """Two spellings of one address are one key."""
    postgres.execute("CREATE TABLE target (ip inet PRIMARY KEY, n int); INSERT INTO target VALUES ('::1', 0);")
    rows = pa.table(
        {
            "ip": ["::1", "0::1", "10.0.0.1"],
            "n": pa.array([1, 2, 3], pa.int32()),
            ORDINAL_COLUMN: pa.array([0, 1, 2], pa.int64()),
        }
    )

    sealed = loading().load(rows, "merge", ("ip",))

    assert sealed.rows_duplicate == 1
    assert postgres.query("SELECT host(ip) AS ip, n FROM target ORDER BY n") == [("::1", 2), ("10.0.0.1", 3)]


def test_json_is_no_merge_key(loading: Callable[..., Any]) -> None:
    """Postgres cannot compare it."""
    rows = pa.table({"j": pa.array(["{}"], pa.json_())})

    with pytest.raises(RecipeError, match="no merge key"):
        loading().destination.target(rows.schema, write_mode="merge", merge_keys=("j",))


def test_a_column_that_the_table_demands_is_asked_for(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """A NOT NULL column without default; one that the server computes takes no value."""
    postgres.execute(
        "CREATE TABLE target (id int, nam text NOT NULL);"
        "CREATE TABLE computed (id int, name text GENERATED ALWAYS AS (id::text) STORED);"
    )

    with pytest.raises(RecipeError, match="demands column `nam`") as caught:
        loading().load(ROWS)
    with pytest.raises(RecipeError, match="computes column `name` itself"):
        loading("computed").load(ROWS)

    assert "`name`" in str(caught.value.hint)


def test_a_view_is_no_target(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """Rows go into tables."""
    postgres.execute("CREATE VIEW target AS SELECT 1 AS id;")

    with pytest.raises(RecipeError, match="is a view"):
        loading().load(ROWS)


def test_partitioned_tables_and_tables_with_identity_take_rows(
    postgres: PostgresDatabase, loading: Callable[..., Any]
) -> None:
    """By way of staging; values given for an identity column are kept."""
    postgres.execute(
        "CREATE TABLE target (id int, name text) PARTITION BY LIST (id); CREATE TABLE t1 PARTITION OF target DEFAULT;"
        "CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY, name text);"
    )

    for mode in ("append", "replace", "append"):
        loading().load(ROWS, mode)
    loading("numbered").load(ROWS)

    assert len(postgres.query(ALL)) == 6
    assert postgres.query("SELECT id, name FROM numbered ORDER BY id") == [(1, "a"), (2, None), (3, "c")]


def test_a_trigger_that_keeps_rows_out_ends_the_load(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """Rows that are counted as loaded are there."""
    postgres.execute(
        "CREATE TABLE target (id int, name text);"
        "CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER t BEFORE INSERT ON target FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION drop_it();"
    )

    with pytest.raises(DataError, match="kept 1 rows out"):
        loading().load(ROWS)

    assert postgres.query(ALL) == []


def test_rows_of_another_schema_are_not_written(
    postgres: PostgresDatabase, destination: Callable[..., PostgresDestination], loading: Callable[..., Any]
) -> None:
    """The binary COPY checks no types, so the writer does."""
    loads = loading()
    loads.destination.fence(loads.pipeline_id, loads.recipe, 1, "owner")
    schema = pa.schema({"v": pa.float64()})
    writer = loads.destination.begin(loads.next_load(schema, "append", (), has_cursor=False))

    with pytest.raises(EngineError, match="schema"):
        writer.stage(pa.table({"v": pa.array([1], pa.int64())}).to_reader())

    writer.abort()


def test_an_error_of_the_rows_comes_out_with_its_words(postgres: PostgresDatabase, loading: Callable[..., Any]) -> None:
    """A C stream carries no more than those; nothing is written."""
    loads = loading()
    loads.destination.fence(loads.pipeline_id, loads.recipe, 1, "owner")
    writer = loads.destination.begin(loads.next_load(ROWS.schema, "append", (), has_cursor=False))

    def batches() -> Any:
        yield ROWS.to_batches()[0]
        raise DataError("row 4 is bad", context={"row": 4})

    with pytest.raises(DataError, match="row 4 is bad"):
        writer.stage(pa.RecordBatchReader.from_batches(ROWS.schema, batches()))

    writer.abort()
    assert postgres.value("SELECT to_regclass('target')::text AS t") is None


def test_the_plan_shows_every_statement_and_changes_nothing(
    postgres: PostgresDatabase, destination: Callable[..., PostgresDestination]
) -> None:
    """DDL, lock, rows."""
    facts = destination('"o dd"."ta""ble"').target(ROWS.schema, write_mode="merge", merge_keys=("id",))

    assert facts.location.endswith('o dd.ta"ble')
    assert facts.ddl == (
        'CREATE SCHEMA IF NOT EXISTS "o dd"',
        'CREATE TABLE "o dd"."ta""ble" ("id" integer, "name" text, PRIMARY KEY ("id"))',
    )
    assert [statement.split()[0] for statement in facts.finalize] == ["INSERT"]
    assert 'ON CONFLICT ("id") DO UPDATE SET "name" = excluded."name"' in facts.finalize[0]
    assert postgres.value("SELECT count(*) FROM pg_namespace WHERE nspname IN ('o dd', '_arrowload')") == 0


@pytest.mark.fault(68)
@pytest.mark.parametrize("name", ["o'dd", 'quo"ted', "do.ts; --", "é😀", "x" * 63, "SELECT", "%s {x} $1 :y"])
@pytest.mark.parametrize("mode", ["append", "replace", "merge"])
def test_odd_names_are_quoted(postgres: PostgresDatabase, loading: Callable[..., Any], name: str, mode: str) -> None:
    """Schemas, tables and columns may have any name, in a table that is made and in one that is there."""
    q = '"' + name.replace('"', '""') + '"'
    rows = pa.table({name: pa.array([1, 2], pa.int32()), "v": ["a", "b"]})
    if mode == "merge":
        rows = rows.append_column(ORDINAL_COLUMN, pa.array([0, 1], pa.int64()))

    for _ in range(2):
        loading(f"{q}.{q}").load(rows, mode, (name,) if mode == "merge" else ())

    assert postgres.value(f"SELECT count(*) FROM {q}.{q}") == (4 if mode == "append" else 2)
