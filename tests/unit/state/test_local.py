"""One JSON file a recipe: nothing half written, nothing overwritten unseen, one runner at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from arrowload.core.exceptions import BusyError, StateError
from arrowload.core.registry import state_backends
from arrowload.core.state import State
from arrowload.core.state_backend import LeasingStateBackend
from arrowload.state.local import LocalStateBackend, LocalStateConfig

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = """
import sys
from arrowload.state.local import LocalStateBackend
LocalStateBackend(sys.argv[1]).acquire("orders", "otherhost process 42", above=0)
print("held", flush=True)
sys.stdin.read()
"""
SAVER = """
import sys
from arrowload.core.state import State
from arrowload.state.local import LocalStateBackend
LocalStateBackend(sys.argv[1]).save("orders", State(watermarks={"n": 2}))
"""


@pytest.fixture
def backend(tmp_path: Path) -> LocalStateBackend:
    """A backend in an empty folder."""
    return LocalStateBackend(tmp_path)


def state(n: int) -> State:
    """A state that can be told from others."""
    return State(watermarks={"n": n})


def document(folder: Path) -> dict[str, Any]:
    """What the file holds."""
    loaded: dict[str, Any] = json.loads((folder / "orders.json").read_bytes())
    return loaded


def test_what_is_saved_is_loaded(backend: LocalStateBackend, tmp_path: Path) -> None:
    """By the same backend and by another one; each recipe has its own."""
    backend.save("orders", state(1))
    backend.save("other.recipe", state(2))

    assert backend.load("orders") == state(1)
    assert LocalStateBackend(tmp_path).load("other.recipe") == state(2)
    assert backend.load("unknown") == State()


def test_the_backend_is_made_by_name(tmp_path: Path) -> None:
    """Beside the recipe, unless a path says otherwise."""
    state_backends.create("local", LocalStateConfig(), str(tmp_path)).save("orders", state(1))

    assert (tmp_path / ".arrowload" / "state" / "orders.json").exists()
    assert isinstance(state_backends.create("local", LocalStateConfig(), str(tmp_path)), LeasingStateBackend)


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version": "x"}', b"\xff\xfe"])
def test_a_file_that_is_no_state_is_refused(backend: LocalStateBackend, tmp_path: Path, damage: bytes) -> None:
    """The error names the file and the way out."""
    (tmp_path / "orders.json").write_bytes(damage)

    with pytest.raises(StateError, match=r"orders\.json.* cannot be used.*arrowload repair"):
        backend.load("orders")


@pytest.mark.fault(36)
def test_a_flipped_bit_is_refused(backend: LocalStateBackend, tmp_path: Path) -> None:
    """Wherever it is: in the state, in the epoch that would let an old run commit, in the name of a field."""
    backend.compare_and_swap(backend.acquire("orders", "me", above=0), state(1))
    path = tmp_path / "orders.json"
    whole = path.read_bytes()

    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(StateError):
            backend.load("orders")


@pytest.mark.fault(36)
def test_a_newer_format_is_refused(backend: LocalStateBackend, tmp_path: Path) -> None:
    """Rather than read by guessing."""
    backend.save("orders", state(1))
    (tmp_path / "orders.json").write_text(json.dumps(document(tmp_path) | {"format": 3, "unheard_of": 1}))

    with pytest.raises(StateError, match="format 3 is of a newer arrowload"):
        backend.load("orders")


def test_a_state_of_the_first_format_is_read(backend: LocalStateBackend, tmp_path: Path) -> None:
    """As runs of arrowload before leases were part of it left it; the next change brings it to the present format."""
    raw = state(1).to_json()
    written = {"format": 1, "version": 4, "epoch": 7, "home": "here", "crc32": zlib.crc32(raw)}
    (tmp_path / "orders.json").write_bytes(json.dumps(written).encode()[:-1] + b', "state":' + raw + b"}")

    lease = backend.acquire("orders", "me", above=0)

    assert (lease.version, lease.epoch, lease.home) == (4, 8, "here")
    assert backend.load("orders") == state(1)
    assert document(tmp_path)["format"] == 2
    backend.release(lease)


# ---------------------------------------------------------------- one runner


def test_a_second_runner_is_told_who_holds_the_lock(backend: LocalStateBackend, tmp_path: Path) -> None:
    """And gets it as soon as that process has died, however it died."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            with pytest.raises(BusyError, match=r"`orders` is being run by otherhost process 42 since \d{4}-.* UTC"):
                backend.acquire("orders", "me", above=0)
        finally:
            holder.kill()
    lease = backend.acquire("orders", "me", above=0)

    assert lease.epoch == 2
    backend.release(lease)


@pytest.mark.fault(32)
def test_two_backends_of_one_process_exclude_each_other(backend: LocalStateBackend, tmp_path: Path) -> None:
    """As two notebooks cells would run; other recipes are free."""
    other = LocalStateBackend(tmp_path)
    lease = backend.acquire("orders", "me", above=0)

    with pytest.raises(BusyError):
        other.acquire("orders", "me too", above=0)
    other.release(other.acquire("customers", "me too", above=0))
    backend.release(lease)

    other.release(other.acquire("orders", "me too", above=0))


def test_releasing_twice_is_harmless(backend: LocalStateBackend) -> None:
    """The engine releases in a `finally`."""
    lease = backend.acquire("orders", "me", above=0)

    backend.release(lease)
    backend.release(lease)


