"""What a soak found, as a table, and whether anything grew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.soak.cell import Result

_MIN_SAMPLES: Final = 12
_RSS: Final = "RSS, KiB"
# What the line may rise by from the first kill to the last.
_MAY_RISE: Final = {_RSS: 16 * 1024, "open files": 3}
_MAY_RISE_ELSE: Final = 1.0
# And, where each run loads all rows, for each of them: a replace of 13,000 takes 12 MiB more than one of 500, however
# many runs came before it.
_KIB_A_ROW: Final = 1


def slope(samples: Sequence[tuple[int, int]]) -> float:
    """Of the line of least squares through (kills, count)."""
    n = len(samples)
    mean_x, mean_y = sum(x for x, _ in samples) / n, sum(y for _, y in samples) / n
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread if spread else 0.0


def slopes(result: Result) -> dict[str, float]:
    """What was counted after each rerun, by kill."""
    names = {name: None for _, counted in result.samples for name in counted}
    return {name: slope([(x, counted[name]) for x, counted in result.samples if name in counted]) for name in names}


def flaws(result: Result) -> list[str]:
    """What is wrong with a cell, one sentence each."""
    where = f"{result.destination} {result.mode}"
    found = [f"{where}: {getattr(result, name)} rows {name}" for name in ("lost", "doubled", "stale")]
    found = [text for text in found if ": 0 rows" not in text]
    found += [f"{where}: a plain rerun failed: {text}" for text in result.wedged]
    found += [f"{where}: a reader saw {text}" for text in result.torn]
    if len(result.samples) >= _MIN_SAMPLES:
        for name, rise in slopes(result).items():
            grown = result.rows * _KIB_A_ROW if (name, result.mode) == (_RSS, "replace") else 0
            if rise * result.kills > _MAY_RISE.get(name, _MAY_RISE_ELSE) + grown:
                found.append(f"{where}: {name} grows by {rise:.3g} a kill")
    return found


def table(results: Sequence[Result]) -> str:
    """One line a cell, and their sums, in Markdown."""
    head = (
        "| destination | mode | kills | before commit | after | rows | lost | doubled | stale | wedged | polls | torn"
        " | s | RSS KiB a kill | files a kill | leftovers a kill |"
    )
    lines = [head, "|---|---|" + "--:|" * 14]
    for r in results:
        rises = slopes(r)
        rest = [rise for name, rise in rises.items() if name not in _MAY_RISE]
        cells = [r.destination, r.mode, r.kills, r.before, r.after, r.rows, r.lost, r.doubled, r.stale, len(r.wedged)]
        cells += [r.polls, len(r.torn), round(r.seconds), f"{rises.get(_RSS, 0):+.1f}"]
        cells += [f"{rises.get('open files', 0):+.3f}", f"{max(rest, default=0):+.4f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    names = ("kills", "before", "after", "rows", "lost", "doubled", "stale")
    sums = [sum(getattr(r, name) for r in results) for name in names]
    sums += [sum(len(r.wedged) for r in results), sum(r.polls for r in results), sum(len(r.torn) for r in results)]
    lines.append("| all | | " + " | ".join(map(str, sums)) + f" | {round(sum(r.seconds for r in results))} | | | |")
    return "\n".join(lines)
