"""The `runtime:` section."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from arrowload.core.typing import Delivery
from arrowload.models.units import ByteSize, ChunkSize, Duration


class RetryConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often, and how far apart, a step that may be repeated is tried again."""

    max_attempts: Annotated[int, msgspec.Meta(ge=1, description="Tries in all, the first included.")] = 5
    wait_initial: Annotated[Duration, msgspec.Meta(description="Wait before the second try; doubles, with jitter.")] = (
        Duration(milliseconds=200)
    )
    wait_max: Annotated[Duration, msgspec.Meta(description="The longest wait.")] = Duration(seconds=20)


class RuntimeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a load runs; every field has a default, so a recipe may leave the section out."""

    batch_size: Annotated[int, msgspec.Meta(ge=1, description="Rows per record batch.")] = 32_768
    parallelism: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | Literal["auto"],
        msgspec.Meta(description="Splits read at once. auto: one a core, where there is enough to read."),
    ] = "auto"
    max_memory: Annotated[ByteSize, msgspec.Meta(description="Bound for queues and engines, in bytes.")] = (
        ByteSize.parse("512MiB")
    )
    commit_every: Annotated[
        ChunkSize | None,
        msgspec.Meta(
            description="Commit an incremental load in chunks of about so many rows, bytes or seconds; a run that "
            "ends early goes on behind the last chunk."
        ),
    ] = None
    max_rejected: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            description="Rows of a run that may be refused: they are put in quarantine, and the others are loaded. 0: "
            "the first bad row ends the load.",
        ),
    ] = 0
    retries: RetryConfig = RetryConfig()
    delivery: Annotated[
        Delivery | None, msgspec.Meta(description="The weakest delivery that is accepted; a weaker one is refused.")
    ] = None
