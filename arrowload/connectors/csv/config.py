"""What a recipe may say about CSV."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from arrowload.io.aws import AwsAccess
from arrowload.models.destination_config import DestinationConfig
from arrowload.models.source_config import SourceConfig
from arrowload.models.units import ByteSize, ResourcePath, ResourcePaths

Character = Annotated[str, msgspec.Meta(pattern=r"^[\x01-\x09\x0b\x0c\x0e-\x7f]$")]


class CsvSourceConfig(SourceConfig, frozen=True, kw_only=True):
    """Keys of `source: {type: csv}`."""

    path: Annotated[
        ResourcePaths,
        msgspec.Meta(description="A file, a folder, a glob (`data/**/*.csv`), or a list of these; s3:// too."),
    ]
    delimiter: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^(auto|[\x01-\x09\x0b\x0c\x0e-\x7f])$",
            description="One character; auto finds out which of comma, semicolon, tab and bar it is.",
        ),
    ] = "auto"
    quote: Annotated[Character | None, msgspec.Meta(description="Around values; null when nothing is quoted.")] = '"'
    escape: Annotated[
        Character | None, msgspec.Meta(description="Before a quote in a value, where quotes are not doubled.")
    ] = None
    header: Annotated[
        bool | Literal["auto"],
        msgspec.Meta(description="Whether the first row has the names; auto: unless a number or a date is among them."),
    ] = "auto"
    encoding: Annotated[str, msgspec.Meta(description="By its Python name: utf-8, utf-16, latin-1, cp1252 …")] = "utf-8"
    null_values: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Unquoted texts that mean NULL; a list takes the default's place."),
    ] = ("",)
    sample_rows: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | Literal["all"],
        msgspec.Meta(description="Rows that types are inferred from, dealt out to the files; all reads them twice."),
    ] = 20_480
    columns: Annotated[
        dict[str, str], msgspec.Meta(description="Type of a column, by name; the others' are inferred.")
    ] = msgspec.field(default_factory=dict)
    compression: Annotated[
        Literal["auto", "none", "gzip", "zstd"], msgspec.Meta(description="auto: by the ending, .gz or .zst.")
    ] = "auto"
    skip_rows: Annotated[int, msgspec.Meta(ge=0, description="Lines before the header that are not read.")] = 0
    block_size: Annotated[
        ByteSize, msgspec.Meta(description="Bytes parsed at once; the longest row must be shorter.")
    ] = ByteSize.parse("1MiB")
    aws: AwsAccess = AwsAccess()


class CsvDestinationConfig(DestinationConfig, frozen=True, kw_only=True):
    """Keys of `destination: {type: csv}`."""

    path: Annotated[
        ResourcePath,
        msgspec.Meta(description="The folder of the dataset, made when it is not there, or s3://bucket/prefix."),
    ]
    compression: Annotated[Literal["none", "gzip", "zstd"], msgspec.Meta(description="Of each part.")] = "none"
    target_file_size: Annotated[
        ByteSize, msgspec.Meta(description="A part that has reached this size is closed and the next one begun.")
    ] = ByteSize.parse("512MiB")
    aws: AwsAccess = AwsAccess()
