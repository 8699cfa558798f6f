"""Where recipes of the tests load to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres_server import PostgresDatabase


def places(folder: Path, postgres: PostgresDatabase) -> dict[str, dict[str, Any]]:
    """Kind of destination → its keys in a recipe, with a table or a folder `out`."""
    return {
        "duckdb": {"type": "duckdb", "path": str(folder / "out.duckdb"), "table": "out"},
        "postgres": {"type": "postgres", "table": "out", **postgres.keys},
        "parquet": {"type": "parquet", "path": str(folder / "out")},
        "csv": {"type": "csv", "path": str(folder / "out")},
        "memory": {"type": "memory", "name": "out"},
    }
