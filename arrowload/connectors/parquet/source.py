"""Reads Parquet files, by row groups and in bounded memory."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from arrowload.connectors.files.listing import dataset_log, partition, pinned
from arrowload.connectors.files.source import FileSource
from arrowload.core.exceptions import DataError, RecipeError
from arrowload.core.names import require_columns
from arrowload.io.files import FileInfo, os_errors
from arrowload.io.s3_files import open_file
from arrowload.planning.capabilities import Split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from arrowload.connectors.parquet.config import ParquetSourceConfig
    from arrowload.io.aws import AwsAccess

_READ_BUFFER: Final = 1024**2


class ParquetSource(FileSource):
    """Parquet files, as a recipe describes them."""

    def __init__(self, config: ParquetSourceConfig) -> None:
        super().__init__(config.path, config.incremental, ParquetReader(config), config.aws)


class FileSlice(msgspec.Struct, frozen=True):
    """Row groups `first` to `end - 1` of one file."""

    file: FileInfo
    first: int
    end: int


class ParquetReader:
    """Reads what `config` names; a folder that arrowload wrote may have parts that lack later columns."""

    name = "parquet"
    suffixes = (".parquet", ".parq", ".pq")
    route_reason = "pyarrow decodes pages straight into Arrow"

    def __init__(self, config: ParquetSourceConfig) -> None:
        self._config = config

    def schema(self, files: Sequence[FileInfo]) -> pa.Schema:
        """The columns of all files, from their footers and the log.

        Raises:
            DataError: A file is no Parquet, or the files do not agree.
            RecipeError: The recipe names a column that is not there.
        """
        logs = [dataset_log(path, self._config.aws) for path in self._config.path]
        written = logs[0].schema() if len(logs) == 1 and logs[0] is not None else None
        schema = written or _common_schema(files, self._config.aws)
        return _project(schema, self._config.columns, self._config.exclude)

    def splits(self, files: Sequence[FileInfo], n: int) -> list[Split]:
        """Runs of row groups of about equal size, in the order of the files."""
        groups: list[tuple[FileInfo, int, int]] = []
        for file in files:
            with open_parquet(file, self._config.aws) as parquet:
                meta = parquet.metadata
                groups += [(file, i, meta.row_group(i).total_byte_size) for i in range(meta.num_row_groups)]
        return [
            Split(index=i, spec={"slices": [msgspec.to_builtins(s) for s in _slices([groups[j] for j in run])]})
            for i, run in enumerate(partition([weight + 1 for _, _, weight in groups], max(1, n)))
        ]

    def read(self, split: Split, schema: pa.Schema, batch_size: int) -> Iterator[pa.RecordBatch]:
        """The rows of one split.

        Raises:
            DataError: A file is cut short or damaged, has other columns, or fewer rows than its footer says.
            TransientConnectorError: A file changed since it was listed.
        """
        for piece in msgspec.convert(split.spec["slices"], list[FileSlice]):
            yield from _read_slice(piece, schema, batch_size, self._config.aws)


def _read_slice(piece: FileSlice, schema: pa.Schema, batch_size: int, access: AwsAccess) -> Iterator[pa.RecordBatch]:
    with pinned(piece.file), open_parquet(piece.file, access) as parquet:
        found = parquet.schema_arrow
        for field in schema:
            if field.name in found.names and found.field(field.name).type != field.type:
                raise _disagree(field, found.field(field.name), piece.file.path)
        names = [name for name in schema.names if name in found.names]
        groups = list(range(piece.first, piece.end))
        promised = sum(parquet.metadata.row_group(i).num_rows for i in groups)
        # Splits have threads of their own already, and each of Arrow's would keep memory besides.
        for batch in parquet.iter_batches(batch_size, row_groups=groups, columns=names, use_threads=False):
            promised -= batch.num_rows
            yield _conform(batch, schema)
        if promised:
            raise DataError(f"`{piece.file.path}` has {promised} rows less than its footer says")


def _conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        batch.column(field.name) if field.name in batch.schema.names else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


@contextlib.contextmanager
def open_parquet(file: FileInfo, access: AwsAccess) -> Iterator[Any]:
    """Open a file and read its footer.

    Raises:
        DataError: What the block reads is no Parquet, or damaged.
        TransientConnectorError: The file system failed.
    """
    with os_errors(file.path):
        handle = open_file(file, access)
    with handle:
        try:
            with pq.ParquetFile(
                handle, buffer_size=_READ_BUFFER, pre_buffer=False, page_checksum_verification=True
            ) as parquet:
                yield parquet
        except (pa.ArrowException, OSError, EOFError) as exc:
            if isinstance(exc, OSError) and exc.errno is not None:
                with os_errors(file.path):
                    raise
            raise DataError(
                f"`{file.path}` is not a whole Parquet file: {str(exc).partition(chr(10))[0]}",
                context={"path": file.path, "size": file.size},
                hint="write the file again",
            ) from exc


def _slices(groups: Sequence[tuple[FileInfo, int, int]]) -> list[FileSlice]:
    slices: list[FileSlice] = []
    for file, index, _ in groups:
        if slices and slices[-1].file == file:
            slices[-1] = FileSlice(file, slices[-1].first, index + 1)
        else:
            slices.append(FileSlice(file, index, index + 1))
    return slices


def _common_schema(files: Sequence[FileInfo], access: AwsAccess) -> pa.Schema:
    """The schema of the first file; the others have the same columns and types, in any order."""
    common: dict[str, pa.Field] = {}
    for file in files:
        with open_parquet(file, access) as parquet:
            found = {field.name: field.remove_metadata() for field in parquet.schema_arrow}
            if len(found) < len(parquet.schema_arrow):
                raise DataError(f"`{file.path}` has two columns of one name", context={"path": file.path})
            if not found:
                raise DataError(f"`{file.path}` has no columns", context={"path": file.path})
        if not common:
            common = found
        if common.keys() != found.keys():
            differ = sorted(common.keys() ^ found.keys())
            raise DataError(
                f"`{files[0].path}` and `{file.path}` do not have the same columns: {differ}",
                context={"columns": differ, "path": file.path},
                hint="read them with two recipes, or write them again with the same columns",
            )
        for name, field in found.items():
            if field.type != common[name].type:
                raise _disagree(common[name], field, file.path)
            common[name] = common[name].with_nullable(common[name].nullable or field.nullable)
    return pa.schema(common.values())


def _disagree(wanted: pa.Field, found: pa.Field, path: str) -> DataError:
    return DataError(
        f"column `{wanted.name}` is {found.type} in `{path}` and {wanted.type} in other files",
        context={"path": path, "column": wanted.name},
        hint="read them with two recipes, or write them again with the same types",
    )


def _project(schema: pa.Schema, columns: Sequence[str] | None, exclude: Sequence[str]) -> pa.Schema:
    require_columns((*(columns or ()), *exclude), schema.names)
    names = [name for name in (columns or schema.names) if name not in exclude]
    if not names:
        raise RecipeError("no column is left to read", hint="check `columns` and `exclude`")
    return pa.schema([schema.field(name) for name in names])
