"""Rows committed behind the cursor, found by the transactions that wrote them.

A transaction that was still running when a window was read had an id of at least the `xmin` of that snapshot, and so
have its savepoints. The next window therefore also takes the rows whose own `xmin` is not below it; those that were
visible then are told from new ones by their hash, or absorbed by a merge. See "Transaction ID and Snapshot Information
Functions" in https://www.postgresql.org/docs/current/functions-info.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa

from arrowload.connectors.postgres.reading import ReadColumn
from arrowload.connectors.postgres.types import PgType
from arrowload.core.exceptions import RecipeError, StateError

if TYPE_CHECKING:
    from arrowload.connectors.postgres.catalogue import Relation
    from arrowload.connectors.postgres.session import Session
    from arrowload.core.state import State

LATE_COLUMN: Final = "_arrowload_late"
KEY: Final = "late"
# Row ids of transactions have 32 bits; beyond half of that, older and newer cannot be told apart.
_MOST_TRANSACTIONS: Final = 2**31
# After so many a run without new rows is committed all the same, so that what is remembered does not grow too old.
_MANY_TRANSACTIONS: Final = 2**30
# Ids below this stand for rows that are older than all transactions.
_FIRST_NORMAL: Final = 3


class LateRows(NamedTuple):
    """What the snapshot knows of transactions.

    Attributes:
        system: The server, by its identifier: ids of another one mean nothing here.
        xmin: The oldest transaction that may still commit.
        next_id: The id that the next transaction gets.
        before: `xmin` of the last window; None before the first.
        is_old: The last window was read many transactions ago.
    """

    system: str
    xmin: int
    next_id: int
    before: int | None
    is_old: bool = False

    @property
    def condition(self) -> str | None:
        """Met by rows that may not have been visible to the last window."""
        return None if self.before is None else self._written_since(self.before)

    @property
    def column(self) -> ReadColumn:
        """True for rows that the next window meets again."""
        boolean = PgType(name="bool", sql="boolean", bare="boolean", kind="builtin")
        return ReadColumn(LATE_COLUMN, self._written_since(self.xmin), pa.bool_(), boolean)

    @property
    def remembered(self) -> dict[str, Any]:
        """For the metadata of the state."""
        return {"system": self.system, "xmin": self.xmin}

    def _written_since(self, xmin: int) -> str:
        # The id of a row has lost its upper 32 bits; they follow from its distance to the next one.
        short = "xmin::text::int8"
        whole = f"{self.next_id} - (({self.next_id} - {short}) & 4294967295)"
        return f"({short} >= {_FIRST_NORMAL} AND {whole} >= {xmin})"


def find_late_rows(session: Session, relation: Relation, state: State) -> LateRows:
    """What tells late rows from others, in the snapshot of `session`.

    Raises:
        RecipeError: The rows are not a table's own.
        StateError: The last window was read from another server, or too many transactions ago.
    """
    if relation.kind not in ("r", "p"):
        raise RecipeError(
            "`late: xmin` needs a table: rows of views, queries and foreign tables do not tell who wrote them",
            context={"path": "$.source.incremental.late", "kind": relation.kind},
            hint="use `lag`, or name the table",
        )
    ((system, xmin, next_id),) = session.execute(
        "SELECT system_identifier::text, pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text"
        " FROM pg_control_system(), pg_current_snapshot() AS s"
    )
    late = LateRows(system, int(xmin), int(next_id), None)
    remembered = state.metadata.get(KEY)
    if not state.cursor_values:
        return late
    hint = "load everything anew with --full-refresh, or use `lag`"
    if remembered is None:
        raise StateError(
            "the last window was read without `late: xmin`, so that rows committed since cannot be told from others",
            context={"path": "$.source.incremental.late"},
            hint=hint,
        )
    if remembered["system"] != late.system:
        raise StateError(
            "the last window was read from another server, whose transactions are not those of this one",
            context={"before": remembered["system"], "now": late.system},
            hint=hint,
        )
    begun = late.next_id - remembered["xmin"]
    if begun < 0:
        raise StateError(
            "the server has begun fewer transactions than when the last window was read: it was restored",
            context={"before": remembered["xmin"], "now": late.next_id},
            hint=hint,
        )
    if begun >= _MOST_TRANSACTIONS:
        raise StateError(
            f"{begun:,} transactions were begun since the last window, too many to tell older rows from newer ones",
            context={"before": remembered["xmin"], "now": late.next_id},
            hint=hint,
        )
    return late._replace(before=int(remembered["xmin"]), is_old=begun >= _MANY_TRANSACTIONS)
