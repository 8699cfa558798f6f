"""Arrow types and DuckDB types; the mapping is DuckDB's own, asked of it, but where it loses what it knows."""

from __future__ import annotations

from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.types as pt

from arrowload.core.exceptions import RecipeError
from arrowload.core.schema import require_storable

# DuckDB hands this over as opaque bytes (measured on 2.0).
_STORED_AS: Final = {"HUGEINT": pa.decimal128(38, 0)}
# What DuckDB answers for the commonest types; to ask takes a database of its own, and a fifth of a small load.
_KNOWN: Final = {
    pa.bool_(): "BOOLEAN",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.date32(): "DATE",
    pa.timestamp("us"): "TIMESTAMP",
    pa.timestamp("us", "UTC"): "TIMESTAMP WITH TIME ZONE",
}


def column_types(schema: pa.Schema) -> dict[str, str]:
    """Column → the DuckDB type that its Arrow type becomes.

    Raises:
        RecipeError: DuckDB has no type for a column.
    """
    unknown = [field for field in schema if _known_type(field) is None]
    asked = _asked_types(unknown) if unknown else {}
    return {field.name: _known_type(field) or asked[field.name] for field in schema}


def stored_types(names_and_types: list[tuple[str, str]], schema: pa.Schema) -> dict[str, pa.DataType]:
    """Column → the Arrow type that holds all values of a stored column.

    Args:
        names_and_types: Column names and DuckDB types.
        schema: The schema in which DuckDB hands these columns over.
    """
    return {
        name: pa.string() if kind.startswith("ENUM") else _STORED_AS.get(kind, without_bool8(schema.field(name).type))
        for name, kind in names_and_types
    }


def without_bool8(kind: pa.DataType) -> pa.DataType:
    """`kind` with Arrow's own booleans, inside nested types too.

    Under the setting that keeps uuid and json apart from text, DuckDB hands booleans over as the extension `bool8`,
    which nothing else takes for a boolean.
    """
    if isinstance(kind, pa.Bool8Type):
        return pa.bool_()
    if pt.is_map(kind):
        return pa.map_(without_bool8(kind.key_type), without_bool8(kind.item_type))
    if pt.is_struct(kind):
        return pa.struct([field.with_type(without_bool8(field.type)) for field in kind])
    if pt.is_list(kind):
        return pa.list_(kind.value_field.with_type(without_bool8(kind.value_type)))
    if pt.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(without_bool8(kind.value_type)), kind.list_size)
    return kind


def bind(schema: pa.Schema, stored: dict[str, pa.DataType], table: str) -> pa.Schema:
    """`schema` with the types of `stored` where the table has the column.

    Raises:
        RecipeError: A column holds another kind of value than the table does.
    """
    return pa.schema([_bind(field, stored.get(field.name), table) for field in schema])


def _known_type(field: pa.Field) -> str | None:
    if field.metadata and b"ARROW:extension:name" in field.metadata:
        return None
    if pt.is_decimal128(field.type) and 0 <= field.type.scale <= field.type.precision:
        return f"DECIMAL({field.type.precision},{field.type.scale})"
    return _KNOWN.get(field.type)


def _asked_types(fields: list[pa.Field]) -> dict[str, str]:
    # A database of its own: an error in the caller's would end the transaction that it has open.
    with duckdb.connect() as scratch:
        return {field.name: _column_type(scratch, field) for field in fields}


def _column_type(scratch: duckdb.DuckDBPyConnection, field: pa.Field) -> str:
    try:
        scratch.register("incoming", pa.schema([field.with_name("value")]).empty_table())
        kind = str(scratch.execute("DESCRIBE SELECT * FROM incoming").fetchall()[0][1])
    except (duckdb.Error, pa.ArrowException) as exc:
        raise RecipeError(
            f"DuckDB has no type for column `{field.name}` of type {field.type}",
            context={"column": field.name, "type": str(field.type)},
            hint="cast it in a transform step, to decimal(38, s) or str",
        ) from exc
    # A column of nothing but NULLs; DuckDB gives it this type itself in CREATE TABLE AS.
    return "INTEGER" if kind == '"NULL"' else kind


def _bind(field: pa.Field, stored: pa.DataType | None, table: str) -> pa.Field:
    if stored is None:
        return field
    require_storable(field, stored, table, hint="load the table anew with --full-refresh")
    # DuckDB makes an interval of a duration itself.
    kept = pt.is_duration(field.type) and pt.is_interval(stored)
    return pa.field(field.name, field.type if kept else stored)
