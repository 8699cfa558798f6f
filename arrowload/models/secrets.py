"""Values that may be secrets: made plain, masked, and told apart by where they came from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from arrowload.core.secret import register_secret

if TYPE_CHECKING:
    from arrowload.models.origins import Path


def plain(value: Any, keep: set[Path] | frozenset[Path] = frozenset(), path: Path = ()) -> Any:
    """`value` in dicts, lists and strs proper; strings at the paths to `keep` still know their template."""
    if isinstance(value, dict):
        return {key: plain(item, keep, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, keep, (*path, i)) for i, item in enumerate(value)]
    return str(value) if isinstance(value, str) and path not in keep else value


def reference_of(value: Any) -> str | None:
    """The template of a secret, when it gives nothing away, else None.

    It gives nothing away when all of it comes from the environment, or when it is a URL whose written part holds no
    password.
    """
    template = getattr(value, "template", None)
    if template is None:
        return None
    written = re.sub(r"\{\{.*?\}\}", "", template)
    if not written:
        return str(template)
    url = re.fullmatch(r"[A-Za-z][\w+.-]*://(?:[^:@/?]*:?@)?[^@?]*(?:\?(?P<query>.*))?", written)
    if url is None or re.search(r"(?i)(pass|pwd|secret|token|key|sig)[^=&]*=[^&]", url["query"] or ""):
        return None
    return str(template)


def register_parts(value: Any) -> None:
    """Have a secret, and each value of the environment that it holds, masked from now on.

    Parts of fewer than four characters are left alone: masking a database called `db` would shred every message.
    """
    if isinstance(value, str):
        register_secret(str(value))
    for part in getattr(value, "secrets", ()):
        if len(part) >= 4:
            register_secret(part)
