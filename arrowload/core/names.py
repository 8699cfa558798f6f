"""A name that is not known, and the known one that was perhaps meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from arrowload.core.exceptions import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known name closest to `name`, or None when none is as similar as `cutoff` (0 to 1, see difflib)."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), None)


def did_you_mean(name: str, known: Iterable[str], otherwise: str, *, cutoff: float = 0.6) -> str:
    """A hint that names the known name closest to `name`; `otherwise` when none is close."""
    near = nearest(name, known, cutoff=cutoff)
    return f"did you mean `{near}`?" if near is not None else otherwise


def require_columns(names: Iterable[str], known: Sequence[str], *, where: str = "") -> None:
    """Refuse names that are no columns.

    Args:
        names: The columns that the recipe names.
        known: Those that there are.
        where: What has the columns, as it ends the sentence: " in `orders`".

    Raises:
        RecipeError: One of `names` is not in `known`; the hint gives the nearest.
    """
    for name in names:
        if name not in known:
            raise RecipeError(
                f"there is no column `{name}`{where}",
                context={"column": name, "columns": list(known)},
                hint=did_you_mean(name, known, f"the columns here are: {', '.join(known)}"),
            )
