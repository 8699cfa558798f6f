"""Twenty runs under a writer that never stops, some of them killed: in the end the destination equals the source."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from adbc_driver_postgresql import dbapi

from arrowload.core.failpoint import SITES
from tests.faults.processes import run_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase

RUNS = 20  # and more, until the writer has written as many rows:
ROWS = 200
KILLS = sorted(site for site in SITES if not site.startswith(("read_back", "finalize.published", "finalize.renamed")))
# Longer than any transaction of the writer is open.
LAG = "3s"


class Writer(threading.Thread):
    """Inserts and updates until told to stop; now and then it commits late, when others have passed its cursor."""

    def __init__(self, dsn: str) -> None:
        super().__init__(daemon=True)
        self._dsn = dsn
        self._stopping = threading.Event()
        self._random = random.Random(7)
        self.rows = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with dbapi.connect(self._dsn) as connection, connection.cursor() as cursor:
                while not self._stopping.is_set():
                    self._transaction(cursor)
                    connection.commit()
        except BaseException as exc:  # noqa: BLE001 - told to the test by `stop`
            self.error = exc

    def stop(self) -> None:
        self._stopping.set()
        self.join()
        assert self.error is None

    def _transaction(self, cursor: Any) -> None:
        """Ten new rows that tie on the cursor, five changed ones; every tenth time the commit waits."""
        first, self.rows = self.rows, self.rows + 10
        cursor.execute(
            f"INSERT INTO events SELECT i, 1, now(), i::numeric / 7 FROM generate_series({first}, {first + 9}) AS i"
        )
        changed = ", ".join(str(self._random.randrange(self.rows)) for _ in range(5))
        cursor.execute(f"UPDATE events SET version = version + 1, moved_at = now() WHERE uid IN ({changed})")
        time.sleep(0.8 if self._random.random() < 0.1 else 0.005)


@pytest.mark.fault(21, 23)
@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_the_destination_equals_the_source(postgres: PostgresDatabase, tmp_path: Path, kind: str) -> None:
    """Ties, late commits, updates and kills, and not a row amiss."""
    postgres.execute(
        "CREATE TABLE events (uid bigint PRIMARY KEY, version int, moved_at timestamptz NOT NULL, amount numeric(20,6))"
    )
    recipe = {
        "name": "events",
        "source": {
            "type": "postgres",
            "dsn": postgres.dsn,
            "table": "events",
            "incremental": {"strategy": "cursor", "cursor_column": "moved_at", "lag": LAG},
        },
        "destination": {
            "write_mode": "merge",
            "merge_keys": ["uid"],
            **(
                {"type": "duckdb", "path": str(tmp_path / "target.duckdb"), "table": "events"}
                if kind == "duckdb"
                else {"type": "postgres", "dsn": postgres.dsn, "table": "loaded.events"}
            ),
        },
        "state": {"type": "local", "path": str(tmp_path / "state")},
    }
    choice = random.Random(11)
    writer = Writer(postgres.dsn)
    writer.start()

    outcomes = []
    while len(outcomes) < RUNS or (writer.rows < ROWS and writer.is_alive()):
        site = choice.choice(KILLS) if len(outcomes) % 3 == 1 else None
        outcomes.append(run_recipe(recipe, failpoints=f"{site}=kill9" if site else ""))
    writer.stop()
    last = run_recipe(recipe)

    assert [o.exit_code for o in outcomes] == [-9 if n % 3 == 1 else 0 for n in range(len(outcomes))], outcomes
    assert last.exit_code == 0, last.error
    query = "SELECT uid, version, moved_at::text, amount::text FROM {} ORDER BY uid"
    source = postgres.query(query.format("events"))
    assert writer.rows == len(source) >= ROWS
    if kind == "postgres":
        assert postgres.query(query.format("loaded.events")) == source
    else:
        with duckdb.connect(str(tmp_path / "target.duckdb")) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            assert connection.execute(query.format("events")).fetchall() == source
