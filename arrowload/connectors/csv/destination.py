"""Parts in CSV, as RFC 4180 describes it: text is quoted, and nothing else; an empty text is `""`, NULL is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.types as pt
from pyarrow import csv as pa_csv

from arrowload.core.exceptions import RecipeError
from arrowload.core.types import type_name
from arrowload.models.units import ResourcePath, ResourcePaths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.connectors.csv.source import CsvSource
    from arrowload.connectors.files.part import PartFile
    from arrowload.io.aws import AwsAccess

_ENDINGS: Final = {"none": ".csv", "gzip": ".csv.gz", "zstd": ".csv.zst"}
_ROWS_AT_ONCE: Final = 8_192
_AS_THEY_ARE: Final = (
    pt.is_boolean,
    pt.is_integer,
    pt.is_floating,
    pt.is_decimal,
    pt.is_date,
    pt.is_time,
    pt.is_timestamp,
    pt.is_string,
    pt.is_large_string,
    pt.is_null,
)


class CsvFormat:
    """CSV, as the dataset destination knows it.

    Args:
        compression: Of each part: `none`, `gzip` or `zstd`.
    """

    name = "csv"
    evolves = False
    lanes = 1  # people read them in order
    chunk_bytes = 0

    def __init__(self, compression: str = "none") -> None:
        self.suffix = _ENDINGS[compression]
        self._codec = None if compression == "none" else compression

    def limit_memory(self, max_bytes: int) -> None:
        """A batch is written as it comes; nothing is held."""

    def stored_schema(self, schema: pa.Schema) -> pa.Schema:
        """The types that can be read back as they were written: uuid and json as text, dictionaries as their values.

        Raises:
            RecipeError: A column is nested, binary or a span of time, for which CSV has no form that all agree on.
        """
        return pa.schema([field.remove_metadata().with_type(_stored_type(field.type, field)) for field in schema])

    def open(self, file: PartFile, schema: pa.Schema) -> _CsvPart:
        """Start a part with a header."""
        return _CsvPart(pa.CompressedOutputStream(file, self._codec) if self._codec else None, file, schema)

    def source(self, paths: Sequence[str], schema: pa.Schema, access: AwsAccess) -> CsvSource:
        """Reads parts, each column in the type that it was written in."""
        from arrowload.connectors.csv.config import CsvSourceConfig
        from arrowload.connectors.csv.source import CsvSource

        found = ResourcePaths(map(ResourcePath, paths))
        types = {field.name: type_name(field.type) for field in schema}
        config = CsvSourceConfig(type="csv", path=found, delimiter=",", header=True, columns=types, aws=access)
        return CsvSource(config)


def _stored_type(data_type: pa.DataType, field: pa.Field) -> pa.DataType:
    if any(holds(data_type) for holds in _AS_THEY_ARE):
        return data_type
    if pt.is_dictionary(data_type):
        return _stored_type(data_type.value_type, field)
    if pt.is_string_view(data_type) or isinstance(data_type, pa.UuidType | pa.JsonType):
        return pa.string()
    raise RecipeError(
        f"CSV has no form for column `{field.name}` of type {field.type}",
        context={"column": field.name, "type": str(field.type)},
        hint="cast it to string, leave it out with a drop step, or write Parquet",
    )


class _CsvPart:
    """Writes batches through pyarrow's CSV writer, packed or not."""

    def __init__(self, packed: Any | None, file: PartFile, schema: pa.Schema) -> None:
        self._packed = packed
        options = pa_csv.WriteOptions(quoting_style="needed", batch_size=_ROWS_AT_ONCE)
        self._writer = pa_csv.CSVWriter(file if packed is None else packed, schema, write_options=options)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()
        if self._packed is not None:
            self._packed.close()
