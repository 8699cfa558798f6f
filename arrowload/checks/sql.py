"""`sql`: a condition that every row meets."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pyarrow as pa

from arrowload.checks.base import BoundCheck, RowCheck
from arrowload.core.registry import checks
from arrowload.models.check_config import CheckConfig
from arrowload.transforms.filter import Filter, FilterConfig
from arrowload.transforms.pipeline import TransformPipeline


class SqlConfig(CheckConfig, frozen=True, kw_only=True):
    """Keys of an `sql` check."""

    expression: Annotated[
        str, msgspec.Meta(min_length=1, description="An SQL condition on the columns of one row; NULL passes.")
    ]


class Sql:
    """Fails rows for which the condition is false, as a CHECK constraint does."""

    def __init__(self, config: SqlConfig) -> None:
        self._expression = config.expression

    def bind(self, schema: pa.Schema) -> BoundCheck:
        """See `Check.bind`."""
        step = Filter(FilterConfig(type="filter", where=f"NOT ({self._expression})"))
        pipeline = TransformPipeline([step], ["sql"]).bind(schema)

        def failing(batch: pa.RecordBatch) -> pa.BooleanArray:
            found = pipeline.apply(batch, first_row=1)
            mask = [found.kept is None] * batch.num_rows
            for place in found.kept.to_pylist() if found.kept is not None else ():
                mask[place] = True
            return pa.array(mask, pa.bool_())

        return RowCheck(f"do not meet `{self._expression}`", f"does not meet `{self._expression}`", failing)


@checks.register("sql", config=SqlConfig)
def create_sql(config: SqlConfig) -> Sql:
    """A condition that every row meets."""
    return Sql(config)
