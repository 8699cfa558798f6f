"""Text to values, column by column: booleans, uuids, JSON, dates and times in ISO form or in a format of one's own.

Every function takes a string array and returns an array of the same length; a text that is no value raises
`pyarrow.ArrowInvalid` or comes out as a null where there was none, both of which `casting` takes for a failure.
Numbers and ISO dates are parsed by pyarrow itself, which is strict; its `strptime` is not used, for it reads
`31.02.2020` as the second of March.
"""

from __future__ import annotations

import calendar
import decimal
import re
from functools import lru_cache
from typing import Final

import msgspec
import pyarrow as pa

from arrowload.core.json_errors import UNREADABLE_JSON
from arrowload.core.lazy import compute as pc

TRUE_TEXTS: Final = ("true", "t", "yes", "y", "on", "1")
FALSE_TEXTS: Final = ("false", "f", "no", "n", "off", "0")

_DIGITS_128: Final = 38
_DIGITS_256: Final = 76

# A time of day followed by Z or an offset from UTC.
_HAS_OFFSET: Final = r"[T ]\d\d.*(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$"
_TIME: Final = r"^\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?$"
_UUID: Final = r"^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$"
_UUID_GROUPS: Final = r"^(.{8})(.{4})(.{4})(.{4})(.{12})$"

_MONTHS: Final = "|".join(calendar.month_name[1:])
_MONTHS_SHORT: Final = "|".join(calendar.month_abbr[1:])
_DIRECTIVES: Final = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d{2})",
    "m": r"(?P<m>\d{1,2})",
    "d": r"(?P<d>\d{1,2})",
    "B": rf"(?P<B>(?i:{_MONTHS}))",
    "b": rf"(?P<b>(?i:{_MONTHS_SHORT}))",
    "H": r"(?P<H>\d{1,2})",
    "I": r"(?P<I>\d{1,2})",
    "p": r"(?P<p>(?i:am|pm))",
    "M": r"(?P<M>\d{1,2})",
    "S": r"(?P<S>\d{1,2})",
    "f": r"(?P<f>\d{1,9})",
    "z": r"(?P<z>[Zz]|[+-]\d{2}:?\d{2})",
}


class FormatError(ValueError):
    """A format that cannot be used; the message says why."""


def parse_decimal(texts: pa.Array, scale: int) -> pa.Array:
    """Numbers such as `-12.50` or `1.5e3` as decimal128(38, `scale`) or decimal256(76, `scale`), exactly.

    pyarrow wraps around in silence when the digits of a text, scaled, do not fit its integers: it reads `1e-237` and
    40 nines as something else. So it is given only texts that are too short for that; the others, long ones and those
    with exponents, are parsed one by one.
    """
    length = pc.max(pc.binary_length(texts)).as_py() or 0
    exponents = pc.or_(contains(texts, "e"), contains(texts, "E"))
    if length + scale <= _DIGITS_128 and not pc.any(exponents).as_py():
        return pc.cast(texts, pa.decimal128(_DIGITS_128, scale))
    odd = pc.fill_null(pc.or_(exponents, pc.greater(pc.binary_length(texts), _DIGITS_256 - scale)), fill_value=False)
    wide = pa.decimal256(_DIGITS_256, scale)
    if not pc.any(odd).as_py():
        return pc.cast(texts, wide)
    regular = pc.cast(pc.if_else(odd, pa.scalar(None, pa.string()), texts), wide)
    singly = [
        _decimal(text, scale) if is_odd else None
        for text, is_odd in zip(texts.to_pylist(), odd.to_pylist(), strict=True)
    ]
    return pc.coalesce(regular, pa.array(singly, wide))


def _decimal(text: str, scale: int) -> decimal.Decimal:
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,9})?", text, re.ASCII):
        raise pa.ArrowInvalid(f"`{text}` is no number")
    value = decimal.Decimal(text)
    sign, digits, exponent = value.as_tuple()
    if not any(digits):
        return decimal.Decimal(0)
    trailing = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    if value.adjusted() >= _DIGITS_256 - scale or -(int(exponent) + trailing) > scale:
        raise pa.ArrowInvalid(f"`{text}` has too many digits")
    return decimal.Decimal((sign, digits[: len(digits) - trailing], int(exponent) + trailing))


