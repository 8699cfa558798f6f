"""Whatever a recipe file holds, there is a recipe or one line that says what is wrong and where, soon."""

from __future__ import annotations

import contextlib
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from arrowload.core import secret
from arrowload.core.exceptions import DataLoaderError, MissingExtraError, RecipeError
from arrowload.models.loader import RecipeLoader
from arrowload.models.yaml_reader import read_yaml
from tests.fuzz.engine import Target, briefly

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_SECONDS: Final = 5.0
_MOST_KIBIBYTES: Final = 256 * 1024
_MOST_CHARACTERS: Final = 4000
_ENV: Final = {"DB_HOST": "h", "DB_PASSWORD": "pass word", "X": "{{ var.x }}\n"}

_BASE: Final = """\
vars: {x: 1}
source: {type: csv, path: a.csv}
transform: {steps: [{type: drop, columns: [a]}]}
destination: {type: memory, name: out}
"""
_MACROS: Final = (
    "macros: {m: {params: {a: {default: 1}}, steps: [{type: rename_columns, mapping: {a: '{{ param.a }}'}}]}}"
)

_folders: list[Path] = []


@contextlib.contextmanager
def _folder() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        (folder / "base.yaml").write_text(_BASE)
        (folder / "macros.yaml").write_text(_MACROS)
        _folders.append(folder)
        try:
            yield
        finally:
            _folders.remove(folder)


def check(data: bytes) -> None:
    """Load `data` as YAML and as JSON."""
    for name in ("r.yaml", "r.json"):
        path = _folders[-1] / name
        path.write_bytes(data)
        memory, start = _peak(), time.thread_time()
        try:
            _load(path)
        except (RecipeError, MissingExtraError) as exc:
            _check_complaint(exc, path, data)
        finally:
            # Secrets are masked for the life of a process, which here has millions of them.
            secret._known.clear()
        assert time.thread_time() - start < _MOST_SECONDS
        assert _peak() - memory < _MOST_KIBIBYTES


def _load(path: Path) -> None:
    loader = RecipeLoader(path.parent, env=_ENV)
    loader.load(path)
    resolved = loader.resolve(path)
    read_yaml(resolved.to_yaml(), "resolved")


def _check_complaint(error: DataLoaderError, path: Path, data: bytes) -> None:
    message = str(error)
    assert message.isprintable(), message
    assert len(message) < _MOST_CHARACTERS
    if isinstance(error, MissingExtraError):
        return
    assert message.startswith((str(path.parent), "--var")), message
    if error.context["file"] == str(path):
        assert 0 <= error.context["line"] <= len(data.decode(errors="replace").splitlines()) + 1
        assert (error.context["column"] > 0) is (error.context["line"] > 0)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


TARGET = Target("recipe_loader", check, seeds=("recipes/*.yaml", "recipes/*/*.yaml"), prepared=_folder)


def test_any_text_is_a_recipe_or_draws_one_line() -> None:
    """Only the project's own errors, each of one line with a place; in bounded time and memory."""
    briefly(TARGET)
