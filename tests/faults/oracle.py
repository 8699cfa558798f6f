"""A source whose rows tell whether they arrived: each carries its id, its version and a checksum over both."""

from __future__ import annotations

import datetime as dt
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, order=True)
class Row:
    """One row; `crc` must be that of the rest."""

    uid: int
    version: int
    moved_at: dt.datetime
    crc: int

    @classmethod
    def make(cls, uid: int, version: int, second: int) -> Row:
        moved_at = START + dt.timedelta(seconds=second)
        return cls(uid, version, moved_at, checksum(uid, version, moved_at))


def checksum(uid: int, version: int, moved_at: dt.datetime) -> int:
    return zlib.crc32(f"{uid}/{version}/{moved_at.timestamp():.6f}".encode())


@dataclass
class Oracle:
    """What the source holds now; the destination must come to hold the same."""

    rows: dict[int, Row] = field(default_factory=dict)

    def insert(self, uids: Iterable[int], *, second: int) -> list[Row]:
        """New rows, all with the same cursor value."""
        made = [Row.make(uid, 1, second) for uid in uids]
        self.rows.update({row.uid: row for row in made})
        return made

    def update(self, uids: Iterable[int], *, second: int) -> list[Row]:
        """New versions of rows."""
        made = [Row.make(uid, self.rows[uid].version + 1, second) for uid in uids]
        self.rows.update({row.uid: row for row in made})
        return made

    def differences(self, found: Iterable[tuple[int, int, dt.datetime, int]]) -> list[str]:
        """What is lost, doubled, stale or damaged in the rows of a destination; empty when nothing is."""
        rows = [Row(*row) for row in found]
        seen, wanted = Counter(row.uid for row in rows), self.rows
        return [
            *(f"lost {uid}" for uid in wanted if uid not in seen),
            *(f"{n} times {uid}" for uid, n in seen.items() if n > 1),
            *(f"foreign {uid}" for uid in seen if uid not in wanted),
            *(f"damaged {row}" for row in rows if row.crc != checksum(row.uid, row.version, row.moved_at)),
            *(f"stale {row}" for row in rows if row.uid in wanted and row != wanted[row.uid]),
        ]
