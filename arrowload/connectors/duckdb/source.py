"""A table or query of a DuckDB file as a source, read in one transaction."""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from arrowload.connectors.base import Overlap
from arrowload.connectors.duckdb.errors import translated_errors
from arrowload.connectors.duckdb.session import DuckDBSession
from arrowload.connectors.duckdb.types import without_bool8
from arrowload.connectors.sql_cursor import CursorColumn, CursorKind, CursorWindow, find_marks, find_window, refuse_xmin
from arrowload.core.exceptions import ConnectorError, RecipeError
from arrowload.core.names import did_you_mean, require_columns
from arrowload.core.state import State
from arrowload.io.sql import TableName, quote_identifier
from arrowload.models.source_config import CursorIncremental
from arrowload.planning.capabilities import SourceFacts, Split, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import duckdb

    from arrowload.connectors.base import Mark
    from arrowload.connectors.duckdb.config import DuckDBSourceConfig

# What a column is cast to that Arrow has no type for (DuckDB hands it over as opaque bytes).
_CAST: Final = {"HUGEINT": "DECIMAL(38,0)", "UHUGEINT": "DECIMAL(38,0)"}
_OPAQUE: Final = ("TIME WITH TIME ZONE", "BIT", "BIGNUM", "UNION", "VARIANT", "TIME_NS")
_CURSOR_KINDS: Final[dict[str, CursorKind]] = {
    "DATE": "time",
    "TIMESTAMP": "time",
    "TIMESTAMP_S": "time",
    "TIMESTAMP_MS": "time",
    "TIMESTAMP_NS": "time",
    "TIMESTAMP WITH TIME ZONE": "time",
    "VARCHAR": "text",
    "UUID": "uuid",
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"), "number"),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "DECIMAL"), "number"),
}


class DuckDBSource:
    """Rows of a DuckDB file.

    Args:
        config: Its keys in the recipe.
        connection: Used in place of opening the file; stays open.

    Raises:
        RecipeError: `table` and `query` are both there, or neither; or `incremental` is for files.
    """

    def __init__(self, config: DuckDBSourceConfig, connection: duckdb.DuckDBPyConnection | None = None) -> None:
        if (config.table is None) == (config.query is None):
            raise RecipeError("a duckdb source needs one of `table` and `query`", context={"path": "$.source"})
        if config.incremental is not None and not isinstance(config.incremental, CursorIncremental):
            raise RecipeError("rows of a table have no modification time", hint="use `strategy: cursor`")
        refuse_xmin(config.incremental, "duckdb")
        self._config = config
        self._incremental = config.incremental
        self._session = DuckDBSession(config.path, connection, must_exist=True)

    def limit_memory(self, max_bytes: int) -> None:
        """Have DuckDB's own buffers stay below `max_bytes`."""
        self._session.limit_memory(max_bytes)

    def facts(self) -> SourceFacts:
        """Read by DuckDB itself."""
        return SourceFacts(
            location=f"duckdb {self._config.path} {self._config.table or 'query'}",
            identity=self._config.table or "query",
            route="duckdb",
            route_reason="DuckDB streams Arrow itself",
        )

    def schema(self) -> pa.Schema:
        """The columns to be read."""
        with translated_errors(self._session.path):
            reader = self._session.connection.sql(f"{self._select()} LIMIT 0").to_arrow_reader()
            schema = reader.schema
            reader.close()
        return pa.schema([field.with_type(without_bool8(field.type)) for field in schema])

    @contextmanager
    def snapshot(self, state: State, until: Mark | None = None) -> Iterator[DuckDBSnapshot]:
        """A transaction; it sees the file as it was at its start."""
        self._session.execute("BEGIN TRANSACTION")
        snapshot = None
        try:
            snapshot = self._open(state, until)
            yield snapshot
        finally:
            if snapshot is not None:
                snapshot.close()
            self._session.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file."""
        self._session.close()

    def _open(self, state: State, until: Mark | None) -> DuckDBSnapshot:
        if self._incremental is None:
            select = self._select()
            window = Window(strategy="full", statements=(select,))
            return DuckDBSnapshot(self._session, select, self.schema(), window, None, State())
        column = self._cursor_column(self._incremental.cursor_column)
        found = find_window(self._session.execute, self._relation(), column, self._incremental, state, until=until)
        select = f"{self._select()} WHERE {found.predicate}"
        window = Window(
            strategy="cursor",
            empty=found.empty,
            statements=(select,),
            lower=found.lower,
            upper=found.upper,
            notes=found.notes,
        )
        after = State(
            cursor_values={column.name: found.cursor} if found.cursor is not None else {}, metadata=state.metadata
        )
        overlap = self._overlap(column.name, found)
        snapshot = DuckDBSnapshot(self._session, select, self.schema(), window, overlap, after)
        snapshot.find_marks = partial(find_marks, self._session.execute, self._relation(), column, found)
        return snapshot

    def _overlap(self, column: str, found: CursorWindow) -> Overlap | None:
        if found.seen_from is None:
            return None
        through = self._scalar(found.seen_through) if found.seen_through is not None else None
        return Overlap(column, through, self._scalar(found.seen_from))

    def _scalar(self, sql: str) -> pa.Scalar:
        kind = str(self._session.execute(f"SELECT typeof({sql}) AS v")[0][0])
        return self._session.fetch_arrow(f"SELECT {_read('v', kind)} FROM (SELECT {sql} AS v)")["v"][0]

    def _relation(self) -> str:
        """What stands behind FROM, the recipe's filter applied."""
        if self._config.query is not None:
            base = f"({self._config.query.rstrip().rstrip(';')}) AS arrowload_query"
        else:
            base = TableName.parse(str(self._config.table), default_schema="main").sql()
        if self._config.filter is None:
            return base
        return f"(SELECT * FROM {base} WHERE {self._config.filter}) AS arrowload_filtered"

    def _select(self) -> str:
        kinds = self._kinds()
        return f"SELECT {', '.join(_read(name, kinds[name]) for name in self._chosen(kinds))} FROM {self._relation()}"

    def _kinds(self) -> dict[str, str]:
        """Column → DuckDB type."""
        try:
            rows = self._session.execute(
                f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {self._relation()})"
            )
        except ConnectorError as exc:
            raise self._missing_table(exc) from exc
        return dict(rows)

    def _missing_table(self, error: ConnectorError) -> ConnectorError:
        """The same error, with the nearest name when it is the table that is not there."""
        if self._config.table is None:
            return error
        wanted = TableName.parse(self._config.table, default_schema="main")
        # On a connection of its own: the error has ended the transaction of this one.
        with translated_errors(self._session.path), self._session.connection.cursor() as cursor:
            tables = cursor.execute(
                "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema <> '_arrowload'"
            ).fetchall()
        names = [str(TableName(*row)) for row in tables]
        if str(wanted) in names:
            return error
        return ConnectorError(
            f"there is no table `{wanted}` in `{self._session.path}`",
            context={"table": str(wanted), "database": self._session.path},
            hint=did_you_mean(str(wanted), names, f"it has: {', '.join(sorted(names)) or 'none'}"),
        )

    def _chosen(self, kinds: dict[str, str]) -> list[str]:
        named = (*(self._config.columns or ()), *self._config.exclude)
        require_columns(named, list(kinds), where=f" in `{self._config.table or 'the query'}`")
        return [name for name in self._config.columns or kinds if name not in self._config.exclude]

    def _cursor_column(self, name: str) -> CursorColumn:
        kinds = self._kinds()
        kind = kinds.get(name) if name in self._chosen(kinds) else None
        if kind is None:
            raise RecipeError(
                f"the cursor column `{name}` is not among the columns that are read",
                context={"column": name, "columns": self._chosen(kinds)},
                hint="read it too; a `drop` step can take it off later",
            )
        family = _CURSOR_KINDS.get(re.sub(r"\(.*", "", kind))
        if family is None:
            raise RecipeError(
                f"`{name}` is {kind}, which cannot be a cursor",
                context={"column": name, "type": kind},
                hint="choose a column of dates, timestamps, integers, decimals or texts",
            )
        return CursorColumn(name, kind, family)


