"""`cast`: give columns another type, every value unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
import pyarrow as pa

from arrowload.core.casting import CastFailure, about_column, cast_exact, check_cast, sift_exact
from arrowload.core.names import require_columns
from arrowload.core.types import check_zone, parse_type, type_name
from arrowload.models.transform_config import StepConfig
from arrowload.transforms.base import RowError
from arrowload.transforms.registry import register_transform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ColumnCast(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one column is cast, when its type alone does not say it."""

    type: Annotated[str, msgspec.Meta(description="int, decimal(10,2), date, timestamptz, …")]
    format: Annotated[
        str | None,
        msgspec.Meta(description="How text writes dates and times, as in %d.%m.%Y %H:%M; without it, ISO 8601."),
    ] = None
    zone: Annotated[
        str | None,
        msgspec.Meta(description="The zone of local times, where one of both types has a zone and the other has none."),
    ] = None
    round: Annotated[
        bool, msgspec.Meta(description="Round away digits that the type cannot hold, halves away from zero.")
    ] = False


class CastConfig(StepConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a `cast` step."""

    columns: Annotated[
        dict[str, str | ColumnCast],
        msgspec.Meta(description="Column: type, or column: {type, format, zone, round}.", min_length=1),
    ]


class _Target(NamedTuple):
    type: pa.DataType
    options: Mapping[str, Any]


@register_transform("cast", config=CastConfig)
class Cast:
    """Casts columns exactly: a value that does not fit is an error that names column, value and row."""

    def __init__(self, config: CastConfig) -> None:
        self.targets = {name: _target(name, target) for name, target in config.columns.items()}

    def output_schema(self, schema: pa.Schema) -> pa.Schema:
        """The columns with their new types; what the source said about the old type of a column is left out.

        Raises:
            RecipeError: A column is not there, or has a type that cannot be cast to the one wanted.
        """
        require_columns(self.targets, schema.names)
        for field in schema:
            self._check(field)
        return self._schema(schema)

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows with the columns cast; raises RowError at the first value that does not fit."""
        columns = []
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            try:
                columns.append(self._cast(name, column))
            except CastFailure as exc:
                raise _row_error(exc, name) from exc
        return pa.RecordBatch.from_arrays(columns, schema=self._schema(batch.schema))

    def sift(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, list[RowError]]:
        """The rows with the columns cast, null where a value does not fit; of each such row, the first one."""
        columns, found = [], dict[int, RowError]()
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            target = self.targets.get(name)
            failures: Sequence[CastFailure] = ()
            if target is not None:
                column, failures = sift_exact(column, target.type, **target.options)  # noqa: PLW2901
            columns.append(column)
            for failure in failures:
                found.setdefault(failure.row, _row_error(failure, name))
        made = pa.RecordBatch.from_arrays(columns, schema=self._schema(batch.schema))
        return made, [found[row] for row in sorted(found)]

    def describe(self) -> str:
        """Columns and types."""
        return ", ".join(f"`{name}` to {type_name(target.type)}" for name, target in self.targets.items())

    def _schema(self, schema: pa.Schema) -> pa.Schema:
        fields = [
            pa.field(field.name, self.targets[field.name].type, nullable=field.nullable)
            if field.name in self.targets and self.targets[field.name].type != field.type
            else field
            for field in schema
        ]
        return pa.schema(fields, metadata=schema.metadata)

    def _check(self, field: pa.Field) -> None:
        target = self.targets.get(field.name)
        if target is None or field.type == target.type:
            return
        with about_column(field.name):
            check_cast(field.type, target.type, **target.options)

    def _cast(self, name: str, column: pa.Array) -> pa.Array:
        target = self.targets.get(name)
        return column if target is None else cast_exact(column, target.type, **target.options)


def _row_error(failure: CastFailure, column: str) -> RowError:
    return RowError(row=failure.row, column=column, value=failure.value, reason=failure.reason)


def _target(name: str, cast: str | ColumnCast) -> _Target:
    if isinstance(cast, str):
        cast = ColumnCast(type=cast)
    with about_column(name):
        check_zone(cast.zone or "")
        return _Target(parse_type(cast.type), {"form": cast.format, "zone": cast.zone, "rounding": cast.round})
