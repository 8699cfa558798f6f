"""`derive`: columns computed by SQL expressions."""

from __future__ import annotations

from typing import Annotated

import msgspec

from arrowload.models.transform_config import StepConfig
from arrowload.transforms.base import Sql
from arrowload.transforms.registry import register_transform


class DeriveConfig(StepConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a `derive` step."""

    columns: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="Column: SQL expression on the columns of one row. All see the columns as they come into the "
            "step. A column that is there already is replaced.",
            min_length=1,
        ),
    ]


@register_transform("derive", config=DeriveConfig)
class Derive:
    """Computes columns, each from the columns of its own row."""

    def __init__(self, config: DeriveConfig) -> None:
        self.columns = config.columns

    def sql(self) -> Sql:
        """The expressions."""
        return Sql(self.columns)

    def describe(self) -> str:
        """Names and expressions."""
        return ", ".join(f"`{name}` = {text}" for name, text in self.columns.items())
