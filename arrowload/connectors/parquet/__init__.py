"""Parquet files as a source, and a folder of them as a destination."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from arrowload.connectors.parquet.config import ParquetDestinationConfig, ParquetSourceConfig
from arrowload.connectors.registry import register_destination, register_source
from arrowload.models.units import ResourcePath

if TYPE_CHECKING:
    from arrowload.connectors.files.destination import FileDestination
    from arrowload.connectors.parquet.source import ParquetSource
    from arrowload.models.destination_config import DestinationConfig


@register_source("parquet", config=ParquetSourceConfig)
def create_parquet_source(config: ParquetSourceConfig, connection: None = None) -> ParquetSource:  # noqa: ARG001
    """Parquet files: paths, folders, globs, or a dataset that arrowload wrote."""
    from arrowload.connectors.parquet.source import ParquetSource

    return ParquetSource(config)


@register_destination("parquet", config=ParquetDestinationConfig)
def create_parquet_destination(config: ParquetDestinationConfig, connection: None = None) -> FileDestination:  # noqa: ARG001
    """A folder of Parquet files with a log, here or in S3, which a load joins in one step."""
    from arrowload.connectors.files.destination import FileDestination
    from arrowload.connectors.parquet.destination import ParquetFormat

    def scratch(path: str) -> DestinationConfig:
        return replace(config, path=ResourcePath(path))

    return FileDestination(config.path, ParquetFormat(config.compression), config.target_file_size, scratch, config.aws)
