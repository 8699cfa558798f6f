"""Hosts whose clock is wrong: called in a run's process before it begins, as a defect is."""

from __future__ import annotations

import datetime as dt
import time
from types import SimpleNamespace

import msgspec

from arrowload.io import aws
from arrowload.state import document, dynamodb, local


def a_day_ahead() -> None:
    """What the state backends take for now is tomorrow."""
    _shift(dt.timedelta(days=1))


def a_day_behind() -> None:
    """What the state backends take for now is yesterday."""
    _shift(-dt.timedelta(days=1))


def _shift(by: dt.timedelta) -> None:
    # The types of its fields are resolved by its first use.
    msgspec.json.decode(b"{}", type=document.Document)

    class Shifted(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
            return dt.datetime.now(tz) + by

    for module in (aws, document, dynamodb):
        module.dt = SimpleNamespace(**{**vars(dt), "datetime": Shifted})  # type: ignore[attr-defined]
    local.time = SimpleNamespace(**{**vars(time), "time": lambda: time.time() + by.total_seconds()})  # type: ignore[attr-defined]
