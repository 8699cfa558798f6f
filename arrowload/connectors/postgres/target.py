"""How a load will be stored: in a table that is there, in one that is altered, or in one that is made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import pyarrow as pa

from arrowload.connectors.base import CURSOR_COLUMN
from arrowload.connectors.postgres.binding import TargetColumn, bind_column, holds_all, new_column
from arrowload.connectors.postgres.catalogue import Relation, find_table
from arrowload.connectors.postgres.hazards import counts_rows, grants_of, is_keyed, refuse_cascades, refuse_to_rebuild
from arrowload.connectors.sql_merge import count_keys, ranked_rows
from arrowload.core.exceptions import RecipeError
from arrowload.core.schema import require_demanded
from arrowload.io.sql import TableName, quote_identifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from arrowload.connectors.postgres.session import Session
    from arrowload.core.typing import WriteMode

# copy: rows go straight into the target. stage: into a temporary table, and from there at the end.
Way: TypeAlias = Literal["copy", "stage"]

# What servers keep of a name, unless they were built for more.
_COMMON_NAME_BYTES: Final = 63
STAGING: Final = TableName("pg_temp", "_arrowload_staging")


@dataclass(frozen=True)
class Target:
    """What a load does to its table; made from the catalogue alone.

    Attributes:
        table: The target.
        exists: It is there.
        columns: Those that the load fills.
        write_mode, merge_keys: Of the load.
        way: Where rows go first.
        keyed: A unique index over exactly the merge keys says which rows are there, and no trigger looks on.
        rebuilt: `replace` puts a new table in the place of the old one, since its columns differ.
        ddl: What makes or alters the table.
        grants: What the new table is granted, when it is rebuilt.
    """

    table: TableName
    exists: bool
    columns: tuple[TargetColumn, ...]
    write_mode: WriteMode
    merge_keys: tuple[str, ...]
    way: Way
    keyed: bool = False
    rebuilt: bool = False
    ddl: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """What the destination wants to be handed."""
        return pa.schema([pa.field(column.name, column.type) for column in self.columns])

    @property
    def filled(self) -> TableName:
        """The table that rows end up in before the last step."""
        return _made_name(self.table) if self.rebuilt else self.table

    def staging_ddl(self, extra: pa.Schema) -> str:
        """The temporary table, with the columns of `extra` (cursor and ordinal of a merge) after the load's own."""
        columns = [*self.columns, *(new_column(field) for field in extra)]
        items = ", ".join(f"{quote_identifier(column.name)} {column.staged}{_bytewise(column)}" for column in columns)
        return f"CREATE TEMPORARY TABLE {quote_identifier(STAGING.table)} ({items}) ON COMMIT DROP"

    def count_keys(self) -> str:
        """How many keys the staged rows have; as many as rows, and there are no losers."""
        return count_keys(STAGING, self._key_values("s"))

    def drop_losers(self, *, has_cursor: bool) -> str:
        """Of staged rows with equal keys, leaves the one that is to be kept."""
        ranked = ranked_rows(STAGING, "ctid", self._key_values("s"), has_cursor=has_cursor)
        return (
            f"DELETE FROM {STAGING.sql()} AS lost USING ({ranked}) AS ranked"
            " WHERE ranked.rank > 1 AND lost.ctid = ranked.place"
        )

    def lock(self) -> str | None:
        """Keeps other writers, and changes of the table, out until the commit; readers are not kept."""
        if not self.exists or self.rebuilt:
            return None
        mode = "ROW EXCLUSIVE" if self.write_mode == "append" else "SHARE ROW EXCLUSIVE"
        return f"LOCK TABLE {self.table.sql()} IN {mode} MODE"

    def apply(self) -> tuple[str, ...]:
        """What brings staged rows into the target; each statement says how many rows it updated or added."""
        insert = f"INSERT INTO {self.filled.sql()} ({self._names()}) OVERRIDING SYSTEM VALUE SELECT {self._values()}"
        rows = f"FROM {STAGING.sql()} AS s"
        if self.write_mode != "merge":
            return (f"{insert} {rows}",)
        match = " AND ".join(
            f"t.{quote_identifier(key)} = {value}"
            for key, value in zip(self.merge_keys, self._key_values("s"), strict=True)
        )
        others = [column for column in self.columns if column.name not in self.merge_keys]
        if self.keyed:
            keys = ", ".join(map(quote_identifier, self.merge_keys))
            names = [quote_identifier(column.name) for column in others]
            action = f"UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in names)}" if names else "NOTHING"
            return (f"{insert} {rows} ON CONFLICT ({keys}) DO {action}",)
        settings = ", ".join(f"{quote_identifier(column.name)} = {column.value('s')}" for column in others)
        update = (f"UPDATE {self.filled.sql()} AS t SET {settings} {rows} WHERE {match}",) if others else ()
        absent = f"NOT EXISTS (SELECT FROM {self.filled.sql()} AS t WHERE {match})"
        return (*update, f"{insert} {rows} WHERE {absent}")

    def publish(self) -> tuple[str, ...]:
        """What puts a rebuilt table in the place of the old one."""
        if not self.rebuilt:
            return ()
        rename = f"ALTER TABLE {self.filled.sql()} RENAME TO {quote_identifier(self.table.table)}"
        return (f"DROP TABLE {self.table.sql()}", rename, *self.grants)

    def description(self) -> tuple[str, ...]:
        """The steps that bring rows into the target and show them, for people."""
        lock = self.lock()
        copy = f"COPY {self.filled.sql()} ({self._names()}) FROM STDIN (FORMAT binary)"
        rows = (copy,) if self.way == "copy" else self.apply()
        return (*((lock,) if lock else ()), *self.emptying(), *rows, *self.publish())

    def emptying(self) -> tuple[str, ...]:
        """What takes the old rows away: after `ddl`, before the first row of a `copy` or at the end of a `stage`."""
        # Not TRUNCATE: readers of an older snapshot would find the table empty.
        empties = self.write_mode == "replace" and self.exists and not self.rebuilt
        return (f"DELETE FROM {self.table.sql()}",) if empties else ()

    def _names(self) -> str:
        return ", ".join(quote_identifier(column.name) for column in self.columns)

    def _values(self) -> str:
        return ", ".join(column.value("s") for column in self.columns)

    def _key_values(self, row: str) -> list[str]:
        columns = {column.name: column for column in self.columns}
        return [columns[key].value(row) for key in self.merge_keys]