class DuckDBSnapshot:
    """One window, within one transaction."""

    def __init__(  # noqa: PLR0917 - the parts of the contract, in its order
        self,
        session: DuckDBSession,
        select: str,
        schema: pa.Schema,
        window: Window,
        overlap: Overlap | None,
        state: State,
    ) -> None:
        self._session = session
        self._select = select
        self.schema = schema
        self.window = window
        self.overlap = overlap
        self.state = state
        self.find_marks: Callable[[int], Sequence[Mark]] = lambda _: ()
        self._reader: pa.RecordBatchReader | None = None

    def count_rows(self) -> int:
        """See `CountableSnapshot.count_rows`."""
        self.close()
        return int(self._session.execute(f"SELECT count(*) FROM ({self._select}) AS counted")[0][0])

    def marks(self, rows: int) -> Sequence[Mark]:
        """See `DivisibleSnapshot.marks`."""
        return self.find_marks(rows)

    def splits(self, n: int) -> Sequence[Split]:
        """One; DuckDB is parallel within a query."""
        return [Split(index=0, spec={"sql": self._select})]

    def read_split(self, split: Split, *, batch_size: int) -> pa.RecordBatchReader:
        """The rows of the window; starting again ends the reading that is under way."""
        self.close()
        with translated_errors(self._session.path):
            self._reader = self._session.connection.sql(str(split.spec["sql"])).to_arrow_reader(batch_size)
        return self._reader if self._reader.schema == self.schema else self._reader.cast(self.schema)

    def close(self) -> None:
        """End the reading that is under way: while its result is open, the connection runs nothing else."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _read(name: str, kind: str) -> str:
    quoted = quote_identifier(name)
    target = _CAST.get(kind) or ("VARCHAR" if kind.startswith(_OPAQUE) else None)
    # Of these DuckDB 2.0 hands over what lies behind their values in memory (`arrow_lossless_conversion`).
    if target is None and (lists := re.sub(r"BOOLEAN\[\d+\]", "BOOLEAN[]", kind)) != kind:
        target = lists
    return f"CAST({quoted} AS {target}) AS {quoted}" if target else quoted