def test_epochs_rise_with_every_lease(backend: LocalStateBackend) -> None:
    """Above those given, for the holder too; saving a state keeps the epoch."""
    first = backend.acquire("orders", "me", above=0)
    again = backend.acquire("orders", "me", above=first.epoch)
    far = backend.acquire("orders", "me", above=40)
    backend.compare_and_swap(far, state(1))
    backend.save("orders", state(2))
    backend.release(far)

    assert (first.epoch, again.epoch, far.epoch) == (1, 2, 41)
    assert backend.acquire("orders", "me", above=0).epoch == 42


def test_after_the_file_is_lost_the_epoch_follows_the_fence(backend: LocalStateBackend, tmp_path: Path) -> None:
    """The destination keeps the last epoch; the engine asks for one above it."""
    backend.release(backend.acquire("orders", "me", above=6))
    (tmp_path / "orders.json").unlink()

    assert backend.acquire("orders", "me", above=0).epoch == 1
    assert backend.acquire("orders", "me", above=7).epoch == 8


def test_a_home_lasts_as_long_as_its_state_file(backend: LocalStateBackend, tmp_path: Path) -> None:
    """It tells a load that this state was not told of from one of another machine."""
    first = backend.acquire("orders", "me", above=0)
    backend.compare_and_swap(first, state(1))
    backend.save("orders", state(2))
    backend.release(first)
    again = backend.acquire("orders", "me", above=0)
    backend.release(again)
    (tmp_path / "orders.json").unlink()
    lost = backend.acquire("orders", "me", above=0)

    assert first.home == again.home
    assert lost.home not in ("", first.home)


# ---------------------------------------------------------------- compare and swap


def test_compare_and_swap_stores_what_nobody_changed(backend: LocalStateBackend, tmp_path: Path) -> None:
    """And returns the lease for the next."""
    lease = backend.acquire("orders", "me", above=0)

    lease = backend.compare_and_swap(lease, state(1))
    lease = backend.compare_and_swap(lease, state(2))

    assert (lease.version, document(tmp_path)["version"]) == (2, 2)
    assert backend.load("orders") == state(2)


def test_compare_and_swap_refuses_what_it_has_not_seen(backend: LocalStateBackend, tmp_path: Path) -> None:
    """Another version, another epoch, or a file that was removed."""
    lease = backend.acquire("orders", "me", above=0)
    backend.save("orders", state(1))

    with pytest.raises(BusyError, match="version 1, epoch 1, where 0 and 1 were expected"):
        backend.compare_and_swap(lease, state(2))
    newer = backend.acquire("orders", "me", above=0)
    with pytest.raises(BusyError, match="was changed by someone else"):
        backend.compare_and_swap(lease, state(2))
    assert backend.load("orders") == state(1)
    (tmp_path / "orders.json").unlink()
    with pytest.raises(BusyError, match="version 0, epoch 0"):
        backend.compare_and_swap(newer, state(2))


# ---------------------------------------------------------------- history, crashes


def test_the_last_five_versions_are_kept(backend: LocalStateBackend, tmp_path: Path) -> None:
    """Beside the present one; those of a recipe whose name begins alike are left alone."""
    backend.save("orders.extra", state(0))
    backend.save("orders.extra", state(0))
    for n in range(1, 9):
        backend.save("orders", state(n))

    kept = sorted(path.name for path in (tmp_path / "history").glob("orders.0*"))
    assert kept == [f"orders.{n:08}.json" for n in range(3, 8)]
    assert json.loads((tmp_path / "history" / kept[0]).read_bytes())["state"]["watermarks"] == {"n": 3}
    assert (tmp_path / "history" / "orders.extra.00000001.json").exists()


@pytest.mark.parametrize(("site", "kept"), [("state.temporary", 1), ("state.renamed", 2)])
def test_a_kill_while_saving_leaves_the_old_state_or_the_new(
    backend: LocalStateBackend, tmp_path: Path, site: str, kept: int
) -> None:
    """Never half of one; the next save works."""
    backend.save("orders", state(1))
    environment = os.environ | {"ARROWLOAD_FAILPOINTS": f"{site}=kill9"}

    ended = subprocess.run([sys.executable, "-c", SAVER, str(tmp_path)], env=environment, check=False, timeout=60)

    assert ended.returncode == -signal.SIGKILL
    assert backend.load("orders") == state(kept)
    backend.save("orders", state(3))
    assert LocalStateBackend(tmp_path).load("orders") == state(3)


def test_a_state_that_cannot_be_read_leaves_the_recipe_unlocked(backend: LocalStateBackend, tmp_path: Path) -> None:
    """So that, in the same process, removing the file is enough to go on."""
    (tmp_path / "orders.json").write_bytes(b"damaged")

    with pytest.raises(StateError):
        backend.acquire("orders", "me", above=0)
    (tmp_path / "orders.json").unlink()

    other = LocalStateBackend(tmp_path)
    other.release(other.acquire("orders", "me", above=0))


def test_who_was_unlocked_does_not_take_the_lease_back(backend: LocalStateBackend, tmp_path: Path) -> None:
    """A run that was taken for dead asks for a higher epoch: the next one has the recipe, and keeps it."""
    lease = backend.acquire("orders", "taken for dead", above=0)
    other = LocalStateBackend(tmp_path)
    assert other.unlock("orders") == "taken for dead"
    taken = other.acquire("orders", "the next", above=0)

    with pytest.raises(BusyError, match="run by the next"):
        backend.acquire("orders", "taken for dead", above=lease.epoch)
    with pytest.raises(BusyError):
        backend.compare_and_swap(lease, state(1))
    backend.release(lease)
    with pytest.raises(BusyError, match="run by the next"):
        backend.acquire("orders", "taken for dead", above=0)
    other.release(other.compare_and_swap(taken, state(2)))
    backend.release(backend.acquire("orders", "taken for dead", above=0))
