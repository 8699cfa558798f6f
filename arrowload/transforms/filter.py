"""`filter`: keep the rows for which an SQL condition is true."""

from __future__ import annotations

from typing import Annotated

import msgspec

from arrowload.models.transform_config import StepConfig
from arrowload.transforms.base import Sql
from arrowload.transforms.registry import register_transform


class FilterConfig(StepConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a `filter` step."""

    where: Annotated[
        str,
        msgspec.Meta(
            description="An SQL condition on the columns of one row; rows for which it is false or NULL are dropped.",
            min_length=1,
        ),
    ]


@register_transform("filter", config=FilterConfig)
class Filter:
    """Drops the rows for which the condition is false or NULL, as SQL's WHERE does."""

    def __init__(self, config: FilterConfig) -> None:
        self.where = config.where

    def sql(self) -> Sql:
        """The condition."""
        return Sql({}, self.where)

    def describe(self) -> str:
        """The condition."""
        return self.where
