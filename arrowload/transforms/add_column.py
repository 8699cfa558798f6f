"""`add_column`: one more column, the same value in every row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import pyarrow as pa

from arrowload.core.casting import cast_column
from arrowload.core.exceptions import RecipeError, TransformError
from arrowload.core.types import parse_type
from arrowload.models.transform_config import StepConfig
from arrowload.transforms.base import Projected
from arrowload.transforms.registry import register_transform

if TYPE_CHECKING:
    from collections.abc import Sequence


class AddColumnConfig(StepConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of an `add_column` step."""

    name: Annotated[str, msgspec.Meta(description="The new column; comes last.", min_length=1)]
    value: Annotated[
        str | int | float | bool | None,
        msgspec.Meta(description="What every row has in it; may be a template such as {{ var.region }}."),
    ]
    data_type: Annotated[
        str | None,
        msgspec.Meta(description="The column's type; without it text, int64, float64 or bool, as the value is."),
    ] = None


@register_transform("add_column", config=AddColumnConfig)
class AddColumn:
    """Adds a column that holds one value."""

    def __init__(self, config: AddColumnConfig) -> None:
        self.name = config.name
        self.value = _constant(config)

    def project(self, schema: pa.Schema) -> Sequence[Projected]:
        """All columns and the new one; raises RecipeError when its name is taken."""
        if self.name in schema.names:
            raise RecipeError(
                f"there is a column `{self.name}` already",
                context={"column": self.name},
                hint="replace its values in a `derive` step",
            )
        return [*(Projected(name, name) for name in schema.names), Projected(self.name, self.value)]

    def describe(self) -> str:
        """Name and value."""
        return f"`{self.name}` = {self.value.as_py()!r}"


def _constant(config: AddColumnConfig) -> pa.Scalar:
    if config.value is None and config.data_type is None:
        raise RecipeError(
            f"column `{config.name}` has no value and no type",
            hint="give its `data_type:`, such as `data_type: string`",
        )
    target = parse_type(config.data_type) if config.data_type else None
    try:
        natural = pa.array([config.value])
        return (cast_column(natural, pa.field(config.name, target)) if target else natural)[0]
    except (TransformError, OverflowError) as exc:
        raise RecipeError(
            f"`{config.value}` is no value for column `{config.name}`",
            context={"column": config.name, "value": str(config.value)},
            hint=f"its type is {config.data_type or 'int64'}",
        ) from exc
