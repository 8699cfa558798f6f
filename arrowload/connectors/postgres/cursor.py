"""Which columns of Postgres can be the cursor of an incremental load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from arrowload.connectors.sql_cursor import CursorColumn, CursorKind, check_lag
from arrowload.core.exceptions import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.connectors.postgres.catalogue import Relation
    from arrowload.connectors.postgres.reading import ReadColumn
    from arrowload.models.source_config import CursorIncremental

# Not char(n), whose comparisons overlook blanks, nor floats, which are no exact bounds.
_KINDS: Final[dict[str, CursorKind]] = {
    "timestamptz": "time",
    "timestamp": "time",
    "date": "time",
    "int2": "number",
    "int4": "number",
    "int8": "number",
    "numeric": "number",
    "text": "text",
    "varchar": "text",
    "uuid": "uuid",
}


def cursor_column(relation: Relation, columns: Sequence[ReadColumn], incremental: CursorIncremental) -> CursorColumn:
    """The cursor column.

    Raises:
        RecipeError: It is not read, is read as something else than it is, or cannot be a cursor.
    """
    name = incremental.cursor_column
    column = relation.column(name)
    if column is None or name not in [read.name for read in columns]:
        raise RecipeError(
            f"the cursor column `{name}` is not among the columns that are read",
            context={"column": name, "columns": [read.name for read in columns]},
            hint="read it too; a `drop` step can take it off later",
        )
    kind = _KINDS.get(column.type.name) if column.type.kind == "builtin" else None
    if kind is None or any(read.name == name and read.cast for read in columns):
        raise RecipeError(
            f"`{name}` is `{column.type.sql}`, which cannot be a cursor as it is read",
            context={"column": name, "type": column.type.sql},
            hint=f"a cursor is one of {', '.join(_KINDS)}, not declared as something else",
        )
    found = CursorColumn(name, column.type.name, kind, column.not_null)
    check_lag(found, incremental)
    return found
