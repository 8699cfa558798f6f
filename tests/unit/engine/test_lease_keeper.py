"""A run hears of it when its lease is lost, and may take another."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

import pytest

from arrowload.core.exceptions import BusyError, TransientConnectorError
from arrowload.engine.lease_keeper import LeaseKeeper
from arrowload.state.document import DocumentStateBackend
from arrowload.state.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TTL = dt.timedelta(seconds=1.5)


@pytest.fixture
def backend(tmp_path: Path) -> DocumentStateBackend:
    return DocumentStateBackend(LocalStore(tmp_path), TTL)


@pytest.fixture
def keeper(backend: DocumentStateBackend) -> Iterator[LeaseKeeper]:
    keeper = LeaseKeeper(backend)
    yield keeper
    keeper.stop()


def lost(keeper: LeaseKeeper) -> None:
    """Wait until the keeper has lost its lease, and raise what it was lost by."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        keeper.check()
        time.sleep(0.01)


def test_what_another_has_taken_is_lost(backend: DocumentStateBackend, keeper: LeaseKeeper) -> None:
    """At the next renewal."""
    keeper.hold(backend.acquire("orders", "me", above=0))
    time.sleep(1)
    keeper.check()
    backend.unlock("orders")

    with pytest.raises(BusyError):
        lost(keeper)


@pytest.mark.parametrize("error", [TransientConnectorError("away"), OSError("a defect")])
def test_a_store_that_is_away_for_long_enough(
    backend: DocumentStateBackend, keeper: LeaseKeeper, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The lease is over; when the store is back, the run that starts over takes another, which is kept too."""
    renew = backend.renew

    def fail(lease: object) -> None:
        raise error

    keeper.hold(backend.acquire("orders", "me", above=0))
    monkeypatch.setattr(backend, "renew", fail)
    with pytest.raises(Exception, match=r"away|a defect"):
        lost(keeper)
    monkeypatch.setattr(backend, "renew", renew)
    keeper.hold(backend.acquire("orders", "me", above=0))
    time.sleep(1)

    keeper.check()
    assert backend.facts("orders")["lease"]["owner"] == "me"


def test_a_lease_without_an_end_needs_no_keeping(tmp_path: Path) -> None:
    """No thread is started for it."""
    backend = DocumentStateBackend(LocalStore(tmp_path))
    keeper = LeaseKeeper(backend)
    keeper.hold(backend.acquire("orders", "me", above=0))
    keeper.check()
    keeper.stop()
