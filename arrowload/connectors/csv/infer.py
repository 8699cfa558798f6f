"""Which type a column of texts has: the narrowest that holds every text of the sample without changing it.

| texts | type |
| --- | --- |
| `true` and `false`, in any case | bool |
| integers without leading zeros or plus | int64; decimal128(38,0) when one is too large for it |
| numbers | float64, if a double gives each of them back; else decimal128(38,s), with s digits after the point |
| `2024-02-29` | date32 |
| `2024-02-29 12:30:00.5`, with `T` or a space | timestamp[us], or [ns] when one has more than 6 digits |
| the same, each with `Z` or an offset | timestamp[us, UTC] |
| all else: `007`, `+49 30`, `12E4`, `31/12/2024`, a column of NULLs | string |

A text with a leading zero is a code and no number; `12E4` more likely is one than 120000, so that an exponent needs a
sign or a point (`1e+5`, `1.2e5`). Dates that could be read in two ways are left as they are: a cast step says how.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from typing import Final

import pyarrow as pa

from arrowload.core.lazy import compute as pc

_EXPONENT: Final = r"[eE][+-]?[0-9]+"
INTEGER: Final = r"^(-?[1-9][0-9]*|0)$"
NUMBER: Final = (
    r"^(-?(0|[1-9][0-9]*)([eE][+-][0-9]+)?|-?((0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)(" + _EXPONENT + r")?"
    r"|[nN][aA][nN]|-?[iI][nN][fF])$"
)
_DATE: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_TIMESTAMP: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?$"
_TIMESTAMPTZ: Final = _TIMESTAMP[:-1] + r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
_BOOLEAN: Final = r"^(?i:true|false)$"

# In the order in which they are preferred.
_PATTERNS: Final = {
    "bool": _BOOLEAN,
    "integer": INTEGER,
    "number": NUMBER,
    "date": _DATE,
    "timestamp": _TIMESTAMP,
    "timestamptz": _TIMESTAMPTZ,
}
# From the first of these to before the second, text by text: what dates and timestamps can be. One with a zone may be
# a day earlier or later in UTC.
_YEARS: Final = ("0001", ":")
_YEARS_UTC: Final = ("0001-01-02", "9999-12-31")
_NANOSECONDS: Final = ("1677-09-22", "2262-04-11")
_MAX_DIGITS: Final = 38
# Scalars are made once: pyarrow looks for pandas at each one that it makes, which costs more than the kernel.
# A decimal number of up to 15 significant digits comes back from a double as it was (IEEE 754).
SAFE_LENGTH: Final = pa.scalar(15, pa.int32())
_ZERO: Final = pa.scalar(0, pa.int32())
_ONE: Final = pa.scalar(1, pa.int32())
_GLANCE: Final = 64


def looks_typed(text: str) -> bool:
    """Whether `text` is a value rather than the name of a column: a number, a date, a boolean."""
    return any(re.match(pattern, text) for pattern in _PATTERNS.values())


class ColumnProfile:
    """What the texts of one column have in common; fed piece by piece."""

    def __init__(self) -> None:
        self._kinds = list(_PATTERNS)
        self._any = False
        self._in_int64 = True
        self._in_double = True
        self._in_decimal = True
        self._in_us = True
        self._in_ns = True
        self._digits = 0
        self._scale = 0

    def feed(self, texts: pa.Array) -> None:
        """Take in more texts; NULLs say nothing."""
        texts = texts.drop_null() if texts.null_count else texts
        if not len(texts) or (self._any and not self._kinds):
            return
        self._any = True
        # A glance at a few spares most columns most of the patterns.
        for piece in (texts[:_GLANCE], texts[_GLANCE:]):
            self._kinds = [kind for kind in self._kinds if self._is_kind(kind, piece)]
        if "number" in self._kinds:
            self._measure_numbers(texts)
        elif "timestamp" in self._kinds or "timestamptz" in self._kinds:
            self._in_us &= not pc.any(pc.match_substring_regex(texts, r"\.[0-9]{7,}")).as_py()
            self._in_ns &= _all_within(texts, _NANOSECONDS)

    def _is_kind(self, kind: str, texts: pa.Array) -> bool:
        if not len(texts):
            return True
        if not pc.all(pc.match_substring_regex(texts, _PATTERNS[kind])).as_py():
            return False
        # The pattern lets 2024-02-30 pass.
        checked = {"date": pa.date32(), "timestamp": pa.timestamp("s"), "timestamptz": pa.timestamp("s", "UTC")}
        if kind not in checked:
            return True
        whole = pc.replace_substring_regex(texts, r"\.[0-9]+", "")
        years = _YEARS_UTC if kind == "timestamptz" else _YEARS
        return _casts(whole, checked[kind]) and _all_within(texts, years)

    def _measure_numbers(self, texts: pa.Array) -> None:
        lengths = pc.binary_length(texts)
        if "integer" in self._kinds:
            self._in_int64 = self._in_int64 and _casts(texts, pa.int64())
            self._in_double &= pc.max(lengths).as_py() <= SAFE_LENGTH.as_py()
            self._digits = max(self._digits, pc.max(lengths).as_py())
            return
        # An exponent may lead out of a double's range in few characters.
        doubtful = pc.or_(pc.greater(lengths, SAFE_LENGTH), pc.match_substring(texts, "e", ignore_case=True))
        doubted = texts.filter(doubtful)
        if self._in_double and len(doubted):
            self._in_double = not any(map(is_damaged_by_double, doubted.to_pylist()))
        if pc.any(pc.match_substring_regex(texts, r"[a-zA-Z]")).as_py():
            self._in_decimal = False
            return
        digits = pc.utf8_ltrim(texts, "-")
        point = pc.find_substring(digits, ".")
        length = pc.binary_length(digits)
        has_point = pc.greater_equal(point, _ZERO)
        scales = pc.if_else(has_point, pc.subtract(pc.subtract(length, point), _ONE), _ZERO)
        wholes = pc.if_else(has_point, point, length)
        self._scale = max(self._scale, pc.max(scales).as_py())
        self._digits = max(self._digits, pc.max(wholes).as_py())

    def result(self) -> pa.DataType:
        """The type, by what was fed so far."""
        kind = self._kinds[0] if self._any and self._kinds else "text"
        match kind:
            case "bool":
                return pa.bool_()
            case "integer" if self._in_int64:
                return pa.int64()
            case "number" if self._in_double:
                return pa.float64()
            case "integer" | "number" if self._in_decimal and self._digits + self._scale <= _MAX_DIGITS:
                return pa.decimal128(_MAX_DIGITS, self._scale)
            case "date":
                return pa.date32()
            case "timestamp" | "timestamptz" if self._in_us or self._in_ns:
                return pa.timestamp("us" if self._in_us else "ns", "UTC" if kind == "timestamptz" else None)
            case _:
                return pa.string()


def is_damaged_by_double(text: str) -> bool:
    """Whether a double does not give the number `text` back."""
    value = float(text)
    if text.lower().lstrip("-") in ("nan", "inf"):
        return False
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return True  # an exponent that no decimal has
    return math.isinf(value) or Decimal(repr(value)) != exact


def _all_within(texts: pa.Array, bounds: tuple[str, str]) -> bool:
    """Whether all texts, at least one, are in order between two; dates written largest unit first are."""
    found = pc.min_max(texts)
    return bool(bounds[0] <= found["min"].as_py() and found["max"].as_py() < bounds[1])


def _casts(texts: pa.Array, data_type: pa.DataType) -> bool:
    try:
        pc.cast(texts, data_type)
    except pa.ArrowInvalid:
        return False
    return True
