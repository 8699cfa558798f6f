"""What a recipe may say about Parquet."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from arrowload.io.aws import AwsAccess
from arrowload.models.destination_config import DestinationConfig
from arrowload.models.source_config import SourceConfig
from arrowload.models.units import ByteSize, ResourcePath, ResourcePaths


class ParquetSourceConfig(SourceConfig, frozen=True, kw_only=True):
    """`type: parquet` under `source:`."""

    path: Annotated[
        ResourcePaths,
        msgspec.Meta(description="A file, a folder, a glob (`data/**/*.parquet`), or a list of these; s3:// too."),
    ]
    columns: Annotated[
        tuple[str, ...] | None, msgspec.Meta(description="Read these columns, in this order; all without it.")
    ] = None
    exclude: Annotated[tuple[str, ...], msgspec.Meta(description="Read all columns but these.")] = ()
    aws: AwsAccess = AwsAccess()


class ParquetDestinationConfig(DestinationConfig, frozen=True, kw_only=True):
    """`type: parquet` under `destination:`."""

    path: Annotated[
        ResourcePath,
        msgspec.Meta(description="The folder of the dataset, made when it is not there, or s3://bucket/prefix."),
    ]
    compression: Annotated[
        Literal["zstd", "snappy", "gzip", "lz4", "none"], msgspec.Meta(description="Of the pages in each part.")
    ] = "zstd"
    target_file_size: Annotated[
        ByteSize, msgspec.Meta(description="A part that has reached this size is closed and the next one begun.")
    ] = ByteSize.parse("512MiB")
    aws: AwsAccess = AwsAccess()
