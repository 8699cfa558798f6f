"""Whatever bytes a state's place holds, they are refused or give the state that was stored: nothing in between."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import uuid
from typing import Final

import msgspec

from arrowload.core.exceptions import StateError
from arrowload.core.state import CursorValue, State
from arrowload.state.document import Document, DocumentStateBackend, Stored, _sealed
from tests.fuzz.engine import Target, briefly
from tests.fuzz.mutations import altered

_STATE: Final = State(
    cursor_values={"updated_at": CursorValue("2024-02-29 12:30:00.123456", "time"), "id": 2**63},
    watermarks={"modified": {"newest_ns": 1, "forgotten_ns": 0, "files": {"a\u2028.csv": [1, 2]}}},
    checkpoints={"generation": 1, "seq": 2, "share": 0.1, "none": None},
    metadata={
        "pipeline_id": uuid.UUID(int=7),
        "at": dt.datetime(2024, 2, 29, 12, 30, tzinfo=dt.UTC),
        "sum": decimal.Decimal("1.20"),
        "bytes": b"\0\xff",
        "span": dt.timedelta(microseconds=1),
        "$type": [dt.date(1, 1, 1), dt.time(23, 59), math.inf],
    },
)
_STORED: Final = msgspec.json.encode(
    _sealed(Document(version=3, epoch=2, home="h", state=msgspec.Raw(_STATE.to_json())))
)
_FORMAT_1: Final = b'{"format":1,"version":3,"crc32":%d,"state":%s}'


class _Store:
    """One document, which is what it is said to be."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def location(self, name: str) -> str:
        return "memory"

    def read(self, name: str, *, for_update: bool = False) -> Stored | None:
        return Stored(self._data, "token", 0.0)

    def write(self, name: str, data: bytes, *, over: str | None) -> bool:
        raise AssertionError("nothing is written here")

    def keep(self, name: str, version: int, data: bytes) -> None:
        raise AssertionError("nothing is kept here")

    def kept(self, name: str) -> dict[int, bytes]:
        return {2: self._data}


def _loaded(data: bytes) -> State | None:
    """The state, None when it was refused; every way to look at it answers alike."""
    backend = DocumentStateBackend(_Store(data))
    try:
        state = backend.load("r")
    except StateError:
        state = None
    for look in (backend.facts, backend.history):
        try:
            look("r")
        except StateError:
            assert state is None or look == backend.history
    return state


def check(data: bytes) -> None:
    """Load `data` itself, a stored document altered by it, and `data` as a state under a checksum of its own."""
    _loaded(data)
    damaged = altered(_STORED, data)
    state = _loaded(damaged)
    assert state is None or state == _STATE, damaged
    _check_state(data)


def _check_state(data: bytes) -> None:
    try:
        state = State.from_json(data)
    except StateError:
        return
    again = State.from_json(state.to_json())
    assert again.to_json() == state.to_json()
    sealed = msgspec.json.encode(_sealed(Document(state=msgspec.Raw(state.to_json()))))
    loaded = _loaded(sealed)
    assert loaded is not None
    assert loaded.to_json() == state.to_json()


TARGET = Target("state_documents", check)


def test_any_bytes_are_refused_or_the_state_that_was_stored() -> None:
    """No error but StateError; no damage is taken for a state."""
    briefly(TARGET)
