"""Which of the staged rows of one key is kept by a merge, in the SQL that the databases have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrowload.connectors.base import CURSOR_COLUMN, ORDINAL_COLUMN
from arrowload.io.sql import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.io.sql import TableName


def count_keys(staging: TableName, keys: Sequence[str]) -> str:
    """The query that counts the distinct keys in `staging`; as many as rows, and there are no losers.

    Args:
        staging: The table; its rows are `s` in `keys`.
        keys: SQL expressions.
    """
    return f"SELECT count(*) AS n FROM (SELECT DISTINCT {', '.join(keys)} FROM {staging.sql()} AS s) AS keys"


def ranked_rows(staging: TableName, row_id: str, keys: Sequence[str], *, has_cursor: bool) -> str:
    """The query that gives each staged row its `place`, and its `rank` among those of its key.

    The row with the greatest cursor, then ordinal, has rank 1 and is kept; the others are the losers.

    Args:
        staging: The table; its rows are `s` in `keys`.
        row_id: The database's own column that says where a row is.
        keys: SQL expressions.
        has_cursor: Rows were staged with the value of their cursor.
    """
    cursor = f"s.{quote_identifier(CURSOR_COLUMN)} DESC NULLS LAST, " if has_cursor else ""
    return (
        f"SELECT s.{row_id} AS place, row_number() OVER (PARTITION BY {', '.join(keys)}"
        f" ORDER BY {cursor}s.{quote_identifier(ORDINAL_COLUMN)} DESC) AS rank FROM {staging.sql()} AS s"
    )
