"""What the catalogue says of a table, a view or a query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from arrowload.connectors.postgres.types import PgType, TypeRow, resolve_type
from arrowload.core.exceptions import ConnectorError, RecipeError, TransientConnectorError
from arrowload.core.names import nearest
from arrowload.io.sql import quote_literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from arrowload.connectors.postgres.session import Session
    from arrowload.io.sql import TableName

_TABLES_LOOKED_AT = 5_000


class Column(msgspec.Struct, frozen=True):
    """A column.

    Attributes:
        not_null: It holds no NULL; never known of a query's columns.
        has_default: A row may leave it out: default, identity, generated.
        generated: The server computes it, and takes no value for it.
    """

    name: str
    type: PgType
    not_null: bool = False
    has_default: bool = False
    generated: bool = False


class Relation(msgspec.Struct, frozen=True):
    """Something that rows can be selected from.

    Attributes:
        sql: What stands behind FROM.
        oid: Of a table or view; 0 for a query.
        kind: `pg_class.relkind`: `r` table, `p` partitioned, `v` view …; `q` for a query.
        columns: In order.
    """

    sql: str
    oid: int
    kind: str
    columns: tuple[Column, ...]

    def rows(self, *conditions: str | None) -> str:
        """FROM and WHERE of the rows that meet all conditions; None is no condition."""
        # A condition of the recipe's may end in a comment.
        where = " AND ".join(f"({condition}\n)" for condition in conditions if condition is not None)
        return f"FROM {self.sql}" + (f" WHERE {where}" if where else "")

    def column(self, name: str) -> Column | None:
        """The column of that name."""
        return next((column for column in self.columns if column.name == name), None)


def find_table(session: Session, table: TableName) -> Relation | None:
    """A table, view, materialised view, partitioned or foreign table; None when it is not there."""
    found = session.execute(
        "SELECT c.oid::int8, c.relkind::text FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE n.nspname = {quote_literal(table.schema)} AND c.relname = {quote_literal(table.table)}"
        " AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
    )
    if not found:
        return None
    oid, kind = found[0]
    rows = session.execute(
        "SELECT attname::text, atttypid::int8, atttypmod, pg_catalog.format_type(atttypid, atttypmod), attnotnull,"
        " atthasdef OR attidentity <> '', attgenerated <> '',"
        " attndims::int4 FROM pg_catalog.pg_attribute"
        f" WHERE attrelid = {oid} AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    types = find_types(session, (row[1] for row in rows))
    columns = [
        Column(name, resolve_type(type_oid, typmod, sql, types, dimensions), not_null, has_default, generated)
        for name, type_oid, typmod, sql, not_null, has_default, generated, dimensions in rows
    ]
    return Relation(table.sql(), oid, kind, tuple(columns))


def get_table(session: Session, table: TableName) -> Relation:
    """As `find_table`.

    Raises:
        ConnectorError: It is not there; the hint gives the nearest name.
    """
    if found := find_table(session, table):
        return found
    rows = session.execute(
        "SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')"
        " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
        f" ORDER BY n.nspname = {quote_literal(table.schema)} DESC, 1 LIMIT {_TABLES_LOOKED_AT}"
    )
    names = [name for (name,) in rows]
    same_name = (name for name in names if name.partition(".")[2] == table.table)
    near = next(same_name, None) or nearest(str(table), names)
    raise ConnectorError(
        f"there is no table `{table}`",
        context={"table": str(table)},
        hint=f"did you mean `{near}`?" if near else "the role sees no table of a similar name",
    )


def describe_query(session: Session, query: str) -> Relation:
    """The columns of `query`, which is not run.

    Raises:
        ConnectorError: The server does not understand it.
        RecipeError: It gives two columns one name.
    """
    source = f"(\n{query.strip().rstrip(';')}\n) AS query"
    described = session.describe(f"SELECT * FROM {source} LIMIT 0")
    names = [column.name for column in described]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(
                f"the query gives two columns the name `{name}`",
                context={"column": name},
                hint="name one of them otherwise, with AS",
            )
    types = find_types(session, (oid for _, oid, _ in described))
    columns = (Column(name, resolve_type(oid, typmod, types[oid].sql, types)) for name, oid, typmod in described)
    return Relation(source, 0, "q", tuple(columns))


def refuse_rewritten(session: Session) -> None:
    """Refuse a snapshot that is older than the rows of a table that this transaction has locked.

    A TRUNCATE, or a new table under the old name, that was committed between the snapshot and the lock leaves neither
    the old rows nor, for this snapshot, the new ones. Rows of `pg_class` are the snapshot's; the file is today's.

    Raises:
        TransientConnectorError: There is such a table; a new snapshot sees its rows.
    """
    found = session.execute(
        "SELECT l.relation::regclass::text AS t FROM pg_catalog.pg_locks l"
        " LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation"
        " WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation'"
        " AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
        " AND (c.oid IS NULL OR c.relfilenode NOT IN (0, pg_relation_filenode(c.oid)))"
    )
    if found:
        raise TransientConnectorError(
            f"`{found[0][0]}` was emptied or made anew while the snapshot was opened",
            context={"tables": [name for (name,) in found]},
            hint="run again",
        )


def find_types(session: Session, oids: Iterable[int]) -> dict[int, TypeRow]:
    """The types of these oids and all that they are made of."""
    wanted = ", ".join(f"({oid}::oid)" for oid in {*oids})
    if not wanted:
        return {}
    rows = session.execute(
        f"WITH RECURSIVE wanted(oid) AS (VALUES {wanted} UNION SELECT part.oid FROM wanted"
        " JOIN pg_catalog.pg_type t ON t.oid = wanted.oid"
        " CROSS JOIN LATERAL (VALUES (t.typelem), (t.typbasetype)) part(oid) WHERE part.oid <> 0)"
        " SELECT t.oid::int8, t.typname::text, t.typtype::text, t.typnamespace = 'pg_catalog'::regnamespace,"
        # Fixed-length types such as point have elements too, and the old vectors look like arrays.
        " t.typcategory = 'A' AND t.typlen = -1 AND t.typname NOT IN ('int2vector', 'oidvector'),"
        " t.typelem::int8, t.typbasetype::int8, t.typtypmod, pg_catalog.format_type(t.oid, NULL)"
        " FROM wanted JOIN pg_catalog.pg_type t USING (oid)"
    )
    return {oid: TypeRow(*fields) for oid, *fields in rows}
