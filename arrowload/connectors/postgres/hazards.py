"""What hangs on a table: foreign keys, views, triggers, grants; asked of the catalogue before a load counts on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrowload.core.exceptions import RecipeError
from arrowload.io.sql import quote_literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.connectors.postgres.catalogue import Relation
    from arrowload.connectors.postgres.session import Session
    from arrowload.io.sql import TableName


def counts_rows(session: Session, relation: Relation) -> bool:
    """Whether the server counts the rows of a COPY into this very table, and nothing stands between.

    Of a partitioned table the parts are counted; a trigger or a rule may keep rows out.
    """
    ((between, counted),) = session.execute(
        f"SELECT {_sees_rows(relation)} AS a, current_setting('track_counts') = 'on' AS b"
    )
    return relation.kind == "r" and bool(counted) and not between


def _sees_rows(relation: Relation) -> str:
    """SQL: whether a trigger or a rule stands between rows and their table."""
    triggers = f"EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = {relation.oid} AND NOT tgisinternal)"
    return f"{triggers} OR (SELECT relhasrules FROM pg_catalog.pg_class WHERE oid = {relation.oid})"


def is_keyed(session: Session, relation: Relation, keys: Sequence[str]) -> bool:
    """Whether a unique index over exactly `keys` can say which rows are there, and no trigger or rule sees the rows.

    An index that holds for some rows only, for expressions, or at the end of the transaction cannot.
    """
    names = ", ".join(f"{quote_literal(key)}::name" for key in keys)
    found = session.execute(
        f"SELECT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = {relation.oid} AND i.indisunique"
        " AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL"
        f" AND i.indnkeyatts = {len(keys)} AND (SELECT count(*) FROM pg_catalog.pg_attribute a WHERE a.attrelid ="
        f" {relation.oid} AND a.attname = ANY (ARRAY[{names}]) AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]))"
        f" = {len(keys)}) AS keyed, {_sees_rows(relation)} AS watched"
    )
    return bool(found[0][0]) and not found[0][1]


def refuse_cascades(session: Session, table: TableName, relation: Relation) -> None:
    """A replace deletes the old rows: foreign keys must not carry that into other tables."""
    found = session.execute(
        "SELECT conrelid::regclass::text FROM pg_catalog.pg_constraint"
        f" WHERE confrelid = {relation.oid} AND conrelid <> confrelid AND confdeltype IN ('c', 'n', 'd')"
    )
    if found:
        raise RecipeError(
            f"rows of `{found[0][0]}` would go, or change, with those of `{table}`, which a replace deletes",
            context={"table": str(table), "referenced_by": [name for (name,) in found]},
            hint="use `write_mode: merge`, or take the ON DELETE action off the foreign key",
        )


def refuse_to_rebuild(session: Session, table: TableName, relation: Relation) -> None:
    """A new table takes the place of the old one only where nothing but indexes and grants hangs on that."""
    oid = relation.oid
    checks = {
        "a view": "FROM pg_depend d WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass"
        f" AND d.refobjid = {oid} AND d.deptype = 'n'",
        "a foreign key": f"FROM pg_constraint WHERE confrelid = {oid} AND conrelid <> {oid}",
        "a trigger": f"FROM pg_trigger WHERE tgrelid = {oid} AND NOT tgisinternal",
        "a publication": f"FROM pg_publication_rel WHERE prrelid = {oid}",
        "a policy": f"FROM pg_policy WHERE polrelid = {oid}",
        "a partition or child": f"FROM pg_inherits WHERE inhrelid = {oid} OR inhparent = {oid}",
    }
    answers = ", ".join(f"EXISTS (SELECT {sql}) AS c{i}" for i, sql in enumerate(checks.values()))
    found = [what for what, there in zip(checks, session.execute(f"SELECT {answers}")[0], strict=True) if there]
    if found or relation.kind != "r":
        raise RecipeError(
            f"`{table}` has other columns or types than the recipe loads, and cannot be made anew:"
            f" {found[0] if found else 'its kind'} depends on it",
            context={"table": str(table), "depends": found},
            hint="alter the table by hand, or load what it has columns for",
        )


def grants_of(session: Session, table: TableName, relation: Relation) -> tuple[str, ...]:
    """The grants of the old table and its owner, as statements for the new one; run when it has its name."""
    rows = session.execute(
        "SELECT a.privilege_type AS p, a.is_grantable AS g,"
        " CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS r"
        " FROM pg_catalog.pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a"
        f" WHERE c.oid = {relation.oid} AND a.grantee <> c.relowner"
    )
    owners = session.execute(
        "SELECT quote_ident(pg_get_userbyid(relowner)) AS o FROM pg_catalog.pg_class"
        f" WHERE oid = {relation.oid} AND pg_get_userbyid(relowner) <> current_user"
    )
    return (
        *(
            f"GRANT {privilege} ON {table.sql()} TO {grantee}{' WITH GRANT OPTION' if grantable else ''}"
            for privilege, grantable, grantee in rows
        ),
        *(f"ALTER TABLE {table.sql()} OWNER TO {owner}" for (owner,) in owners),
    )


def server_count(table_oid_of: TableName) -> str:
    """The query for how many rows this transaction has put into a table, as the server counts them."""
    name = table_oid_of.sql()
    counter = f"pg_stat_get_xact_tuples_inserted({quote_literal(name)}::regclass)::int8"
    # A server that is told not to count says 0. Rows go straight into a table that this transaction has made all the
    # same, and all that it holds are ours; those for another table are staged then, see `counts_rows`.
    counted = f"SELECT CASE WHEN current_setting('track_counts') = 'on' THEN {counter}"
    return f"{counted} ELSE (SELECT count(*) FROM {name}) END AS n"
