"""What a recipe may say about a DuckDB database."""

from __future__ import annotations

from typing import Annotated

import msgspec

from arrowload.models.destination_config import DestinationConfig
from arrowload.models.source_config import SourceConfig
from arrowload.models.units import ResourcePath

DatabasePath = Annotated[ResourcePath, msgspec.Meta(description="The database file.")]


class DuckDBSourceConfig(SourceConfig, frozen=True, kw_only=True):
    """Keys of `source: {type: duckdb}`; `table` or `query`."""

    path: DatabasePath
    table: Annotated[str | None, msgspec.Meta(description="`table` or `schema.table`.")] = None
    query: Annotated[str | None, msgspec.Meta(description="A SELECT, in place of a table.")] = None
    columns: Annotated[tuple[str, ...] | None, msgspec.Meta(description="Only these columns, in this order.")] = None
    exclude: Annotated[tuple[str, ...], msgspec.Meta(description="All columns but these.")] = ()
    filter: Annotated[str | None, msgspec.Meta(description="SQL condition, handed to the database as it is.")] = None


class DuckDBDestinationConfig(DestinationConfig, frozen=True, kw_only=True):
    """Keys of `destination: {type: duckdb}`."""

    path: DatabasePath
    table: Annotated[str, msgspec.Meta(description="`table` or `schema.table`; made when it is not there.")]
