"""Which tests are marked as the test of which row of the catalogue, read from their source."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parents[1]


def marked_tests() -> dict[int, list[str]]:
    """Row → ids of its tests, without parameters."""
    found = defaultdict(list)
    for file in sorted(TESTS.rglob("test_*.py")):
        text = file.read_text()
        if "mark.fault(" in text:
            for name, numbers in _marked(ast.parse(text)):
                for number in numbers:
                    found[number].append(f"{file.relative_to(TESTS.parent).as_posix()}::{name}")
    return dict(found)


def _marked(module: ast.Module) -> Iterator[tuple[str, list[int]]]:
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef):
            for decorator in function.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fault":
                    yield function.name, [ast.literal_eval(number) for number in decorator.args]
