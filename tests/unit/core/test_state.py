"""State keeps its values, with type and precision, through JSON."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arrowload.core.exceptions import StateError
from arrowload.core.secret import Secret
from arrowload.core.state import CursorValue, State

ZONES = (
    st.timezones()
    | st.none()
    | st.just(dt.UTC)
    | st.builds(lambda m: dt.timezone(dt.timedelta(minutes=m)), st.integers(-1439, 1439))
)
# Names are text of any kind, the tag of our own encoding among them.
NAMES = st.text(max_size=8) | st.just("$type") | st.just("value")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.datetimes(timezones=ZONES)
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.builds(CursorValue, st.text(), st.text())
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))
PARTS = st.dictionaries(NAMES, VALUES, max_size=4)


def same(left: Any, right: Any) -> bool:
    """Equal, of the same type, NaN being equal to itself, and times of the same offset."""
    if type(left) is not type(right):
        return False
    match left:
        case float():
            return repr(left) == repr(right)
        case decimal.Decimal():
            return left.as_tuple() == right.as_tuple()
        case dt.datetime():
            return left.isoformat() == right.isoformat()
        case list():
            return len(left) == len(right) and all(map(same, left, right))
        case dict():
            return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
        case _:
            return bool(left == right)


@given(PARTS, PARTS, PARTS, PARTS)
def test_every_value_survives_json(cursors: Any, watermarks: Any, checkpoints: Any, metadata: Any) -> None:
    """Timestamps with µs and offset, decimals, integers of any size, dates, times, uuids, bytes, NaN; nested too."""
    state = State(cursor_values=cursors, watermarks=watermarks, checkpoints=checkpoints, metadata=metadata)

    back = State.from_json(state.to_json())

    for name in state.__struct_fields__:
        assert same(getattr(back, name), getattr(state, name))


@given(PARTS)
def test_any_json_reader_reads_it_without_loss(metadata: dict[str, Any]) -> None:
    """No number is beyond what a reader in doubles keeps, and none is NaN or infinite."""

    def refuse(text: str) -> None:
        raise AssertionError(text)

    def exact(text: str) -> int:
        assert int(float(text)) == int(text)
        return int(text)

    json.loads(State(metadata=metadata).to_json(), parse_constant=refuse, parse_int=exact)


def test_the_format_is_readable_and_stable() -> None:
    """Keys are sorted, so that equal states have equal bytes."""
    state = State(
        cursor_values={"at": dt.datetime(2026, 1, 2, 3, 4, 5, 678901, dt.UTC), "amount": decimal.Decimal("1.20")},
        metadata={"b": 1, "a": 2**60},
    )

    assert json.loads(state.to_json()) == {
        "checkpoints": {},
        "cursor_values": {
            "amount": {"$type": "decimal", "value": "1.20"},
            "at": {"$type": "timestamp", "value": "2026-01-02T03:04:05.678901+00:00"},
        },
        "metadata": {"a": {"$type": "integer", "value": str(2**60)}, "b": 1},
        "watermarks": {},
    }
    assert (
        state.to_json()
        == State(cursor_values=dict(reversed(state.cursor_values.items())), metadata=state.metadata).to_json()
    )


def test_a_zone_is_kept_as_its_offset() -> None:
    """The instant and the offset are what a cursor needs; rules of a zone are not the state's."""
    at = dt.datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))

    back = State.from_json(State(cursor_values={"at": at}).to_json()).cursor_values["at"]

    assert back == at
    assert back.utcoffset() == dt.timedelta(hours=2)


def test_infinities_and_nan_are_kept() -> None:
    """JSON has no words for them."""
    values = {"inf": math.inf, "minus": -math.inf, "nan": math.nan}

    back = State.from_json(State(metadata=values).to_json()).metadata

    assert (back["inf"], back["minus"]) == (math.inf, -math.inf)
    assert math.isnan(back["nan"])


@pytest.mark.fault(36)
@pytest.mark.parametrize(
    "metadata", [{"password": Secret("hunter2-canary")}, {"nested": [{"deep": Secret("hunter2-canary")}]}]
)
def test_secrets_are_refused(metadata: dict[str, Any]) -> None:
    """A secret in state would end in the ledger too; the error says where it is and not what it is."""
    with pytest.raises(StateError, match=r"state cannot hold a secret at `\$\.metadata\.") as caught:
        State(metadata=metadata).to_json()

    assert "canary" not in str(caught.value)


def test_other_objects_are_refused() -> None:
    """Rather than stored as something else."""
    with pytest.raises(StateError, match=r"cannot hold a `set` at `\$.watermarks.x`"):
        State(watermarks={"x": {1, 2}}).to_json()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"metadata": 1}',
        b'{"unknown": {}}',
        b'{"metadata": {"a": {"$type": "decimal", "value": "x"}}}',
        b'{"metadata": {"a": {"$type": "timestamp", "value": 1}}}',
        b'{"metadata": {"a": {"$type": "planet", "value": "x"}}}',
        b'{"metadata": {"a": {"$type": "integer"}}}',
        b'{"metadata": {"a": {"$type": "integer", "value": 1.5}}}',
        b'{"metadata": {"a": {"$type": "duration", "value": {}}}}',
        b'{"metadata": {"a": {"$type": "uuid", "value": null}}}',
        b'{"metadata": {"a": {"$type": "cursor", "value": "x"}}}',
        b'{"metadata": {"a": {"$type": "bytes", "value": "%"}}}',
        b'{"metadata": {"a": {"$type": "mapping", "value": 1}}}',
        b'{"metadata": {"a": {"$type": "mapping", "value": [[1, 2]]}}}',
        b'{"metadata": {"a": {"$type": ["x"], "value": 1}}}',
        b'{"metadata": {"a": "\xff"}}',
        b'{"metadata": ' + b'{"a":' * 100_000,
    ],
)
def test_what_is_no_state_is_refused(data: bytes) -> None:
    """With a StateError, whatever is wrong."""
    with pytest.raises(StateError):
        State.from_json(data)
