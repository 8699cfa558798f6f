"""Which Arrow type each column of the target wants to be handed, and how it comes from there into the table.

The driver writes COPY in binary and the server takes the bytes as they are, so what is handed over has exactly the
type that is stored. Types that have no such form are staged as text and cast by the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from arrowload.connectors.postgres.types import NATIVE, PgType
from arrowload.core.casting import check_cast
from arrowload.core.exceptions import RecipeError
from arrowload.core.schema import holds_numbers, is_number, is_storable
from arrowload.core.types import MAX_DECIMAL_DIGITS, decimal_type
from arrowload.io.sql import quote_identifier

if TYPE_CHECKING:
    from arrowload.connectors.postgres.catalogue import Column

# A numeric without modifier takes decimals as they come, and other numbers as this.
_ANY_NUMBER: Final = pa.decimal128(38, 9)
# Fractions of a second that a modifier leaves → the unit that holds no more.
_UNITS: Final = {-1: "us", 6: "us", 3: "ms", 0: "s"}
_DDL: Final = {
    "bool": "boolean",
    "int8": "smallint",
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "uint8": "smallint",
    "uint16": "integer",
    "uint32": "bigint",
    "uint64": "numeric(20,0)",
    "halffloat": "real",
    "float": "real",
    "double": "double precision",
    "null": "text",
}


@dataclass(frozen=True)
class TargetColumn:
    """A column of the target, as the load fills it.

    Attributes:
        name: Of the column, in the target and in the rows.
        type: What the destination wants to be handed.
        staged: The SQL type that this is stored as in staging.
        cast: The SQL type that staging is cast to on its way into the target, None when it is the target's own.
    """

    name: str
    type: pa.DataType
    staged: str
    cast: str | None = None

    def value(self, row: str) -> str:
        """The value, as SQL, of the staging row that `row` stands for."""
        reference = f"{row}.{quote_identifier(self.name)}"
        return f"{reference}::{self.cast}" if self.cast else reference


def bind_column(column: Column, incoming: pa.DataType) -> TargetColumn:
    """How `incoming` is stored in a column that is there.

    Raises:
        RecipeError: The column is of another kind, or the server computes it.
    """
    if column.generated:
        raise RecipeError(
            f"the table computes column `{column.name}` itself",
            context={"column": column.name},
            hint="drop the column in a transform step",
        )
    try:
        bound = _bind(column.name, column.type, incoming)
        if not is_storable(incoming, bound.type):
            raise _Unstorable
        check_cast(incoming, bound.type)
    except (_Unstorable, RecipeError) as exc:
        raise RecipeError(
            f"column `{column.name}` is `{column.type.sql}` in the table and {incoming} in the recipe",
            context={"column": column.name, "table_type": column.type.sql, "type": str(incoming)},
            hint=str(exc) or "add a `cast` step, or change the table",
        ) from exc
    return bound


def held_by(kind: PgType) -> pa.DataType:
    """The type whose values a column of the table holds; null where it takes any number."""
    if kind.is_numeric and kind.typmod == -1:
        return pa.null()
    try:
        return _bind("", kind, pa.null()).type
    except _Unstorable:
        return pa.string()


def new_column(field: pa.Field) -> TargetColumn:
    """A column that is made for `field`, of the type that holds its values exactly.

    Raises:
        RecipeError: Postgres has no such type, or the driver cannot write it.
    """
    sql = _ddl(field.type)
    if sql is None:
        raise RecipeError(
            f"Postgres has no column for `{field.name}` of type {field.type}",
            context={"column": field.name, "type": str(field.type)},
            hint="cast it in a transform step, to `text`, or drop it",
        )
    return TargetColumn(field.name, _handed_over_as(field.type), sql)


def holds_all(incoming: pa.DataType, stored: pa.DataType) -> bool:
    """Whether each value of `incoming` fits in `stored`; texts are taken to, the server refuses those that do not."""
    if incoming == stored or pa.types.is_null(incoming):
        return True
    if pa.types.is_list(incoming) and pa.types.is_list(stored):
        return holds_all(incoming.value_type, stored.value_type)
    if is_number(incoming) or is_number(stored):
        return holds_numbers(stored, incoming)
    if pa.types.is_timestamp(incoming) or pa.types.is_time(incoming):
        units = ("s", "ms", "us", "ns")
        return units.index(incoming.unit) <= units.index(stored.unit)
    return True


class _Unstorable(Exception):  # noqa: N818 - becomes a RecipeError that names the column
    """Carries the hint."""


def _bind(name: str, kind: PgType, incoming: pa.DataType) -> TargetColumn:
    if kind.kind == "array" and kind.element is not None:
        element = _bind(name, kind.element, getattr(incoming, "value_type", pa.null()))
        cast = f"{element.cast}[]" if element.cast else None
        return TargetColumn(name, pa.list_(element.type), f"{element.staged}[]", cast)
    if kind.kind == "enum":
        return TargetColumn(name, pa.string(), kind.sql)
    if kind.is_numeric:
        return TargetColumn(name, _decimal_for(kind, incoming), kind.sql)
    if kind.kind == "builtin" and kind.name in ("timestamp", "timestamptz", "time"):
        return TargetColumn(name, _at_precision(kind), kind.sql)
    if kind.kind == "builtin" and kind.name == "interval":
        if kind.typmod != -1:
            raise _Unstorable("its modifier would round; make it a plain `interval`")
        duration = pa.types.is_duration(incoming)
        return TargetColumn(name, pa.duration("us") if duration else NATIVE["interval"], kind.sql)
    if kind.kind == "builtin" and kind.name in NATIVE:
        return TargetColumn(name, NATIVE[kind.name], kind.sql)
    if kind.name == "oid" and kind.kind == "builtin":
        return TargetColumn(name, pa.int64(), "bigint", "oid")
    if kind.name == "money" and kind.kind == "builtin":
        raise _Unstorable("money rounds what it is given; make it a `numeric`")
    # A cast to bit means bit(1), and cuts; the assignment that follows checks the length.
    return TargetColumn(name, pa.string(), "text", "bit varying" if kind.bare == "bit" else kind.bare)


def _decimal_for(kind: PgType, incoming: pa.DataType) -> pa.DataType:
    """The decimal that a numeric column is handed: its own, or as the rows have it where it has none."""
    if kind.typmod != -1:
        declared = kind.declared_decimal()
        scale = (((kind.typmod - 4) & 0x7FF) ^ 1024) - 1024
        if scale < 0 or scale > MAX_DECIMAL_DIGITS:
            raise _Unstorable("it would round what it is given; change its scale")
        return declared or decimal_type(MAX_DECIMAL_DIGITS, scale)
    if pa.types.is_decimal(incoming):
        return decimal_type(max(incoming.precision, incoming.scale), max(incoming.scale, 0))
    return decimal_type(20, 0) if pa.types.is_integer(incoming) else _ANY_NUMBER


def _at_precision(kind: PgType) -> pa.DataType:
    """The type that holds what the column keeps of a second; a finer one would be rounded by the server."""
    unit = _UNITS.get(kind.typmod)
    if unit is None:
        raise _Unstorable("Arrow has no unit for the part of a second that it keeps; give it a modifier of 0, 3 or 6")
    if kind.name == "time":
        return pa.time64("us") if unit == "us" else pa.time32(unit)
    return pa.timestamp(unit, NATIVE[kind.name].tz)


def _handed_over_as(kind: pa.DataType) -> pa.DataType:
    """What a column made for `kind` is handed."""
    if isinstance(kind, pa.BaseExtensionType):
        return kind
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_handed_over_as(kind.value_type))
    if pa.types.is_decimal(kind):
        scale = max(kind.scale, 0)
        return decimal_type(max(kind.precision - min(kind.scale, 0), scale), scale)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_duration(kind):
        return pa.duration("us")
    by_sql = {"smallint": "int2", "integer": "int4", "bigint": "int8", "real": "float4", "double precision": "float8"}
    sql = str(_ddl(kind))
    if sql == "numeric(20,0)":
        return pa.decimal128(20, 0)
    return NATIVE[{**by_sql, "boolean": "bool"}.get(sql, sql)]


def _ddl(kind: pa.DataType) -> str | None:
    if isinstance(kind, pa.BaseExtensionType):
        return {"arrow.uuid": "uuid", "arrow.json": "json"}.get(kind.extension_name)
    if plain := _DDL.get(str(kind)):
        return plain
    if pa.types.is_decimal(kind):
        decimal = _handed_over_as(kind)
        return f"numeric({decimal.precision},{decimal.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    if pa.types.is_dictionary(kind):
        return _ddl(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        element = _ddl(kind.value_type)
        return None if element is None or element.endswith("[]") else f"{element}[]"
    return next((sql for sql, matches in _DDL_BY_TEST if any(test(kind) for test in matches)), None)


_DDL_BY_TEST: Final = (
    ("text", (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)),
    (
        "bytea",
        (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary),
    ),
    ("date", (pa.types.is_date,)),
    ("time", (pa.types.is_time,)),
    ("interval", (pa.types.is_duration, pa.types.is_interval)),
)
