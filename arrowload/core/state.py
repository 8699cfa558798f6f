"""What a recipe remembers between runs; values keep their type and full precision through JSON."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import uuid
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from arrowload.core.exceptions import StateError
from arrowload.core.json_errors import UNREADABLE_JSON
from arrowload.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

StateValue: TypeAlias = (
    "bool | int | float | str | bytes | decimal.Decimal | uuid.UUID | CursorValue"
    " | dt.datetime | dt.date | dt.time | dt.timedelta | list[StateValue] | dict[str, StateValue] | None"
)

_TAG = "$type"


class CursorValue(msgspec.Struct, frozen=True):
    """A cursor as the database itself writes it, so that no precision of the column is lost on the way.

    Attributes:
        text: The value as the database's own text, in UTC where it has a zone.
        type: What kind of value it is: `time`, `number`, `text` or `uuid`.
    """

    text: str
    type: str


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What one recipe remembers.

    Attributes:
        cursor_values: Source column → how far it has been loaded.
        watermarks: Name of a watermark (`modified` of a file source) → its value.
        checkpoints: Where the last commit stands: `generation`, `seq`.
        metadata: All else: `pipeline_id`, what the bounds belong to, the columns that row hashes were taken over.
    """

    cursor_values: dict[str, Any] = {}
    watermarks: dict[str, Any] = {}
    checkpoints: dict[str, Any] = {}
    metadata: dict[str, Any] = {}

    def to_json(self) -> bytes:
        """UTF-8 JSON, keys sorted; types that JSON lacks are tagged: `{"$type": "decimal", "value": "1.20"}`.

        Raises:
            StateError: A value has a type that state cannot hold, or is a secret.
        """
        return msgspec.json.encode(
            {name: _encode(getattr(self, name), f"$.{name}") for name in self.__struct_fields__}, order="sorted"
        )

    @classmethod
    def from_json(cls, data: bytes | str) -> State:
        """The inverse of `to_json`.

        Raises:
            StateError: `data` is not a state.
        """
        try:
            raw = msgspec.json.decode(data, type=dict[str, dict[str, Any]])
            return cls(**{name: _decode_mapping(part) for name, part in raw.items()})
        except (*UNREADABLE_JSON, ArithmeticError, TypeError, ValueError, KeyError) as exc:
            raise StateError(f"this is not a state: {exc}") from exc


def _timedelta_to_text(value: dt.timedelta) -> str:
    return f"{value // dt.timedelta(microseconds=1)}us"


def _timedelta_from_text(text: str) -> dt.timedelta:
    return dt.timedelta(microseconds=int(text.removesuffix("us")))


def _bytes_from_text(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


# Tag → (type, to text, from text). `datetime` precedes `date`, whose subclass it is.
_CODECS: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "timestamp": (dt.datetime, dt.datetime.isoformat, dt.datetime.fromisoformat),
    "date": (dt.date, dt.date.isoformat, dt.date.fromisoformat),
    "time": (dt.time, dt.time.isoformat, dt.time.fromisoformat),
    "duration": (dt.timedelta, _timedelta_to_text, _timedelta_from_text),
    "decimal": (decimal.Decimal, str, decimal.Decimal),
    "uuid": (uuid.UUID, str, uuid.UUID),
    "bytes": (bytes, lambda value: base64.b64encode(value).decode(), _bytes_from_text),
    "cursor": (CursorValue, msgspec.to_builtins, lambda value: msgspec.convert(value, CursorValue)),
}

# Beyond these a JSON reader that works in doubles would lose digits (RFC 8259, section 6).
_MAX_SAFE_INTEGER = 2**53 - 1


def _encode(value: Any, path: str) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _MAX_SAFE_INTEGER else {_TAG: "integer", "value": str(value)}
    if isinstance(value, float):
        return value if value - value == 0 else {_TAG: "float", "value": repr(value)}
    if isinstance(value, list | tuple):
        return [_encode(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict):
        encoded = {key: _encode(item, f"{path}.{key}") for key, item in value.items()}
        return {_TAG: "mapping", "value": encoded} if _TAG in encoded else encoded
    for tag, (kind, to_text, _) in _CODECS.items():
        if isinstance(value, kind):
            return {_TAG: tag, "value": to_text(value)}
    what = "a secret" if isinstance(value, Secret) else f"a `{type(value).__name__}`"
    raise StateError(f"state cannot hold {what} at `{path}`", context={"path": path})


def _decode_mapping(value: Any) -> dict[str, Any]:
    decoded = _decode(value)
    if not isinstance(decoded, dict):
        raise TypeError(f"a mapping was expected where there is a `{type(decoded).__name__}`")
    return decoded


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    tag = value.get(_TAG)
    if tag is None:
        return {key: _decode(item) for key, item in value.items()}
    inner: Any = value["value"]
    wanted = dict if tag in ("mapping", "cursor") else str
    if not isinstance(value["value"], wanted):
        raise TypeError(f"a `{wanted.__name__}` was expected behind the tag `{tag}`")
    match tag:
        case "mapping":
            return {key: _decode(item) for key, item in inner.items()}
        case "integer":
            return int(inner)
        case "float":
            return float(inner)
        case _:
            return _CODECS[tag][2](inner)
