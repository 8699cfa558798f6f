"""Laws: what is loaded is there, value by value, whatever the schema, the names and the cut into batches."""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from arrowload.connectors.duckdb import DuckDBDestinationConfig
from arrowload.connectors.parquet import ParquetDestinationConfig
from arrowload.connectors.registry import get_destination
from arrowload.models.units import ByteSize, ResourcePath
from arrowload.testing.loading import Pipeline
from arrowload.testing.samples import sorted_rows
from arrowload.testing.strategies import tables


def load(make, loads):
    """Load each table on its own; the same pipeline and the same target."""
    pipeline = Pipeline(make)
    for rows in loads:
        sealed = pipeline.load(rows)
        assert sealed.rows_staged == rows.num_rows


@settings(max_examples=20)
@given(tables(), st.integers(0, 2))
def test_duckdb_holds_what_was_loaded(rows, cuts):
    """Each row once, in the types that it came in, over several loads into one table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "d.duckdb"
        config = DuckDBDestinationConfig(type="duckdb", path=ResourcePath(path), table="t")
        load(lambda: get_destination("duckdb", config), pieces(rows, cuts))
        with duckdb.connect(path, read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            found = connection.sql("SELECT * FROM t").to_arrow_table()

    assert found.schema == rows.schema
    assert sorted_rows(found.to_pylist()) == sorted_rows(rows.to_pylist())


@settings(max_examples=20)
@given(tables(), st.integers(0, 2))
def test_parquet_holds_what_was_loaded(rows, cuts):
    """Each row once, over several loads into one folder, whose parts any reader can read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out"
        config = ParquetDestinationConfig(type="parquet", path=ResourcePath(path), target_file_size=ByteSize(1))
        load(lambda: get_destination("parquet", config), pieces(rows, cuts))
        parts = [pq.read_table(part, partitioning=None) for part in sorted(path.glob("*.parquet"))]

    found = pa.concat_tables(parts)
    assert found.schema == rows.schema
    assert sorted_rows(found.to_pylist()) == sorted_rows(rows.to_pylist())


def pieces(rows, cuts):
    """`rows` in `cuts + 1` tables."""
    size = -(-rows.num_rows // (cuts + 1))
    return [rows.slice(n * size, size) for n in range(cuts + 1)]
