"""SIGKILL at every step of the protocol, in every destination and mode; then one plain rerun, and nothing is amiss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import arrowload
from arrowload.core.failpoint import SITES
from tests.faults.oracle import Oracle, Row
from tests.faults.processes import run_recipe

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from tests.moto_server import MotoServer
    from tests.postgres_server import PostgresDatabase

# Asked only when a commit got no answer: see test_lost_answer.
READ_BACK_SITES = {"read_back.before", "read_back.after"}
FILE_SITES = {"finalize.published", "finalize.renamed"}
COMMON_SITES = sorted(SITES - READ_BACK_SITES - FILE_SITES)
SITES_OF = {
    "duckdb": COMMON_SITES,
    "postgres": COMMON_SITES,
    "parquet": [*COMMON_SITES, *sorted(FILE_SITES)],
    "parquet in S3": [*COMMON_SITES, *sorted(FILE_SITES)],
}
MODES_OF = {
    "duckdb": ["append", "replace", "merge"],
    "postgres": ["append", "replace", "merge"],
    "parquet": ["append", "replace"],
    "parquet in S3": ["append", "replace"],
}
TARGETS = list(MODES_OF)
CASES = [(target, mode) for target in TARGETS for mode in MODES_OF[target]]
CASES_BY_SITE = [(target, mode, site) for target, mode in CASES for site in SITES_OF[target]]
# Of all kills, so many are tried by `make test`: every site, and every destination in every mode, several times.
SAMPLED_OF = 11
# A load into S3 takes some forty requests, and its kills so many times as long as the others.
BUCKET = "parquet in S3"
LONGER_IN_S3 = 3
FIRST_ROWS, MORE_ROWS = range(200), range(200, 350)

Rows = list[tuple[int, int, "dt.datetime", int]]


class Target(Protocol):
    """A destination, seen from outside of arrowload."""

    def config(self, mode: str) -> dict[str, Any]: ...
    def rows(self) -> Rows: ...


class DuckDBTarget:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "target.duckdb"

    def config(self, mode: str) -> dict[str, Any]:
        return {"type": "duckdb", "path": str(self.path), "table": "events", **modes(mode)}

    def rows(self) -> Rows:
        with duckdb.connect(str(self.path)) as connection:
            if not connection.execute("FROM duckdb_tables() WHERE table_name = 'events'").fetchall():
                return []
            return arrow_rows(connection.sql("SELECT uid, version, moved_at, crc FROM events").to_arrow_table())


class PostgresTarget:
    def __init__(self, database: PostgresDatabase) -> None:
        self.database = database

    def config(self, mode: str) -> dict[str, Any]:
        return {"type": "postgres", "dsn": self.database.dsn, "table": "public.events", **modes(mode)}

    def rows(self) -> Rows:
        if not self.database.query("SELECT 1 FROM pg_tables WHERE schemaname = 'public' AND tablename = 'events'"):
            return []
        return self.database.query("SELECT uid, version, moved_at, crc FROM public.events")


class ParquetTarget:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "target"

    def config(self, mode: str) -> dict[str, Any]:
        return {"type": "parquet", "path": str(self.path), **modes(mode)}

    def rows(self) -> Rows:
        files = sorted(str(file) for file in self.path.glob("*.parquet"))
        if not files:
            return []
        with duckdb.connect() as connection:
            return arrow_rows(connection.read_parquet(files).to_arrow_table())


class BucketTarget:
    """Parquet under a prefix in S3, read by who lists the prefix and knows nothing of the log."""

    def __init__(self, moto: MotoServer) -> None:
        self.moto = moto
        self.bucket = moto.make_bucket()

    def config(self, mode: str) -> dict[str, Any]:
        return {"type": "parquet", "path": f"s3://{self.bucket}/target", "aws": self.moto.keys, **modes(mode)}

    def keys(self) -> list[str]:
        listed = self.moto.client("s3").list_objects_v2(Bucket=self.bucket, Prefix="target/")
        return [item["Key"] for item in listed.get("Contents", ())]

    def rows(self) -> Rows:
        client = self.moto.client("s3")
        parts = [key for key in self.keys() if "/_arrowload/" not in key]
        tables = [
            pq.read_table(pa.BufferReader(client.get_object(Bucket=self.bucket, Key=key)["Body"].read()))
            for key in parts
        ]
        return [row for table in tables for row in arrow_rows(table)]


def modes(mode: str) -> dict[str, Any]:
    return {"write_mode": mode, **({"merge_keys": ["uid"]} if mode == "merge" else {})}


def arrow_rows(table: Any) -> Rows:
    return [(row["uid"], row["version"], row["moved_at"], row["crc"]) for row in table.to_pylist()]


class EventSource:
    """A DuckDB file with the rows of an oracle."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "source.duckdb"
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("CREATE TABLE events (uid BIGINT, version BIGINT, moved_at TIMESTAMPTZ, crc BIGINT)")

    def put(self, rows: list[Row]) -> None:
        with duckdb.connect(str(self.path)) as connection:
            connection.executemany("DELETE FROM events WHERE uid = ?", [(row.uid,) for row in rows])
            connection.executemany(
                "INSERT INTO events VALUES (?, ?, ?, ?)", [(r.uid, r.version, r.moved_at, r.crc) for r in rows]
            )

    def config(self, mode: str) -> dict[str, Any]:
        source: dict[str, Any] = {"type": "duckdb", "path": str(self.path), "table": "events"}
        if mode != "replace":
            source["incremental"] = {"strategy": "cursor", "cursor_column": "moved_at"}
        return source


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    match request.param:
        case "duckdb":
            return DuckDBTarget(tmp_path)
        case "postgres":
            return PostgresTarget(request.getfixturevalue("postgres"))
        case "parquet":
            return ParquetTarget(tmp_path)
        case _:
            return BucketTarget(request.getfixturevalue("moto"))


