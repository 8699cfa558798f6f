"""Numbers and foreign text, as they are shown to people."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` on one line, without control characters: what a terminal would obey is written out."""
    one_line = " ".join(text.splitlines()) if "\n" in text or "\r" in text else text
    if one_line.isprintable():
        return one_line
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in one_line)


def rows(count: int) -> str:
    """`1,234 rows`."""
    return f"{count:,} row{'' if count == 1 else 's'}"


def size(byte_count: float) -> str:
    """`512 B`, `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if byte_count < 1024:
            return f"{byte_count:.0f} {unit}" if unit == "B" else f"{byte_count:.1f} {unit}"
        byte_count /= 1024
    return f"{byte_count:.1f} TiB"


def span(seconds: float) -> str:
    """`0.21 s`, `75 s`, `3 min 20 s`."""
    if seconds < 100:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
