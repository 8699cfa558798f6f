"""Whatever a template holds, it is refused, or renders as by Jinja2, from names that it may use and nothing else."""

from __future__ import annotations

import contextlib
import re
import sys
from typing import TYPE_CHECKING, Any, Final

from jinja2 import StrictUndefined
from jinja2 import TemplateError as JinjaError
from jinja2 import UndefinedError as JinjaUndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from arrowload.models.template_grammar import NAMESPACES, TemplateError
from arrowload.models.templates import FILTERS, UndefinedError, Value, render
from tests.fuzz.engine import Target, briefly

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES: Final[dict[str, Any]] = {
    # What a value holds is never read as a template again.
    "env": {"A": "{{ var.b }}", "PATH": "/bin", "EMPTY": ""},
    "var": {"b": "{%x%}", "n": 7, "t": True, "f": 1.5, "none": None, "m": {"k": "v", "items": "i"}, "l": ["x"]},
    "recipe": {"name": "r"},
    "param": {"a": " A ", "n": "12"},
}
# What no reading of a template needs: https://docs.python.org/3/library/audit_events.html
_FORBIDDEN: Final = ("compile", "exec", "import", "open", "os.", "subprocess.", "socket.", "ctypes.", "pickle.")

_watched = False
_seen: list[str] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched or not event.startswith(_FORBIDDEN):
        return
    # Jinja2 has a number with a point read by `ast.literal_eval`.
    if event == "compile" and isinstance(arguments[0], bytes) and re.fullmatch(rb"[0-9.eE+-]+", arguments[0]):
        return
    _seen.append(event)


@contextlib.contextmanager
def _watching() -> Iterator[None]:
    global _watched  # noqa: PLW0603 - an audit hook stays for the life of the process
    _watched = True
    try:
        yield
    finally:
        _watched = False


class _Names:
    """Looks names up in plain mappings, and remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def lookup(self, parts: tuple[str, ...]) -> Value:
        self.asked.append(parts)
        value: Any = _NAMES
        for part in parts:
            if not isinstance(value, dict) or part not in value:
                raise UndefinedError("not defined")
            value = value[part]
        return Value(value)


def _finalize(value: Any) -> Any:
    return ("true" if value else "false") if isinstance(value, bool) else value


class _ItemsFirst(ImmutableSandboxedEnvironment):
    """`m.items` is what the mapping has under that name, if anything, and not its method."""

    getattr = ImmutableSandboxedEnvironment.getitem


_jinja = _ItemsFirst(undefined=StrictUndefined, keep_trailing_newline=True, finalize=_finalize, autoescape=False)
_jinja.filters = {"default": _jinja.filters["default"], **FILTERS}


def check(data: bytes) -> None:
    """Render `data`, which once more becomes text by whatever means."""
    text, names = data.decode("utf-8", "replace"), _Names()
    _seen.clear()
    try:
        with _watching():
            value = render(text, names)
    except TemplateError:
        value = None
    assert not _seen, _seen
    for parts in names.asked:
        assert parts[0] in NAMESPACES
        assert len(parts) > 1
        assert all(part.isidentifier() and not part.startswith("__") for part in parts), parts
    assert value is None or isinstance(value, str | int | float | dict | list)
    if isinstance(value, str):
        _compare(text, value)


def _compare(text: str, value: str) -> None:
    try:
        expected = _jinja.from_string(text).render(_NAMES)
    except (JinjaUndefinedError, ValueError):
        return  # a default may stand for more here
    except JinjaError as exc:
        raise AssertionError(f"Jinja2 refuses what was rendered as {value!r}") from exc
    assert value == expected


TARGET = Target("templates", check)


def test_any_text_is_refused_or_rendered_from_names_alone() -> None:
    """No code is compiled, run or imported; no name but those of the four namespaces is looked up."""
    briefly(TARGET)


# What is imported by the first template of a process is not seen as its doing.
render(r"{{ '\N{BULLET}' | default('') }}", _Names())
sys.addaudithook(_hook)
