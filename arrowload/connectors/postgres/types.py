"""Postgres types as the catalogue has them, and the Arrow types that hold all their values.

| Postgres | Arrow |
| --- | --- |
| bool, int2, int4, int8, float4, float8, bytea | bool, int16, int32, int64, float, double, binary |
| numeric(p,s) | decimal128(p,s), decimal256 above 38 digits; numeric(2,4) is decimal(4,4), numeric(3,-2) decimal(5,0) |
| numeric, money | decimal, sized from the data in the same snapshot |
| text, varchar, char(n), name, "char", enums | utf8, char(n) with its blanks |
| date, time, timestamp, timestamptz | date32, time64[us], timestamp[us], timestamp[us, UTC] |
| interval | month_day_nano_interval |
| uuid, json, jsonb | arrow.uuid, arrow.json |
| oid | int64 |
| arrays of these | list, nested as deep as the column is declared: int[][] |
| composites, ranges, timetz, inet, bit, xml, point, … and what extensions bring | utf8, as the server writes it |
| domains | as what they are made of |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec
import pyarrow as pa

from arrowload.core.types import MAX_DECIMAL_DIGITS, decimal_type

if TYPE_CHECKING:
    from collections.abc import Mapping

# What the driver hands over, and takes, in exactly the type that the server stores.
NATIVE: Final[dict[str, pa.DataType]] = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "text": pa.string(),
    "varchar": pa.string(),
    "bpchar": pa.string(),
    "name": pa.string(),
    "char": pa.string(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "interval": pa.month_day_nano_interval(),
    "uuid": pa.uuid(),
    "json": pa.json_(),
    "jsonb": pa.json_(),
}


class PgType(msgspec.Struct, frozen=True):
    """A type, its domains taken off.

    Attributes:
        name: `pg_type.typname`, such as `int4`, `numeric`, `mood`.
        sql: As DDL writes it, such as `integer`, `numeric(10,2)`, `crm.mood`.
        bare: `sql` without the modifier.
        kind: `array` has an `element`; `builtin` is a plain type of `pg_catalog`.
        typmod: Its modifier, -1 for none.
        dimensions: Of an array, as declared; the server does not keep values to it.
        domain: A domain stood in front of it.
    """

    name: str
    sql: str
    bare: str
    kind: Literal["builtin", "enum", "array", "other"]
    typmod: int = -1
    element: PgType | None = None
    domain: bool = False
    dimensions: int = 1

    @property
    def is_numeric(self) -> bool:
        """It is `numeric`, with or without modifier."""
        return self.kind == "builtin" and self.name == "numeric"

    def declared_decimal(self) -> pa.DataType | None:
        """The decimal that holds all values of `numeric(p,s)`; None when there is no modifier, or no such decimal."""
        if self.typmod == -1:
            return None
        precision = ((self.typmod - 4) >> 16) & 0xFFFF
        scale = (((self.typmod - 4) & 0x7FF) ^ 1024) - 1024
        if scale < 0:
            precision, scale = precision - scale, 0
        precision = max(precision, scale)
        return decimal_type(precision, scale) if precision <= MAX_DECIMAL_DIGITS else None


class TypeRow(msgspec.Struct, frozen=True):
    """A row of `pg_type`; `array` says that it is a true array, `modifier` belongs to the base of a domain."""

    name: str
    kind: str
    builtin: bool
    array: bool
    element: int
    base: int
    modifier: int
    sql: str


def resolve_type(oid: int, typmod: int, sql: str, rows: Mapping[int, TypeRow], dimensions: int = 1) -> PgType:
    """The type `oid`, down to its element and through its domains.

    Args:
        oid: Of the type.
        typmod: Of the column.
        sql: As DDL writes type and modifier.
        rows: All types that it is made of.
        dimensions: Of an array column, as declared.
    """
    row, domain = rows[oid], False
    while row.kind == "d":
        oid, typmod, domain = row.base, row.modifier, True
        row, sql = rows[oid], rows[oid].sql + ("" if row.modifier == -1 else _numeric_modifier(rows[oid], row.modifier))
    if row.array:
        element_sql = sql.removesuffix("[]")
        element = resolve_type(row.element, typmod, element_sql, rows)
        return PgType(row.name, sql, row.sql, "array", typmod, element, domain, max(1, dimensions))
    kind: Literal["builtin", "enum", "other"] = "enum" if row.kind == "e" else "builtin" if row.builtin else "other"
    return PgType(row.name, sql, row.sql, kind, typmod, None, domain)


def _numeric_modifier(row: TypeRow, typmod: int) -> str:
    """The modifier as DDL writes it, where leaving it out would change what a cast does."""
    if row.name != "numeric" or not row.builtin:
        return ""
    return f"({((typmod - 4) >> 16) & 0xFFFF},{(((typmod - 4) & 0x7FF) ^ 1024) - 1024})"
