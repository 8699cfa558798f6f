"""What every destination promises, as tests; subclass `DestinationConformance` in a test module of your own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import pyarrow as pa
import pytest

from arrowload.connectors.base import CURSOR_COLUMN, ORDINAL_COLUMN
from arrowload.core.casting import cast_batch_exact
from arrowload.core.exceptions import (
    BusyError,
    DataLoaderError,
    EngineError,
    RecipeError,
    TransientConnectorError,
)
from arrowload.core.typing import WriteMode
from arrowload.testing.loading import Pipeline, stream
from arrowload.testing.samples import ODD_NAMES, numbered, sorted_rows, typed_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from arrowload.connectors.base import TransactionalDestination

    ReadBack: TypeAlias = Callable[[pa.Schema], list[dict[str, Any]]]

ROWS = numbered(257)
SEEN = pa.table({"row_hash": pa.array([b"a" * 16, b"\x00" * 16], pa.binary(16)), "n": pa.array([2, 1], pa.int64())})
OTHER_SEEN = pa.table({"row_hash": pa.array([b"b" * 16], pa.binary(16)), "n": pa.array([3], pa.int64())})


class DestinationConformance:
    """The suite, over a place that is empty at the start of each test.

    A subclass gives the fixtures `make_destination` and `read_back`. What it declares below is compared with
    `capabilities()` and with what the destination does, so that neither can say more than is true.

    Attributes:
        supports_append, supports_replace, supports_merge: The write modes.
        supports_new_columns: A column that a later load brings is added; otherwise it is refused.
        supports_missing_columns: A column that a later load lacks gets NULLs; otherwise that is refused.
        refuses_types: Names in `arrowload.testing.samples.typed_columns()` of the types that it has no place for.
        refuses_type: A type that it has no place for; None when it takes every type.
        refuses_names: Of `arrowload.testing.samples.ODD_NAMES`, those that it has no place for.
    """

    supports_append: ClassVar[bool] = True
    supports_replace: ClassVar[bool] = True
    supports_merge: ClassVar[bool] = True
    supports_new_columns: ClassVar[bool] = True
    supports_missing_columns: ClassVar[bool] = True
    refuses_types: ClassVar[frozenset[str]] = frozenset()
    refuses_type: ClassVar[pa.DataType | None] = pa.dense_union([pa.field("x", pa.int64())])
    refuses_names: ClassVar[frozenset[str]] = frozenset()

    @pytest.fixture
    def make_destination(self) -> Callable[[], TransactionalDestination]:
        """Makes destinations over the one place, each as a process of its own would."""
        raise NotImplementedError

    @pytest.fixture
    def read_back(self) -> ReadBack:
        """Reads the rows by other means than arrowload.

        It is given the schema of the rows that are expected, and gives the columns that are there, as Python values of
        those types; no rows when the target is not there.
        """
        raise NotImplementedError

    @pytest.fixture
    def read_during(self, read_back: ReadBack) -> ReadBack:
        """As `read_back`, for a reader that looks while a load is finalized."""
        return read_back

    @pytest.fixture
    def pipeline(self, make_destination: Callable[[], TransactionalDestination]) -> Iterator[Pipeline]:
        """A recipe that loads the place."""
        pipeline = Pipeline(make_destination)
        yield pipeline
        pipeline.close()

    @pytest.fixture
    def rival(self, make_destination: Callable[[], TransactionalDestination]) -> Iterator[Pipeline]:
        """The same recipe, run by someone else."""
        rival = Pipeline(make_destination)
        yield rival
        rival.close()

    # ---------------------------------------------------------------- what it says

    def test_capabilities_are_what_the_suite_was_told(self, pipeline: Pipeline) -> None:
        """Each write mode that is declared is there, and no other; rows and ledger commit together."""
        said = pipeline.destination.capabilities()

        assert {mode: mode in said.write_modes for mode in get_args(WriteMode)} == {
            mode: self._supports(mode) for mode in get_args(WriteMode)
        }
        assert said.transactional

    @pytest.mark.parametrize("mode", get_args(WriteMode))
    def test_a_mode_that_it_lacks_is_refused(self, pipeline: Pipeline, mode: WriteMode) -> None:
        """By `target`, before anything is staged, with what to do instead."""
        keys = ("id",) if mode == "merge" else ()
        if self._supports(mode):
            pipeline.destination.target(ROWS.schema, write_mode=mode, merge_keys=keys)
            return

        with pytest.raises(RecipeError) as refused:
            pipeline.destination.target(ROWS.schema, write_mode=mode, merge_keys=keys)

        assert refused.value.hint

    def test_target_changes_nothing(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """However often it is asked, with the same answer; no ledger is made, and no target."""
        answers = []
        for _ in range(2):
            answers.append(pipeline.destination.target(ROWS.schema, write_mode="append", merge_keys=()))
            pipeline.close()

        assert answers[0] == answers[1]
        assert not answers[0].exists
        assert answers[0].schema.names == ROWS.schema.names
        assert pipeline.destination.head(pipeline.recipe, None) is None
        assert read_back(ROWS.schema) == []

    def test_target_of_a_place_that_is_loaded_changes_nothing(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """Also when it says what a load would alter or replace."""
        pipeline.load(ROWS)

        modes: list[WriteMode] = [mode for mode in ("append", "replace") if self._supports(mode)]
        for mode in modes:
            assert pipeline.destination.target(ROWS.schema, write_mode=mode, merge_keys=()).exists

        pipeline.close()
        assert sorted_rows(read_back(ROWS.schema)) == sorted_rows(ROWS.to_pylist())

    # ---------------------------------------------------------------- one load

    def test_a_load_is_seen_with_its_entry(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """Rows and entry are there for a process that comes later, the entry as it was given."""
        pipeline.fence()
        staged = pipeline.stage(ROWS)
        entry = pipeline.entry(staged.load, rows_read=ROWS.num_rows, rows_written=ROWS.num_rows)
        sealed = staged.writer.seal()
        staged.writer.finalize(entry, None)
        pipeline.close()

        head = pipeline.destination.head(pipeline.recipe, pipeline.pipeline_id)
        found = pipeline.destination.find(pipeline.pipeline_id, staged.load.load_id)

        assert sealed.rows_staged == ROWS.num_rows
        assert sealed.rows_duplicate == 0
        assert head is not None
        assert (head.pipeline_id, head.epoch, head.owner) == (pipeline.pipeline_id, 1, "owner 1")
        assert head.target == pipeline.destination.target_name
        assert head.last == entry
        assert found == entry
        pipeline.close()
        assert sorted_rows(read_back(staged.load.schema)) == sorted_rows(ROWS.to_pylist())

    def test_nothing_is_seen_before_it_is_final(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """Staged rows are for nobody to see, before they are sealed and after."""
        pipeline.load(ROWS.slice(0, 3))
        before = sorted_rows(read_back(ROWS.schema))

        pipeline.fence()
        staged = pipeline.stage(ROWS)
        when_staged = sorted_rows(read_back(ROWS.schema))
        staged.writer.seal()
        when_sealed = sorted_rows(read_back(ROWS.schema))
        staged.writer.abort()

        assert before == when_staged == when_sealed == sorted_rows(ROWS.slice(0, 3).to_pylist())

    def test_an_aborted_load_leaves_nothing(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """No rows and no entry; to abort again, or after `seal`, is no error, and the next load is as any."""
        pipeline.fence()
        staged = pipeline.stage(ROWS)
        staged.writer.seal()
        staged.writer.abort()
        staged.writer.abort()
        pipeline.close()

        head = pipeline.destination.head(pipeline.recipe, pipeline.pipeline_id)
        assert head is not None
        assert head.last is None
        pipeline.close()
        assert read_back(ROWS.schema) == []
        pipeline.load(ROWS)
        assert sorted_rows(read_back(ROWS.schema)) == sorted_rows(ROWS.to_pylist())

    def test_abort_after_finalize_does_nothing(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """What is committed stays."""
        pipeline.fence()
        staged = pipeline.stage(ROWS)
        pipeline.finish(staged)
        staged.writer.abort()
        pipeline.close()

        assert sorted_rows(read_back(ROWS.schema)) == sorted_rows(ROWS.to_pylist())

    def test_an_error_of_the_stream_comes_out(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """As it is or wrapped; nothing of the load is kept, and the next one is as any."""
        pipeline.fence()
        staged = pipeline.begin(ROWS)
        with pytest.raises(Exception, match="the source is gone") as raised:
            staged.writer.stage(stream(ROWS, staged.load, fails_with=EngineError("the source is gone")))
        staged.writer.abort()
        pipeline.close()

        assert isinstance(raised.value, Exception)
        assert read_back(ROWS.schema) == []
        pipeline.load(ROWS)
        assert sorted_rows(read_back(ROWS.schema)) == sorted_rows(ROWS.to_pylist())

    @pytest.mark.parametrize("pieces", [[0], [1], [257], [0, 257], [100, 0, 1, 156], [1, 1, 1]])
    def test_seal_counts_what_was_staged(self, pipeline: Pipeline, read_back: ReadBack, pieces: list[int]) -> None:
        """Over several calls of `stage`, with many batches or none."""
        pipeline.fence()
        staged = pipeline.begin(ROWS)
        taken = 0
        for rows in pieces:
            staged.writer.stage(stream(ROWS.slice(taken, rows), staged.load))
            taken += rows
        staged.sealed = staged.writer.seal()
        pipeline.finish(staged)
        pipeline.close()

        assert (staged.sealed.rows_staged, staged.sealed.rows_duplicate) == (taken, 0)
        assert sorted_rows(read_back(ROWS.schema)) == sorted_rows(ROWS.slice(0, taken).to_pylist())

    # ---------------------------------------------------------------- the ledger

    def test_the_head_is_found_by_name_when_the_id_is_lost(self, pipeline: Pipeline) -> None:
        """By recipe and target; another recipe finds nothing."""
        pipeline.load(ROWS)

        by_name = pipeline.destination.head(pipeline.recipe, None)
        by_unknown_id = pipeline.destination.head(pipeline.recipe, "00000000-0000-4000-8000-00000000dead")

        assert by_name is not None
        assert by_name.pipeline_id == pipeline.pipeline_id
        assert by_unknown_id == by_name
        assert pipeline.destination.head("another recipe", None) is None

    def test_the_head_has_the_newest_entry(self, pipeline: Pipeline) -> None:
        """By generation and place in it, as numbers; `find` knows all."""
        for generation, seq in [(1, 1), (1, 2), (1, 9), (1, 10), (9, 1), (10, 1), (10, 2)]:
            pipeline.load(numbered(1), generation=generation, seq=seq, load_id=f"load {generation}.{seq}")

        head = pipeline.destination.head(pipeline.recipe, pipeline.pipeline_id)
        found = pipeline.destination.find(pipeline.pipeline_id, "load 1.2")

        assert head is not None
        assert head.last is not None
        assert (head.last.generation, head.last.seq) == (10, 2)
        assert found is not None
        assert (found.generation, found.seq) == (1, 2)
        assert pipeline.destination.find(pipeline.pipeline_id, "load 9.9") is None

    @pytest.mark.parametrize("epoch", [1, 4, 5])
    def test_an_epoch_that_is_not_higher_is_refused(self, pipeline: Pipeline, rival: Pipeline, epoch: int) -> None:
        """When the fence is asked for; the one that is installed stays, with its owner."""
        pipeline.fence(5)
        pipeline.close()

        with pytest.raises(BusyError):
            rival.fence(epoch)
        rival.close()

        head = pipeline.destination.head(pipeline.recipe, pipeline.pipeline_id)
        assert head is not None
        assert (head.epoch, head.owner) == (5, "owner 5")

    def test_a_run_that_was_overtaken_commits_nothing(
        self, pipeline: Pipeline, rival: Pipeline, read_back: ReadBack
    ) -> None:
        """A higher epoch came after `seal`; neither rows nor entry of the older run appear, then or later."""
        pipeline.load(ROWS.slice(0, 2))
        pipeline.fence()
        staged = pipeline.stage(ROWS)
        staged.sealed = staged.writer.seal()

        rival.fence(pipeline.epoch + 1)
        with pytest.raises((BusyError, TransientConnectorError)):
            pipeline.finish(staged)
        staged.writer.abort()
        pipeline.close()

        assert rival.destination.find(rival.pipeline_id, staged.load.load_id) is None
        rival.close()
        assert sorted_rows(read_back(ROWS.schema)) == sorted_rows(ROWS.slice(0, 2).to_pylist())
        rival.seq = pipeline.seq
        rival.load(ROWS.slice(2, 1))
        assert sorted_rows(read_back(ROWS.schema)) == sorted_rows(ROWS.slice(0, 3).to_pylist())

    def test_a_load_is_not_committed_twice(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """The second attempt at a load that is in the ledger does nothing, or is refused."""
        pipeline.load(ROWS)
        pipeline.fence()
        pipeline.seq -= 1
        again = pipeline.stage(ROWS)
        try:
            pipeline.finish(again)
        except DataLoaderError:
            again.writer.abort()
        pipeline.close()

        assert pipeline.destination.find(pipeline.pipeline_id, again.load.load_id) is not None
        pipeline.close()
        assert sorted_rows(read_back(ROWS.schema)) == sorted_rows(ROWS.to_pylist())

    def test_an_attempt_that_died_is_forgotten(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """What it had staged counts no more when the same load is begun again by the next run."""
        pipeline.fence()
        pipeline.stage(ROWS)
        pipeline.close()

        pipeline.seq -= 1
        sealed = pipeline.load(ROWS.slice(0, 5))

        assert sealed.rows_staged == 5
        assert sorted_rows(read_back(ROWS.schema)) == sorted_rows(ROWS.slice(0, 5).to_pylist())

    def test_an_amendment_changes_the_ledger_alone(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """It is the newest entry; the rows, their columns and the hashes for the next load are as they were."""
        pipeline.load(ROWS, "append", seen=SEEN)
        pipeline.fence()
        amended = pipeline.amendment(state='{"metadata":{"amended":true}}')
        pipeline.destination.amend(amended, None)
        pipeline.close()

        head = pipeline.destination.head("orders", pipeline.pipeline_id)
        entries = pipeline.destination.entries(pipeline.pipeline_id)
        assert head is not None
        assert head.last == amended
        assert [entry.seq for entry in entries] == [1, 2]
        assert entries[-1] == amended
        seen = pipeline.destination.seen(pipeline.pipeline_id)
        assert sorted_rows(seen.to_pylist()) == sorted_rows(SEEN.to_pylist())
        pipeline.close()
        assert sorted_rows(read_back(ROWS.schema)) == sorted_rows(ROWS.to_pylist())
        pipeline.load(ROWS, "append")
        assert len(read_back(ROWS.schema)) == 2 * ROWS.num_rows

    def test_an_amendment_may_bring_hashes(self, pipeline: Pipeline) -> None:
        """In the place of those that the last load left; also where nothing was loaded yet."""
        for left in (SEEN, OTHER_SEEN):
            pipeline.fence()
            pipeline.destination.amend(pipeline.amendment(), left)
            pipeline.close()

            found = pipeline.destination.seen(pipeline.pipeline_id)
            assert sorted_rows(found.to_pylist()) == sorted_rows(left.to_pylist())
            pipeline.close()

    def test_a_run_that_was_overtaken_amends_nothing(self, pipeline: Pipeline, rival: Pipeline) -> None:
        """The fence holds for it as for a load."""
        pipeline.load(ROWS, "append")
        pipeline.fence()
        amended = pipeline.amendment()
        rival.epoch = pipeline.epoch
        pipeline.close()
        rival.fence()
        with pytest.raises(BusyError):
            rival.destination.amend(amended, OTHER_SEEN)

        assert [entry.seq for entry in rival.destination.entries(pipeline.pipeline_id)] == [1]

    def test_a_place_that_is_empty_has_no_entries(self, pipeline: Pipeline) -> None:
        """And is not made by being asked."""
        assert list(pipeline.destination.entries(pipeline.pipeline_id)) == []
        assert pipeline.destination.head("orders", None) is None

    def test_seen_is_what_the_last_load_left(self, pipeline: Pipeline) -> None:
        """None leaves what is there, any other table takes its place, one without rows too."""
        found = []
        for seen in (None, SEEN, None, OTHER_SEEN, SEEN.slice(0, 0)):
            pipeline.load(numbered(1), seen=seen)
            found.append(pipeline.destination.seen(pipeline.pipeline_id))
            pipeline.close()

        expected = [SEEN.slice(0, 0), SEEN, SEEN, OTHER_SEEN, SEEN.slice(0, 0)]
        assert all(table.schema.equals(SEEN.schema) for table in found)
        assert [sorted_rows(t.to_pylist()) for t in found] == [sorted_rows(t.to_pylist()) for t in expected]

    def test_seen_is_not_kept_of_a_load_that_is_not_committed(self, pipeline: Pipeline, rival: Pipeline) -> None:
        """Hashes are replaced in the step that commits the rows, or not at all."""
        pipeline.load(numbered(1), seen=SEEN)
        pipeline.fence()
        staged = pipeline.stage(ROWS)
        rival.fence(pipeline.epoch + 1)
        with pytest.raises((BusyError, TransientConnectorError)):
            pipeline.finish(staged, seen=OTHER_SEEN)
        staged.writer.abort()
        pipeline.close()

        assert sorted_rows(rival.destination.seen(rival.pipeline_id).to_pylist()) == sorted_rows(SEEN.to_pylist())

    def test_two_recipes_load_one_place(
        self, make_destination: Callable[[], TransactionalDestination], read_back: ReadBack
    ) -> None:
        """Each with its own fence, entries and hashes; the rows of both are there."""
        one = Pipeline(make_destination)
        other = Pipeline(make_destination, pipeline_id="2f0e9d5e-0000-4000-8000-000000000002", recipe="returns")
        one.load(numbered(10), seen=SEEN)
        other.load(numbered(10, start=10), seen=OTHER_SEEN)
        one.load(numbered(10, start=20))

        reader = make_destination()
        heads = [reader.head(each.recipe, each.pipeline_id) for each in (one, other)]
        by_name = [reader.head(each.recipe, None) for each in (one, other)]
        seen = [reader.seen(each.pipeline_id).to_pylist() for each in (one, other)]
        not_its_own = reader.find(other.pipeline_id, f"{one.pipeline_id[:8]}-1")
        reader.close()

        assert [(h.pipeline_id, h.epoch, h.last and h.last.seq) for h in heads if h is not None] == [
            (one.pipeline_id, 2, 2),
            (other.pipeline_id, 1, 1),
        ]
        assert by_name == heads
        assert [sorted_rows(each) for each in seen] == [sorted_rows(t.to_pylist()) for t in (SEEN, OTHER_SEEN)]
        assert not_its_own is None
        assert sorted_rows(read_back(ROWS.schema)) == sorted_rows(numbered(30).to_pylist())

    def test_sweep_and_close_may_be_repeated(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """Sweeping takes nothing that is committed; a destination that was closed twice can be made again."""
        pipeline.load(ROWS)
        pipeline.fence()
        for _ in range(2):
            pipeline.destination.sweep(pipeline.pipeline_id, pipeline.epoch)
        destination = pipeline.destination
        pipeline.close()
        destination.close()

        assert sorted_rows(read_back(ROWS.schema)) == sorted_rows(ROWS.to_pylist())
        pipeline.load(numbered(1, start=1_000))
        assert len(read_back(ROWS.schema)) == ROWS.num_rows + 1

    # ---------------------------------------------------------------- write modes

    def test_append_adds(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """Equal rows too: nothing is taken for a duplicate."""
        for _ in range(2):
            pipeline.load(ROWS)

        assert sorted_rows(read_back(ROWS.schema)) == sorted_rows([*ROWS.to_pylist(), *ROWS.to_pylist()])

    def test_replace_takes_the_place_of_all_rows(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """Where there are none yet, where there are some, and with a load that has none."""
        self._needs("replace")
        found = []
        for rows in (ROWS, numbered(5, start=1_000), ROWS.slice(0, 0), numbered(2)):
            pipeline.load(rows, "replace")
            found.append((sorted_rows(read_back(ROWS.schema)), sorted_rows(rows.to_pylist())))

        assert all(there == loaded for there, loaded in found)

    @pytest.mark.parametrize("keys", [(), ("id",)], ids=["without keys", "with keys"])
    def test_replace_says_how_many_rows_are_replaced(self, pipeline: Pipeline, keys: tuple[str, ...]) -> None:
        """So that a load that would empty the target can be refused; nothing else says so."""
        self._needs("replace")
        if keys:
            self._needs("merge")
        loads = (ROWS, ROWS.slice(0, 3), ROWS.slice(0, 0))
        replaced = [pipeline.load(rows, "replace", keys).rows_replaced for rows in loads]
        appended = pipeline.load(ROWS, "append")

        assert replaced == [0, ROWS.num_rows, 3]
        assert appended.rows_replaced == 0

    def test_replace_may_change_the_types(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """Types that the target has do not bind."""
        self._needs("replace")
        pipeline.load(ROWS, "replace")
        changed = pa.table({"id": pa.array(["x", None, ""]), "more": pa.array([1.5, None, 2.5])})

        pipeline.load(changed, "replace")

        assert sorted_rows(read_back(changed.schema)) == sorted_rows(changed.to_pylist())

    def test_readers_of_a_replace_see_all_old_rows_or_all_new_ones(
        self, pipeline: Pipeline, read_during: ReadBack
    ) -> None:
        """Never some, never none, never both."""
        self._needs("replace")
        versions = [sorted_rows(numbered(50, start=start).to_pylist()) for start in range(0, 500, 50)]
        pipeline.load(numbered(50), "replace")
        seen: list[list[dict[str, Any]]] = []
        failures: list[Exception] = []
        stop = threading.Event()

        def read() -> None:
            try:
                while not stop.is_set():
                    seen.append(sorted_rows(read_during(ROWS.schema)))
            except Exception as exc:  # noqa: BLE001 - raised by the test
                failures.append(exc)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for start in range(50, 500, 50):
                pipeline.load(numbered(50, start=start), "replace")
        finally:
            stop.set()
            reader.join()

        assert not failures, failures
        assert seen
        assert all(rows in versions for rows in seen)

    @pytest.mark.parametrize("has_cursor", [True, False])
    def test_of_rows_with_one_key_the_last_wins(
        self, pipeline: Pipeline, read_back: ReadBack, has_cursor: bool
    ) -> None:
        """By cursor, then by ordinal; a NULL cursor loses to any. Into no table, and into one that has the keys."""
        self._needs("merge")
        expected: dict[tuple[int, str], dict[str, Any]] = {}
        for salt in (1, 2):
            versions = _versions(salt)
            staged = versions if has_cursor else versions.drop_columns([CURSOR_COLUMN])

            sealed = pipeline.load(staged, "merge", ["id", "part"])

            winners = _winners(versions, has_cursor=has_cursor)
            assert (sealed.rows_staged, sealed.rows_duplicate) == (versions.num_rows, versions.num_rows - len(winners))
            expected |= {(row["id"], row["part"]): row for row in winners}
            there = read_back(versions.drop_columns([CURSOR_COLUMN, ORDINAL_COLUMN]).schema)
            assert sorted_rows(there) == sorted_rows(list(expected.values()))

    def test_merge_updates_and_adds(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """Keys that are there get the new values, NULLs included; others stay; new ones are added."""
        self._needs("merge")
        pipeline.load(numbered(10), "merge", ["id"])
        changes = pa.table({"id": pa.array([3, 4, 11], pa.int64()), "name": pa.array(["new", None, ""])})

        pipeline.load(changes, "merge", ["id"])

        names = dict(zip(range(10), numbered(10)["name"].to_pylist(), strict=True)) | {3: "new", 4: None, 11: ""}
        assert {row["id"]: row["name"] for row in read_back(ROWS.schema)} == names

    def test_merge_of_keys_alone(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """Where every column is a key, rows are added once."""
        self._needs("merge")
        keys = numbered(10).select(["id"])
        for rows in (keys, keys, keys.slice(0, 0), numbered(12).select(["id"])):
            pipeline.load(rows, "merge", ["id"])

        assert sorted(row["id"] for row in read_back(keys.schema)) == list(range(12))

    def test_replace_with_keys_keeps_one_row_of_each(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """As when a recipe that merges is loaded anew: what was there is gone, and of equal keys the last stays."""
        self._needs("merge")
        self._needs("replace")
        plain = _versions(1).drop_columns([CURSOR_COLUMN, ORDINAL_COLUMN])
        pipeline.load(plain.slice(0, 1), "merge", ["id", "part"])
        for salt in (2, 3):
            sealed = pipeline.load(_versions(salt), "replace", ["id", "part"])

            winners = _winners(_versions(salt), has_cursor=True)
            assert sealed.rows_staged - sealed.rows_duplicate == len(winners)
            assert sorted_rows(read_back(plain.schema)) == sorted_rows(winners)

    # ---------------------------------------------------------------- schemas

    @pytest.mark.parametrize("name", sorted(typed_columns()))
    def test_values_come_back_as_they_went_in(self, pipeline: Pipeline, read_back: ReadBack, name: str) -> None:
        """Each type value by value, and a NULL, into a new target and into the one that this made.

        One that it has no place for is refused by `target`.
        """
        rows = pa.table({"column under test": typed_columns()[name]})
        if name in self.refuses_types:
            self._assert_refused(pipeline, rows.schema)
            return

        schemas = []
        for _ in range(2):
            pipeline.fence()
            staged = pipeline.stage(rows)
            pipeline.finish(staged)
            pipeline.close()
            schemas.append(staged.load.schema)

        expected = [row for schema in schemas for row in cast_batch_exact(rows.to_batches()[0], schema).to_pylist()]
        assert sorted_rows(read_back(schemas[0])) == sorted_rows(expected)

    def test_a_type_without_a_place_is_refused(self, pipeline: Pipeline) -> None:
        """By `target`, with the column's name."""
        if self.refuses_type is None:
            pytest.skip("it takes every type")
        schema = pa.schema([("id", pa.int64()), ("column under test", self.refuses_type)])

        self._assert_refused(pipeline, schema)

    def test_a_type_that_the_target_contradicts_is_refused(self, pipeline: Pipeline) -> None:
        """Text does not go where numbers are; the error names the column."""
        pipeline.load(pa.table({"column under test": pa.array([1, 2], pa.int64())}))

        self._assert_refused(pipeline, pa.schema([("column under test", pa.string())]))

    def test_a_column_that_comes_later(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """Is added, with NULL in the rows that are there, or is refused by name."""
        pipeline.load(numbered(2))
        wider = numbered(2, start=2).append_column("column under test", pa.array(["x", None]))
        if not self.supports_new_columns:
            self._assert_refused(pipeline, wider.schema)
            return

        pipeline.load(wider)

        olds = [{**row, "column under test": None} for row in numbered(2).to_pylist()]
        assert sorted_rows(read_back(wider.schema)) == sorted_rows([*olds, *wider.to_pylist()])

    def test_a_column_that_is_missing_later(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """Gets NULL, or its absence is refused by name."""
        both = pa.table({"id": pa.array([1], pa.int64()), "column under test": ["x"]})
        pipeline.load(both)
        less = pa.table({"id": pa.array([2], pa.int64())})
        if not self.supports_missing_columns:
            self._assert_refused(pipeline, less.schema)
            return

        pipeline.load(less)

        expected = [*both.to_pylist(), {"id": 2, "column under test": None}]
        assert sorted_rows(read_back(both.schema)) == sorted_rows(expected)

    def test_columns_are_matched_by_name(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """Not by their order, which may differ from load to load."""
        pipeline.load(numbered(3))
        pipeline.load(numbered(3, start=3).select(["name", "id"]))

        assert sorted_rows(read_back(ROWS.schema)) == sorted_rows(numbered(6).to_pylist())

    def test_odd_names_of_columns(self, pipeline: Pipeline, read_back: ReadBack) -> None:
        """Quotes, dots, spaces, emoji, capitals and keywords are part of the name, and no more than that."""
        names = [name for name in ODD_NAMES if name not in self.refuses_names]
        rows = pa.table({name: pa.array([n, None, -n], pa.int64()) for n, name in enumerate(names)})
        for _ in range(2):
            pipeline.load(rows)

        assert sorted_rows(read_back(rows.schema)) == sorted_rows([*rows.to_pylist(), *rows.to_pylist()])
        for name in sorted(self.refuses_names):
            with pytest.raises(RecipeError):
                pipeline.destination.target(pa.schema([(name, pa.int64())]), write_mode="replace", merge_keys=())

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_odd_names_of_keys(self, pipeline: Pipeline, read_back: ReadBack, name: str) -> None:
        """A key is matched whatever it is called."""
        self._needs("merge")
        if name in self.refuses_names:
            pytest.skip("it has no place for a column of this name")
        for value in ("old", "new"):
            pipeline.load(pa.table({name: pa.array([1], pa.int64()), "value": [value]}), "merge", [name])

        assert read_back(pa.schema([(name, pa.int64()), ("value", pa.string())])) == [{name: 1, "value": "new"}]

    def test_a_column_that_comes_twice_is_refused(self, pipeline: Pipeline) -> None:
        """Two columns of one name have no place in a target."""
        twice = pa.schema([("column under test", pa.int64()), ("column under test", pa.int64())])

        with pytest.raises(RecipeError, match="column under test"):
            pipeline.destination.target(twice, write_mode="append", merge_keys=())

    # ---------------------------------------------------------------- helpers

    def _supports(self, mode: WriteMode) -> bool:
        return bool(getattr(self, f"supports_{mode}"))

    def _needs(self, mode: WriteMode) -> None:
        if not self._supports(mode):
            pytest.skip(f"the destination declares that it does not {mode}")

    @staticmethod
    def _assert_refused(pipeline: Pipeline, schema: pa.Schema) -> None:
        """Under `append`, by `target`, with the name of the column and what to do."""
        with pytest.raises(RecipeError) as refused:
            pipeline.destination.target(schema, write_mode="append", merge_keys=())
        error = refused.value
        assert "column under test" in f"{error} {error.context}"
        assert error.hint


def _versions(salt: int) -> pa.Table:
    """Rows of a few keys of two columns each, with cursors that repeat or are NULL, their ordinals out of order."""
    rows = 60
    spread = [(n * 37 + salt * 11) % 61 for n in range(rows)]
    return pa.table(
        {
            "id": pa.array([n % 7 + salt for n in spread], pa.int64()),
            "part": pa.array([f"part {n % 2}" for n in spread], pa.string()),
            "value": pa.array([None if n % 9 == 0 else f"{salt}: {n}" for n in spread], pa.string()),
            CURSOR_COLUMN: pa.array([None if n % 3 == 0 else n % 5 for n in spread], pa.int64()),
            ORDINAL_COLUMN: pa.array([(n * 29) % 61 for n in range(rows)], pa.int64()),
        }
    )


def _winners(versions: pa.Table, *, has_cursor: bool) -> list[dict[str, Any]]:
    """Of each key the row that the contract says."""

    def rank(row: dict[str, Any]) -> tuple[bool, int, int]:
        cursor = row[CURSOR_COLUMN] if has_cursor else None
        return cursor is not None, cursor or 0, row[ORDINAL_COLUMN]

    best: dict[tuple[int, str], dict[str, Any]] = {}
    for row in sorted(versions.to_pylist(), key=rank):
        best[row["id"], row["part"]] = {name: row[name] for name in ("id", "part", "value")}
    return list(best.values())