class World:
    """A recipe, the source that it reads, and what must come of it."""

    def __init__(self, folder: Path, target: Target, mode: str) -> None:
        self.oracle, self.source, self.target, self.mode = Oracle(), EventSource(folder), target, mode
        self.recipe = {
            "name": "events",
            "source": self.source.config(mode),
            "destination": target.config(mode),
            "state": {"type": "local", "path": str(folder / "state")},
            "runtime": {"batch_size": 50},
        }

    def grow(self) -> None:
        """More rows, tied with the last on the cursor and beyond it; under merge, new versions of old rows."""
        rows = self.oracle.insert(MORE_ROWS[:50], second=10) + self.oracle.insert(MORE_ROWS[50:], second=20)
        if self.mode != "append":
            rows += self.oracle.update(FIRST_ROWS[:40], second=20)
        self.source.put(rows)

    def start(self) -> None:
        self.source.put(self.oracle.insert(FIRST_ROWS, second=10))

    def differences(self) -> list[str]:
        return self.oracle.differences(self.target.rows())


def sampled(cases: list[Any], offset: int, *, one_in: int = SAMPLED_OF) -> list[Any]:
    """All cases, of which one in `one_in` runs in `make test`, and the others in `make test-all`."""
    return [
        case
        if number % (one_in * LONGER_IN_S3 if case[0] == BUCKET else one_in) == offset
        else pytest.param(*case, marks=pytest.mark.slow)
        for number, case in enumerate(cases)
    ]


@pytest.mark.fault(1, 3)
@pytest.mark.parametrize(("target", "mode", "site"), sampled(CASES_BY_SITE, 0), indirect=["target"])
def test_a_killed_run_is_made_good_by_the_next(tmp_path: Path, target: Target, mode: str, site: str) -> None:
    """Readers see all of the load or none; one plain rerun leaves the destination as the source is."""
    world = World(tmp_path, target, mode)
    world.start()
    assert run_recipe(world.recipe).exit_code == 0
    before = sorted(target.rows())
    world.grow()

    killed = run_recipe(world.recipe, failpoints=f"{site}=kill9")
    seen = sorted(target.rows())
    rerun = run_recipe(world.recipe)

    assert killed.killed, f"the run did not pass {site}: {killed}"
    assert seen == before or not world.oracle.differences(seen) or site in FILE_SITES
    assert rerun.exit_code == 0, rerun.error
    assert world.differences() == []


@pytest.mark.fault(1, 66)
@pytest.mark.parametrize(("target", "mode", "site"), sampled(CASES_BY_SITE, 2), indirect=["target"])
def test_a_killed_first_run_is_made_good_by_the_next(tmp_path: Path, target: Target, mode: str, site: str) -> None:
    """The same when there is neither table nor ledger nor state yet."""
    world = World(tmp_path, target, mode)
    world.start()

    killed = run_recipe(world.recipe, failpoints=f"{site}=kill9")
    rerun = run_recipe(world.recipe)

    assert killed.killed, f"the run did not pass {site}: {killed}"
    assert rerun.exit_code == 0, rerun.error
    assert world.differences() == []


