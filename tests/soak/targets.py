"""Destinations, seen from outside of arrowload: what a reader sees, what the ledger says, what lies about."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq
from adbc_driver_postgresql import dbapi

if TYPE_CHECKING:
    from pathlib import Path

    from tests.moto_server import MotoServer
    from tests.postgres_server import PostgresDatabase

COLUMNS = ("uid", "batch", "version", "crc")
Rows = Counter[tuple[int, int, int, int]]


class Seen(NamedTuple):
    """What a reader sees of a table: how many rows, and the last of the source's transactions among them."""

    rows: int
    batch: int


class Target(Protocol):
    """One table or prefix.

    Attributes:
        modes: The write modes that it has.
        is_polled_always: It can be read while a run writes; a DuckDB file cannot, by another process.
    """

    modes: tuple[str, ...]
    is_polled_always: bool

    def config(self) -> dict[str, Any]: ...
    def poll(self) -> list[Seen]: ...
    def commits(self) -> int: ...
    def rows(self) -> Rows: ...
    def leftovers(self) -> dict[str, int]: ...
    def close(self) -> None: ...


class DuckDBTarget:
    """A table in a file of its own."""

    modes = ("append", "replace", "merge")
    is_polled_always = False

    def __init__(self, folder: Path) -> None:
        self.path = folder / "target.duckdb"

    def config(self) -> dict[str, Any]:
        return {"type": "duckdb", "path": str(self.path), "table": "events"}

    def _query(self, sql: str, *, default: list[Any]) -> list[Any]:
        if not self.path.exists():
            return default
        with duckdb.connect(str(self.path), read_only=True) as connection:
            try:
                return connection.execute(sql).fetchall()
            except duckdb.CatalogException:
                return default

    def poll(self) -> list[Seen]:
        return [Seen(*row) for row in self._query("SELECT count(*), coalesce(max(batch), -1) FROM events", default=[])]

    def commits(self) -> int:
        return int(self._query("SELECT count(*) FROM _arrowload.loads", default=[(0,)])[0][0])

    def rows(self) -> Rows:
        return Counter(self._query(f"SELECT {', '.join(COLUMNS)} FROM events", default=[]))

    def leftovers(self) -> dict[str, int]:
        sql = "SELECT count(*) FROM duckdb_tables() WHERE schema_name <> '_arrowload' AND table_name <> 'events'"
        return {"tables besides the target": int(self._query(sql, default=[(0,)])[0][0])}

    def close(self) -> None:
        """Nothing is held open."""


class PostgresTarget:
    """A table in a database of its own."""

    modes = ("append", "replace", "merge")
    is_polled_always = True

    def __init__(self, database: PostgresDatabase) -> None:
        self.database = database
        self._session: Any = None

    def config(self) -> dict[str, Any]:
        return {"type": "postgres", "dsn": self.database.dsn, "table": "public.events"}

    def _is_there(self, table: str) -> bool:
        return bool(self.database.value(f"SELECT to_regclass('{table}') IS NOT NULL"))

    def poll(self) -> list[Seen]:
        # One session for all looks: a new one costs the machine more than the look does.
        if self._session is None:
            self._session = dbapi.connect(self.database.dsn, autocommit=True)
        with self._session.cursor() as cursor:
            cursor.execute("SELECT to_regclass('public.events') IS NOT NULL")
            if not cursor.fetchone()[0]:
                return []
            cursor.execute("SELECT count(*), coalesce(max(batch), -1) FROM public.events")
            return [Seen(*cursor.fetchone())]

    def commits(self) -> int:
        is_there = self._is_there("_arrowload.loads")
        return int(self.database.value("SELECT count(*) FROM _arrowload.loads")) if is_there else 0

    def rows(self) -> Rows:
        return Counter(self.database.query(f"SELECT {', '.join(COLUMNS)} FROM public.events"))

    def leftovers(self) -> dict[str, int]:
        tables = (
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE relkind IN ('r', 'p')"
            " AND (nspname LIKE 'pg_temp%' OR nspname = 'public' AND relname NOT LIKE 'events' AND"
            " relname <> 'source')"
        )
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'arrowload%'"
        return {
            "tables besides the target": int(self.database.value(tables)),
            "sessions": int(self.database.value(sessions)),
        }

    def close(self) -> None:
        if self._session is not None:
            self._session.close()


