"""The commit protocol, step by step; that no order of steps breaks it is shown in tests/faults."""

from __future__ import annotations

import datetime as dt
from typing import Any, TypeVar

import msgspec
import pytest

from arrowload.connectors.base import LedgerEntry, LedgerHead, Sealed
from arrowload.core.exceptions import (
    BusyError,
    ConnectorError,
    EngineError,
    OutcomeUnknownError,
    StateError,
    TransientConnectorError,
)
from arrowload.core.state import State
from arrowload.core.state_backend import Lease
from arrowload.engine import commit, protocol
from arrowload.engine.commit import Run, step
from arrowload.engine.protocol import Effect, Event, Terms

E = TypeVar("E")

TERMS = Terms(
    recipe="orders",
    target="sales.orders",
    new_pipeline_id="new-id",
    write_mode="append",
    starts_over=False,
    repeats_harm=False,
    has_ledger=True,
    max_attempts=2,
)
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CUT = protocol.Failed("retryable", TransientConnectorError("cut off"))
LOST = protocol.Failed("unknown", OutcomeUnknownError("no answer"))
REFUSED = protocol.Failed("terminal", BusyError("taken over"))


def lease(epoch: int = 1, version: int = 0, home: str = "here") -> Lease:
    return Lease(recipe="orders", owner="host process 1", epoch=epoch, version=version, home=home)


def state(generation: int = 1, seq: int = 1, cursor: int = 10, pipeline_id: str = "id", home: str = "here") -> State:
    return State(
        cursor_values={"at": cursor},
        checkpoints={"generation": generation, "seq": seq},
        metadata={"pipeline_id": pipeline_id, "home": home},
    )


def entry(after: State, epoch: int = 1) -> LedgerEntry:
    generation, seq = commit.position(after)
    return LedgerEntry(
        pipeline_id="id",
        generation=generation,
        seq=seq,
        load_id=commit.load_id("id", generation, seq),
        epoch=epoch,
        recipe="orders",
        target="sales.orders",
        write_mode="append",
        lower=None,
        upper="10",
        state=after.to_json().decode(),
        schema_fingerprint="",
        rows_read=1,
        rows_written=1,
        rows_filtered=0,
        rows_rejected=0,
        rows_deduplicated=0,
        content_hash="",
        engine_version="0",
        committed_at=NOW,
    )


def head(last: State | None, epoch: int = 1, target: str = "sales.orders", pipeline_id: str = "id") -> LedgerHead:
    return LedgerHead(
        pipeline_id=pipeline_id,
        target=target,
        epoch=epoch,
        owner="",
        last=entry(last, epoch) if last is not None else None,
    )


def tally(read: int = 3, staged: int = 3, filtered: int = 0, seen: int = 0) -> protocol.Tally:
    return protocol.Tally(
        rows_read=read,
        rows_staged=staged,
        rows_filtered=filtered,
        rows_rejected=0,
        rows_seen_before=seen,
        content_hash=255,
        schema_fingerprint="print",
    )


class Driver:
    """Feeds a run with events and keeps the last effect."""

    def __init__(self, **terms: Any) -> None:
        self.run = Run(terms=msgspec.structs.replace(TERMS, **terms))
        self.effect: Effect = protocol.Finish(status=None)

    def feed(self, *events: Event) -> Driver:
        for event in events:
            self.run, self.effect = step(self.run, event)
        return self

    def expect(self, kind: type[E]) -> E:
        assert isinstance(self.effect, kind), self.effect
        return self.effect

    def failed(self, kind: type[BaseException]) -> str:
        error = self.expect(protocol.Finish).error
        assert isinstance(error, kind), error
        return str(error)

    def begin(self, stored: State, last: State | None, epoch: int = 2) -> Driver:
        """Up to the answer of the fence."""
        known = head(last, epoch - 1) if last is not None or epoch > 1 else None
        self.feed(protocol.Ready(), protocol.Leased(lease(epoch), stored), protocol.HeadRead(known))
        return self.feed(protocol.Fenced(head(last, epoch)))

    def load(self, upper: int = 20) -> Driver:
        """From the window to the request to finalize."""
        self.feed(protocol.Planned(empty=False, lower="10", upper=str(upper)))
        self.feed(protocol.Staged(tally(), State(cursor_values={"at": upper}, metadata={"seen_columns": ["a"]})))
        return self.feed(protocol.SealedStage(Sealed(rows_staged=3, rows_duplicate=1), NOW, "0.1"))


