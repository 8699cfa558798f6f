"""The names that the package offers, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import arrowload

HEAVY = ("pyarrow", "polars", "duckdb", "adbc_driver_postgresql", "msgspec", "yaml", "jinja2", "fsspec")


def test_every_public_name_is_there() -> None:
    """`__all__` is sorted, without repeats, and each name in it can be had."""
    assert sorted(set(arrowload.__all__)) == arrowload.__all__

    for name in arrowload.__all__:
        assert getattr(arrowload, name) is not None


def test_plan_is_the_function_after_its_folder_was_imported() -> None:
    """No subpackage hides a public function of the same name."""
    import arrowload.engine.job
    import arrowload.planning.planner

    assert all(callable(getattr(arrowload, name)) for name in ("plan", "run", "read", "stream", "preview", "validate"))


def test_import_loads_no_driver() -> None:
    """`import arrowload` costs next to nothing."""
    code = f"import sys, arrowload; print([m for m in {HEAVY!r} if m in sys.modules])"

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "[]"
