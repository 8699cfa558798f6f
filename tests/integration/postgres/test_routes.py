"""The same values by every route: our own COPY, the ADBC driver, ConnectorX; or a refusal that says why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import arrowload
from arrowload.core.exceptions import ConnectorError, DataError, DataLoaderError, RecipeError
from arrowload.core.secret import Secret
from arrowload.core.state import State
from arrowload.io.sql import quote_literal
from tests.integration.postgres.test_round_trip import SETUP, VALUES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from arrowload.connectors.postgres.source import PostgresSource
    from tests.postgres_server import PostgresDatabase, PostgresServer

OTHERS = ("adbc", "connectorx")
# What a driver has no exact form for; each refusal names the column.
REFUSED = {
    "adbc": ("int4[][]",),
    "connectorx": ("interval", "date", "timestamp", *(kind for kind in VALUES if kind.endswith("[]")), "int4[][]"),
}
KINDS = {**VALUES, "money": ["$1,234.56", "-$0.01"], "int4[][]": ["{{1,2},{3,NULL}}"], "point": ["(0.1,1e-300)"]}


@pytest.fixture(scope="module")
def typed(postgres_server: PostgresServer) -> Iterator[PostgresDatabase]:
    """A table for each type, the values of each and a NULL in it, and settings that change how text is written."""
    database = postgres_server.create_database()
    tables = []
    for place, (kind, values) in enumerate(KINDS.items()):
        rows = ", ".join(f"({n}, {quote_literal(value)})" for n, value in enumerate([*values]))
        tables.append(f"CREATE TABLE t{place} (n int, v {kind}); INSERT INTO t{place} VALUES {rows}, (99, NULL);")
    database.execute(SETUP + "".join(tables))
    for setting in (
        "DateStyle = 'German'",
        "extra_float_digits = 0",
        "bytea_output = 'escape'",
        "TimeZone = 'Asia/Tokyo'",
    ):
        database.execute(f'ALTER DATABASE "{database.name}" SET {setting};')
    yield database
    database.drop()


def rows_of(source: Callable[..., PostgresSource], splits: int = 1, **keys: Any) -> pa.Table:
    with source(**keys).snapshot(State()) as snapshot:
        parts = [snapshot.read_split(split, batch_size=1_000).read_all() for split in snapshot.splits(splits)]
        assert all(part.schema.equals(snapshot.schema, check_metadata=True) for part in parts)
        return pa.concat_tables(parts)


def texts(table: pa.Table) -> list[str]:
    """As text, so that NaN equals NaN and years beyond Python's are compared too."""
    storage = [c.combine_chunks() for c in table.columns]
    return [str(c.storage if isinstance(c, pa.ExtensionArray) else c) for c in storage]


@pytest.mark.parametrize("driver", OTHERS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_type_has_the_same_values_by_each_route(
    typed: PostgresDatabase, source: Callable[..., PostgresSource], kind: str, driver: str
) -> None:
    """Or the driver is refused, with the column's name; a role's settings change no value."""
    keys = {**typed.keys, "table": f"t{list(KINDS).index(kind)}"}
    ours = rows_of(source, **keys)

    if kind in REFUSED[driver]:
        with pytest.raises((RecipeError, DataError)) as caught:
            rows_of(source, driver=driver, **keys)
        assert "`v`" in str(caught.value) or "value too large" in str(caught.value)
    else:
        theirs = rows_of(source, driver=driver, **keys)
        assert theirs.schema.equals(ours.schema, check_metadata=True)
        assert texts(theirs) == texts(ours)

    assert ours.num_rows == len(KINDS[kind]) + 1


@pytest.mark.parametrize("driver", OTHERS)
@pytest.mark.parametrize("kind", KINDS)
def test_anything_can_be_read_as_text_by_each_route(
    typed: PostgresDatabase, source: Callable[..., PostgresSource], kind: str, driver: str
) -> None:
    """What is refused otherwise too; the text is the same."""
    keys = {**typed.keys, "table": f"t{list(KINDS).index(kind)}", "columns": {"v": "text"}}

    assert rows_of(source, driver=driver, **keys).to_pylist() == rows_of(source, **keys).to_pylist()


SPECIALS = {
    "date": "infinity",
    "timestamp": "-infinity",
    "timestamptz": "infinity",
    "numeric": "NaN",
    "numeric(10,2)": "NaN",
    "interval": "infinity",
    "date[]": "{infinity}",
    "numeric[]": "{1,-Infinity}",
}


@pytest.mark.parametrize("driver", ["copy", *OTHERS])
@pytest.mark.parametrize(("kind", "value"), SPECIALS.items())
def test_values_without_end_are_errors_or_null_by_each_route(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource], kind: str, value: str, driver: str
) -> None:
    """As the recipe says, whatever the driver makes of them."""
    postgres.execute(f"CREATE TABLE t (v {kind}); INSERT INTO t VALUES ('{value}'), (NULL);")
    policy = {"numeric_special": "null"} if "numeric" in kind else {"infinity": "null"}
    refused = driver == "connectorx" and (kind == "interval" or kind.endswith("[]"))

    with pytest.raises(RecipeError if refused and kind != "numeric[]" else DataError, match="`v`"):
        rows_of(source, table="t", driver=driver)
    if refused:
        with pytest.raises(RecipeError, match="`v`"):
            rows_of(source, table="t", driver=driver, **policy)
    else:
        got = rows_of(source, table="t", driver=driver, **policy).column("v").to_pylist()
        expected = rows_of(source, table="t", **policy).column("v").to_pylist()
        assert got == expected
        assert got[1] is None
        assert got[0] is None or got[0][-1] is None