# ---------------------------------------------------------------- the way without trouble


def test_a_first_run_takes_every_step_once() -> None:
    """Acquire, head, fence, plan, stage, seal, finalize, save state, sweep, finish: in this order."""
    driver = Driver()

    assert driver.feed(protocol.Ready()).expect(protocol.Acquire) == protocol.Acquire(above=0)
    assert driver.feed(protocol.Leased(lease(), State())).expect(protocol.ReadHead) == protocol.ReadHead(
        pipeline_id=None
    )
    fence = driver.feed(protocol.HeadRead(None)).expect(protocol.Fence)
    assert fence == protocol.Fence(pipeline_id="new-id", epoch=1)
    assert driver.feed(protocol.Fenced(head(None))).expect(protocol.PlanWindow).state == State()
    stage = driver.feed(protocol.Planned(empty=False, lower=None, upper="10")).expect(protocol.Stage)
    assert (stage.generation, stage.seq, stage.epoch) == (1, 1, 1)
    assert stage.load_id == commit.load_id("new-id", 1, 1)
    driver.feed(protocol.Staged(tally(), State(cursor_values={"at": 10}))).expect(protocol.Seal)
    finalize = driver.feed(protocol.SealedStage(Sealed(rows_staged=3), NOW, "0.1")).expect(protocol.Finalize)
    saved = driver.feed(protocol.Finalized()).expect(protocol.SaveState)
    assert saved.state.to_json().decode() == finalize.entry.state
    assert driver.feed(protocol.StateSaved(lease(version=1))).expect(protocol.Sweep) == protocol.Sweep(
        "new-id", epoch=1
    )
    assert driver.feed(protocol.Swept()).expect(protocol.Finish) == protocol.Finish(status="committed")
    assert driver.run.committed == 1
    assert driver.run.doing == driver.effect


def test_the_ledger_entry_says_what_was_loaded() -> None:
    """Rows that lost to another with the same key count as deduplicated; the state after the load is in the entry."""
    made = Driver().begin(state(), state()).load().expect(protocol.Finalize).entry

    assert (made.rows_read, made.rows_written, made.rows_deduplicated) == (3, 2, 1)
    assert (made.lower, made.upper, made.content_hash) == ("10", "20", f"{255:032x}")
    assert (made.generation, made.seq, made.epoch) == (1, 2, 2)
    after = State.from_json(made.state)
    assert after.cursor_values == {"at": 20}
    assert commit.position(after) == (1, 2)
    assert after.metadata == {"pipeline_id": "id", "home": "here", "seen_columns": ["a"]}


def test_load_ids_depend_on_pipeline_generation_and_number_only() -> None:
    """A retry has the same id; every other load has another."""
    assert commit.load_id("id", 1, 2) == commit.load_id("id", 1, 2)
    assert len({commit.load_id(*key) for key in [("id", 1, 2), ("id", 2, 1), ("other", 1, 2), ("id", 12, 1)]}) == 4


# ---------------------------------------------------------------- the lease and the fence


def test_a_lease_below_the_fence_is_taken_anew() -> None:
    """Another machine, or a lost state, may have handed out higher epochs."""
    driver = Driver().feed(protocol.Ready(), protocol.Leased(lease(3), state()))

    driver.feed(protocol.HeadRead(head(state(), epoch=7)))

    assert driver.expect(protocol.Acquire) == protocol.Acquire(above=7)


def test_a_run_that_was_fenced_out_ends_busy() -> None:
    """The destination refuses the commit of an older epoch; trying again would only drive out the successor."""
    assert "taken over" in Driver().begin(state(), state()).load().feed(REFUSED).failed(BusyError)


def test_an_unknown_pipeline_keeps_the_id_in_the_state() -> None:
    """A first run that staged nothing has told the state its id already."""
    driver = Driver().feed(protocol.Ready(), protocol.Leased(lease(), State(metadata={"pipeline_id": "mine"})))

    assert driver.feed(protocol.HeadRead(None)).expect(protocol.Fence).pipeline_id == "mine"


