"""`rename_columns`: new names for columns, all at once, so that two may change places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from arrowload.core.names import require_columns
from arrowload.models.transform_config import StepConfig
from arrowload.transforms.base import Projected
from arrowload.transforms.registry import register_transform

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


class RenameColumnsConfig(StepConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a `rename_columns` step."""

    mapping: Annotated[
        dict[str, str], msgspec.Meta(description="Old name: new name. Other columns keep theirs.", min_length=1)
    ]


@register_transform("rename_columns", config=RenameColumnsConfig)
class RenameColumns:
    """Gives columns new names; order and types stay."""

    def __init__(self, config: RenameColumnsConfig) -> None:
        self.mapping = config.mapping

    def project(self, schema: pa.Schema) -> Sequence[Projected]:
        """Every column, under its new name; raises RecipeError when the mapping names one that is not there."""
        require_columns(self.mapping, schema.names)
        return [Projected(self.mapping.get(name, name), name) for name in schema.names]

    def describe(self) -> str:
        """The mapping."""
        return ", ".join(f"`{old}` → `{new}`" for old, new in self.mapping.items())
