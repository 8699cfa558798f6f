"""The ledger of a SQL destination: tables in the schema `_arrowload`, in the same database as the target.

Statements carry literals, not parameters: every value is ours, and the drivers bind nulls and times differently.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa

from arrowload.connectors.base import SEEN_SCHEMA, LedgerEntry, LedgerHead
from arrowload.connectors.live_loads import live_loads
from arrowload.core.exceptions import BusyError, another_pipeline
from arrowload.core.rejection import NEVER_REPLAYED, REJECTED_SCHEMA, with_load_id
from arrowload.io.sql import TableName, quote_identifier, quote_literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEDGER_SCHEMA: Final = "_arrowload"

TABLES: Final = {
    "fence": (
        "pipeline_id text PRIMARY KEY, recipe text NOT NULL, target text NOT NULL, epoch bigint NOT NULL,"
        " owner text NOT NULL, UNIQUE (recipe, target)"
    ),
    "loads": (
        "pipeline_id text NOT NULL, generation bigint NOT NULL, seq bigint NOT NULL, load_id text NOT NULL,"
        " epoch bigint NOT NULL, recipe text NOT NULL, target text NOT NULL, write_mode text NOT NULL,"
        ' "lower" text, "upper" text, state text NOT NULL, schema_fingerprint text NOT NULL,'
        " rows_read bigint NOT NULL, rows_written bigint NOT NULL, rows_filtered bigint NOT NULL,"
        " rows_rejected bigint NOT NULL, rows_deduplicated bigint NOT NULL, content_hash text NOT NULL,"
        " engine_version text NOT NULL, committed_at timestamptz NOT NULL, PRIMARY KEY (pipeline_id, generation, seq)"
    ),
    "seen": "pipeline_id text NOT NULL, row_hash bytea NOT NULL, n bigint NOT NULL",
}
# Not part of what makes a ledger: one of an earlier version has none yet.
_QUARANTINE: Final = {
    "quarantine": (
        "pipeline_id text NOT NULL, load_id text NOT NULL, place text NOT NULL, column_name text, code text NOT NULL,"
        " reason text NOT NULL, value text, source_row bytea NOT NULL"
    )
}
_ENTRY_COLUMNS: Final = ", ".join(quote_identifier(name) for name in LedgerEntry.__struct_fields__)
# A time as text, since drivers disagree on what it is in Python; the session's time zone does not matter to it.
_ENTRY_VALUES: Final = _ENTRY_COLUMNS.replace(
    quote_identifier("committed_at"), "(committed_at AT TIME ZONE 'UTC')::text AS committed_at"
)


class SqlSession(Protocol):
    """What the ledger needs of a connection; the transaction is the caller's."""

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement; its rows, if it has any."""

    def fetch_arrow(self, sql: str) -> pa.Table:
        """Run one query; its rows as Arrow."""

    def append(self, table: TableName, rows: pa.Table) -> None:
        """Add `rows` to a table whose first columns have their names and types."""


class SqlLedger:
    """Reads and writes the ledger through one session.

    Args:
        session: Where statements run.
        target: The name of the target table, as the ledger records it.
    """

    def __init__(self, session: SqlSession, target: str) -> None:
        self._session = session
        self._target = target

    def exists(self) -> bool:
        """Whether the ledger is there, whole."""
        return self._has(TABLES)

    def create(self) -> None:
        """Make the ledger where it is not there."""
        create_tables(self._session, {**TABLES, **_QUARANTINE})

    def head(self, recipe: str, pipeline_id: str | None) -> LedgerHead | None:
        """The pipeline of that id or, when there is none, the one that loads the target for the recipe of that name."""
        if not self.exists():
            return None
        by_name = f"recipe = {_literal(recipe)} AND target = {_literal(self._target)}"
        rows = self._fences(f"pipeline_id = {_literal(pipeline_id)}") if pipeline_id else []
        rows = rows or self._fences(by_name)
        if not rows:
            return None
        found_id, target, epoch, owner = rows[0]
        last = self._entries(f"pipeline_id = {_literal(found_id)} ORDER BY generation DESC, seq DESC LIMIT 1")
        return LedgerHead(
            pipeline_id=found_id, target=target, epoch=int(epoch), owner=owner, last=last[0] if last else None
        )

    def install_fence(self, pipeline_id: str, recipe: str, epoch: int, owner: str) -> None:
        """Raise the fence of a pipeline to `epoch`.

        Raises:
            BusyError: The epoch installed is not lower.
            TransientConnectorError: The recipe has another pipeline by now.
        """
        key = f"pipeline_id = {_literal(pipeline_id)}"
        raised = self._session.execute(
            f"UPDATE {LEDGER_SCHEMA}.fence SET epoch = {epoch}, owner = {_literal(owner)}"
            f" WHERE {key} AND epoch < {epoch} RETURNING epoch"
        )
        if raised:
            return
        # One look, for two would see what commits between them as somebody else's.
        found = self._fences(f"{key} OR (recipe = {_literal(recipe)} AND target = {_literal(self._target)})")
        if held := [fence for fence in found if fence[0] == pipeline_id]:
            raise _taken_over(recipe, int(held[0][2]), str(held[0][3]))
        if found:
            raise another_pipeline(recipe)
        values = (pipeline_id, recipe, self._target, epoch, owner)
        self._session.execute(f"INSERT INTO {LEDGER_SCHEMA}.fence VALUES ({', '.join(map(_literal, values))})")

    def check_fence(self, entry: LedgerEntry) -> None:
        """Hold the fence until the transaction ends.

        Raises:
            BusyError: It is no longer at the epoch of `entry`.
        """
        key = f"pipeline_id = {_literal(entry.pipeline_id)}"
        held = self._session.execute(
            f"UPDATE {LEDGER_SCHEMA}.fence SET target = {_literal(self._target)}"
            f" WHERE {key} AND epoch = {entry.epoch} RETURNING epoch"
        )
        if not held:
            now = self._fences(key)
            raise _taken_over(entry.recipe, int(now[0][2]) if now else 0, str(now[0][3]) if now else "nobody")

    def insert(self, entry: LedgerEntry, seen: pa.Table | None) -> None:
        """Add `entry`; `seen`, when given, takes the place of what earlier loads of the pipeline left."""
        values = (getattr(entry, name) for name in LedgerEntry.__struct_fields__)
        self._session.execute(
            f"INSERT INTO {LEDGER_SCHEMA}.loads ({_ENTRY_COLUMNS}) VALUES ({', '.join(map(_literal, values))})"
        )
        if seen is None:
            return
        self._session.execute(f"DELETE FROM {LEDGER_SCHEMA}.seen WHERE pipeline_id = {_literal(entry.pipeline_id)}")
        if seen.num_rows:
            rows = pa.table(
                {
                    "pipeline_id": pa.repeat(entry.pipeline_id, seen.num_rows),
                    "row_hash": seen["row_hash"].cast(pa.binary()),
                    "n": seen["n"],
                }
            )
            self._session.append(TableName(LEDGER_SCHEMA, "seen"), rows)

    def set_aside(self, entry: LedgerEntry, rejected: pa.Table, settled: Sequence[str]) -> None:
        """Store the rows that a load refused; see `QuarantiningWriter.quarantine`."""
        is_there = self._has(_QUARANTINE)
        mine = f"pipeline_id = {_literal(entry.pipeline_id)}"
        if is_there and entry.write_mode == "replace":
            self._session.execute(f"DELETE FROM {LEDGER_SCHEMA}.quarantine WHERE {mine} RETURNING load_id")
        elif is_there and settled:
            loads, staying = (", ".join(map(_literal, values)) for values in (settled, NEVER_REPLAYED))
            self._session.execute(
                f"DELETE FROM {LEDGER_SCHEMA}.quarantine WHERE load_id IN ({loads})"
                f" AND code NOT IN ({staying}) RETURNING load_id"
            )
        if rejected.num_rows:
            if not is_there:
                create_tables(self._session, _QUARANTINE)
            places = {name: pa.repeat(getattr(entry, name), rejected.num_rows) for name in ("pipeline_id", "load_id")}
            rows = pa.table({**places, **{name: rejected[name] for name in rejected.column_names}})
            self._session.append(TableName(LEDGER_SCHEMA, "quarantine"), rows)

    def quarantined(self, pipeline_id: str) -> pa.Table:
        """See `QuarantineDestination.quarantined`."""
        schema = with_load_id(REJECTED_SCHEMA.empty_table(), "").schema
        if not self._has({**TABLES, **_QUARANTINE}):
            return schema.empty_table()
        columns = ", ".join(f"q.{name}" for name in schema.names)
        rows = self._session.fetch_arrow(
            f"SELECT {columns} FROM {LEDGER_SCHEMA}.quarantine q JOIN {LEDGER_SCHEMA}.loads l"
            " ON l.pipeline_id = q.pipeline_id AND l.load_id = q.load_id"
            f" WHERE q.pipeline_id = {_literal(pipeline_id)} ORDER BY l.generation, l.seq"
        )
        return rows.cast(schema)

    def find(self, pipeline_id: str, load_id: str) -> LedgerEntry | None:
        """The entry of one load."""
        if not self.exists():
            return None
        found = self._entries(f"pipeline_id = {_literal(pipeline_id)} AND load_id = {_literal(load_id)}")
        return found[0] if found else None

    def entries(self, pipeline_id: str) -> list[LedgerEntry]:
        """Every load of a pipeline, oldest first."""
        if not self.exists():
            return []
        return self._entries(f"pipeline_id = {_literal(pipeline_id)} ORDER BY generation, seq")

    def forget(self) -> None:
        """Remove all that is known of the target."""
        if not self.exists():
            return
        mine = f"SELECT pipeline_id FROM {LEDGER_SCHEMA}.fence WHERE target = {_literal(self._target)}"
        known = [*TABLES, *(_QUARANTINE if self._has(_QUARANTINE) else ())]
        for table in reversed(known):
            self._session.execute(
                f"DELETE FROM {LEDGER_SCHEMA}.{table} WHERE pipeline_id IN ({mine}) RETURNING pipeline_id"
            )

    def all_entries(self) -> list[LedgerEntry]:
        """Every load into the target, of whichever recipe, oldest first."""
        if not self.exists():
            return []
        return self._entries(f"target = {_literal(self._target)} ORDER BY committed_at, generation, seq")

    def live_entries(self) -> list[LedgerEntry]:
        """The loads whose rows are in the target: of all recipes, oldest first, from the last that replaced the others.

        A load of no rows that changed what is remembered is not among them.
        """
        live = live_loads(self.all_entries())
        return [entry for entry in live if entry.rows_written or entry.rows_read or entry.write_mode == "replace"]

    def seen(self, pipeline_id: str) -> pa.Table:
        """Row hashes that the last load left: `row_hash` (fixed_size_binary(16)), `n` (int64)."""
        rows = self._session.fetch_arrow(
            f"SELECT row_hash, n FROM {LEDGER_SCHEMA}.seen WHERE pipeline_id = {_literal(pipeline_id)}"
        )
        return rows.cast(SEEN_SCHEMA)

    def _has(self, tables: Mapping[str, str]) -> bool:
        return has_tables(self._session, tables)

    def _fences(self, condition: str) -> list[tuple[Any, ...]]:
        return self._session.execute(
            f"SELECT pipeline_id, target, epoch, owner FROM {LEDGER_SCHEMA}.fence WHERE {condition}"
        )

    def _entries(self, condition: str) -> list[LedgerEntry]:
        rows = self._session.execute(f"SELECT {_ENTRY_VALUES} FROM {LEDGER_SCHEMA}.loads WHERE {condition}")
        return [_entry(dict(zip(LedgerEntry.__struct_fields__, row, strict=True))) for row in rows]


def told_apart(entries: Sequence[LedgerEntry], column: str, type_name: str) -> list[tuple[LedgerEntry, str]]:
    """Each load with the condition that its rows meet: above where the one before it ended, up to where it ended.

    Args:
        entries: Of one pipeline, oldest first.
        column: Of the target.
        type_name: Its type; text is compared byte by byte.
    """
    bytewise = ' COLLATE "C"' if type_name.lower().startswith(("text", "varchar", "character varying")) else ""
    name, conditions, before = quote_identifier(column) + bytewise, [], None
    for entry in entries:
        bounds = [
            f"{name} {sign} CAST({quote_literal(text)} AS {type_name}){bytewise}"
            for sign, text in ((">", before), ("<=", entry.upper))
            if text is not None
        ]
        conditions.append((entry, " AND ".join(bounds) or "true"))
        before = entry.upper or before
    return conditions


def has_tables(session: SqlSession, tables: Mapping[str, str]) -> bool:
    """Whether all of `tables` are in the ledger's schema."""
    found = session.execute(
        f"SELECT count(*) FROM information_schema.tables WHERE table_schema = {quote_literal(LEDGER_SCHEMA)}"
        f" AND table_name IN ({', '.join(map(quote_literal, tables))})"
    )
    return int(found[0][0]) == len(tables)


def create_tables(session: SqlSession, tables: Mapping[str, str]) -> None:
    """Make those of `tables`, name to columns, that are not in the ledger's schema yet."""
    session.execute(f"CREATE SCHEMA IF NOT EXISTS {LEDGER_SCHEMA}")
    for name, columns in tables.items():
        session.execute(f"CREATE TABLE IF NOT EXISTS {LEDGER_SCHEMA}.{name} ({columns})")


def _entry(row: dict[str, Any]) -> LedgerEntry:
    return LedgerEntry(**row | {"committed_at": dt.datetime.fromisoformat(row["committed_at"]).replace(tzinfo=dt.UTC)})


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dt.datetime):
        return f"TIMESTAMPTZ {quote_literal(value.isoformat())}"
    return quote_literal(str(value))


def _taken_over(recipe: str, epoch: int, owner: str) -> BusyError:
    return BusyError(
        f"another run of `{recipe}` took over: {owner} (epoch {epoch})",
        context={"recipe": recipe, "epoch": epoch, "owner": owner},
        hint="nothing was committed by this run; run it again when the other has ended",
    )