# ---------------------------------------------------------------- state and ledger


def test_a_ledger_that_is_ahead_is_adopted() -> None:
    """A crash came between commit and state: the next window begins where the ledger ends."""
    driver = Driver().begin(state(seq=1, cursor=10), state(seq=2, cursor=20))

    assert driver.expect(protocol.PlanWindow).state.cursor_values == {"at": 20}
    assert (driver.run.recovered, driver.run.seq) == (True, 3)


def test_a_lost_state_is_rebuilt_from_the_ledger() -> None:
    """The destination alone is enough to go on."""
    driver = Driver().begin(State(), state(seq=2, cursor=20))

    assert driver.expect(protocol.PlanWindow).state.cursor_values == {"at": 20}


def test_at_the_same_place_the_ledger_counts() -> None:
    """After a restore another machine may have loaded something else as the same number."""
    driver = Driver().begin(state(seq=2, cursor=20), state(seq=2, cursor=30))

    assert driver.expect(protocol.PlanWindow).state.cursor_values == {"at": 30}
    assert driver.run.recovered


def test_a_state_that_agrees_is_not_recovered() -> None:
    """The usual case."""
    driver = Driver().begin(state(), state())

    assert driver.expect(protocol.PlanWindow).state == state()
    assert not driver.run.recovered


@pytest.mark.parametrize(
    ("known", "says"),
    [
        (None, "its state knows of load 1.2, the ledger in the destination ends at 0.0"),
        (head(None), "ends at 0.0"),
        (head(state(seq=1)), "ends at 1.1"),
        (
            head(state(seq=2), target="sales.other"),
            "it has loaded `sales.other` so far",
        ),
        (head(state(seq=2), pipeline_id="another"), "belongs to another pipeline"),
    ],
)
def test_contradictions_end_the_run_with_both_sides_named(known: LedgerHead | None, says: str) -> None:
    """Neither is trusted until a person has chosen; nothing was changed in the destination."""
    driver = Driver().feed(protocol.Ready(), protocol.Leased(lease(5), state(seq=2)))

    assert says in driver.feed(protocol.HeadRead(known)).failed(StateError)


def test_a_contradiction_that_shows_only_behind_the_fence_ends_the_run_too() -> None:
    """The destination was restored between the two looks at it."""
    driver = Driver().feed(
        protocol.Ready(), protocol.Leased(lease(5), state(seq=2)), protocol.HeadRead(head(state(seq=2)))
    )

    assert "ends at 1.1" in driver.feed(protocol.Fenced(head(state(seq=1), epoch=5))).failed(StateError)


def test_a_full_refresh_asks_no_questions() -> None:
    """It begins a new generation above both, without the old cursor, and keeps the id of the ledger."""
    driver = Driver(starts_over=True).begin(state(generation=3, seq=4), state(generation=2, seq=9))

    assert driver.expect(protocol.PlanWindow).state == State(metadata=state().metadata)
    assert (driver.run.generation, driver.run.seq, driver.run.pipeline_id) == (4, 1, "id")


def test_without_a_ledger_the_state_alone_counts() -> None:
    """A plug-in destination with only `write_batch` has no ledger to compare with."""
    driver = Driver(has_ledger=False).feed(protocol.Ready(), protocol.Leased(lease(), state(seq=4)))
    driver.feed(protocol.HeadRead(None), protocol.Fenced(None))

    assert driver.expect(protocol.PlanWindow).state == state(seq=4)
    assert (driver.run.pipeline_id, driver.run.seq) == ("id", 5)


def test_an_append_without_cursor_finishes_its_own_last_run_instead_of_repeating_it() -> None:
    """What was committed by this home and not told to its state is what the person asks for."""
    driver = Driver(repeats_harm=True).begin(state(seq=1), state(seq=2))

    assert commit.position(driver.expect(protocol.SaveState).state) == (1, 2)
    driver.feed(protocol.StateSaved(lease(2, version=1)), protocol.Swept())
    assert driver.expect(protocol.Finish).status == "recovered"