class BucketTarget:
    """Parquet under a prefix in S3; each poll is that of a reader of the log and of one who lists the prefix."""

    modes = ("append", "replace")
    is_polled_always = True

    def __init__(self, moto: MotoServer) -> None:
        self._moto = moto
        self._client = moto.client("s3")
        self._bucket = moto.make_bucket()
        self._entries: list[dict[str, Any]] = []
        self._parts: dict[str, Seen] = {}

    def config(self) -> dict[str, Any]:
        return {"type": "parquet", "path": f"s3://{self._bucket}/target", "aws": self._moto.keys}

    def _keys(self) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix="target/")
        return [item["Key"].removeprefix("target/") for page in pages for item in page.get("Contents", ())]

    def _read(self, name: str) -> bytes | None:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=f"target/{name}")
        except self._client.exceptions.NoSuchKey:
            return None
        data: bytes = answer["Body"].read()
        return data

    def _read_log(self) -> None:
        while (data := self._read(f"_arrowload/log/{len(self._entries) + 1:020}.json")) is not None:
            self._entries.append(json.loads(data))

    def _loads(self) -> list[dict[str, Any]]:
        return [entry for entry in self._entries if entry["kind"] == "load"]

    def _live(self) -> dict[str, str]:
        """The parts that are live by the log, each with the place it is staged in."""
        live: dict[str, str] = {}
        for load in self._loads():
            if load["entry"]["write_mode"] == "replace":
                live = {}
            live |= {file["name"]: f"_arrowload/staging/{load['staging']}/{file['name']}" for file in load["files"]}
        return live

    def _part(self, name: str, staged: str) -> Seen | None:
        if name not in self._parts:
            data = self._read(name) or self._read(staged) or self._read(name)
            if data is None:
                return None
            batches = pq.read_table(io.BytesIO(data), columns=["batch"])["batch"]
            self._parts[name] = Seen(len(batches), pc.max(batches).as_py() if len(batches) else -1)
        return self._parts[name]

    def poll(self) -> list[Seen]:
        listed = [key for key in self._keys() if not key.startswith("_arrowload/")]
        for _ in range(20):
            self._read_log()
            if not self._loads():
                return []
            parts = [self._part(name, staged) for name, staged in self._live().items()]
            found = [part for part in parts if part is not None]
            if len(found) == len(parts):
                break
        else:
            return [Seen(0, -1)]
        committed = {file["name"] for load in self._loads() for file in load["files"]}
        if strange := [name for name in listed if name not in committed]:
            raise AssertionError(f"parts that are not committed can be seen: {strange}")
        return [Seen(sum(part.rows for part in found), max(part.batch for part in found))]

    def commits(self) -> int:
        self._read_log()
        return len(self._loads())

    def rows(self) -> Rows:
        """As who lists the prefix sees them."""
        rows: Rows = Counter()
        for name in self._keys():
            if not name.startswith("_arrowload/"):
                table = pq.read_table(io.BytesIO(self._read(name) or b""), columns=list(COLUMNS))
                rows.update(zip(*(column.to_pylist() for column in table.columns), strict=True))
        return rows

    def leftovers(self) -> dict[str, int]:
        keys = self._keys()
        uploads = self._client.list_multipart_uploads(Bucket=self._bucket).get("Uploads", ())
        self._read_log()
        parts = {key for key in keys if not key.startswith("_arrowload/")}
        return {
            "objects in staging": sum(key.startswith("_arrowload/staging/") for key in keys),
            "objects in seen": sum(key.startswith("_arrowload/seen/") for key in keys),
            "parts that are not live": len(parts - self._live().keys()),
            "uploads": len(uploads),
        }

    def close(self) -> None:
        """Nothing is held open."""