def contains(texts: pa.Array, part: str) -> pa.Array:
    """Which texts contain `part`; several times as fast as a match that ignores case."""
    return pc.greater_equal(pc.find_substring(texts, part), 0)


def parse_bool(texts: pa.Array) -> pa.Array:
    """The words of Postgres, in any case: true t yes y on 1, false f no n off 0."""
    found = pc.index_in(pc.utf8_lower(texts), value_set=pa.array([*TRUE_TEXTS, *FALSE_TEXTS], texts.type))
    return pc.less(found, len(TRUE_TEXTS))


def parse_time(texts: pa.Array, target: pa.DataType) -> pa.Array:
    """`10:30`, `10:30:00` or `10:30:00.123456`, without losing digits of the second."""
    _require(texts, _TIME)
    epoch = pc.binary_join_element_wise("1970-01-01T", texts, "")
    moments = pc.cast(pc.cast(epoch, pa.timestamp("ns")), pa.int64())
    return pc.cast(pc.cast(moments, pa.time64("ns")), target)


def parse_timestamp(texts: pa.Array, target: pa.DataType, zone: str | None) -> pa.Array:
    """ISO 8601; with a target zone each text has its own offset, or is a local time in `zone`."""
    if target.tz is None or zone is None:
        return pc.cast(texts, target)
    zoned = pc.match_substring_regex(texts, _HAS_OFFSET)
    nothing = pa.scalar(None, pa.string())
    absolute = pc.cast(pc.if_else(zoned, texts, nothing), pa.timestamp(target.unit, "UTC"))
    local = pc.cast(pc.if_else(zoned, nothing, texts), pa.timestamp(target.unit))
    return pc.coalesce(pc.cast(absolute, target), pc.cast(pc.assume_timezone(local, zone), target))


def parse_uuid(texts: pa.Array) -> pa.Array:
    """With or without hyphens, in either case."""
    _require(texts, _UUID)
    digits = pc.replace_substring(pc.if_else(pc.is_valid(texts), texts, "0" * 32), "-", "")
    raw = (
        bytes.fromhex(pc.binary_join(pa.ListArray.from_arrays([0, len(digits)], digits), "")[0].as_py())
        if len(texts)
        else b""
    )
    storage = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(texts), [None, pa.py_buffer(raw)])
    return pa.ExtensionArray.from_storage(
        pa.uuid(), pc.if_else(pc.is_valid(texts), storage, pa.scalar(None, pa.binary(16)))
    )


def format_uuid(uuids: pa.Array) -> pa.Array:
    """A uuid array as lower-case text with hyphens."""
    storage = pc.fill_null(uuids.storage, b"\0" * 16) if len(uuids) else uuids.storage
    raw = storage.buffers()[1].to_pybytes()[storage.offset * 16 : (storage.offset + len(uuids)) * 16]
    digits = raw.hex().encode()
    offsets = pa.array(range(0, 32 * len(uuids) + 1, 32), pa.int32())
    texts = pa.StringArray.from_buffers(len(uuids), offsets.buffers()[1], pa.py_buffer(digits))
    hyphened = pc.replace_substring_regex(texts, _UUID_GROUPS, r"\1-\2-\3-\4-\5")
    return pc.if_else(pc.is_valid(uuids), hyphened, pa.scalar(None, pa.string()))


def parse_json(texts: pa.Array) -> pa.Array:
    """Each text as it stands, once it has been found to be a JSON document; one call to the decoder a row."""
    decode = msgspec.json.Decoder(msgspec.Raw).decode
    try:
        for text in texts.to_pylist():
            if text is not None:
                decode(text)
    except UNREADABLE_JSON as exc:
        raise pa.ArrowInvalid(str(exc)) from exc
    return pa.ExtensionArray.from_storage(pa.json_(), texts)


