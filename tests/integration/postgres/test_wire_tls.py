"""TLS of our own transport, against a proxy that ends it in front of the real server."""

from __future__ import annotations

import datetime as dt
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from arrowload._rust import PostgresConnection
from arrowload.io.postgres import PostgresError
from tests.tls_proxy import running_proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.postgres_server import PostgresServer
    from tests.tls_proxy import TlsProxy

AUTHORITY = trustme.CA()


@pytest.fixture(autouse=True)
def no_files_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    path = tmp_path / "roots.pem"
    AUTHORITY.cert_pem.write_to_path(str(path))
    return path


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["postgresql"])
    certificate.configure_cert(context)
    return context


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[Callable[..., TlsProxy]]:
    """Makes a proxy whose certificate is for those names; no names, no TLS."""
    open_ones = []

    def make(*names: str, context: ssl.SSLContext | None = None, **keys: Any) -> TlsProxy:
        if names:
            context = server_context(AUTHORITY.issue_cert(*names))
        target = (postgres_server.host, postgres_server.port)
        opened = running_proxy(target, context, **keys)
        open_ones.append(opened)
        return opened.__enter__()

    yield make
    for each in open_ones:
        each.__exit__(None, None, None)


def connect(proxy: TlsProxy, host: str = "localhost", **keys: Any) -> PostgresConnection:
    keywords = {"host": host, "hostaddr": "127.0.0.1", "port": proxy.port, "user": "postgres", "dbname": "postgres"}
    return PostgresConnection(" ".join(f"{name}='{value}'" for name, value in {**keywords, **keys}.items()))


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_certificate_of_the_authority_for_the_host_passes(
    mode: str, proxy: Callable[..., TlsProxy], roots: Path
) -> None:
    """Data larger than any buffer passes too."""
    connection = connect(opened := proxy("localhost"), sslmode=mode, sslrootcert=roots)

    assert connection.execute("SELECT length(repeat('x', 3000000)), repeat('y', 3000000)") == [
        (3_000_000, "y" * 3_000_000)
    ]
    connection.close()
    assert opened.seen == ["ssl"]


def test_the_name_counts_for_verify_full_alone(proxy: Callable[..., TlsProxy], roots: Path) -> None:
    opened = proxy("elsewhere.example")

    with pytest.raises(PostgresError, match="not valid for name") as caught:
        connect(opened, sslmode="verify-full", sslrootcert=roots)

    assert caught.value.kind == "tls"
    for mode in ["verify-ca", "require", "prefer"]:
        connect(opened, sslmode=mode, sslrootcert=roots).close()


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_an_unknown_authority_is_refused_when_there_are_roots(
    mode: str, proxy: Callable[..., TlsProxy], tmp_path: Path
) -> None:
    """`require` with a root certificate checks it, as libpq does."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))

    with pytest.raises(PostgresError, match=r"UnknownIssuer|BadSignature") as caught:
        connect(proxy("localhost"), sslmode=mode, sslrootcert=other)

    assert caught.value.kind == "tls"


def test_require_without_roots_checks_nothing(proxy: Callable[..., TlsProxy]) -> None:
    connect(opened := proxy("elsewhere.example"), sslmode="require").close()

    assert opened.seen == ["ssl"]


def test_the_root_certificate_in_the_home_folder_is_found(proxy: Callable[..., TlsProxy], tmp_path: Path) -> None:
    folder = tmp_path / ".postgresql"
    folder.mkdir()
    trustme.CA().cert_pem.write_to_path(str(folder / "root.crt"))

    with pytest.raises(PostgresError, match=r"UnknownIssuer|BadSignature"):
        connect(proxy("localhost"), sslmode="require")


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_verifying_needs_roots(mode: str, proxy: Callable[..., TlsProxy]) -> None:
    with pytest.raises(PostgresError, match="no root certificate"):
        connect(proxy("localhost"), sslmode=mode)


def test_an_expired_certificate_is_refused(proxy: Callable[..., TlsProxy], roots: Path) -> None:
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    context = server_context(AUTHORITY.issue_cert("localhost", not_after=past))

    with pytest.raises(PostgresError, match="expired"):
        connect(proxy(context=context), sslmode="verify-ca", sslrootcert=roots)


def test_a_self_signed_certificate_may_be_its_own_root(proxy: Callable[..., TlsProxy], tmp_path: Path) -> None:
    """As Postgres' manual makes one."""
    certificate = AUTHORITY.issue_cert("localhost")
    own = tmp_path / "own.pem"
    certificate.cert_chain_pems[0].write_to_path(str(own))
    opened = proxy(context=server_context(certificate))

    connect(opened, sslmode="verify-full", sslrootcert=own).close()
    with pytest.raises(PostgresError, match="not valid for name"):
        connect(opened, "elsewhere.example", sslmode="verify-full", sslrootcert=own)


