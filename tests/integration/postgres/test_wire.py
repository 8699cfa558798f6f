"""Our own transport against the real server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import pytest

from arrowload.connectors.postgres.errors import leaves_outcome_open, translate_wire_error
from arrowload.core.exceptions import ConnectorError, CredentialsError, DataError, TransientConnectorError
from arrowload.io.postgres import ColumnDescription, PostgresError, PostgresSession
from tests.postgres_server import running_postgres
from tests.tls_proxy import running_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase, PostgresServer


@pytest.fixture(autouse=True)
def no_files_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


def untranslated(error: PostgresError) -> Exception:
    return error


@pytest.fixture
def session(postgres: PostgresDatabase) -> Iterator[PostgresSession]:
    opened = PostgresSession(postgres.dsn, untranslated)
    yield opened
    opened.close()


@pytest.fixture
def role(postgres_server: PostgresServer) -> Iterator[str]:
    """A role whose password is `PASSWORD`."""
    postgres_server.psql("postgres", "CREATE ROLE wire LOGIN PASSWORD $$pä ss'\\@:/?$$")
    yield "wire"
    postgres_server.psql("postgres", "DROP ROLE wire")


PASSWORD = "pä ss'\\@:/?"
ENCODED = "p%C3%A4%20ss'%5C%40%3A%2F%3F"


def test_values_of_common_types_are_pythons(session: PostgresSession) -> None:
    (row,) = session.execute(
        "SELECT true, false, (-1)::int2, 2::int4, (-9223372036854775808)::int8, 4294967295::oid, 1.5::float4,"
        " 0.1::float8, '-infinity'::float8, '\\x00ff27'::bytea, NULL, 1.50::numeric, 'ä''', '{1}'::int[]"
    )

    assert row == (
        True,
        False,
        -1,
        2,
        -(2**63),
        2**32 - 1,
        1.5,
        0.1,
        float("-inf"),
        b"\x00\xff'",
        None,
        "1.50",
        "ä'",
        "{1}",
    )


def test_bytea_in_its_older_format_is_read_too(session: PostgresSession) -> None:
    session.run("SET bytea_output = 'escape'")

    assert session.execute(r"SELECT '\x005c61ff'::bytea") == [(b"\x00\\a\xff",)]


def test_run_counts_what_the_last_statement_touched(session: PostgresSession) -> None:
    assert session.run("CREATE TABLE t (a int)") == -1
    assert session.run("INSERT INTO t VALUES (1); INSERT INTO t SELECT generate_series(2, 4)") == 3
    assert session.run("DELETE FROM t WHERE a > 2") == 2
    assert session.run("") == -1
    assert session.execute("SELECT * FROM t ORDER BY 1; SELECT 7") == [(7,)]
    assert session.execute("DELETE FROM t") == []


def test_describe_runs_nothing(session: PostgresSession) -> None:
    session.run("CREATE TABLE t (a int, b numeric(10, 2), c varchar(5))")

    described = session.describe("SELECT a, b, c, pg_sleep(60)::text AS d FROM t")

    assert described == [
        ColumnDescription("a", 23, -1),
        ColumnDescription("b", 1700, (10 << 16 | 2) + 4),
        ColumnDescription("c", 1043, 9),
        ColumnDescription("d", 25, -1),
    ]
    assert session.describe("DELETE FROM t") == []
    with pytest.raises(PostgresError, match="does not exist"):
        session.describe("SELECT nothing FROM t")
    assert session.execute("SELECT 1") == [(1,)]


def test_the_transaction_status_is_the_servers(session: PostgresSession) -> None:
    seen = [session.transaction_status]
    session.run("BEGIN")
    seen.append(session.transaction_status)
    with pytest.raises(PostgresError):
        session.run("SELECT 1/0")
    seen.append(session.transaction_status)
    session.run("ROLLBACK")
    seen.append(session.transaction_status)
    session.close()
    seen.append(session.transaction_status)

    assert seen == ["idle", "in_transaction", "failed", "idle", "closed"]
    assert not session.is_open
    with pytest.raises(PostgresError, match="closed"):
        session.run("SELECT 1")


def test_parameters_follow_the_session(session: PostgresSession) -> None:
    session.run("SET TimeZone = 'Asia/Tokyo'")

    assert session.parameter("TimeZone") == "Asia/Tokyo"
    assert session.parameter("client_encoding") == "UTF8"
    assert session.parameter("nothing") is None


def test_an_error_carries_every_field(session: PostgresSession) -> None:
    session.run("CREATE TABLE t (a int CONSTRAINT positive CHECK (a > 0))")

    with pytest.raises(PostgresError) as caught:
        session.run("INSERT INTO t VALUES (-1)")

    error = caught.value
    assert (error.sqlstate, error.kind, error.lost) == ("23514", "server", False)
    assert error.message == 'new row for relation "t" violates check constraint "positive"'
    wanted = {
        "severity": "ERROR",
        "detail": "Failing row contains (-1).",
        "schema": "public",
        "table": "t",
        "constraint": "positive",
    }
    assert {name: error.details[name] for name in wanted} == wanted
    assert {"file", "line", "routine"} <= set(error.details)


def test_both_transports_translate_a_servers_error_alike(postgres: PostgresDatabase) -> None:
    import adbc_driver_postgresql

    from arrowload.connectors.postgres.errors import translate_error
    from arrowload.io.adbc import AdbcSession

    old = AdbcSession(lambda: adbc_driver_postgresql.connect(postgres.dsn), translate_error)
    new = PostgresSession(postgres.dsn, translate_wire_error)
    new.run("CREATE TABLE t (a int NOT NULL UNIQUE, b text); INSERT INTO t VALUES (1)")
    for sql in [
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t VALUES (NULL)",
        "INSERT INTO t (nothing) VALUES (1)",
        "SELECT 1/0",
        "DO $$ BEGIN RAISE EXCEPTION 'arrowload: too big.' USING HINT = 'other'; END $$",
        "DO $$ BEGIN RAISE EXCEPTION 'x' USING HINT = 'a hint', DETAIL = 'a detail', ERRCODE = '40001'; END $$",
    ]:
        errors = []
        for each in (old, new):
            with pytest.raises(ConnectorError if "1/0" not in sql else DataError) as caught:
                each.run(sql)
            errors.append(caught.value)
        assert type(errors[0]) is type(errors[1]), sql
        assert errors[0].message == errors[1].message
        assert errors[0].context == errors[1].context
        assert errors[0].hint == errors[1].hint
    old.close()
    new.close()


@pytest.mark.parametrize("style", ["keywords", "uri", "environment", "passfile"])
def test_a_password_is_found_wherever_libpq_looks(
    style: str, role: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host, port = postgres_server.host, postgres_server.port
    escaped = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
    in_file = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    (tmp_path / ".pgpass").write_text(f"#comment\nother:*:*:*:wrong\n*:{port}:*:{role}:{in_file}\n")
    (tmp_path / ".pgpass").chmod(0o600 if style == "passfile" else 0o644)
    if style == "environment":
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
    conninfo = {
        "keywords": f"host = {host} port={port} user={role} dbname=postgres password='{escaped}'",
        "uri": f"postgresql://{role}:{ENCODED}@{host}:{port}/postgres",
    }.get(style, f"postgres://{role}@{host}:{port}/postgres")

    opened = PostgresSession(conninfo, untranslated)

    assert opened.execute("SELECT current_user::text") == [(role,)]
    opened.close()


def test_scram_goes_through_tls_that_the_server_does_not_see(role: str, postgres_server: PostgresServer) -> None:
    import trustme

    from tests.integration.postgres.test_wire_tls import server_context

    context = server_context(trustme.CA().issue_cert("localhost"))
    with running_proxy((postgres_server.host, postgres_server.port), context) as proxy:
        conninfo = f"postgresql://{role}:{ENCODED}@127.0.0.1:{proxy.port}/postgres?sslmode=require"
        opened = PostgresSession(conninfo, untranslated)

        assert opened.execute("SELECT 1") == [(1,)]
        opened.close()


@pytest.mark.parametrize(
    ("conninfo", "kind", "sqlstate", "words"),
    [
        ("host=127.0.0.1 port={port} user=wire password=wrong dbname=postgres", CredentialsError, "28P01", "password"),
        ("host=127.0.0.1 port={port} user=wire dbname=postgres", CredentialsError, None, "no password"),
        ("host=127.0.0.1 port={port} user=absent password=x dbname=postgres", CredentialsError, "28P01", "absent"),
        ("host={socket} port={port} user=absent dbname=postgres", CredentialsError, "28000", "absent"),
        ("host=127.0.0.1 port={port} user=postgres dbname=absent", ConnectorError, "3D000", "absent"),
        ("host=127.0.0.1 port=1", TransientConnectorError, None, "`127.0.0.1`, port 1 failed: Connection refused"),
        ("host=127.0.0.1,127.0.0.1 port=1,2", TransientConnectorError, None, "port 2 failed"),
        ("host=/nowhere", TransientConnectorError, None, "`/nowhere`, port 5432 failed: No such file"),
        ("host=absent.invalid", ConnectorError, None, "absent.invalid"),
        ("host=127.0.0.1 service=x", ConnectorError, None, "`driver: adbc`"),
        ("host=127.0.0.1 nonsense=x", ConnectorError, None, "`nonsense` is unknown"),
    ],
)
def test_each_way_not_to_connect_says_what_to_do(
    conninfo: str, kind: type, sqlstate: str | None, words: str, role: str, postgres_server: PostgresServer
) -> None:
    with pytest.raises(ConnectorError) as caught:
        PostgresSession(
            conninfo.format(port=postgres_server.port, socket=postgres_server.socket_dir), translate_wire_error
        )

    assert type(caught.value) is kind
    assert caught.value.context["sqlstate"] == sqlstate
    assert words in caught.value.message


def test_the_next_host_is_tried_when_one_is_out_of_reach(postgres_server: PostgresServer) -> None:
    conninfo = f"postgresql://postgres@127.0.0.1:1,127.0.0.1:{postgres_server.port}/postgres"

    opened = PostgresSession(f"{conninfo}?target_session_attrs=read-write", untranslated)

    assert opened.execute("SELECT 1") == [(1,)]
    opened.close()
    with pytest.raises(PostgresError, match="target_session_attrs"):
        PostgresSession(f"{conninfo}?target_session_attrs=standby", untranslated)
    PostgresSession(f"{conninfo}?target_session_attrs=prefer-standby", untranslated).close()


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        with pytest.raises(PostgresError) as caught:
            PostgresSession(f"host=127.0.0.1 port={silent.getsockname()[1]} connect_timeout=2", untranslated)

    assert 1.5 < time.monotonic() - start < 6
    assert caught.value.kind in {"unreachable", "lost"}


def test_another_thread_cancels(session: PostgresSession) -> None:
    timer = threading.Timer(0.3, session.cancel)
    timer.start()

    with pytest.raises(PostgresError) as caught:
        session.execute("SELECT pg_sleep(60)")

    timer.join()
    assert caught.value.sqlstate == "57014"
    assert session.execute("SELECT 1") == [(1,)]


def test_the_gil_is_free_while_the_server_works(session: PostgresSession) -> None:
    """Another thread counts on, sees the status without waiting, and its own call waits its turn."""
    thread = threading.Thread(target=session.execute, args=("SELECT pg_sleep(1)",))
    thread.start()
    time.sleep(0.3)

    assert session.transaction_status == "active"
    assert session.is_open
    assert thread.is_alive()
    assert session.execute("SELECT 1") == [(1,)]
    thread.join()


def test_ctrl_c_cancels_and_the_session_goes_on(postgres: PostgresDatabase) -> None:
    code = f"""
        import os, signal, threading, time
        from arrowload._rust import PostgresConnection
        connection = PostgresConnection({postgres.dsn!r})
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        start = time.monotonic()
        try:
            connection.execute("SELECT pg_sleep(60)")
        except KeyboardInterrupt:
            print(time.monotonic() - start < 10, connection.transaction_status, connection.execute("SELECT 1"))
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.stdout == "True idle [(1,)]\n", done.stderr
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    assert postgres.value(running) == 0


