"""The names that the package offers, and what importing it costs."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import arrowload
from arrowload.core.registry import destinations, sources, state_backends, transforms

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


def test_the_version_is_that_of_the_package() -> None:
    """It is written down where asking for it costs nothing."""
    assert arrowload.__version__ == importlib.metadata.version("arrowload")


def test_what_is_built_in_is_found_without_reading_entry_points() -> None:
    """Each is in the module of its name, so that only plug-ins are looked for in the installed packages."""
    for registry in (sources, destinations, transforms, state_backends):
        own = [entry for entry in importlib.metadata.entry_points(group=registry.group) if entry.dist is not None]
        built_in = [entry for entry in own if entry.dist.name == "arrowload"]
        assert built_in
        for entry in built_in:
            assert entry.value == f"{registry.home}.{entry.name}"


def test_import_loads_no_driver() -> None:
    """`import arrowload` costs next to nothing."""
    code = f"import sys, arrowload; print([m for m in {HEAVY!r} if m in sys.modules])"

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "[]"
