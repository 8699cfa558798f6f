"""`select`: keep these columns, in this order."""

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


class SelectConfig(StepConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a `select` step."""

    columns: Annotated[
        tuple[str, ...], msgspec.Meta(description="The columns to keep, in their new order.", min_length=1)
    ]


@register_transform("select", config=SelectConfig)
class Select:
    """Keeps the columns named, in the order in which they are named."""

    def __init__(self, config: SelectConfig) -> None:
        self.columns = config.columns

    def project(self, schema: pa.Schema) -> Sequence[Projected]:
        """The columns named; raises RecipeError when one is not there."""
        require_columns(self.columns, schema.names)
        return [Projected(name, name) for name in self.columns]

    def describe(self) -> str:
        """The columns."""
        return ", ".join(f"`{name}`" for name in self.columns)