@pytest.mark.fault(17, 18)
@pytest.mark.parametrize(("target", "mode"), CASES, indirect=["target"])
def test_runs_without_faults(tmp_path: Path, target: Target, mode: str) -> None:
    """First run, growth, second run, nothing new: the destination equals the source after each."""
    world = World(tmp_path, target, mode)
    world.start()
    first = run_recipe(world.recipe)
    assert (first.exit_code, world.differences()) == (0, []), first.error
    world.grow()
    second = run_recipe(world.recipe)
    assert (second.exit_code, world.differences()) == (0, []), second.error

    third = run_recipe(world.recipe)

    assert (third.exit_code, world.differences()) == (0, []), third.error
    assert third.report is not None
    assert third.report["status"] == ("committed" if mode == "replace" else "up_to_date")


@pytest.mark.fault(5)
@pytest.mark.parametrize(
    ("target", "mode", "lost"),
    sampled([(*case, lost) for case in CASES for lost in ("finalize.before", "finalize.after")], 0, one_in=3),
    indirect=["target"],
)
def test_lost_answer(tmp_path: Path, target: Target, mode: str, lost: str) -> None:
    """The answer to a commit is lost, done or not done: the ledger is asked, and the run ends well by itself."""
    world = World(tmp_path, target, mode)
    world.start()

    run = run_recipe(world.recipe, failpoints=f"{lost}=lost")

    assert run.exit_code == 0, run.error
    assert world.differences() == []


@pytest.mark.fault(1, 5)
@pytest.mark.parametrize(
    ("target", "mode", "site"),
    sampled([(*case, site) for case in CASES for site in sorted(READ_BACK_SITES)], 0, one_in=3),
    indirect=["target"],
)
def test_killed_while_asking(tmp_path: Path, target: Target, mode: str, site: str) -> None:
    """Killed while the ledger is asked for the outcome of a commit: the next run finds it."""
    world = World(tmp_path, target, mode)
    world.start()

    killed = run_recipe(world.recipe, failpoints=f"finalize.after=lost;{site}=kill9")
    rerun = run_recipe(world.recipe)

    assert killed.killed
    assert rerun.exit_code == 0, rerun.error
    assert world.differences() == []


@pytest.mark.fault(2, 15)
@pytest.mark.parametrize(("target", "mode"), [c for c in CASES if c[1] != "replace"], indirect=["target"])
def test_state_lost_after_a_crash(tmp_path: Path, target: Target, mode: str) -> None:
    """The working directory is gone after a crash between commit and state: the destination alone is enough."""
    world = World(tmp_path, target, mode)
    world.start()
    assert run_recipe(world.recipe, failpoints="save_state.before=kill9").killed
    world.grow()

    elsewhere = {**world.recipe, "state": {"type": "local", "path": str(tmp_path / "elsewhere")}}
    rerun = run_recipe(elsewhere)

    assert rerun.exit_code == 0, rerun.error
    assert world.differences() == []


@pytest.mark.fault(2)
def test_append_without_cursor_is_finished_not_repeated(tmp_path: Path, target: Target) -> None:
    """A plain append that was killed after its commit: the next run finishes it and adds nothing."""
    world = World(tmp_path, target, "append")
    world.recipe["source"] = {"type": "duckdb", "path": str(world.source.path), "table": "events"}
    world.start()
    assert run_recipe(world.recipe, failpoints="save_state.before=kill9").killed

    rerun = run_recipe(world.recipe)

    assert rerun.report is not None
    assert (rerun.report["status"], world.differences()) == ("recovered", [])


@pytest.mark.fault(16)
def test_restored_destination_is_refused(tmp_path: Path, target: Target) -> None:
    """State ahead of the ledger: the run stops with 78 and says what to do, and `--full-refresh` does it."""
    world = World(tmp_path, target, "append")
    world.start()
    assert run_recipe(world.recipe).exit_code == 0
    fresh = dict(world.recipe, destination=_another(target, tmp_path))
    refused = run_recipe(fresh)

    assert refused.exit_code == 78
    assert "--full-refresh" in (refused.error or "")
    assert run_recipe(fresh, full_refresh=True).exit_code == 0


def _another(target: Target, folder: Path) -> dict[str, Any]:
    config = target.config("append")
    if isinstance(target, PostgresTarget):
        target.database.execute("DROP SCHEMA _arrowload CASCADE")
        return config
    if isinstance(target, BucketTarget):
        return {**config, "path": f"{config['path']}/another"}
    return {**config, "path": str(folder / "another")}


def test_rows_are_read_through_the_library(tmp_path: Path) -> None:
    """`arrowload.read` gives what the destination got; here of a Parquet folder, through its log."""
    target = ParquetTarget(tmp_path)
    world = World(tmp_path, target, "append")
    world.start()
    assert run_recipe(world.recipe).exit_code == 0

    table = arrowload.read({"name": "back", "source": {"type": "parquet", "path": str(target.path)}})

    assert world.oracle.differences(arrow_rows(table)) == []
