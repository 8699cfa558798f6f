"""DuckDB database files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrowload.connectors.duckdb.config import DuckDBDestinationConfig, DuckDBSourceConfig
from arrowload.connectors.registry import register_destination, register_source

if TYPE_CHECKING:
    import duckdb

    from arrowload.connectors.duckdb.destination import DuckDBDestination
    from arrowload.connectors.duckdb.source import DuckDBSource


@register_source("duckdb", config=DuckDBSourceConfig)
def create_duckdb_source(
    config: DuckDBSourceConfig, connection: duckdb.DuckDBPyConnection | None = None
) -> DuckDBSource:
    """A table or query of a DuckDB database file."""
    from arrowload.connectors.duckdb.source import DuckDBSource

    return DuckDBSource(config, connection)


@register_destination("duckdb", config=DuckDBDestinationConfig)
def create_duckdb_destination(
    config: DuckDBDestinationConfig, connection: duckdb.DuckDBPyConnection | None = None
) -> DuckDBDestination:
    """A table of a DuckDB database file."""
    from arrowload.connectors.duckdb.destination import DuckDBDestination

    return DuckDBDestination(config, connection)
