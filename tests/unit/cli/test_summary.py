"""How to look at what was loaded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from arrowload.cli import summary
from arrowload.cli.summary import look_command
from arrowload.connectors.duckdb.config import DuckDBDestinationConfig
from arrowload.connectors.parquet.config import ParquetDestinationConfig
from arrowload.connectors.postgres.config import PostgresDestinationConfig
from arrowload.core.secret import Secret
from arrowload.models.units import ResourcePath

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_duckdb_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary.shutil, "which", lambda name: None)
    monkeypatch.setattr(summary.sys, "executable", "/opt/bin/python")


def test_duckdb(tmp_path: Path) -> None:
    """Through the package, or the tool where there is one; paths as short as they can be."""
    config = DuckDBDestinationConfig(type="duckdb", path=ResourcePath(tmp_path / "my shop.duckdb"), table="a.b")

    assert look_command(config) == (
        """/opt/bin/python -c 'import duckdb; duckdb.connect("my shop.duckdb", read_only=True)"""
        """.sql("FROM a.b LIMIT 10").show()'"""
    )


def test_duckdb_by_its_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool is shorter to type."""
    monkeypatch.setattr(summary.shutil, "which", lambda name: f"/usr/bin/{name}")
    config = DuckDBDestinationConfig(type="duckdb", path=ResourcePath("/elsewhere/x.duckdb"), table="t")

    assert look_command(config) == "duckdb -readonly /elsewhere/x.duckdb -c 'FROM t LIMIT 10'"


def test_parquet(tmp_path: Path) -> None:
    """All parts of the folder."""
    config = ParquetDestinationConfig(type="parquet", path=ResourcePath(tmp_path / "it's"))

    command = look_command(config)

    assert "FROM 'it''s/*.parquet*' LIMIT 10".replace("'", "'\"'\"'") in command


def test_postgres_shows_no_password() -> None:
    """The tool asks for it, or finds it in the variable that the recipe found it in."""
    keys = PostgresDestinationConfig(
        type="postgres", host="db", port=5433, user="me", password=Secret("not-for-a-shell"), database="d", table="s.t"
    )
    by_reference = PostgresDestinationConfig(
        type="postgres", dsn=Secret("postgresql://me:pw@db/d", "{{ env.WAREHOUSE_URL }}"), table="t"
    )
    literal = PostgresDestinationConfig(type="postgres", dsn=Secret("postgresql://me:pw@db/d"), table="t")

    assert look_command(keys) == "psql -h db -p 5433 -U me -d d -c 'SELECT * FROM s.t LIMIT 10'"
    assert look_command(by_reference) == "psql \"$WAREHOUSE_URL\" -c 'SELECT * FROM t LIMIT 10'"
    assert look_command(literal) is None


def test_others() -> None:
    """A kind of destination that nothing is known of has no such command."""
    assert look_command(None) is None
    assert look_command(SimpleNamespace(type="memory")) is None
