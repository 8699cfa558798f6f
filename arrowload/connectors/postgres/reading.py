"""Which columns are read, as which Arrow types, and what stands for each in the SELECT list."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
from msgspec.structs import replace

from arrowload.connectors.postgres.types import NATIVE, PgType
from arrowload.core.exceptions import DataError, RecipeError
from arrowload.core.names import require_columns
from arrowload.core.types import MAX_DECIMAL_DIGITS, decimal_type, parse_type, type_name
from arrowload.io.sql import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.connectors.postgres.catalogue import Column, Relation
    from arrowload.connectors.postgres.config import PostgresSourceConfig
    from arrowload.connectors.postgres.session import Session

# An undeclared numeric gets as many decimals where there is room, so that its type rarely changes between runs.
_USUAL_SCALE = 9
_INTEGERS = ("int2", "int4", "int8")


class ReadColumn(msgspec.Struct, frozen=True):
    """A column as it is read.

    Attributes:
        expression: What stands in the SELECT list.
        type: The Arrow type; provisional while `unsized` is set.
        kind: The type of the column in the database.
        unsized: The SQL of numerics whose digits only the data tell, None for all other columns.
    """

    name: str
    expression: str
    type: pa.DataType
    kind: PgType
    unsized: str | None = None

    @property
    def cast(self) -> bool:
        """The server hands over something else than the column as it stands."""
        return self.expression != quote_identifier(self.name)

    def select(self) -> str:
        """The item of the SELECT list."""
        return f"{self.expression} AS {quote_identifier(self.name)}" if self.cast else self.expression

    def sized(self, decimal: pa.DataType) -> ReadColumn:
        """The column with the type of its numerics known."""
        return replace(self, type=_with_leaf(self.type, decimal), unsized=None)


def read_columns(relation: Relation, config: PostgresSourceConfig) -> list[ReadColumn]:
    """The columns that the recipe asks for, in its order.

    Raises:
        RecipeError: It names a column that is not there, or a type that the column does not have.
    """
    known = [column.name for column in relation.columns]
    declared = config.columns if isinstance(config.columns, dict) else {}
    listed = config.columns if isinstance(config.columns, tuple) else None
    require_columns((*(listed or ()), *declared, *config.exclude), known)
    names = [name for name in (known if listed is None else listed) if name not in config.exclude]
    if not names:
        raise RecipeError("no column is left to be read", context={"columns": known}, hint="leave fewer out")
    columns = {column.name: column for column in relation.columns}
    return [_read_column(columns[name], declared.get(name)) for name in names]


def size_numerics(
    session: Session, columns: Sequence[ReadColumn], source: str, *, null_special: bool
) -> list[ReadColumn]:
    """The columns, each undeclared numeric sized from the rows that will be read, by one query over them.

    A numeric gets decimal128(38, s), its scale being what the values need and at least nine; decimal256(76, s) when
    38 digits do not hold it. Without values it gets decimal128(38, 9).

    Args:
        session: In the snapshot.
        columns: All columns.
        source: The FROM and WHERE of the rows.
        null_special: NaN and infinities become NULL.

    Raises:
        DataError: More than 76 digits, or NaN or an infinity that may not become NULL.
    """
    unsized = [column for column in columns if column.unsized is not None]
    if not unsized:
        return list(columns)
    items = [item for column in unsized for item in _extent(session, column)]
    facts = iter(
        session.execute("SELECT " + ", ".join(f"{sql} AS c{i}" for i, sql in enumerate(items)) + f" {source}")[0]
    )
    sized = {}
    for column in unsized:
        scale, greatest, least, special = next(facts), next(facts), next(facts), next(facts)
        if special and not null_special:
            raise DataError(
                f"column `{column.name}` holds NaN or Infinity, which decimals cannot ({special} rows)",
                context={"column": column.name, "rows": special},
                hint="set `numeric_special: null`, or leave the rows out with `filter`",
            )
        whole = max(len(text.lstrip("-").partition(".")[0].lstrip("0")) for text in (greatest or "0", least or "0"))
        sized[column.name] = column.sized(_fitting_decimal(column.name, whole, scale or 0))
    return [sized.get(column.name, column) for column in columns]


def _extent(session: Session, column: ReadColumn) -> tuple[str, str, str, str]:
    """Aggregates: the decimals that values need, the greatest, the least, how many are NaN or infinite."""
    value = str(column.unsized)
    # scale() is NULL for NaN and infinities.
    least_scale = f"min_scale({value})" if _has_min_scale(session) else f"scale({value})"
    if not pa.types.is_list(column.type):
        finite = f"FILTER (WHERE scale({value}) IS NOT NULL)"
        return (
            f"max({least_scale})",
            f"(max({value}) {finite})::text",
            f"(min({value}) {finite})::text",
            f"count({value}) - count(scale({value}))",
        )
    elements = f"FROM pg_catalog.unnest({value}) AS e(v)"
    scale_of_v = least_scale.replace(value, "v")
    return (
        f"max((SELECT max({scale_of_v}) {elements}))",
        f"max((SELECT max(v) {elements} WHERE scale(v) IS NOT NULL))::text",
        f"min((SELECT min(v) {elements} WHERE scale(v) IS NOT NULL))::text",
        f"coalesce(sum((SELECT count(v) - count(scale(v)) {elements}))::int8, 0)",
    )


def _has_min_scale(session: Session) -> bool:
    return int(session.execute("SELECT current_setting('server_version_num')::int4")[0][0]) >= 13_00_00


def _fitting_decimal(name: str, whole: int, scale: int) -> pa.DataType:
    for digits in (38, MAX_DECIMAL_DIGITS):
        if whole + scale <= digits:
            return decimal_type(digits, max(scale, min(_USUAL_SCALE, digits - whole)))
    raise DataError(
        f"column `{name}` holds numbers of {whole} digits before and {scale} after the point; decimals hold 76 in all",
        context={"column": name, "digits_before": whole, "digits_after": scale},
        hint=f"declare it as text: `columns: {{{name}: text}}`",
    )


def _read_column(column: Column, declared: str | None) -> ReadColumn:
    name, kind = quote_identifier(column.name), column.type
    if declared is not None:
        return _read_declared(column, declared)
    if kind.kind == "array" and kind.element is not None:
        return _read_array(column.name, name, kind, kind.element, kind.dimensions)
    if kind.is_numeric or (kind.kind == "builtin" and kind.name == "money"):
        value = name if kind.is_numeric else f"{name}::numeric"
        decimal = kind.declared_decimal() if kind.is_numeric else None
        return ReadColumn(column.name, value, decimal or _provisional(), kind, value if decimal is None else None)
    if kind.kind == "builtin" and kind.name == "oid":
        return ReadColumn(column.name, f"{name}::int8", pa.int64(), kind)
    handed_over = hands_over(kind)
    return ReadColumn(column.name, name if handed_over else f"{name}::text", handed_over or pa.string(), kind)


def _read_declared(column: Column, declared: str) -> ReadColumn:
    name, kind = quote_identifier(column.name), column.type
    wanted = _declared_type(declared)
    if pa.types.is_string(wanted):
        return ReadColumn(column.name, name if hands_over(kind) == wanted else f"{name}::text", wanted, kind)
    if pa.types.is_decimal(wanted) and (kind.is_numeric or kind.name in ("money", *_INTEGERS)):
        return ReadColumn(column.name, name if kind.is_numeric else f"{name}::numeric", wanted, kind)
    if pa.types.is_list(wanted) and kind.kind == "array" and kind.element is not None:
        read = _read_array(column.name, name, kind, kind.element, _depth(wanted))
        if read.type == wanted or (read.unsized is not None and pa.types.is_decimal(_leaf(wanted))):
            return replace(read, type=wanted, unsized=None)
    if hands_over(kind) == wanted:
        return ReadColumn(column.name, name, wanted, kind)
    raise RecipeError(
        f"column `{column.name}` is `{kind.sql}` and cannot be declared `{declared}`",
        context={"column": column.name, "type": kind.sql, "declared": declared},
        hint="`decimal(p,s)` says how wide a numeric is, `list<list<…>>` how many dimensions an array has, `text` reads"
        " anything; for all else use a `cast` step",
    )


def _read_array(column: str, name: str, kind: PgType, element: PgType, dimensions: int) -> ReadColumn:
    """An array as lists in lists; a value of other dimensions than these is refused when it comes."""
    decimal = element.declared_decimal() if element.is_numeric else None
    handed_over = decimal or (_provisional() if element.is_numeric else hands_over(element))
    cast = "text" if handed_over is None else element.sql if element.domain else ""
    value = f"{name}::{cast}[]" if cast else name
    of_lists = handed_over or pa.string()
    for _ in range(dimensions):
        of_lists = pa.list_(of_lists)
    return ReadColumn(column, value, of_lists, kind, value if element.is_numeric and decimal is None else None)


def hands_over(kind: PgType) -> pa.DataType | None:
    """The Arrow type of a scalar as it lies on the wire, None for what is read as text."""
    if kind.kind == "enum":
        return pa.string()
    return NATIVE.get(kind.name) if kind.kind == "builtin" else None


def _leaf(kind: pa.DataType) -> pa.DataType:
    return _leaf(kind.value_type) if pa.types.is_list(kind) else kind


def _depth(kind: pa.DataType) -> int:
    return 1 + _depth(kind.value_type) if pa.types.is_list(kind) else 0


def _with_leaf(kind: pa.DataType, leaf: pa.DataType) -> pa.DataType:
    return pa.list_(_with_leaf(kind.value_type, leaf)) if pa.types.is_list(kind) else leaf


def _declared_type(text: str) -> pa.DataType:
    declared = parse_type(re.sub(r"(?i)\Anumeric(?=\s*\()", "decimal", text.strip()))
    return parse_type(type_name(declared))


def _provisional() -> pa.DataType:
    return decimal_type(38, _USUAL_SCALE)
