"""What every state backend promises, as tests; subclass `StateBackendConformance` in a test module of your own."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

import pytest

from arrowload.core.exceptions import BusyError
from arrowload.core.state import CursorValue, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from arrowload.core.state_backend import Lease, LeasingStateBackend, OperableStateBackend

_THREADS = 8
_ROUNDS = 25

# Every kind of value that a state holds, where JSON alone would change it.
FULL_STATE = State(
    cursor_values={
        "at": CursorValue("2024-01-01 00:00:00.000001+00", "time"),
        "größe 🚀": CursorValue("it's", "text"),
        "moment": dt.datetime(2024, 1, 1, 12, 0, 0, 1, tzinfo=dt.UTC),
        "without zone": dt.datetime(1, 1, 1, 0, 0, 0, 999_999),
        "day": dt.date(9999, 12, 31),
        "time": dt.time(23, 59, 59, 999_999),
        "span": dt.timedelta(days=-3, microseconds=1),
        "exact": Decimal("12345678901234567890.1200"),
        "id": uuid.UUID(int=7),
    },
    watermarks={
        "modified": {"newest_ns": 1_700_000_000_123_456_789, "files": {"a/b.csv": [2**63, 0]}},
        "bytes": b"\x00\xff",
        "floats": [0.1, -0.0, 1e308],
        "none": None,
        "flags": [True, False],
    },
    checkpoints={"generation": 1, "seq": 2**70, "load_id": "x"},
    metadata={"$type": "not a tag", "nested": {"$type": {"deep": [{}, []]}}, "": ""},
)


class StateBackendConformance:
    """The suite, over a place that holds no state at the start of each test.

    A subclass gives the fixtures `make_backend` and, for a backend with leases, `acquire_and_die`.

    Attributes:
        supports_leases: It has `acquire`, `renew`, `compare_and_swap` and `release`.
        supports_history: It has, besides, `facts`, `history` and `unlock`.
    """

    supports_leases: ClassVar[bool] = True
    supports_history: ClassVar[bool] = True

    @pytest.fixture
    def make_backend(self) -> Callable[[], LeasingStateBackend]:
        """Makes backends over the one place, each as a process of its own would."""
        raise NotImplementedError

    @pytest.fixture
    def acquire_and_die(self) -> Callable[[str, str], None]:
        """Has another process take the lease of a recipe for an owner, and die without giving it back."""
        raise NotImplementedError

    def test_the_state_of_an_unknown_recipe_is_empty(self, make_backend: Callable[[], LeasingStateBackend]) -> None:
        """And stays so by being asked."""
        backend = make_backend()

        assert backend.load("orders") == State()
        assert make_backend().load("orders") == State()

    def test_what_is_saved_is_loaded(self, make_backend: Callable[[], LeasingStateBackend]) -> None:
        """Every value with its type and all its digits, by a process that comes later; the last one saved."""
        backend = make_backend()
        backend.save("orders", State(metadata={"old": 1}))
        backend.save("orders", FULL_STATE)

        assert backend.load("orders") == FULL_STATE
        loaded = make_backend().load("orders")
        assert loaded == FULL_STATE
        assert [type(value) for value in loaded.cursor_values.values()] == [
            type(FULL_STATE.cursor_values[name]) for name in loaded.cursor_values
        ]
        assert str(loaded.cursor_values["exact"]) == "12345678901234567890.1200"

    def test_recipes_do_not_know_of_each_other(self, make_backend: Callable[[], LeasingStateBackend]) -> None:
        """However alike their names are."""
        names = ["a", "a.b", "a.json", "a.lock", "a.json.new", "a.00000001", "a-b", "a_b", "history", "0", "x" * 100]
        for number, name in enumerate(names):
            make_backend().save(name, State(metadata={"number": number}))

        backend = make_backend()
        assert [backend.load(name).metadata["number"] for name in names] == list(range(len(names)))
        if self.supports_leases:
            leases = [backend.acquire(name, "me", above=0) for name in names]
            for lease in leases:
                backend.release(lease)

    def test_the_lease_is_for_one(self, make_backend: Callable[[], LeasingStateBackend]) -> None:
        """Others are told who has it, and leave it as it is; once given back, the next may have it."""
        self._needs_leases()
        first, second = make_backend(), make_backend()
        lease = first.acquire("orders", "host-1 pid 7", above=0)

        for _ in range(2):
            with pytest.raises(BusyError, match="host-1 pid 7"):
                second.acquire("orders", "host-2 pid 8", above=0)
        stored = first.compare_and_swap(lease, FULL_STATE)
        first.release(stored)
        later = second.acquire("orders", "host-2 pid 8", above=0)

        assert (lease.recipe, lease.owner) == ("orders", "host-1 pid 7")
        assert (later.owner, later.version) == ("host-2 pid 8", stored.version)
        assert later.epoch > lease.epoch

    def test_the_holder_may_take_a_higher_epoch(self, make_backend: Callable[[], LeasingStateBackend]) -> None:
        """Above one that it met in a ledger; the lease that it had before is worth nothing then."""
        self._needs_leases()
        backend = make_backend()
        before = backend.acquire("orders", "me", above=0)
        after = backend.acquire("orders", "me", above=before.epoch + 41)

        assert after.epoch > before.epoch + 41
        with pytest.raises(BusyError):
            backend.compare_and_swap(before, FULL_STATE)
        backend.compare_and_swap(after, FULL_STATE)
        assert backend.load("orders") == FULL_STATE

    def test_epochs_rise_over_all(
        self, make_backend: Callable[[], LeasingStateBackend], acquire_and_die: Callable[[str, str], None]
    ) -> None:
        """Over release, a new process, a death with the lease in hand, and a state that is stored in between."""
        self._needs_leases()
        epochs = []
        for step in range(4):
            backend = make_backend()
            lease = backend.acquire("orders", f"run {step}", above=0)
            epochs.append(lease.epoch)
            backend.compare_and_swap(lease, State(metadata={"step": step}))
            backend.save("orders", State(metadata={"saved": step}))
            backend.release(lease)
            if step % 2:
                acquire_and_die("orders", "a run that dies")
        last = make_backend().acquire("orders", "last", above=0)

        assert all(earlier < later for earlier, later in zip(epochs, [*epochs[1:], last.epoch], strict=True))
        assert last.epoch >= epochs[0] + 6
        assert make_backend().load("orders") == State(metadata={"saved": 3})

    def test_the_home_outlives_the_runs(self, make_backend: Callable[[], LeasingStateBackend]) -> None:
        """It tells this memory from another: the same for every lease of a recipe, and not the other recipe's."""
        self._needs_leases()
        homes = []
        for name in ("orders", "orders", "returns"):
            backend = make_backend()
            lease = backend.acquire(name, "me", above=0)
            homes.append(backend.compare_and_swap(lease, FULL_STATE).home)
            backend.release(lease)

        assert homes[0] == homes[1]
        assert homes[0]
        assert homes[2] != homes[0]

    def test_a_stale_version_is_refused(self, make_backend: Callable[[], LeasingStateBackend]) -> None:
        """What somebody stored since the lease was taken is not written over, and the version goes up by each store."""
        self._needs_leases()
        backend = make_backend()
        lease = backend.acquire("orders", "me", above=0)
        newer = backend.compare_and_swap(lease, State(metadata={"n": 1}))
        with pytest.raises(BusyError):
            backend.compare_and_swap(lease, State(metadata={"n": 2}))
        newest = backend.compare_and_swap(newer, State(metadata={"n": 3}))
        make_backend().save("orders", State(metadata={"n": 4}))
        with pytest.raises(BusyError):
            backend.compare_and_swap(newest, State(metadata={"n": 5}))

        assert lease.version < newer.version < newest.version
        assert lease.epoch == newer.epoch == newest.epoch
        assert make_backend().load("orders") == State(metadata={"n": 4})

    def test_a_stale_epoch_is_refused(self, make_backend: Callable[[], LeasingStateBackend]) -> None:
        """A run that another one took over from cannot store any more, though nothing was stored since."""
        self._needs_leases()
        paused, successor = make_backend(), make_backend()
        old = paused.acquire("orders", "paused", above=0)
        paused.release(old)
        new = successor.acquire("orders", "successor", above=0)
        with pytest.raises(BusyError):
            paused.compare_and_swap(old, State(metadata={"by": "paused"}))
        successor.compare_and_swap(new, State(metadata={"by": "successor"}))

        assert make_backend().load("orders") == State(metadata={"by": "successor"})

    def test_a_lease_may_be_given_back_twice(self, make_backend: Callable[[], LeasingStateBackend]) -> None:
        """The second time changes nothing for who has it by then."""
        self._needs_leases()
        first, second, third = make_backend(), make_backend(), make_backend()
        lease = first.acquire("orders", "first", above=0)
        first.release(lease)
        second.acquire("orders", "second", above=0)
        first.release(lease)

        with pytest.raises(BusyError, match="second"):
            third.acquire("orders", "third", above=0)

    def test_of_many_at_once_one_wins(self, make_backend: Callable[[], LeasingStateBackend]) -> None:
        """Round by round: one has the lease and counts one up, all others are told; no count is lost."""
        self._needs_leases()
        barrier = threading.Barrier(_THREADS)
        won: list[Lease] = []
        inside: list[int] = []
        failures: list[BaseException] = []

        def take_part(number: int) -> None:
            try:
                backend = make_backend()
                for _ in range(_ROUNDS):
                    barrier.wait(60)
                    lease = None
                    try:
                        lease = backend.acquire("orders", f"thread {number}", above=0)
                        inside.append(number)
                        assert len(inside) == 1, f"{inside} have the lease at once"
                        count = backend.load("orders").metadata.get("count", 0)
                        lease = backend.compare_and_swap(lease, State(metadata={"count": count + 1}))
                        won.append(lease)
                    except BusyError:
                        pass
                    barrier.wait(60)
                    if lease is not None:
                        inside.remove(number)
                        backend.release(lease)
            except BaseException as exc:  # noqa: BLE001 - raised by the test
                failures.append(exc)
                barrier.abort()

        threads = [threading.Thread(target=take_part, args=(number,)) for number in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        if failures:
            raise failures[0]
        assert len(won) == _ROUNDS
        assert make_backend().load("orders").metadata == {"count": _ROUNDS}
        assert [lease.epoch for lease in won] == sorted({lease.epoch for lease in won})

    def test_people_can_see_who_has_the_lease(self, make_backend: Callable[[], OperableStateBackend]) -> None:
        """And since when; nobody has it before, nor after."""
        self._needs_history()
        backend, looking = make_backend(), make_backend()
        before = looking.facts("orders")
        lease = backend.acquire("orders", "host-1 pid 7", above=0)
        during = looking.facts("orders")
        backend.release(backend.compare_and_swap(lease, FULL_STATE))
        after = looking.facts("orders")

        assert (before["version"], before["epoch"], before["lease"]) == (0, 0, None)
        assert during["lease"]["owner"] == "host-1 pid 7"
        assert abs(dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(during["lease"]["since"])).total_seconds() < 60
        assert (after["version"], after["epoch"], after["lease"]) == (1, lease.epoch, None)

    def test_the_dead_hold_no_lease(
        self,
        make_backend: Callable[[], OperableStateBackend],
        acquire_and_die: Callable[[str, str], None],
    ) -> None:
        """Of a process of this machine it is known that it has ended: nobody waits for it."""
        self._needs_history()
        make_backend().save("orders", FULL_STATE)
        acquire_and_die("orders", "a run that dies")

        backend = make_backend()
        assert backend.facts("orders")["lease"] is None
        backend.release(backend.acquire("orders", "the next", above=0))

    def test_a_lease_is_renewed_by_its_holder_alone(self, make_backend: Callable[[], OperableStateBackend]) -> None:
        """Renewing changes nothing else; who was taken over is told."""
        self._needs_history()
        holder, rival = make_backend(), make_backend()
        lease = holder.acquire("orders", "holder", above=0)
        for _ in range(3):
            holder.renew(lease)
        stored = holder.compare_and_swap(lease, FULL_STATE)
        taken_from = rival.unlock("orders")
        with pytest.raises(BusyError):
            holder.renew(stored)
        taken = rival.acquire("orders", "rival", above=0)
        with pytest.raises(BusyError):
            holder.renew(stored)
        with pytest.raises(BusyError):
            holder.compare_and_swap(stored, State())
        holder.release(stored)

        assert taken_from == "holder"
        assert rival.facts("orders")["lease"]["owner"] == "rival"
        rival.renew(taken)
        assert rival.load("orders") == FULL_STATE

    def test_unlocking_what_nobody_holds_changes_nothing(
        self, make_backend: Callable[[], OperableStateBackend]
    ) -> None:
        """Neither an unknown recipe nor one whose lease was given back."""
        self._needs_history()
        backend = make_backend()
        assert backend.unlock("orders") is None
        backend.release(backend.acquire("orders", "me", above=0))

        assert backend.unlock("orders") is None
        assert backend.facts("orders")["epoch"] == 1

    def test_the_last_versions_are_kept(self, make_backend: Callable[[], OperableStateBackend]) -> None:
        """The present one and five before it, newest first; leases and renewals are no versions."""
        self._needs_history()
        backend = make_backend()
        assert backend.history("orders") == []
        lease = backend.acquire("orders", "me", above=0)
        for n in range(1, 9):
            backend.renew(lease)
            lease = backend.compare_and_swap(lease, State(metadata={"n": n}))
        backend.release(lease)

        kept = make_backend().history("orders")
        assert [(each.version, each.state.metadata["n"]) for each in kept] == [(n, n) for n in (8, 7, 6, 5, 4, 3)]
        assert {each.epoch for each in kept} == {lease.epoch}
        assert make_backend().history("other") == []

    def _needs_history(self) -> None:
        if not self.supports_history:
            pytest.skip("the backend declares that people cannot look into it")

    def _needs_leases(self) -> None:
        if not self.supports_leases:
            pytest.skip("the backend declares that it has no leases")