def to_iso(texts: pa.Array, form: str) -> pa.Array:
    """Texts in the form `form` (the codes of `strptime`) rewritten as ISO 8601, to be parsed as such.

    Missing parts are those of midnight on 1970-01-01. Two-digit years are 1969 to 2068, as in POSIX.

    Raises:
        FormatError: `form` has a code that is not known, or gives no whole date or time.
        pyarrow.ArrowInvalid: A text does not have that form.
    """
    pattern, codes = compile_format(form)
    parts = pc.extract_regex(texts, pattern)
    if parts.null_count > texts.null_count:
        raise pa.ArrowInvalid(f"a text has not the form {form}")
    found = {code: pc.struct_field(parts, code) for code in codes}
    pieces: list[pa.Array | str] = []
    if codes & {"Y", "y"}:
        pieces += [_year(found), "-", _month(found), "-", _two(found["d"])]
    if codes & {"H", "I"}:
        pieces += ["T"] if pieces else []
        pieces += [_hour(found), ":", _two(found.get("M")), ":", _two(found.get("S"))]
        pieces += [".", found["f"]] if "f" in codes else []
        pieces += [found["z"]] if "z" in codes else []
    return pc.binary_join_element_wise(*pieces, "")


@lru_cache(maxsize=128)
def compile_format(form: str) -> tuple[str, frozenset[str]]:
    """`form` as a regular expression with one named group a code, and the codes.

    Raises:
        FormatError: A code is unknown or repeated, or the codes make no whole date or time.
    """
    pattern, codes = "", []
    for literal, code in re.findall(r"([^%]+)|%(.?)", form.replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S")):
        if literal:
            pattern += re.escape(literal)
        elif code == "%":
            pattern += "%"
        elif code in _DIRECTIVES and code not in codes:
            pattern += _DIRECTIVES[code]
            codes.append(code)
        else:
            raise FormatError(f"`%{code}` in the format `{form}` is {'repeated' if code in codes else 'not known'}")
    _check_codes(form, set(codes))
    return f"^{pattern}$", frozenset(codes)


def _check_codes(form: str, codes: set[str]) -> None:
    months, years, hours = codes & {"m", "b", "B"}, codes & {"Y", "y"}, codes & {"H", "I"}
    whole_date = len(years) == 1 and len(months) == 1 and "d" in codes
    if (years or months or "d" in codes) and not whole_date:
        raise FormatError(f"the format `{form}` gives no whole date: it needs one year, one month and one day")
    if not whole_date and not hours:
        raise FormatError(f"the format `{form}` gives neither a date nor a time")
    if len(hours) > 1 or ("I" in codes) != ("p" in codes) or (codes & {"M", "S", "f", "z"} and not hours):
        raise FormatError(f"the format `{form}` gives no whole time: it needs %H, or %I with %p")
    if ("S" in codes and "M" not in codes) or ("f" in codes and "S" not in codes):
        raise FormatError(f"the format `{form}` leaves out a part between two others")


def _year(found: dict[str, pa.Array]) -> pa.Array:
    if "Y" in found:
        return found["Y"]
    century = pc.if_else(pc.greater_equal(pc.cast(found["y"], pa.int32()), 69), "19", "20")
    return pc.binary_join_element_wise(century, found["y"], "")


def _month(found: dict[str, pa.Array]) -> pa.Array:
    for code, names in (("b", calendar.month_abbr), ("B", calendar.month_name)):
        if code in found:
            lower = pa.array([name.lower() for name in names[1:]])
            number = pc.add(pc.index_in(pc.utf8_lower(found[code]), value_set=lower), 1)
            return _two(pc.cast(number, pa.string()))
    return _two(found["m"])


def _hour(found: dict[str, pa.Array]) -> pa.Array | str:
    if "H" in found:
        return _two(found["H"])
    twelve = pc.cast(found["I"], pa.int32())
    if pc.any(pc.or_(pc.less(twelve, 1), pc.greater(twelve, 12))).as_py():
        raise pa.ArrowInvalid("an hour beside am or pm is 1 to 12")
    # 12 am is 0 and 12 pm is 12.
    hour = pc.if_else(pc.equal(twelve, 12), 0, twelve)
    afternoon = pc.equal(pc.utf8_lower(found["p"]), "pm")
    return _two(pc.cast(pc.if_else(afternoon, pc.add(hour, 12), hour), pa.string()))


def _two(digits: pa.Array | None) -> pa.Array | str:
    return "00" if digits is None else pc.utf8_lpad(digits, 2, "0")


def _require(texts: pa.Array, pattern: str) -> None:
    if not pc.all(pc.match_substring_regex(texts, pattern), min_count=0).as_py():
        raise pa.ArrowInvalid(f"a text does not match {pattern}")
