"""The `destination:` section: what every destination understands; each connector's own Struct adds its keys."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from arrowload.core.typing import ContractMode, WriteMode
from arrowload.models.contract_config import ContractConfig
from arrowload.models.units import Share


class DestinationConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys that every destination understands."""

    type: str
    write_mode: Annotated[
        WriteMode,
        msgspec.Meta(description="append: add the rows. replace: put them in the place of all. merge: by merge_keys."),
    ] = "append"
    merge_keys: Annotated[tuple[str, ...], msgspec.Meta(description="Output columns that identify a row.")] = ()
    allow_empty: Annotated[
        bool, msgspec.Meta(description="No rows may take the place of those that are there; else that is refused.")
    ] = False
    max_shrink: Annotated[
        Share, msgspec.Meta(description="The share of its rows that a target may lose by being replaced.")
    ] = Share(0.5)
    contract: Annotated[
        ContractMode | ContractConfig | None,
        msgspec.Meta(
            description="What may become of the target when the source changes: one mode for all, or `table`, `columns`"
            " and `types` apart. Left out: new columns are added, types stay."
        ),
    ] = None


class PluginDestinationConfig(DestinationConfig, frozen=True, kw_only=True):
    """The config of a plug-in that registered no Struct of its own: its keys as they stand."""

    options: dict[str, Any] = {}
