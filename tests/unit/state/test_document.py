"""Leases of runs that cannot be asked whether they are still there."""

from __future__ import annotations

import datetime as dt
import os
import time
from typing import TYPE_CHECKING

import pytest

from arrowload.core.exceptions import BusyError, StateError
from arrowload.core.state import State
from arrowload.state import holder
from arrowload.state.document import DocumentStateBackend
from arrowload.state.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TTL = dt.timedelta(seconds=30)


@pytest.fixture
def backend(tmp_path: Path) -> DocumentStateBackend:
    """A backend whose leases are kept alive by renewing them, over files."""
    return DocumentStateBackend(LocalStore(tmp_path), TTL)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on, this is another machine."""
    return lambda: monkeypatch.setattr(holder, "_machine", lambda: "another machine")


def age(folder: Path, seconds: float) -> None:
    """Have the state be written so many seconds ago."""
    then = time.time() - seconds
    os.utime(folder / "orders.json", (then, then))


def test_a_run_elsewhere_is_waited_for_as_long_as_its_lease_lasts(
    backend: DocumentStateBackend, tmp_path: Path, elsewhere: Callable[[], None]
) -> None:
    """Whether it has died cannot be seen; when it has not renewed its lease in time, it has lost it."""
    lease = backend.acquire("orders", "one", above=0)
    elsewhere()
    rival = DocumentStateBackend(LocalStore(tmp_path), TTL)

    age(tmp_path, 29)
    with pytest.raises(BusyError, match=r"run by one since .* if it has died, for 30 s"):
        rival.acquire("orders", "two", above=0)
    age(tmp_path, 31)
    taken = rival.acquire("orders", "two", above=0)

    assert lease.ttl_s == 30
    assert taken.epoch == lease.epoch + 1
    with pytest.raises(BusyError):
        backend.renew(lease)


def test_renewing_makes_a_lease_last(
    backend: DocumentStateBackend, tmp_path: Path, elsewhere: Callable[[], None]
) -> None:
    """From the renewal on, by the clock of the store."""
    lease = backend.acquire("orders", "one", above=0)
    age(tmp_path, 31)
    backend.renew(lease)
    elsewhere()

    with pytest.raises(BusyError):
        DocumentStateBackend(LocalStore(tmp_path), TTL).acquire("orders", "two", above=0)


def test_a_process_of_this_machine_that_has_ended_holds_nothing(backend: DocumentStateBackend, tmp_path: Path) -> None:
    """At once, also when its id belongs to another process by now."""
    pid = os.fork()
    if pid == 0:
        backend.acquire("orders", "child", above=0)
        os._exit(0)
    time.sleep(0.2)
    rival = DocumentStateBackend(LocalStore(tmp_path), TTL)
    # It has ended, and its parent has not asked how: it is still listed.
    not_waited_for = rival.acquire("orders", "two", above=0)
    os.waitpid(pid, 0)

    assert not_waited_for.epoch == 2
    assert holder.Holder(holder.this_process().machine, os.getpid(), "another start").is_gone()
    assert not holder.this_process().is_gone()


def test_a_write_whose_answer_was_lost_counts(backend: DocumentStateBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that tries again by itself hears of a lost race, and has won it."""
    write = LocalStore.write

    def written_twice(store: LocalStore, name: str, data: bytes, *, over: str | None) -> bool:
        write(store, name, data, over=over)
        return write(store, name, data, over=over)

    monkeypatch.setattr(LocalStore, "write", written_twice)
    lease = backend.acquire("orders", "me", above=0)
    lease = backend.compare_and_swap(lease, State(metadata={"n": 1}))

    assert (lease.epoch, lease.version) == (1, 1)
    assert backend.load("orders") == State(metadata={"n": 1})


@pytest.mark.fault(36)
@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_truncated_document_is_refused(backend: DocumentStateBackend, tmp_path: Path, cut: int) -> None:
    """By name and with the way out."""
    backend.save("orders", State(metadata={"n": 1}))
    path = tmp_path / "orders.json"
    path.write_bytes(path.read_bytes()[:-cut])

    with pytest.raises(StateError, match=r"orders\.json.*cannot be used.*arrowload repair"):
        backend.acquire("orders", "me", above=0)


def test_a_forgotten_state_goes_on_counting(backend: DocumentStateBackend, tmp_path: Path) -> None:
    """Versions after the damage are newer than those before it, and are what a rollback finds."""
    for n in range(4):
        backend.save("orders", State(metadata={"n": n}))
    (tmp_path / "orders.json").write_bytes(b"damaged")
    backend.forget("orders")
    backend.save("orders", State(metadata={"n": "after"}))

    kept = backend.history("orders")
    assert [each.version for each in kept] == sorted((each.version for each in kept), reverse=True)
    assert kept[0].state == State(metadata={"n": "after"})


def test_a_store_that_never_compares_well_is_given_up(
    backend: DocumentStateBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than asked for ever."""
    monkeypatch.setattr(LocalStore, "write", lambda *_, **__: False)

    with pytest.raises(BusyError, match="does not compare as it should"):
        backend.save("orders", State())


@pytest.mark.parametrize("damage", [b'"\xff"', b"[" * 100_000, b""])
def test_a_damaged_state_is_refused(backend: DocumentStateBackend, tmp_path: Path, damage: bytes) -> None:
    """As a state that cannot be used, whatever the damage is."""
    backend.acquire("orders", "one", above=0)
    stored = tmp_path / "orders.json"
    stored.write_bytes(stored.read_bytes().replace(b'"one"', damage, 1))

    with pytest.raises(StateError, match="cannot be used"):
        backend.load("orders")
