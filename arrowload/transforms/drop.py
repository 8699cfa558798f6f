"""`drop`: leave these columns out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from arrowload.core.exceptions import RecipeError
from arrowload.core.names import require_columns
from arrowload.models.transform_config import StepConfig
from arrowload.transforms.base import Projected
from arrowload.transforms.registry import register_transform

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


class DropConfig(StepConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a `drop` step."""

    columns: Annotated[tuple[str, ...], msgspec.Meta(description="The columns to leave out.", min_length=1)]


@register_transform("drop", config=DropConfig)
class Drop:
    """Leaves the columns named out; the others keep their order."""

    def __init__(self, config: DropConfig) -> None:
        self.columns = config.columns

    def project(self, schema: pa.Schema) -> Sequence[Projected]:
        """The other columns; raises RecipeError when one named is not there, or none would be left."""
        require_columns(self.columns, schema.names)
        left = [Projected(name, name) for name in schema.names if name not in self.columns]
        if not left:
            raise RecipeError("no column would be left", hint="name the columns to keep in a `select` step")
        return left

    def describe(self) -> str:
        """The columns."""
        return ", ".join(f"`{name}`" for name in self.columns)