def test_prefer_goes_on_without_where_there_is_none(proxy: Callable[..., TlsProxy]) -> None:
    opened = proxy()

    assert connect(opened, sslmode="prefer").execute("SELECT 1") == [(1,)]
    assert opened.seen == ["ssl"]


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_the_other_modes_do_not(mode: str, proxy: Callable[..., TlsProxy], roots: Path) -> None:
    with pytest.raises(PostgresError, match="does not support it") as caught:
        connect(proxy(), sslmode=mode, sslrootcert=roots)

    assert caught.value.kind == "tls"


def test_disable_and_allow_do_not_ask(proxy: Callable[..., TlsProxy]) -> None:
    opened = proxy("localhost")

    connect(opened, sslmode="disable").close()
    connect(opened, sslmode="allow").close()

    assert opened.seen == ["plain", "plain"]


def test_tls_without_asking(proxy: Callable[..., TlsProxy], roots: Path) -> None:
    opened = proxy("localhost")

    connect(opened, sslmode="verify-full", sslrootcert=roots, sslnegotiation="direct").close()

    assert opened.seen == ["direct"]


def demanding(roots: Path) -> ssl.SSLContext:
    context = server_context(AUTHORITY.issue_cert("localhost"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(str(roots))
    return context


def test_a_client_certificate_is_shown(proxy: Callable[..., TlsProxy], roots: Path, tmp_path: Path) -> None:
    identity = AUTHORITY.issue_cert("client@example.org")
    certificate, key = tmp_path / "client.crt", tmp_path / "client.key"
    identity.cert_chain_pems[0].write_to_path(str(certificate))
    identity.private_key_pem.write_to_path(str(key))
    opened = proxy(context=demanding(roots))
    keys = {"sslmode": "verify-full", "sslrootcert": roots, "sslcert": certificate, "sslkey": key}

    key.chmod(0o644)
    with pytest.raises(PostgresError, match="can be read by others"):
        connect(opened, **keys)
    key.chmod(0o600)
    assert connect(opened, **keys).execute("SELECT 1") == [(1,)]


def test_a_client_certificate_that_is_missed_is_said(proxy: Callable[..., TlsProxy], roots: Path) -> None:
    with pytest.raises(PostgresError, match=r"(?i)certificate.?required") as caught:
        connect(proxy(context=demanding(roots)), sslmode="verify-full", sslrootcert=roots)

    assert caught.value.kind == "tls"


def test_a_cancel_goes_by_tls_too(proxy: Callable[..., TlsProxy], roots: Path) -> None:
    opened = proxy("localhost", refuse_plain=True)
    connection = connect(opened, sslmode="verify-full", sslrootcert=roots)
    timer = threading.Timer(0.3, connection.cancel)
    timer.start()
    start = time.monotonic()

    with pytest.raises(PostgresError) as caught:
        connection.execute("SELECT pg_sleep(30)")

    timer.join()
    assert caught.value.sqlstate == "57014"
    assert time.monotonic() - start < 10
    assert opened.seen == ["ssl", "ssl"]


def test_channel_binding_is_refused_by_a_server_that_does_not_offer_it(
    proxy: Callable[..., TlsProxy], roots: Path
) -> None:
    """The server behind the proxy sees no TLS; `require` lets nobody stand between, trusted or not."""
    with pytest.raises(PostgresError, match="channel binding") as caught:
        connect(proxy("localhost"), sslmode="verify-full", sslrootcert=roots, channel_binding="require")

    assert caught.value.kind == "authentication"
