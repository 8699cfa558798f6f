"""Which DuckDB type an Arrow type becomes."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest

from arrowload.connectors.duckdb.types import _KNOWN, column_types

DECIMALS = [pa.decimal128(p, s) for p, s in ((1, 0), (1, 1), (15, 2), (18, 18), (38, 0), (38, 10), (38, 38))]


@pytest.mark.parametrize("kind", [*_KNOWN, *DECIMALS], ids=str)
def test_types_that_are_known_are_those_that_duckdb_gives(kind):
    """They are written down to save the asking, and DuckDB may change its mind."""
    empty = pa.schema([pa.field("value", kind)]).empty_table()
    with duckdb.connect() as connection:
        connection.register("incoming", empty)
        given = connection.execute("DESCRIBE SELECT * FROM incoming").fetchall()[0][1]
    assert column_types(empty.schema) == {"value": given}


def test_an_extension_type_is_not_taken_for_its_storage():
    """A reader that does not know the type sees its storage, with the name of the type in the metadata."""
    field = pa.field("value", pa.string(), metadata={"ARROW:extension:name": "arrow.json"})
    assert column_types(pa.schema([field])) == {"value": "JSON"}