def test_an_append_without_cursor_loads_on_top_of_what_another_machine_has_loaded() -> None:
    """That was another run."""
    driver = Driver(repeats_harm=True).begin(state(seq=1), state(seq=2, home="elsewhere"))

    driver.expect(protocol.PlanWindow)
    assert driver.run.seq == 3


# ---------------------------------------------------------------- nothing to load


def test_an_empty_window_after_the_first_load_ends_the_run() -> None:
    """Nothing is staged, nothing is stored."""
    driver = Driver().begin(state(), state()).feed(protocol.Planned(empty=True, lower="10", upper="10"))

    driver.expect(protocol.Sweep)
    assert driver.feed(protocol.Swept()).expect(protocol.Finish).status == "up_to_date"


def test_a_first_load_is_committed_even_when_it_is_empty() -> None:
    """The table is made, and a replace of an empty source empties it."""
    driver = Driver().begin(State(), None, epoch=1).feed(protocol.Planned(empty=True, lower=None, upper=None))

    driver.expect(protocol.Stage)
    driver.feed(protocol.Staged(tally(0, 0), State())).expect(protocol.Seal)


def test_a_window_of_rows_seen_before_ends_the_run() -> None:
    """A closed window always meets the rows at its lower bound again."""
    driver = Driver().begin(state(), state()).feed(protocol.Planned(empty=False, lower="10", upper="10"))

    driver.feed(protocol.Staged(tally(2, 0, seen=2), State(cursor_values={"at": 10}))).expect(protocol.Sweep)


def test_a_window_without_rows_to_stage_is_committed_when_the_cursor_has_moved() -> None:
    """Otherwise rows that a step filters out would be read at each run."""
    driver = Driver().begin(state(), state()).feed(protocol.Planned(empty=False, lower="10", upper="20"))

    driver.feed(protocol.Staged(tally(2, 0, filtered=2), State(cursor_values={"at": 20}))).expect(protocol.Seal)


def test_a_recovered_state_is_stored_though_there_is_nothing_new() -> None:
    """So that the next run finds state and ledger in agreement."""
    driver = Driver().begin(state(seq=1), state(seq=2, cursor=20))
    driver.feed(protocol.Planned(empty=True, lower="20", upper="20"))

    assert driver.expect(protocol.SaveState).state == state(seq=2, cursor=20)
    driver.feed(protocol.StateSaved(lease(2, version=1)), protocol.Swept())
    assert driver.expect(protocol.Finish).status == "recovered"


# ---------------------------------------------------------------- rows are conserved


def test_rows_lost_before_staging_end_the_run() -> None:
    """Read = staged + filtered + rejected + seen before, else nothing is committed."""
    driver = Driver().begin(state(), state()).feed(protocol.Planned(empty=False, lower="10", upper="20"))

    assert "3 rows were read and 2 accounted for" in driver.feed(protocol.Staged(tally(3, 2), State())).failed(
        EngineError
    )


def test_rows_lost_in_staging_end_the_run() -> None:
    """The destination counts for itself."""
    driver = Driver().begin(state(), state()).feed(protocol.Planned(empty=False, lower="10", upper="20"))
    driver.feed(protocol.Staged(tally(), State(cursor_values={"at": 20})))

    said = driver.feed(protocol.SealedStage(Sealed(rows_staged=2), NOW, "0.1")).failed(EngineError)
    assert "3 rows were handed over and 2 arrived" in said


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize("kind", ["retryable", "unknown"])
def test_whatever_fails_before_the_commit_starts_over_with_the_lease(kind: protocol.FailureKind) -> None:
    """Nothing of the attempt is kept but the lease, whose epoch the next attempt raises."""
    driver = Driver().begin(state(), state()).feed(protocol.Failed(kind, CUT.error))

    assert driver.expect(protocol.StartOver) == protocol.StartOver(attempt=2)
    assert driver.run == Run(terms=TERMS, attempt=2, lease=lease(2), doing=driver.effect)
    assert driver.feed(protocol.Ready()).expect(protocol.Acquire) == protocol.Acquire(above=2)


def test_attempts_come_to_an_end_with_the_last_error() -> None:
    """The person sees what went wrong, not that it went wrong twice."""
    driver = Driver().begin(state(), state()).feed(CUT).begin(state(), state(), epoch=3).feed(CUT)

    assert driver.expect(protocol.Finish).error is CUT.error


