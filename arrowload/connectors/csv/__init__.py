"""CSV files as a source, and a folder of them as a destination."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from arrowload.connectors.csv.config import CsvDestinationConfig, CsvSourceConfig
from arrowload.connectors.registry import register_destination, register_source
from arrowload.models.units import ResourcePath

if TYPE_CHECKING:
    from arrowload.connectors.csv.source import CsvSource
    from arrowload.connectors.files.destination import FileDestination
    from arrowload.models.destination_config import DestinationConfig


@register_source("csv", config=CsvSourceConfig)
def create_csv_source(config: CsvSourceConfig, connection: None = None) -> CsvSource:  # noqa: ARG001
    """CSV files: paths, folders or globs, plain, gzip or zstd."""
    from arrowload.connectors.csv.source import CsvSource

    return CsvSource(config)


@register_destination("csv", config=CsvDestinationConfig)
def create_csv_destination(config: CsvDestinationConfig, connection: None = None) -> FileDestination:  # noqa: ARG001
    """A folder of CSV files with a log, here or in S3, which a load joins in one step."""
    from arrowload.connectors.csv.destination import CsvFormat
    from arrowload.connectors.files.destination import FileDestination

    def scratch(path: str) -> DestinationConfig:
        return replace(config, path=ResourcePath(path))

    return FileDestination(config.path, CsvFormat(config.compression), config.target_file_size, scratch, config.aws)
