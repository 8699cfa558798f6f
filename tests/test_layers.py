"""The house has floors: a module imports from its own floor or below."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import arrowload

PACKAGE = Path(arrowload.__file__).parent

# The longest prefix wins.
FLOORS = {
    "_version": 0,
    "_rust": 1,
    "core.exceptions": 0,
    "core.typing": 0,
    "core.names": 0,
    "core.registry": 0,
    "core.secret": 0,
    "core.failpoint": 0,
    "kernels": 1,
    "core": 2,
    "models": 3,
    "planning": 4,
    "io": 5,
    "state": 5,
    "checks": 6,
    "connectors": 6,
    "transforms": 6,
    "engine": 7,
    "api": 8,
    "cli": 8,
    "testing": 8,
    "__main__": 8,
    "": 9,
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor(name: str) -> int:
    parts = name.split(".")
    while parts and ".".join(parts) not in FLOORS:
        parts.pop()
    return FLOORS[".".join(parts)]


def imports(path: Path) -> list[str]:
    """Modules of this package that `path` imports, wherever in the file it does."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name.removeprefix("arrowload").removeprefix(".") for name in found if name.split(".")[0] == "arrowload"]


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_module_imports_from_its_own_floor_or_below(path: Path) -> None:
    """Reading upwards, a newcomer never meets a name that has not been introduced."""
    here = module_name(path)

    above = [name for name in imports(path) if floor(name) > floor(here)]

    assert not above, f"{here} (floor {floor(here)}) imports from above: {above}"


def test_every_module_has_a_floor() -> None:
    """A new folder is given a floor, and does not fall through to the roof."""
    homeless = [module_name(p) for p in MODULES if floor(module_name(p)) == FLOORS[""] and module_name(p)]

    assert homeless == []


def test_an_import_from_above_is_found(tmp_path: Path) -> None:
    """The check itself can fail."""
    module = tmp_path / "module.py"
    module.write_text("from arrowload.engine import commit\n")

    assert imports(module) == ["engine.commit"]
    assert floor("engine.commit") > floor("core.batch")