def test_a_terminal_failure_ends_the_run_at_once() -> None:
    """Trying again would not help."""
    error = ConnectorError("no such table")

    assert Driver().feed(protocol.Ready(), protocol.Failed("terminal", error)).expect(protocol.Finish).error is error


def test_a_commit_without_an_answer_is_looked_for() -> None:
    """Not repeated, and not taken for lost."""
    driver = Driver().begin(state(), state()).load()
    made = driver.expect(protocol.Finalize).entry

    asked = driver.feed(LOST).expect(protocol.ReadBack)

    assert asked == protocol.ReadBack(pipeline_id="id", load_id=made.load_id)
    driver.feed(protocol.Found(made)).expect(protocol.SaveState)
    assert driver.run.committed == 1


def test_a_commit_that_was_not_done_is_started_over() -> None:
    """From the window on, with a new epoch."""
    driver = Driver().begin(state(), state()).load().feed(LOST, protocol.Found(None))

    driver.expect(protocol.StartOver)


def test_a_commit_that_was_not_done_in_the_last_attempt_ends_the_run() -> None:
    """It is known not to be done, so this is no unknown outcome."""
    driver = Driver(max_attempts=1).begin(state(), state()).load().feed(LOST, protocol.Found(None))

    assert "was not committed in 1 attempts" in driver.failed(TransientConnectorError)


def test_a_load_found_under_another_epoch_is_a_successors() -> None:
    """It has our load id, as it is the same place in the life of the recipe, and other rows."""
    driver = Driver().begin(state(), state()).load()
    theirs = msgspec.structs.replace(driver.expect(protocol.Finalize).entry, epoch=9)

    assert "took over" in driver.feed(LOST, protocol.Found(theirs)).failed(BusyError)


@pytest.mark.parametrize("failure", [CUT, LOST])
def test_asking_is_repeated_and_then_given_up_with_exit_74(failure: protocol.Failed) -> None:
    """Nothing is deleted; the next run asks the ledger first."""
    driver = Driver(max_attempts=3).begin(state(), state()).load().feed(LOST)

    driver.feed(failure, failure).expect(protocol.ReadBack)
    driver.feed(failure)

    assert "could not be found out" in driver.failed(OutcomeUnknownError)
    error = driver.expect(protocol.Finish).error
    assert error is not None
    assert error.__cause__ is failure.error


def test_asking_that_is_refused_leaves_the_outcome_unknown() -> None:
    """A password that has expired says nothing about the commit."""
    driver = Driver().begin(state(), state()).load().feed(LOST)

    driver.feed(protocol.Failed("terminal", ConnectorError("no"))).failed(OutcomeUnknownError)


@pytest.mark.parametrize("failure", [CUT, LOST, REFUSED])
def test_a_state_that_cannot_be_stored_ends_the_run_without_another_attempt(failure: protocol.Failed) -> None:
    """The rows are committed; the next run takes the state from the ledger."""
    driver = Driver().begin(state(), state()).load().feed(protocol.Finalized(), failure)

    assert driver.expect(protocol.Finish).error is failure.error


def test_a_failed_sweep_is_only_a_warning() -> None:
    """Garbage can wait."""
    driver = Driver().begin(state(), state()).load().feed(protocol.Finalized(), protocol.StateSaved(lease(2, 1)), CUT)

    assert driver.expect(protocol.Finish) == protocol.Finish(status="committed", warning=CUT.error)


# ---------------------------------------------------------------- defects of the engine


def test_events_that_answer_nothing_are_refused() -> None:
    """They can only come from a defect of the engine."""
    with pytest.raises(BusyError, match="has no lease"):
        step(Run(terms=TERMS), protocol.HeadRead(None))
    with pytest.raises(EngineError, match="before anything was staged"):
        step(Run(terms=TERMS), protocol.SealedStage(Sealed(rows_staged=0), NOW, "0.1"))
    with pytest.raises(EngineError, match="no ledger entry to ask for"):
        step(Run(terms=TERMS, doing=protocol.ReadBack("id", "load")), LOST)
