"""The source that csv and parquet are: pinned files, whose rows a reader of the format gives."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import pyarrow as pa

from arrowload.connectors.files.listing import choose_files, common_root, list_files, refuse_cursor
from arrowload.core.casting import cast_exact
from arrowload.io.aws import AwsAccess
from arrowload.planning.capabilities import SourceFacts, Split, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from arrowload.connectors.base import Mark, Overlap
    from arrowload.core.rejection import Rejection
    from arrowload.core.state import State
    from arrowload.io.files import FileInfo
    from arrowload.models.source_config import IncrementalConfig


class FileReader(Protocol):
    """A file format, as the file source knows it."""

    @property
    def name(self) -> str:
        """Of the connector."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Which files of a folder are taken, in lower case."""

    @property
    def route_reason(self) -> str:
        """Why files are read as they are, in one sentence."""

    def schema(self, files: Sequence[FileInfo]) -> pa.Schema:
        """The columns of all files.

        Raises:
            DataError: A file cannot be read, or the files do not agree.
            RecipeError: The recipe names a column that is not there.
        """

    def splits(self, files: Sequence[FileInfo], n: int) -> list[Split]:
        """At most `n` splits that together hold each row of `files` once."""

    def read(self, split: Split, schema: pa.Schema, batch_size: int) -> Iterator[pa.RecordBatch]:
        """The rows of one split.

        Raises:
            DataError: A file is not what its format says, or a value does not fit.
            TransientConnectorError: A file changed since it was listed.
        """


@runtime_checkable
class SiftingReader(FileReader, Protocol):
    """A reader, besides, of a format whose values may not be of the types that the columns have."""

    def sifting(self, reject: Callable[[Rejection], None]) -> FileReader:
        """The same reader, which hands rows with such a value to `reject` and leaves them out."""

    def reread(self, column: pa.Array, field: pa.Field) -> pa.Array:
        """See `RereadingSource.reread`."""


class FileSource:
    """A `SnapshotSource` over files, local ones or in S3.

    Args:
        paths: Files, folders and globs.
        incremental: None reads all files; `modified` those that are new or changed.
        reader: Of the format.
        access: Where S3 is and who asks.

    Raises:
        RecipeError: The recipe asks for a cursor.
    """

    def __init__(
        self,
        paths: Sequence[str],
        incremental: IncrementalConfig | None,
        reader: FileReader,
        access: AwsAccess = AwsAccess(),  # noqa: B008 - frozen
    ) -> None:
        refuse_cursor(incremental, reader.name)
        self._paths = paths
        self._access = access
        self._incremental = incremental
        self._reader = reader
        self._schema: pa.Schema | None = None
        self._described: list[FileInfo] = []

    def facts(self) -> SourceFacts:
        """Where the files are; reads nothing."""
        return SourceFacts(
            location=f"{self._reader.name} {', '.join(self._paths)}",
            identity=common_root(self._paths),
            route="arrow",
            route_reason=self._reader.route_reason,
        )

    def schema(self) -> pa.Schema:
        """The columns of all files that the paths name; of those that were listed last, once some were.

        Raises:
            NoFilesError: There are no files.
            DataError: A file cannot be read, or the files do not agree.
            RecipeError: The recipe names a column that is not there.
        """
        return self._schema if self._schema is not None else self._schema_of(self._list())

    @contextlib.contextmanager
    def snapshot(self, state: State, until: Mark | None = None) -> Iterator[FileSnapshot]:
        """The files as they are now, each with its size and time; a file that changes later fails the load."""
        files = self._list()
        schema = self._schema_of(files)
        chosen = choose_files(files, self._incremental, state, until)
        yield FileSnapshot(self._reader, schema, chosen.files, chosen.window, chosen.state)

    def _schema_of(self, files: list[FileInfo]) -> pa.Schema:
        if self._schema is None or self._described != files:
            self._schema, self._described = self._reader.schema(files), files
        return self._schema

    def _list(self) -> list[FileInfo]:
        return list_files(self._paths, self._reader.suffixes, self._access)

    def reread(self, column: pa.Array, field: pa.Field) -> pa.Array:
        """See `RereadingSource.reread`."""
        if isinstance(self._reader, SiftingReader):
            return self._reader.reread(column, field)
        return cast_exact(column, field.type)

    def close(self) -> None:
        """Nothing is held open."""


class FileSnapshot:
    """Pinned files: the same rows, however often and in whatever order the splits are read."""

    overlap: Overlap | None = None  # files are told apart by name, time and size: windows share no rows

    def __init__(
        self, reader: FileReader, schema: pa.Schema, files: Sequence[FileInfo], window: Window, state: State
    ) -> None:
        self.schema = schema
        self.window = window
        self.state = state
        self._reader = reader
        self._files = files

    def reject_into(self, reject: Callable[[Rejection], None]) -> None:
        """See `SiftingSnapshot.reject_into`."""
        if isinstance(self._reader, SiftingReader):
            self._reader = self._reader.sifting(reject)

    def marks(self, rows: int) -> Sequence[Mark]:
        """One for each file, however many rows it has; see `DivisibleSnapshot.marks`."""
        return [(file.mtime_ns, file.key) for file in self._files] if self.window.strategy == "modified" else ()

    def splits(self, n: int) -> Sequence[Split]:
        """At most `n` splits of about equal size."""
        return self._reader.splits(self._files, n)

    def read_split(self, split: Split, *, batch_size: int) -> pa.RecordBatchReader:
        """The rows of one split, file by file, in the order in which they are written there."""
        return pa.RecordBatchReader.from_batches(self.schema, self._reader.read(split, self.schema, batch_size))
