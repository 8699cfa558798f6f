"""File names that are taken once, and paths as a recipe writes them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from arrowload.core.exceptions import ConnectorError, TransientConnectorError
from arrowload.io.files import link_new, make_folder, os_errors
from arrowload.models.units import ResourcePaths


def test_a_name_is_taken_once(tmp_path):
    """The second link to one name says so and changes nothing."""
    for text in ("one", "two"):
        (tmp_path / text).write_text(text)
    assert link_new(tmp_path / "one", tmp_path / "name")
    assert not link_new(tmp_path / "two", tmp_path / "name")
    assert (tmp_path / "name").read_text() == "one"


def test_a_file_system_without_hard_links(tmp_path, monkeypatch):
    """Refused with what to do; a full disk there is a full disk."""

    def fail(code):
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(code, os.strerror(code))))

    fail(errno.EPERM)
    with pytest.raises(ConnectorError, match="no hard links"):
        link_new(tmp_path / "a", tmp_path / "b")
    fail(errno.ENOSPC)
    with pytest.raises(TransientConnectorError, match="make room"), os_errors(tmp_path):
        link_new(tmp_path / "a", tmp_path / "b")


def test_make_folder_is_repeatable(tmp_path):
    """Folders on the way are made; one that is there is left alone."""
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_paths_of_a_recipe():
    """One path or a list; relative ones start from the recipe's folder."""
    assert ResourcePaths.resolve("a/*.csv", "/r") == ("/r/a/*.csv",)
    assert ResourcePaths.resolve(["../a.csv", "/b.csv"], "/r") == ("/a.csv", "/b.csv")
    for wrong in (5, [], [5], ""):
        with pytest.raises(ValueError, match="not a path"):
            ResourcePaths.resolve(wrong, "/r")


def test_configs_import_no_driver():
    """Decoding a recipe with csv and parquet in it imports neither pyarrow's readers nor DuckDB nor Polars."""
    code = (
        "import sys, arrowload.connectors.csv, arrowload.connectors.parquet\n"
        "print([m for m in ('pyarrow', 'pyarrow.csv', 'pyarrow.parquet', 'duckdb', 'polars') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