def find_target(
    session: Session,
    table: TableName,
    schema: pa.Schema,
    write_mode: WriteMode,
    merge_keys: Sequence[str],
    *,
    widened: Mapping[str, pa.DataType],
) -> Target:
    """How rows of `schema` will be stored, columns of `widened` in another type than now; changes nothing.

    Raises:
        RecipeError: A column, a type or the table itself does not take them.
    """
    _check_keys(schema, merge_keys)
    _refuse_long_names(session, (*table, *schema.names))
    relation = find_table(session, table)
    if relation is None:
        return _made(table, schema, write_mode, tuple(merge_keys))
    if relation.kind not in "rpf":
        raise RecipeError(
            f"`{table}` is a view", context={"table": str(table)}, hint="load the table behind it, or another name"
        )
    if write_mode == "replace" and not _keeps(relation, schema):
        refuse_to_rebuild(session, table, relation)
        return _made(table, schema, write_mode, tuple(merge_keys), grants=grants_of(session, table, relation))
    if write_mode == "replace":
        refuse_cascades(session, table, relation)
    require_demanded(_demanded(relation), schema, str(table))
    columns, ddl = _bound(table, relation, schema, widened)
    casts = any(column.cast for column in columns)
    direct = not (casts or ddl or merge_keys) and counts_rows(session, relation)
    way: Way = "copy" if direct else "stage"
    keyed = bool(merge_keys) and is_keyed(session, relation, merge_keys)
    return Target(table, True, columns, write_mode, tuple(merge_keys), way, keyed, ddl=ddl)