def test_a_session_that_the_server_ends_is_lost(postgres: PostgresDatabase, session: PostgresSession) -> None:
    ((pid,),) = session.execute("SELECT pg_backend_pid()")
    timer = threading.Timer(0.3, postgres.execute, (f"SELECT pg_terminate_backend({pid})",))
    timer.start()

    with pytest.raises(PostgresError) as caught:
        session.execute("SELECT pg_sleep(60)")

    timer.join()
    assert (caught.value.sqlstate, caught.value.lost) == ("57P01", True)
    assert session.transaction_status == "lost"
    with pytest.raises(PostgresError) as again:
        session.execute("SELECT 1")
    assert (again.value.kind, again.value.lost) == ("lost", True)


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGQUIT"])
def test_a_server_that_dies_takes_the_session_with_it(signal_name: str) -> None:
    """And leaves open what became of a COMMIT."""
    with running_postgres() as server:
        opened = PostgresSession(server.dsn(), translate_wire_error)
        ((pid,),) = opened.execute("SELECT pg_backend_pid()")
        timer = threading.Timer(0.3, os.kill, (pid, getattr(signal, signal_name)))
        timer.start()

        with pytest.raises(TransientConnectorError) as caught:
            opened.execute("SELECT pg_sleep(60)")

        timer.join()
        assert leaves_outcome_open(caught.value)
        assert opened.transaction_status == "lost"
        opened.close()


def test_copy_is_no_statement_for_run(session: PostgresSession) -> None:
    session.run("CREATE TABLE t (a int)")

    for sql in ["COPY t FROM STDIN", "COPY (SELECT generate_series(1, 100000)) TO STDOUT"]:
        with pytest.raises(PostgresError, match="COPY") as caught:
            session.run(sql)
        assert caught.value.kind == "usage"
        assert session.transaction_status == "idle"
    assert session.execute("SELECT count(*) FROM t") == [(0,)]


def test_no_secret_is_shown(postgres_server: PostgresServer) -> None:
    for conninfo in [
        f"host=127.0.0.1 port={postgres_server.port} user=absent password=hunter2hunter2 dbname=postgres",
        f"postgresql://absent:hunter2hunter2@127.0.0.1:{postgres_server.port}/postgres",
        "host=127.0.0.1 password=a hunter2hunter2",
        "postgresql://absent:hunter2%hunter2@127.0.0.1/postgres",
        "host=127.0.0.1 password='hunter2hunter2",
        "host=127.0.0.1 sslpassword=hunter2hunter2",
    ]:
        with pytest.raises(PostgresError) as caught:
            PostgresSession(conninfo, untranslated)
        assert "hunter2" not in f"{caught.value} {caught.value.details}"
