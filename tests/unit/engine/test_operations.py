"""What people do to the memory of a recipe: nothing is lost or doubled unless they say so."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pytest

import arrowload
from arrowload.api import load_recipe
from arrowload.connectors.memory.store import store
from arrowload.core.exceptions import BusyError, StateError
from arrowload.core.state import CursorValue, State
from arrowload.engine.job import Job
from arrowload.engine.moves import harm_of
from arrowload.engine.operations import Operations

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("empty_store")


def recipe(folder: Path, mode: str = "append", name: str = "r") -> dict[str, Any]:
    return {
        "name": name,
        "source": {"type": "memory", "name": "t", "incremental": {"strategy": "cursor", "cursor_column": "c"}},
        "destination": {
            "type": "memory",
            "name": "out",
            "write_mode": mode,
            **({"merge_keys": ["c"]} if mode == "merge" else {}),
        },
        "state": {"type": "local", "path": str(folder / "state")},
    }


def grow(*values: int) -> None:
    there = store.tables["t"]["c"].to_pylist() if "t" in store.tables else []
    store.tables["t"] = pa.table({"c": pa.array([*there, *values], pa.int64())})


def loaded() -> list[int]:
    return sorted(store.tables["out"]["c"].to_pylist())


def operations(of: dict[str, Any]) -> Operations:
    return Operations(Job(load_recipe(of)))


def at(state: State, value: int) -> State:
    return msgspec.structs.replace(state, cursor_values={"c": value})


def test_state_and_ledger_agree_after_a_run(tmp_path: Path) -> None:
    """Before the first run neither knows anything."""
    of = recipe(tmp_path)
    before = operations(of).standing()
    grow(1, 2, 3)
    arrowload.run(of)
    after = operations(of).standing()

    assert (before.verdict, before.head, before.state) == ("equal", None, State())
    assert after.verdict == "equal"
    assert after.head is not None
    assert after.head.last is not None
    assert State.from_json(after.head.last.state) == after.state
    assert [entry.rows_written for entry in operations(of).loads()] == [3]


@pytest.mark.parametrize(("value", "harm"), [(9, "would not be loaded"), (1, "would come twice")])
def test_a_move_that_harms_is_refused(tmp_path: Path, value: int, harm: str) -> None:
    """And changes nothing, neither here nor in the ledger."""
    of = recipe(tmp_path)
    grow(1, 2, 3)
    arrowload.run(of)
    before = operations(of).standing()

    with pytest.raises(StateError, match=harm):
        operations(of).change(at(operations(of).state(), value))

    after = operations(of).standing()
    assert (after.state, after.head and after.head.last) == (before.state, before.head and before.head.last)
    grow(4)
    assert arrowload.run(of).rows_written == 1


def test_a_forced_move_is_what_the_next_run_starts_from(tmp_path: Path) -> None:
    """Also on another machine, which knows the ledger alone."""
    of = recipe(tmp_path)
    grow(1, 2, 3)
    arrowload.run(of)
    operations(of).change(at(operations(of).state(), 7), force=True)
    grow(5, 8)

    elsewhere = {**of, "state": {"type": "local", "path": str(tmp_path / "elsewhere")}}
    assert arrowload.run(elsewhere).rows_written == 1
    assert loaded() == [1, 2, 3, 8]
    assert [entry.rows_written for entry in operations(of).loads()] == [3, 0, 1]


def test_going_back_is_harmless_under_merge(tmp_path: Path) -> None:
    """Rows that come again are merged by key; so a cursor can be set back after rows were found to be missing."""
    of = recipe(tmp_path, "merge")
    grow(1, 5)
    arrowload.run(of)
    grow(2)
    operations(of).change(at(operations(of).state(), 1))
    report = arrowload.run(of)

    assert loaded() == [1, 2, 5]
    assert report.state_before["cursor_values"]["c"] == 1


def test_nothing_is_changed_while_a_run_goes_on(tmp_path: Path) -> None:
    """The run would commit what the person did not see."""
    of = recipe(tmp_path)
    grow(1)
    arrowload.run(of)
    running = Job(load_recipe(of)).state_backend
    lease = running.acquire("r", "a run", above=0)

    with pytest.raises(BusyError, match="run by a run"):
        operations(of).change(at(State(), 0), force=True)
    with pytest.raises(StateError, match="run by a run"):
        operations(of).unlock()
    running.release(lease)
    assert operations(of).unlock() is None


def test_a_renamed_recipe_goes_on(tmp_path: Path) -> None:
    """Its rows are there; without the other's bounds it would bring them again."""
    old, new = recipe(tmp_path), recipe(tmp_path, name="renamed")
    grow(1, 2)
    arrowload.run(old)
    operations(new).adopt(operations(old).state(), operations(old).seen())
    grow(3)
    report = arrowload.run(new)

    assert (report.rows_written, loaded()) == (1, [1, 2, 3])
    with pytest.raises(StateError, match="has loads of its own"):
        operations(new).adopt(operations(old).state(), None)
    ids = {operations(each).state().metadata["pipeline_id"] for each in (old, new)}
    assert len(ids) == 2