@pytest.mark.parametrize("driver", ["copy", *OTHERS])
@pytest.mark.parametrize(
    ("kind", "value"),
    [("time", "24:00:00"), ("timestamp", "294276-12-31"), ("date", "infinity"), ("int4[]", "[0:0]={1}")],
)
def test_what_arrow_cannot_hold_is_an_error_late_in_a_table_too(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource], kind: str, value: str, driver: str
) -> None:
    """No route ends its rows before such a value, as if it were the last."""
    good = "{1}" if kind.endswith("[]") else "10:00" if kind == "time" else "2024-01-01"
    postgres.execute(
        f"CREATE TABLE t (v {kind}); INSERT INTO t SELECT '{good}' FROM generate_series(1, 20000);"
        f"INSERT INTO t VALUES ('{value}');"
    )

    with pytest.raises((DataError, RecipeError)):
        rows_of(source, table="t", driver=driver)


@pytest.mark.parametrize("driver", ["copy", *OTHERS])
def test_the_plan_names_the_route_and_why(postgres: PostgresDatabase, driver: str) -> None:
    """`auto` is COPY."""
    postgres.execute("CREATE TABLE t (v int);")
    recipe = {"name": "r", "source": {"type": "postgres", **postgres.keys, "table": "t"}}

    plan = arrowload.plan({**recipe, "source": {**recipe["source"], "driver": driver}})
    automatic = arrowload.plan(recipe)

    assert plan.source.route == driver
    assert plan.source.route_reason
    assert automatic.source.route == "copy"
    assert "fastest" in automatic.source.route_reason


def test_an_unknown_driver_is_refused(postgres: PostgresDatabase) -> None:
    """With the ones that there are."""
    recipe = {"name": "r", "source": {"type": "postgres", **postgres.keys, "table": "t", "driver": "psycopg"}}

    with pytest.raises(RecipeError, match="driver"):
        arrowload.plan(recipe)


def test_connectorx_reads_in_the_settings_of_the_recipe(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """The search path of the DSN is the reader's too: of two tables of one name the same is read."""
    postgres.execute("CREATE SCHEMA a; CREATE TABLE a.t AS SELECT 1 AS v; CREATE TABLE public.t AS SELECT 2 AS v;")
    dsn = Secret(f"{postgres.dsn}?options=-csearch_path%3Da")

    found = {driver: rows_of(source, dsn=dsn, query="SELECT v FROM t", driver=driver) for driver in ("copy", *OTHERS)}

    assert {driver: rows.column("v").to_pylist() for driver, rows in found.items()} == {driver: [1] for driver in found}


def test_connectorx_goes_through_a_unix_socket(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """`host` may be a folder."""
    postgres.execute("CREATE TABLE t AS SELECT 7 AS v;")
    keys = {**postgres.keys, "host": str(postgres.server.socket_dir)}

    assert rows_of(source, table="t", driver="connectorx", **keys).to_pylist() == [{"v": 7}]


def test_errors_of_connectorx_are_the_servers(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """With their SQLSTATE, and without the password."""
    with pytest.raises(ConnectorError) as caught:
        rows_of(source, query="SELECT 1 / (g - 5) AS v FROM generate_series(1, 9) g", driver="connectorx")

    assert isinstance(caught.value, DataError)
    assert caught.value.context["sqlstate"] == "22012"
    assert isinstance(caught.value, DataLoaderError)
