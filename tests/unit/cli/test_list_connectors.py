"""`arrowload list-connectors`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def test_what_is_built_in(call: Callable) -> None:
    """Each connector, step and state backend with a line about it."""
    result = call("list-connectors", "--format", "json")
    entries = {(entry["kind"], entry["name"]): entry for entry in json.loads(result.out)}

    assert (result.code, result.err) == (0, "")
    for kind in ("source", "destination"):
        for name in ("csv", "duckdb", "memory", "parquet", "postgres"):
            assert entries[kind, name]["installed"]
            assert entries[kind, name]["summary"]
    assert ("transform step", "rename_columns") in entries
    assert ("state backend", "local") in entries


def test_plug_ins(spawn: Callable, plugin_environment: dict[str, str]) -> None:
    """A plug-in is listed like any other; one that cannot be used is listed with the reason."""
    listed = spawn("list-connectors", "--format", "json", env=plugin_environment)
    entries = {entry["name"]: entry for entry in json.loads(listed.out) if entry["kind"] == "source"}
    text = spawn("list-connectors", env=plugin_environment)

    assert entries["endless"] == {
        "kind": "source",
        "name": "endless",
        "summary": "Never ends.",
        "installed": True,
        "problem": None,
    }
    assert not entries["needy"]["installed"]
    assert "needs the package `arrowload_test_absent`" in entries["needy"]["problem"]
    assert text.code == 0
    assert "  needy           (the source `needy` needs the package `arrowload_test_absent`" in text.out
