"""Values that must appear nowhere: they print as ***, refuse to be serialised, and are masked in every message."""

from __future__ import annotations

import json
import re
from typing import NoReturn

MASK = "***"
_SECRET_NAME = re.compile(r"(?i)passw|secret|token|credential|api_?key|access_?key|private_?key|dsn|_pwd$|^pwd_")

# Every secret value met by this process. Text that leaves it (errors, logs, reports, plans) passes through `mask`.
_known: set[str] = set()


class Secret:
    """A value that prints as `***`.

    Args:
        value: The secret itself.
        reference: The template that it came from, such as `{{ env.DB_PASSWORD }}`. It stands in for the value
            wherever a plan is written down, so that a worker with the same environment can find the value again.
    """

    __slots__ = ("_value", "reference")

    def __init__(self, value: str, reference: str | None = None) -> None:
        self._value = value
        self.reference = reference
        register_secret(value)

    def reveal(self) -> str:
        """The value, for the driver that needs it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be serialised")


def register_secret(value: str) -> None:
    """Have `mask` hide `value` from now on; for parts of a secret too, such as the password within a DSN."""
    if value:
        _known.add(value)
        # As JSON writes it, in which most text leaves the process.
        _known.add(json.dumps(value)[1:-1])
        _known.add(json.dumps(value, ensure_ascii=False)[1:-1])


def register_by_name(name: str, value: str) -> None:
    """As `register_secret`, for the value of an environment variable whose name sounds like a secret's."""
    if len(value) >= 4 and _SECRET_NAME.search(name):
        register_secret(value)


def mask(text: str) -> str:
    """`text` with every known secret replaced by `***`.

    A secret of fewer than four characters is replaced only where it stands as a word of its own, since it would
    otherwise shred the text around it.
    """
    found = [value for value in tuple(_known) if value in text]
    for value in sorted(found, key=len, reverse=True):
        pattern = re.escape(value) if len(value) >= 4 else rf"(?<!\w){re.escape(value)}(?!\w)"
        text = re.sub(pattern, MASK, text)
    return text
