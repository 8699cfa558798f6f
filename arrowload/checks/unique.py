"""`unique`: no two rows of a load have the same values."""

from __future__ import annotations

import tempfile
import uuid
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import pyarrow as pa

from arrowload import kernels
from arrowload.checks.base import BoundCheck, LoadFacts, require_column
from arrowload.core.registry import checks
from arrowload.models.check_config import CheckConfig

if TYPE_CHECKING:
    import duckdb

# What DuckDB may hold of hashes before it spills them to its temporary folder.
_MEMORY_LIMIT: Final = "64MiB"


class UniqueConfig(CheckConfig, frozen=True, kw_only=True):
    """Keys of a `unique` check."""

    columns: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, description="Together; rows with a NULL pass.")]


class Unique:
    """Fails when the columns together have the same values in two rows of the load; NULL equals nothing."""

    def __init__(self, config: UniqueConfig) -> None:
        self._columns = config.columns

    def bind(self, schema: pa.Schema) -> BoundCheck:
        """See `Check.bind`."""
        for name in self._columns:
            require_column(schema, name)
        return _Hashes(list(self._columns))


class _Hashes:
    """128-bit hashes of the values, in a DuckDB of their own, which spills what does not fit."""

    def __init__(self, columns: list[str]) -> None:
        self._columns = columns
        self._connection: duckdb.DuckDBPyConnection | None = None

    def add(self, batch: pa.RecordBatch, first_row: int) -> None:
        keys: Any = batch.select(self._columns)
        for name in self._columns:
            if keys.column(name).null_count:
                keys = keys.filter(keys.column(name).is_valid())
        hashes = pa.array(kernels.row_hash(keys)).cast(pa.binary())
        rows = pa.table({"hash": hashes})  # noqa: F841 - DuckDB finds it by its name
        self._opened().execute("INSERT INTO hashes SELECT hash FROM rows")

    def problem(self, facts: LoadFacts) -> str | None:
        if self._connection is None:
            return None
        (row,) = self._connection.execute(
            "SELECT count(*), coalesce(sum(n), 0) FROM (SELECT count(*) AS n FROM hashes GROUP BY hash) WHERE n > 1"
        ).fetchall()
        self._connection.close()
        values, rows = (int(count) for count in row)
        names = ", ".join(f"`{name}`" for name in self._columns)
        return f"{rows} rows share {values} values of {names}" if values else None

    def _opened(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            import duckdb

            spill = f"{tempfile.gettempdir()}/arrowload-{uuid.uuid4()}"
            self._connection = duckdb.connect(
                config={"memory_limit": _MEMORY_LIMIT, "threads": 1, "temp_directory": spill}
            )
            self._connection.execute("CREATE TABLE hashes (hash BLOB)")
        return self._connection


@checks.register("unique", config=UniqueConfig)
def create_unique(config: UniqueConfig) -> Unique:
    """No two rows of a load have the same values."""
    return Unique(config)