def _refuse_long_names(session: Session, names: Sequence[str]) -> None:
    """The server cuts long names without an error: it would not find them again, and two of them may become one."""
    long = [name for name in names if len(name.encode()) > _COMMON_NAME_BYTES]
    if not long:
        return
    most = int(session.execute("SELECT current_setting('max_identifier_length')::int4 AS n")[0][0])
    for name in long:
        if len(name.encode()) > most:
            raise RecipeError(
                f"the name `{name}` has {len(name.encode())} bytes, and Postgres keeps {most} bytes of a name",
                context={"name": name, "bytes": len(name.encode()), "most": most},
                hint="give it a shorter name: a column by the step `rename_columns`",
            )


def _made(
    table: TableName,
    schema: pa.Schema,
    write_mode: WriteMode,
    merge_keys: tuple[str, ...],
    grants: tuple[str, ...] | None = None,
) -> Target:
    """A new table, with the merge keys as its primary key, so that merging finds rows fast."""
    columns = tuple(new_column(field) for field in schema)
    rebuilt = grants is not None
    name = _made_name(table) if rebuilt else table
    items = [f"{quote_identifier(column.name)} {column.staged}" for column in columns]
    if merge_keys:
        items.append(f"PRIMARY KEY ({', '.join(map(quote_identifier, merge_keys))})")
    create = f"CREATE TABLE {name.sql()} ({', '.join(items)})"
    schema_ddl = () if rebuilt else (f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(table.schema)}",)
    way: Way = "stage" if merge_keys else "copy"
    ddl = (*schema_ddl, create)
    return Target(table, rebuilt, columns, write_mode, merge_keys, way, bool(merge_keys), rebuilt, ddl, grants or ())


def _bytewise(column: TargetColumn) -> str:
    """A cursor of text sorts as the source compares it, whatever the collation of the database."""
    return ' COLLATE "C"' if column.name == CURSOR_COLUMN and column.staged == "text" else ""


def _made_name(table: TableName) -> TableName:
    return TableName(table.schema, f"_arrowload_{hashlib.blake2b(table.table.encode(), digest_size=8).hexdigest()}")


def _bound(
    table: TableName, relation: Relation, schema: pa.Schema, widened: Mapping[str, pa.DataType]
) -> tuple[tuple[TargetColumn, ...], tuple[str, ...]]:
    """The columns of a table that is there, and what adds those that it lacks and changes those that are too narrow."""
    columns, ddl = [], []
    for field in schema:
        there = relation.column(field.name)
        name, alter = quote_identifier(field.name), f"ALTER TABLE {table.sql()}"
        if there is None:
            columns.append(new_column(field))
            ddl.append(f"{alter} ADD COLUMN {name} {columns[-1].staged}")
        elif field.name in widened:
            columns.append(new_column(field.with_type(widened[field.name])))
            kind = columns[-1].staged
            ddl.append(f"{alter} ALTER COLUMN {name} TYPE {kind} USING {name}::{kind}")
        else:
            columns.append(bind_column(there, field.type))
    return tuple(columns), tuple(ddl)


def _keeps(relation: Relation, schema: pa.Schema) -> bool:
    """Whether a replaced table can stay: each of its columns that rows come for holds all that may come."""
    if not set(_demanded(relation)) <= set(schema.names):
        return False
    for field in schema:
        there = relation.column(field.name)
        if there is None:
            continue  # is added
        try:
            if not holds_all(field.type, bind_column(there, field.type).type):
                return False
        except RecipeError:
            return False
    return True


def _demanded(relation: Relation) -> list[str]:
    """Columns that each row must bring."""
    return [column.name for column in relation.columns if column.not_null and not column.has_default]


def _check_keys(schema: pa.Schema, merge_keys: Sequence[str]) -> None:
    for key in merge_keys:
        if key not in schema.names:
            raise RecipeError(
                f"the merge key `{key}` is not among the columns",
                context={"column": key, "columns": schema.names},
                hint=f"there are: {', '.join(schema.names)}",
            )
        if schema.field(key).type == pa.json_():
            raise RecipeError(
                f"`{key}` is json, which Postgres cannot compare, and so is no merge key",
                context={"column": key},
                hint="cast it to `text` in a transform step",
            )
