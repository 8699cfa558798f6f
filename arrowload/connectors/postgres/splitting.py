"""Parts of a table or query that are read side by side: ranges of blocks, or of the values of a column."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import msgspec

from arrowload.core.exceptions import RecipeError
from arrowload.io.sql import quote_identifier, quote_literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.connectors.postgres.catalogue import Relation
    from arrowload.connectors.postgres.session import Session

# Older servers scan the whole table for a range of ctid.
# https://www.postgresql.org/docs/release/14.0/
_TID_RANGE_SCANS: Final = 14_00_00
# Readers end within the last part of each other, of what each of them reads about so much.
_LAST_SHARE: Final = 1 / 32
# Smaller ones do not pay for a query: blocks in all, and of the largest partition, as a query plans with all of them.
_BLOCKS_A_PART: Final = 2048
_BLOCKS_A_PARTITION: Final = 256


class Part(msgspec.Struct, frozen=True):
    """Rows that meet a condition.

    Attributes:
        condition: SQL, None for all rows.
        what: The part, for people.
    """

    condition: str | None
    what: str


WHOLE: Final = Part(None, "all rows, over one connection")


def block_parts(session: Session, relation: Relation, n: int) -> Sequence[Part]:
    """Ranges of blocks that together hold each row once, for `n` readers: as many, or more in a large table.

    One part where the server cannot scan a range. A table with children or partitions is cut at the same block numbers
    in each, so that the parts are of the size they should be.
    """
    if relation.kind not in "rpm" or _server_version(session) < _TID_RANGE_SCANS:
        return [WHOLE]
    sizes = _heap_sizes(session, relation)
    if sizes is None:
        return [WHOLE]
    least = max(_BLOCKS_A_PART, _BLOCKS_A_PARTITION * sum(sizes) // max(1, *sizes))
    cuts = sorted({_cut(sizes, end) for end in _ends(sum(sizes), n, least)} - {0})
    ends: list[int | None] = [*cuts, None]
    return [_blocks(start, end) for start, end in zip([0, *cuts], ends, strict=True)] if cuts else [WHOLE]


def key_parts(session: Session, relation: Relation, rows: str, column: str, n: int) -> Sequence[Part]:
    """At most `n` ranges of the values of `column`, each with about as many rows; NULLs are in the last.

    Args:
        session: In the snapshot; runs one query that sorts the column.
        relation: What is read.
        rows: FROM and WHERE of its rows.
        column: Of any type that has an order.
        n: How many.

    Raises:
        RecipeError: There is no such column.
    """
    if relation.column(column) is None:
        raise RecipeError(
            f"there is no column `{column}` to split on",
            context={"column": column, "path": "$.source.split_on"},
            hint=f"there are: {', '.join(c.name for c in relation.columns)}",
        )
    key = quote_identifier(column)
    items = ", ".join(
        f"(percentile_disc({i / n:.6f}) WITHIN GROUP (ORDER BY {key}))::text AS c{i}" for i in range(1, n)
    )
    found = session.execute(f"SELECT {items} {rows}")[0] if n > 1 else ()
    cuts = list(dict.fromkeys(text for text in found if text is not None))
    edges: list[str | None] = [None, *cuts, None]
    return [_values(key, start, end) for start, end in pairwise(edges)] if cuts else [WHOLE]


def pinned(session: Session, relation: Relation) -> str | None:
    """A condition that holds for the partitions and children of the snapshot; None when there are none.

    One that is attached meanwhile is seen by the parts that are planned after that, and missed by the others.
    """
    if relation.kind not in "rp":
        return None
    oids = [int(oid) for (oid,) in session.execute(f"{_family(relation)} SELECT oid::int8 AS oid FROM parts")]
    return f"tableoid = ANY ('{{{', '.join(map(str, oids))}}}'::oid[])" if len(oids) > 1 else None


def free_connections(session: Session) -> int:
    """How many connections the server would let this role open now."""
    setting = "current_setting('{}')::int4"
    found = session.execute(
        f"SELECT {setting.format('max_connections')} - {setting.format('superuser_reserved_connections')}"
        " - coalesce(current_setting('reserved_connections', true)::int4, 0)"
        # Of other roles' sessions an ordinary role sees the database, but not the type.
        " - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datid IS NOT NULL"
        " AND coalesce(backend_type, 'client backend') = 'client backend') AS server,"
        " (SELECT rolconnlimit FROM pg_catalog.pg_roles WHERE rolname = current_user) AS role,"
        " (SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = current_database()) AS base"
    )
    # Limits of role and database are rarely set, and who sets one has few connections in mind: one is enough then.
    server, *limits = found[0]
    return int(server) if all(limit is None or int(limit) < 0 for limit in limits) else 1


def estimated_bytes(session: Session, query: str) -> int:
    """How much the server expects `query` to give; runs nothing."""
    plan: Any = json.loads("".join(str(line) for (line,) in session.execute(f"EXPLAIN (FORMAT JSON) {query}")))
    return int(plan[0]["Plan"]["Plan Rows"]) * max(1, int(plan[0]["Plan"]["Plan Width"]))


def _server_version(session: Session) -> int:
    return int(session.execute("SELECT current_setting('server_version_num')::int4 AS v")[0][0])


def _heap_sizes(session: Session, relation: Relation) -> list[int] | None:
    """Blocks of the table and of all its children; None when one of them is no heap."""
    found = session.execute(
        f"{_family(relation)} SELECT c.relkind::text AS kind, coalesce(a.amname::text, 'none') AS method,"
        " CASE WHEN c.relkind = 'p' THEN 0"
        " ELSE coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int8 END::int8 AS blocks"
        " FROM parts JOIN pg_catalog.pg_class c USING (oid) LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam"
    )
    heaps = all(kind == "p" or (kind in "rm" and method == "heap") for kind, method, _ in found)
    return [int(blocks) for _, _, blocks in found] if heaps else None


def _family(relation: Relation) -> str:
    """WITH `parts`: the table, its partitions or children, and theirs."""
    return (
        f"WITH RECURSIVE parts(oid) AS (SELECT {relation.oid}::oid UNION SELECT i.inhrelid FROM parts"
        " JOIN pg_catalog.pg_inherits i ON i.inhparent = parts.oid)"
    )


def _ends(blocks: int, n: int, least: int) -> list[int]:
    """Where parts end, but for the last: equal parts, or smaller and smaller ones of `least` blocks or more.

    Each part is half of what a reader would get of the rest, so that readers of different speed end at about one time:
    Polychronopoulos and Kuck, Guided Self-Scheduling, IEEE Transactions on Computers C-36 (1987).
    """
    least = max(least, round(blocks / n * _LAST_SHARE))
    if blocks < 2 * n * least:
        return [blocks * i // n for i in range(1, n)]
    ends = []
    rest = blocks
    while rest > least:
        rest -= max(least, rest // (2 * n))
        ends.append(blocks - rest)
    return ends


def _cut(sizes: Sequence[int], wanted: int) -> int:
    """The block number below which the heaps together have `wanted` blocks."""
    low, high = 0, max(sizes)
    while low < high:
        middle = (low + high) // 2
        if sum(min(size, middle) for size in sizes) < wanted:
            low = middle + 1
        else:
            high = middle
    return low


def _blocks(start: int, end: int | None) -> Part:
    conditions = []
    if start:
        conditions.append(f"ctid >= '({start},0)'::tid")
    if end is not None:
        conditions.append(f"ctid < '({end},0)'::tid")
    return Part(" AND ".join(conditions), f"blocks {start} to {'the last' if end is None else end - 1}")


def _values(key: str, start: str | None, end: str | None) -> Part:
    if end is None:
        return Part(f"{key} >= {quote_literal(start or '')} OR {key} IS NULL", f"{key} from {start}")
    below = f"{key} < {quote_literal(end)}"
    if start is None:
        return Part(below, f"{key} below {end}")
    return Part(f"{key} >= {quote_literal(start)} AND {below}", f"{key} from {start} to below {end}")
