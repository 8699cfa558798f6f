"""What goes wrong on the way to the server, and what is said of it."""

from __future__ import annotations

import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from arrowload.core.exceptions import (
    ConnectorError,
    CredentialsError,
    DataLoaderError,
    RecipeError,
    TransientConnectorError,
)
from arrowload.core.secret import Secret
from arrowload.core.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from arrowload.connectors.postgres.source import PostgresSource
    from tests.postgres_server import PostgresDatabase

PASSWORD = "s3cret-canary%/"


def test_a_wrong_password_is_a_matter_of_credentials(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """The password is nowhere in the error, its causes or its traceback."""
    postgres.execute("DROP ROLE IF EXISTS lena; CREATE ROLE lena LOGIN PASSWORD 'right';")

    with pytest.raises(CredentialsError) as caught:
        source(table="t", user="lena", password=Secret(PASSWORD)).schema()

    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.context)
    assert PASSWORD not in told
    assert "lena" in told


def test_a_right_password_lets_in_by_keys_and_by_dsn(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """A password may hold characters that a URI or a connection string gives a meaning."""
    password = r"a'b\c d@/%&"
    postgres.execute("DROP ROLE IF EXISTS lena; CREATE ROLE lena LOGIN PASSWORD $p$" + password + "$p$;")
    host, port, name = postgres.server.host, postgres.server.port, postgres.name
    uri = f"postgresql://lena:a%27b%5Cc%20d%40%2F%25%26@{host}:{port}/{name}"
    words = rf"host={host} port={port} dbname={name} user=lena password='a\'b\\c d@/%&'"

    for keys in ({"user": "lena", "password": Secret(password)}, {"dsn": Secret(uri)}, {"dsn": Secret(words)}):
        made = source(query="SELECT current_user AS u", **keys)
        assert made.schema().names == ["u"]
        assert password not in made.facts().location
        assert made.facts().location.endswith(f"/{name} query")


def test_a_dsn_hides_its_password(postgres: PostgresDatabase, source: Callable[..., PostgresSource]) -> None:
    """Neither the DSN nor the password within is shown."""
    dsn = f"postgresql://nobody_here:hunter2-canary@{postgres.server.host}:{postgres.server.port}/{postgres.name}"

    with pytest.raises(CredentialsError) as caught:
        source(table="t", dsn=Secret(dsn)).schema()

    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in DataLoaderError("hunter2-canary").message


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        ({"port": 1}, TransientConnectorError),
        ({"host": "nowhere.invalid"}, ConnectorError),
        ({"database": "nothing"}, ConnectorError),
        ({"sslmode": "require"}, CredentialsError),
    ],
)
def test_a_server_that_cannot_be_had_is_told_apart(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource], keys: dict[str, Any], error: type
) -> None:
    """Refused connections may pass; wrong names do not."""
    with pytest.raises(ConnectorError) as caught:
        source(table="t", **keys).schema()

    assert type(caught.value) is error


