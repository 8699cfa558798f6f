"""Rows that pass from one Postgres to another as they lie on the wire: when the values stay what they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from arrowload.connectors.base import RelayFormat
from arrowload.connectors.postgres.reading import hands_over
from arrowload.connectors.postgres.types import NATIVE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.connectors.postgres.binding import TargetColumn
    from arrowload.connectors.postgres.routes import Reading

_PROTOCOL: Final = "postgres copy binary"
# The names of DDL and of `format_type`; all other types have one name.
_WIRES: Final = {
    "boolean": "bool",
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
    "double precision": "float8",
    "character varying": "text",
    "character": "text",
    "varchar": "text",
    "bpchar": "text",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "time without time zone": "time",
}
_TYPE: Final = re.compile(r"(?P<head>[^(]+?)\s*(?:\((?P<modifier>[^)]*)\))?(?P<tail>[^()]*)")


def relay_format(reading: Reading) -> RelayFormat | None:
    """How the rows lie on the wire; None when values are to be replaced, or columns are not read as they are."""
    if reading.null_special or reading.null_infinity:
        return None
    columns = []
    for column in reading.columns:
        scalar = column.kind.is_numeric or hands_over(column.kind) is not None
        if column.cast or column.kind.kind != "builtin" or not scalar:
            return None
        columns.append((column.name, *_wire(column.kind.sql)))
    return RelayFormat(protocol=_PROTOCOL, columns=tuple(columns))


def stores_as_is(relay: RelayFormat, columns: Sequence[TargetColumn]) -> bool:
    """Whether these columns take the rows as the values that they are: no column rounds, pads or casts."""
    if relay.protocol != _PROTOCOL or len(relay.columns) != len(columns):
        return False
    for (name, wire, modifier), column in zip(relay.columns, columns, strict=True):
        stored, limit = _wire(column.staged)
        # A domain's column hides its modifier, but not the type that it wants to be handed.
        coarser = NATIVE.get(stored, column.type) != column.type
        if column.cast is not None or coarser or column.name != name or stored != wire or limit not in ("", modifier):
            return False
    return True


def _wire(sql: str) -> tuple[str, str]:
    """The type on the wire and its modifier; a text keeps its type's name in front of the modifier."""
    found = _TYPE.fullmatch(sql)
    if found is None:
        return sql, ""
    name = (found["head"] + found["tail"]).strip()
    wire, modifier = _WIRES.get(name, name), (found["modifier"] or "").replace(" ", "")
    return wire, f"{name} {modifier}" if modifier and wire == "text" else modifier
