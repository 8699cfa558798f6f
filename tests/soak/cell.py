"""One destination in one write mode: runs that are killed, under a writer that does not stop, and what came of it."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from adbc_driver_postgresql import dbapi

if TYPE_CHECKING:
    from tests.postgres_server import PostgresDatabase
    from tests.soak.targets import Rows, Seen, Target

FIRST_ROWS: Final = 500
ROWS_A_BATCH: Final = 5
UPDATES_A_BATCH: Final = 3
_PATIENCE_S: Final = 180
_CALIBRATION_RUNS: Final = 2
_TELL_EVERY: Final = 10
_FORGET: Final = 0.2  # of what earlier runs took
# Before that share of an undisturbed run has passed, Python is importing.
_FROM: Final = 0.35
# Every other kill comes late, around the commit and behind it, which take a small share of a run.
_LATE: Final = 0.8
_TO: Final = 1.05

_DEFECT: Final = """
import sys
from tests.faults import defects
getattr(defects, sys.argv.pop(1))()
from arrowload.cli.main import main
main()
"""


@dataclass
class Result:
    """What came of a cell.

    Attributes:
        kills: Runs that were killed; `before` and `after` their commit, by the ledger.
        lost, doubled, stale: Rows, in the end.
        wedged: Reruns that did not end well, with what they said.
        polls: Looks of readers that found a table; `torn`: those that saw what no transaction of the source left.
        samples: Of each rerun: kills so far, and what was counted.
    """

    destination: str
    mode: str
    kills: int = 0
    before: int = 0
    after: int = 0
    rows: int = 0
    lost: int = 0
    doubled: int = 0
    stale: int = 0
    wedged: list[str] = field(default_factory=list)
    polls: int = 0
    torn: list[str] = field(default_factory=list)
    seconds: float = 0.0
    samples: list[tuple[int, dict[str, int]]] = field(default_factory=list)


class Source(threading.Thread):
    """A table, and a writer: each transaction brings five rows with its number, of which many tie on the cursor."""

    def __init__(self, database: PostgresDatabase, seed: str, *, updates: bool) -> None:
        super().__init__(daemon=True, name="soak-writer")
        self.database = database
        self._random = random.Random(seed)
        self._updates = updates
        self._stopping = threading.Event()
        self._batch = 0
        self.error: BaseException | None = None
        database.execute(
            "CREATE TABLE source (uid bigint PRIMARY KEY, batch bigint NOT NULL, version bigint NOT NULL,"
            " moved_at timestamptz NOT NULL, crc bigint NOT NULL);"
            f"INSERT INTO source SELECT i, 0, 1, date_trunc('second', now()), hashint8extended(i * 1000 + 1, 0)"
            f" FROM generate_series(1, {FIRST_ROWS}) AS i"
        )

    def config(self, mode: str) -> dict[str, Any]:
        keys: dict[str, Any] = {"type": "postgres", "dsn": self.database.dsn, "table": "public.source"}
        if mode != "replace":
            keys["incremental"] = {"strategy": "cursor", "cursor_column": "moved_at"}
        return keys

    def run(self) -> None:
        try:
            with dbapi.connect(self.database.dsn) as connection, connection.cursor() as cursor:
                while not self._stopping.wait(self._random.uniform(0.05, 0.25)):
                    self._transaction(cursor)
                    connection.commit()
        except BaseException as exc:  # noqa: BLE001 - told by `stop`
            self.error = exc

    def _transaction(self, cursor: Any) -> None:
        self._batch += 1
        first = FIRST_ROWS + (self._batch - 1) * ROWS_A_BATCH + 1
        cursor.execute(
            f"INSERT INTO source SELECT i, {self._batch}, 1, date_trunc('second', clock_timestamp()),"
            f" hashint8extended(i * 1000 + 1, 0) FROM generate_series({first}, {first + ROWS_A_BATCH - 1}) AS i"
        )
        if self._updates:
            changed = ", ".join(str(self._random.randrange(1, first)) for _ in range(UPDATES_A_BATCH))
            cursor.execute(
                "UPDATE source SET version = version + 1, moved_at = date_trunc('second', clock_timestamp()),"
                f" crc = hashint8extended(uid * 1000 + version + 1, 0) WHERE uid IN ({changed})"
            )

    def stop(self) -> None:
        self._stopping.set()
        self.join()
        if self.error is not None:
            raise self.error

    def rows(self) -> Rows:
        return Counter(self.database.query("SELECT uid, batch, version, crc FROM source"))


class Reader(threading.Thread):
    """Looks at the destination until told to stop; what it sees must be what a transaction of the source left."""

    def __init__(self, target: Target, result: Result) -> None:
        super().__init__(daemon=True, name="soak-reader")
        self._target = target
        self._result = result
        self._stopping = threading.Event()
        self._last = -1
        self._lock = threading.Lock()

    def run(self) -> None:
        while self._target.is_polled_always and not self._stopping.wait(0.15):
            self.look()

    def look(self) -> None:
        """One look; there is nothing to be seen before the first load."""
        with self._lock:
            try:
                seen = self._target.poll()
            except Exception as exc:  # noqa: BLE001 - a reader must never fail
                self._result.torn.append(f"{type(exc).__name__}: {exc}")
                return
            for look in seen:
                self._judge(look)
            if not seen and self._last >= 0:
                self._result.torn.append("the table is gone")

    def _judge(self, seen: Seen) -> None:
        self._result.polls += 1
        if seen.rows != FIRST_ROWS + ROWS_A_BATCH * seen.batch:
            self._result.torn.append(f"{seen.rows} rows with batch {seen.batch}")
        if seen.batch < self._last:
            self._result.torn.append(f"batch {seen.batch} after {self._last}")
        self._last = max(self._last, seen.batch)

    def stop(self) -> None:
        self._stopping.set()
        if self.is_alive():
            self.join()


class Cell:
    """Runs of one recipe.

    Args:
        name: Of the destination.
        mode: A write mode.
        target: What is loaded.
        database: For the source.
        folder: For the recipe and its state.
        seed: Of the moments, and of what the writer does.
        defect: A function of `tests.faults.defects`, planted in each run, so that the soak itself can be tested.
    """

    def __init__(
        self,
        name: str,
        mode: str,
        target: Target,
        database: PostgresDatabase,
        folder: Path,
        seed: str,
        defect: str = "",
    ) -> None:
        self.result = Result(name, mode)
        self._target = target
        self._source = Source(database, seed, updates=mode != "append")
        self._random = random.Random(f"kills of {seed}")
        self._recipe = folder / "recipe.json"
        self._defect = defect
        self._usual_s = 0.0
        keys = {"merge_keys": ["uid"]} if mode == "merge" else {}
        recipe = {
            "name": "soak",
            "source": self._source.config(mode),
            "destination": {**target.config(), "write_mode": mode, **keys},
            "state": {"type": "local", "path": str(folder / "state")},
        }
        self._recipe.write_text(json.dumps(recipe))

    def soak(self, kills: int, until: float) -> Result:
        """Kill `kills` runs, or as many as there is time for; each is followed by one plain run."""
        began = time.monotonic()
        reader = Reader(self._target, self.result)
        self._source.start()
        for _ in range(_CALIBRATION_RUNS):
            self._rerun()
        reader.start()
        while self.result.kills < kills and time.monotonic() < until:
            self._kill_one()
            reader.look()
            self._rerun()
            reader.look()
        self._source.stop()
        self._rerun()
        reader.look()
        reader.stop()
        self._compare()
        self._target.close()
        self.result.seconds = time.monotonic() - began
        return self.result

    def _tell(self) -> None:
        if self.result.kills % _TELL_EVERY == 0:
            found = self.result
            print(f"{found.destination} {found.mode}: {found.kills} kills", file=sys.stderr, flush=True)

    def _start(self) -> subprocess.Popen[str]:
        call = [sys.executable, "-c", _DEFECT, self._defect] if self._defect else [sys.executable, "-m", "arrowload"]
        return subprocess.Popen(
            [*call, "run", str(self._recipe)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def _kill_one(self) -> None:
        commits = self._target.commits()
        with self._start() as process:
            try:
                process.communicate(
                    timeout=self._usual_s * self._random.uniform(self._random.choice((_FROM, _LATE)), _TO)
                )
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        if process.returncode != -signal.SIGKILL:
            self._require_done(process.returncode, "it was not killed in time")
            return
        self.result.kills += 1
        self._tell()
        if self._target.commits() > commits:
            self.result.after += 1
        else:
            self.result.before += 1

    def _rerun(self) -> None:
        began = time.monotonic()
        with self._start() as process:
            watch = Watch(process.pid)
            watch.start()
            try:
                _, said = process.communicate(timeout=_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                _, said = process.communicate()
            watch.join()
        took = time.monotonic() - began
        self._usual_s = took if not self._usual_s else (1 - _FORGET) * self._usual_s + _FORGET * took
        self._require_done(process.returncode, said)
        self.result.samples.append((self.result.kills, {**watch.highest, **self._target.leftovers()}))

    def _require_done(self, code: int, said: str) -> None:
        if code:
            self.result.wedged.append(f"exit {code} after {self.result.kills} kills: {said.strip()[-500:]}")

    def _compare(self) -> None:
        wanted, found = self._source.rows(), self._target.rows()
        by_uid = Counter({uid: 0 for uid, *_ in wanted})
        for (uid, *_), n in found.items():
            by_uid[uid] += n
        self.result.rows = found.total()
        self.result.lost = sum(n == 0 for n in by_uid.values())
        self.result.doubled = sum(n - 1 for n in by_uid.values() if n > 1)
        self.result.stale = sum(row not in wanted for row in found)


class Watch(threading.Thread):
    """Looks at a process until it ends.

    Attributes:
        highest: Resident memory in KiB, and open files.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True, name="soak-watch")
        self._proc = Path(f"/proc/{pid}")
        self.highest = {"RSS, KiB": 0, "open files": 0}

    def run(self) -> None:
        try:
            while "VmHWM" in (status := (self._proc / "status").read_text()):
                memory = int(status.partition("VmHWM:")[2].split()[0])
                files = sum(1 for _ in (self._proc / "fd").iterdir())
                self.highest = {
                    "RSS, KiB": max(self.highest["RSS, KiB"], memory),
                    "open files": max(self.highest["open files"], files),
                }
                time.sleep(0.02)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return