def test_a_missing_table_is_answered_with_the_nearest(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """Also when it is in another schema."""
    postgres.execute("CREATE TABLE customers (a int); CREATE SCHEMA crm; CREATE TABLE crm.orders (a int);")

    with pytest.raises(ConnectorError, match=r"did you mean `public\.customers`") as caught:
        source(table="costumers").schema()
    with pytest.raises(ConnectorError, match=r"did you mean `crm.orders`"):
        source(table="orders").schema()

    assert caught.value.context["table"] == "public.costumers"


def test_a_missing_column_is_answered_with_the_nearest(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """In `columns`, in `exclude`, and in a query that names one twice."""
    postgres.execute("CREATE TABLE t (amount int, b int);")

    for keys in ({"columns": ("amuont",)}, {"exclude": ("amuont",)}, {"columns": {"amuont": "text"}}):
        with pytest.raises(RecipeError, match="did you mean `amount`"):
            source(table="t", **keys).schema()
    with pytest.raises(RecipeError, match="two columns the name `a`"):
        source(query="SELECT 1 AS a, 2 AS a").schema()
    with pytest.raises(RecipeError, match="no column is left"):
        source(table="t", exclude=("amount", "b")).schema()


def test_a_query_that_the_server_refuses_is_told_with_its_code(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """The sentence is the server's own, on one line."""
    with pytest.raises(ConnectorError) as caught:
        source(query="SELECT 1 AS a FROM WHERE").schema()

    assert caught.value.context["sqlstate"] == "42601"
    assert caught.value.message == 'postgres: syntax error at or near "WHERE"'


def test_a_role_without_rights_is_a_matter_of_credentials(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """SQLSTATE 42501."""
    postgres.execute("DROP ROLE IF EXISTS lena; CREATE ROLE lena LOGIN PASSWORD 'right'; CREATE TABLE t (a int);")

    with (
        pytest.raises(CredentialsError, match="permission denied"),
        source(table="t", user="lena", password=Secret("right")).snapshot(State()) as snapshot,
    ):
        snapshot.read_split(snapshot.splits(1)[0], batch_size=10).read_all()


def test_a_snapshot_cannot_write(postgres: PostgresDatabase, source: Callable[..., PostgresSource]) -> None:
    """A query is run in a read-only transaction."""
    postgres.execute(
        "CREATE TABLE t (a int); CREATE FUNCTION grow() RETURNS int LANGUAGE sql AS"
        " 'INSERT INTO public.t VALUES (1) RETURNING a';"
    )

    with (
        pytest.raises(ConnectorError, match="read-only transaction"),
        source(query="SELECT grow() AS a").snapshot(State()) as snapshot,
    ):
        snapshot.read_split(snapshot.splits(1)[0], batch_size=10).read_all()

    assert postgres.value("SELECT count(*) FROM t") == 0


@pytest.mark.parametrize("how", ["terminate", "crash"])
def test_a_cut_connection_may_pass(postgres: PostgresDatabase, source: Callable[..., PostgresSource], how: str) -> None:
    """Half way through the rows, when the session is ended or the server crashes; closing stays quiet."""
    with source(query="SELECT g, repeat('x', 100) AS x FROM generate_series(1, 5000000) g").snapshot(
        State()
    ) as snapshot:
        reader = snapshot.read_split(snapshot.splits(1)[0], batch_size=1_000)
        reader.read_next_batch()
        if how == "crash":
            postgres.server.stop("immediate")
        else:
            named = "FROM pg_stat_activity WHERE application_name = 'arrowload'"
            postgres.execute(f"SELECT pg_terminate_backend(pid) {named};")
        try:
            with pytest.raises(TransientConnectorError):
                reader.read_all()
        finally:
            if how == "crash":
                postgres.server.start()


def test_the_session_shows_its_name_and_is_gone_at_the_end(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """`application_name` is the recipe's; nothing stays open after the snapshot."""
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'nightly'"

    with source(query="SELECT 1 AS a", application_name="nightly").snapshot(State()):
        inside = postgres.value(count)

    assert inside == 1
    assert postgres.value(count) == 0


MEMORY = """
import resource, sys
import pyarrow as pa
from arrowload.connectors.postgres.config import PostgresSourceConfig
from arrowload.connectors.postgres.source import PostgresSource
from arrowload.core.secret import Secret
from arrowload.core.state import State

def peak(rows):
    query = f"SELECT g AS id, g::numeric(15,2) AS n, repeat('x', 200) AS t FROM generate_series(1, {rows}) g"
    source = PostgresSource(PostgresSourceConfig(type="postgres", dsn=Secret(sys.argv[1]), query=query))
    with source.snapshot(State()) as snapshot:
        read = sum(batch.num_rows for batch in snapshot.read_split(snapshot.splits(1)[0], batch_size=65536))
    assert read == rows
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

print(peak(100_000), peak(1_000_000))
"""


def test_a_million_rows_take_no_more_memory_than_some(postgres: PostgresDatabase) -> None:
    """Rows stream: 230 MB of them raise the peak of the process by a few batches at most."""
    done = subprocess.run([sys.executable, "-c", MEMORY, postgres.dsn], capture_output=True, text=True, check=True)

    few, many = map(int, done.stdout.split())
    assert many - few < 40
