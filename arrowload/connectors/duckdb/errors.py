"""What DuckDB means by its errors: kind and words → which of ours."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import duckdb

from arrowload.core.exceptions import BusyError, ConnectorError, DataError, TransientConnectorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arrowload.core.exceptions import DataLoaderError


class _Meaning(NamedTuple):
    """What an error of one kind, with these words in its first line, means."""

    kind: type[duckdb.Error]
    words: str
    error: type[DataLoaderError]
    message: str = "duckdb `{path}`: {text}"
    hint: str | None = None


# The first that fits. DuckDB has no codes, and its kinds are coarser than its words.
_MEANINGS: Final = (
    _Meaning(
        duckdb.Error,
        "Could not set lock",
        BusyError,
        "the database `{path}` is open in another process",
        "close it there",
    ),
    _Meaning(
        duckdb.ConnectionException,
        "different configuration",
        ConnectorError,
        "this process has the database `{path}` open already",
        "source and destination cannot be one file; close other connections to it",
    ),
    _Meaning(
        duckdb.CatalogException,
        "read-only mode",
        ConnectorError,
        "`{path}` is no DuckDB database",
        "name a database file, or read it as a file",
    ),
    _Meaning(
        duckdb.OutOfMemoryException,
        "",
        ConnectorError,
        hint="raise `runtime.max_memory`, of which DuckDB gets half; each column of a table takes some 30 KiB there",
    ),
    # What may pass: the disk, a failed transaction, a file that another thread is just opening or closing.
    _Meaning(duckdb.IOException, "", TransientConnectorError),
    _Meaning(duckdb.FatalException, "", TransientConnectorError),
    _Meaning(duckdb.TransactionException, "", TransientConnectorError),
    _Meaning(duckdb.ResourceInUseException, "", TransientConnectorError),
    _Meaning(duckdb.ConversionException, "", DataError),
    _Meaning(duckdb.OutOfRangeException, "", DataError),
    _Meaning(duckdb.ConstraintException, "", DataError),
    _Meaning(duckdb.Error, "", ConnectorError),
)


@contextmanager
def translated_errors(path: str) -> Iterator[None]:
    """Turn DuckDB's errors into ours."""
    try:
        yield
    except duckdb.Error as exc:
        text = str(exc).partition("\n")[0]
        meaning = next(m for m in _MEANINGS if isinstance(exc, m.kind) and m.words in text)
        raise meaning.error(
            meaning.message.format(path=path, text=text),
            context={"database": path, "duckdb_error": type(exc).__name__},
            hint=meaning.hint,
        ) from exc