def test_a_restored_destination_is_repaired_as_the_person_says(tmp_path: Path) -> None:
    """Trusting the ledger loads what was lost again; trusting the state gives it up, but for rows at its bound."""
    for trusted, rows in (("ledger", [1, 2, 3, 4]), ("state", [1, 3, 4])):
        store.clear()
        of = recipe(tmp_path, name=trusted)
        grow(1)
        arrowload.run(of)
        backup = copy.deepcopy((store.tables, store.pipelines))
        grow(2, 3)
        arrowload.run(of)
        store.tables["out"], store.pipelines = backup[0]["out"], backup[1]
        assert operations(of).standing().verdict == "state_ahead"
        with pytest.raises(StateError, match="cannot go on"):
            arrowload.run(of)

        (operations(of).trust_ledger if trusted == "ledger" else operations(of).trust_state)()

        assert operations(of).standing().verdict == "equal"
        grow(4)
        arrowload.run(of)
        assert loaded() == rows


@pytest.mark.fault(36)
def test_a_damaged_state_is_made_anew_from_the_ledger(tmp_path: Path) -> None:
    """With the history of its versions, and above the epochs that were."""
    of = recipe(tmp_path)
    grow(1, 2)
    arrowload.run(of)
    before = operations(of).state()
    (tmp_path / "state" / "r.json").write_bytes(b'{"damaged')
    assert operations(of).standing().verdict == "unreadable"

    operations(of).trust_ledger()

    assert operations(of).state() == before
    grow(3)
    assert arrowload.run(of).rows_written == 1
    assert loaded() == [1, 2, 3]


def test_rows_at_the_boundary_are_not_doubled_when_the_ledger_is_lost(tmp_path: Path) -> None:
    """The rows are there and what told them apart is not: the state may be trusted, and the next append is refused."""
    of = recipe(tmp_path)
    grow(1, 2)
    arrowload.run(of)
    store.pipelines.clear()

    operations(of).trust_state()

    with pytest.raises(StateError, match="cannot tell which rows at the boundary it has loaded"):
        arrowload.run(of)
    assert loaded() == [1, 2]


def test_a_state_that_is_not_ahead_is_not_trusted(tmp_path: Path) -> None:
    """To enter it as the newest load would have its rows loaded again."""
    of = recipe(tmp_path)
    grow(1, 2)
    arrowload.run(of)
    elsewhere = {**of, "state": {"type": "local", "path": str(tmp_path / "elsewhere")}}

    for each in (of, elsewhere):
        with pytest.raises(StateError, match="knows of nothing that the ledger does not"):
            operations(each).trust_state()
    assert arrowload.run(elsewhere).rows_written == 0


HARMS = [
    ("1", "2", "number", True, True),
    ("10", "9", "number", True, False),
    ("9.50", "9.5", "number", True, False),
    ("2026-01-01 00:00:00+00", "2026-01-01 00:00:00.000001+00", "time", True, True),
    ("2026-01-02", "2026-01-01", "time", True, False),
    ("2026-01-02", "2026-01-01 00:00:00+00", "time", True, False),
    ("2026-01-02 00:00:00+00", "2026-01-03", "time", True, True),
    ("0044-03-15 BC", "2026-01-01", "time", True, True),
    ("b", "ä", "text", True, True),
]


@pytest.mark.parametrize(("old", "new", "kind", "append", "merge"), HARMS)
def test_which_moves_harm(old: str, new: str, kind: str, append: bool, merge: bool) -> None:
    """Forward always, back under append; what cannot be compared may be either."""
    before = State(cursor_values={"c": CursorValue(old, kind)})
    after = State(cursor_values={"c": CursorValue(new, kind)})

    assert bool(harm_of(before, after, write_mode="append")) == append
    assert bool(harm_of(before, after, write_mode="merge")) == merge
    assert harm_of(before, before, write_mode="append") == []
