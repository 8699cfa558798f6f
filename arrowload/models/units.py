"""Values that a recipe writes in a form of its own: `1GiB`, `10m`, paths that start from the recipe."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
from typing import Final

_SIZES: Final = {"": 1, "B": 1, **{f"{p}B": 1000**i for i, p in enumerate("kMGT", 1)}}
_BINARY_SIZES: Final = {f"{p}iB": 1024**i for i, p in enumerate("KMGT", 1)}
_PERIODS: Final = {
    "us": dt.timedelta(microseconds=1),
    "ms": dt.timedelta(milliseconds=1),
    "s": dt.timedelta(seconds=1),
    "m": dt.timedelta(minutes=1),
    "h": dt.timedelta(hours=1),
    "d": dt.timedelta(days=1),
}
_MAX_DURATION: Final = 100  # characters


class ByteSize(int):
    """A number of bytes; a recipe writes `65536`, `64KiB` or `1GB`."""

    @classmethod
    def parse(cls, value: object) -> ByteSize:
        """Raises ValueError when `value` is no size."""
        units = {name.lower(): factor for name, factor in (_SIZES | _BINARY_SIZES).items()}
        match = re.fullmatch(r"(\d{1,18}(?:\.\d+)?)\s*([a-z]*)", str(value).strip().lower())
        if isinstance(value, bool) or match is None or match[2] not in units:
            raise ValueError(f"`{value}` is not a size; write one as 512MiB or 1GB")
        return cls(float(match[1]) * units[match[2]])

    def __str__(self) -> str:
        for unit, factor in reversed(_BINARY_SIZES.items()):
            if self >= factor:
                return f"{self / factor:.4g}{unit}"
        return f"{int(self)}B"


class Duration(dt.timedelta):
    """A span of time; a recipe writes `250ms`, `10m` or `1h30m`."""

    @classmethod
    def parse(cls, value: object) -> Duration:
        """Raises ValueError when `value` is no span of time."""
        # In endless digits a search would begin anew at each of them.
        text = str(value) if len(str(value)) <= _MAX_DURATION else ""
        parts = re.findall(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d)", text)
        if not parts or "".join(number + unit for number, unit in parts) != text.replace(" ", ""):
            raise ValueError(f"`{value}` is not a span of time; write one as 30s, 10m or 1h30m")
        try:
            total = sum((float(number) * _PERIODS[unit] for number, unit in parts), dt.timedelta())
        except OverflowError as exc:
            raise ValueError(f"`{value}` is longer than {dt.timedelta.max.days} days") from exc
        return cls(days=total.days, seconds=total.seconds, microseconds=total.microseconds)


class ChunkSize:
    """How much is committed at once; a recipe writes `1000000` (rows), `1GiB` or `10m`.

    Attributes:
        rows, bytes, seconds: One of them; the others are None.
    """

    __slots__ = ("bytes", "rows", "seconds")

    def __init__(self, *, rows: int | None = None, bytes: int | None = None, seconds: float | None = None) -> None:  # noqa: A002
        self.rows, self.bytes, self.seconds = rows, bytes, seconds

    @classmethod
    def parse(cls, value: object) -> ChunkSize:
        """Raises ValueError when `value` is none of these."""
        text = str(value).strip()
        if not isinstance(value, bool) and re.fullmatch(r"[1-9]\d{0,17}", text.replace("_", "")):
            return cls(rows=int(text))
        with contextlib.suppress(ValueError):
            if (span := Duration.parse(text)) > dt.timedelta():
                return cls(seconds=span.total_seconds())
        with contextlib.suppress(ValueError):
            if re.search("[a-zA-Z]", text) and (size := ByteSize.parse(text)):
                return cls(bytes=int(size))
        raise ValueError(f"`{value}` is no chunk; write one as 1000000 (rows), 1GiB or 10m")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChunkSize) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        if self.rows is not None:
            return f"{self.rows} rows"
        return str(ByteSize(self.bytes)) if self.bytes is not None else f"{self.seconds:g} s"


class Share(float):
    """A part of a whole, from 0 to 1; a recipe writes `50%` or `0.5`."""

    @classmethod
    def parse(cls, value: object) -> Share:
        """Raises ValueError when `value` is no share."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", str(value).strip())
        share = float(match[1]) / (100 if match[2] else 1) if match is not None else -1.0
        if isinstance(value, bool) or not 0 <= share <= 1:
            raise ValueError(f"`{value}` is not a share; write one as 50% or 0.5")
        return cls(share)

    def __str__(self) -> str:
        return f"{self * 100:g}%"


class ResourcePath(str):
    """Where files are: a path or an fsspec URL; a relative path starts from the folder of the recipe."""

    __slots__ = ()

    @classmethod
    def resolve(cls, value: object, root: str) -> ResourcePath:
        """`value` with a relative path joined to `root`; raises ValueError when it is no text."""
        if not isinstance(value, str) or not value:
            raise ValueError(f"`{value}` is not a path")
        if "://" in value or value.startswith(":"):
            return cls(value)
        return cls(os.path.normpath(os.path.join(root, os.path.expanduser(value))))  # noqa: PTH111, PTH118 - globs


class ResourcePaths(tuple[ResourcePath, ...]):
    """One path or a list of them, each a file, a folder or a glob; a recipe writes `a.csv` or `[a.csv, b/*.csv]`."""

    __slots__ = ()

    @classmethod
    def resolve(cls, value: object, root: str) -> ResourcePaths:
        """`value` with relative paths joined to `root`; raises ValueError when it is neither text nor a list of it."""
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not items:
            raise ValueError(f"`{value}` is not a path or a list of paths")
        return cls(ResourcePath.resolve(item, root) for item in items)

    def __str__(self) -> str:
        return ", ".join(self)
