"""What every source promises, as tests; subclass `SourceConformance` in a test module of your own."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import pyarrow as pa
import pytest

from arrowload.core.exceptions import ConnectorError, DataError, RecipeError, TransientConnectorError
from arrowload.core.state import State
from arrowload.models.source_config import CursorIncremental, ModifiedIncremental
from arrowload.models.units import Duration
from arrowload.planning.capabilities import Split
from arrowload.testing.samples import sorted_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from arrowload.connectors.base import Overlap, Snapshot, SnapshotSource

    MakeSource: TypeAlias = Callable[..., SnapshotSource]
    AddRows: TypeAlias = Callable[[pa.Table], None]

_LAG = dt.timedelta(hours=1)


class SourceConformance:
    """The suite, over a place that has no rows at the start of each test.

    A subclass gives the fixtures `make_source`, `add_rows` and `missing_source`, and `rewrite` when it reads files.

    Attributes:
        supports_cursor, supports_modified: The strategies of `incremental`; the others are refused.
        supports_projection: It has the keys `columns` (a list of names) and `exclude`.
        sized_columns: Columns of `rows` whose type is found out by reading, so that `schema()` cannot know it.
        rows_at_once: A batch may have this many rows though fewer are asked for, as the driver gives no fewer.
        secret: A value that the sources of `make_source` are given, and that nobody is to see.
    """

    supports_cursor: ClassVar[bool] = True
    supports_modified: ClassVar[bool] = False
    supports_projection: ClassVar[bool] = True
    sized_columns: ClassVar[frozenset[str]] = frozenset()
    rows_at_once: ClassVar[int] = 1
    secret: ClassVar[str | None] = None

    @pytest.fixture
    def make_source(self) -> MakeSource:
        """Makes sources of the place; keyword arguments are keys of the recipe, `incremental` a Struct among them."""
        raise NotImplementedError

    @pytest.fixture
    def add_rows(self) -> AddRows:
        """Adds rows to the place by other means than arrowload; the first rows make it."""
        raise NotImplementedError

    @pytest.fixture
    def rewrite(self) -> AddRows:
        """Puts rows in the place of those that the last `add_rows` added; for a source that supports `modified`."""

        def rewrite(rows: pa.Table) -> None:
            raise NotImplementedError

        return rewrite

    @pytest.fixture
    def missing_source(self) -> SnapshotSource:
        """A source of a place that is not there."""
        raise NotImplementedError

    @pytest.fixture
    def rows(self) -> pa.Table:
        """Known rows, in types that the source reads back as they are; `id` tells them apart.

        More than one batch of 1,000.
        """
        return sample_rows(5_000)

    # ---------------------------------------------------------------- reading

    def test_all_rows_are_read(self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table) -> None:
        """Once each, with the values and the types that they have."""
        add_rows(rows)

        with make_source().snapshot(State()) as snapshot:
            found = read(snapshot)
            assert not snapshot.window.empty

        assert found.schema.names == rows.schema.names
        assert {f.name: f.type for f in found.schema} == {f.name: f.type for f in rows.schema}
        assert sorted_rows(found.to_pylist()) == sorted_rows(rows.to_pylist())

    def test_the_schema_is_known_beforehand(self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table) -> None:
        """Before a row is read, and as often as it is asked; but for columns that are sized by reading."""
        add_rows(rows)
        source = make_source()

        schemas = [source.schema(), source.schema()]
        with source.snapshot(State()) as snapshot:
            of_snapshot = snapshot.schema
        schemas.append(source.schema())

        assert schemas[0].equals(schemas[1])
        assert schemas[0].equals(schemas[2])
        assert schemas[0].names == of_snapshot.names
        assert fields_but(schemas[0], self.sized_columns) == fields_but(of_snapshot, self.sized_columns)

    def test_every_batch_has_the_schema(self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table) -> None:
        """Names, order, types and nullability, of each batch and of its reader; where NULLs are is among them."""
        add_rows(rows)

        with make_source().snapshot(State()) as snapshot:
            for split in snapshot.splits(2):
                with snapshot.read_split(split, batch_size=700) as reader:
                    assert reader.schema.equals(snapshot.schema, check_metadata=True)
                    for batch in reader:
                        batch.validate(full=True)
                        assert batch.schema.equals(snapshot.schema, check_metadata=True)
                        assert all(f.nullable or not c.null_count for f, c in zip(batch.schema, batch, strict=True))

    @pytest.mark.parametrize("batch_size", [1_000, 4_096, 65_536])
    def test_batches_are_about_as_large_as_asked(
        self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table, batch_size: int
    ) -> None:
        """Not twice as large, but where the driver gives no fewer rows; nor so small that there are far more."""
        add_rows(rows)

        with make_source().snapshot(State()) as snapshot:
            (sizes,) = [
                [batch.num_rows for batch in snapshot.read_split(split, batch_size=batch_size)]
                for split in snapshot.splits(1)
            ]

        assert sum(sizes) == rows.num_rows
        assert max(sizes) <= 2 * max(batch_size, self.rows_at_once)
        assert len(sizes) <= 8 + 4 * rows.num_rows // batch_size

    def test_a_snapshot_can_be_read_again(self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table) -> None:
        """With the same rows, as a retry does."""
        add_rows(rows)

        with make_source().snapshot(State()) as snapshot:
            found = [ids(read(snapshot)) for _ in range(3)]

        assert found[0] == found[1] == found[2] == ids(rows)

    @pytest.mark.parametrize("n", [1, 2, 3, 7, 64])
    def test_splits_hold_each_row_once(
        self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table, n: int
    ) -> None:
        """Read in any order, also when they were written down in between; there are no more than were asked for."""
        third = rows.num_rows // 3
        for piece in (rows.slice(0, third), rows.slice(third, third), rows.slice(2 * third)):
            add_rows(piece)

        with make_source().snapshot(State()) as snapshot:
            splits = snapshot.splits(n)
            copies = msgspec.json.decode(msgspec.json.encode(list(splits)), type=list[Split])
            tables = [snapshot.read_split(split, batch_size=999).read_all() for split in reversed(copies)]

        assert 1 <= len(splits) <= n
        assert [split.index for split in splits] == list(range(len(splits)))
        assert ids(pa.concat_tables(tables)) == ids(rows)

    def test_splits_are_read_at_the_same_time(self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table) -> None:
        """By several threads, as under `parallelism`."""
        third = rows.num_rows // 3
        for piece in (rows.slice(0, third), rows.slice(third, third), rows.slice(2 * third)):
            add_rows(piece)

        with make_source().snapshot(State()) as snapshot, ThreadPoolExecutor(4) as pool:
            readings = [pool.submit(lambda s: snapshot.read_split(s, batch_size=100).read_all(), split)
                        for split in snapshot.splits(4)]  # fmt: skip
            tables = [reading.result() for reading in readings]

        assert ids(pa.concat_tables(tables)) == ids(rows)

    def test_a_reading_may_be_given_up(self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table) -> None:
        """The reader is closed half way; the snapshot, and the source after it, give all rows."""
        add_rows(rows)
        source = make_source()

        with source.snapshot(State()) as snapshot:
            reader = snapshot.read_split(snapshot.splits(1)[0], batch_size=100)
            reader.read_next_batch()
            reader.close()
            again = read(snapshot)
            left_open = snapshot.read_split(snapshot.splits(1)[0], batch_size=100)
            left_open.read_next_batch()
        with source.snapshot(State()) as snapshot:
            later = read(snapshot)

        assert again.num_rows == later.num_rows == rows.num_rows

    def test_an_error_of_the_caller_leaves_the_source_usable(
        self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table
    ) -> None:
        """It passes through the snapshot as it is."""
        add_rows(rows)
        source = make_source()

        def fail(snapshot: Snapshot) -> None:
            snapshot.read_split(snapshot.splits(1)[0], batch_size=100).read_next_batch()
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"), source.snapshot(State()) as snapshot:
            fail(snapshot)

        with source.snapshot(State()) as snapshot:
            assert read(snapshot).num_rows == rows.num_rows

    def test_a_snapshot_does_not_see_what_comes_later(
        self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table
    ) -> None:
        """Rows that are added while it is open are in the next one."""
        add_rows(rows.slice(0, 10))
        source = make_source()

        with source.snapshot(State()) as snapshot:
            add_rows(rows.slice(10, 5))
            during = read(snapshot)
            add_rows(rows.slice(15, 5))
            still = read(snapshot)
        source.close()
        with make_source().snapshot(State()) as snapshot:
            after = read(snapshot)

        assert (during.num_rows, still.num_rows, after.num_rows) == (10, 10, 20)

    def test_a_place_without_rows(self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table) -> None:
        """Has a schema and gives no rows."""
        add_rows(rows.slice(0, 0))

        with make_source().snapshot(State()) as snapshot:
            found = read(snapshot)

        assert (found.num_rows, found.schema.names) == (0, rows.schema.names)

    # ---------------------------------------------------------------- what it says

    def test_it_says_what_it_reads_and_keeps_its_secrets(
        self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table
    ) -> None:
        """Facts and window are for people and for the plan file: plain data, without a password."""
        add_rows(rows)
        source = make_source()
        facts = source.facts()
        with source.snapshot(State()) as snapshot:
            said = f"{msgspec.json.encode(facts)!r} {msgspec.json.encode(snapshot.window)!r} {snapshot.splits(3)}"

        assert facts.location
        assert facts.route
        assert facts.route_reason
        assert facts.replayable
        assert self.secret is None or self.secret not in said
        assert self.secret is None or self.secret not in f"{source!r} {vars(source)}"

    def test_it_may_be_closed_twice(self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table) -> None:
        """Before anything was read, and after."""
        add_rows(rows.slice(0, 10))
        unused, used = make_source(), make_source()
        unused.close()
        unused.close()
        with used.snapshot(State()) as snapshot:
            found = read(snapshot)
        used.close()
        used.close()

        assert found.num_rows == 10

    def test_a_place_that_is_not_there(self, missing_source: SnapshotSource) -> None:
        """Is an error of ours that says what to do, for the schema and for the snapshot."""
        with pytest.raises(ConnectorError) as of_schema:
            missing_source.schema()
        with pytest.raises(ConnectorError) as of_snapshot, missing_source.snapshot(State()):
            pass

        assert of_schema.value.hint
        assert of_snapshot.value.hint
        assert self.secret is None or self.secret not in f"{of_schema.value} {of_schema.value.context}"

    def test_only_the_columns_that_are_asked_for(
        self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table
    ) -> None:
        """In the order in which they are named; or all but some."""
        self._needs_projection()
        add_rows(rows)
        chosen = (rows.schema.names[2], rows.schema.names[0])
        found = []
        for keys in ({"columns": chosen}, {"exclude": chosen}):
            source = make_source(**keys)
            with source.snapshot(State()) as snapshot:
                found.append(read(snapshot))
            assert source.schema().names == found[-1].schema.names

        rest = [name for name in rows.schema.names if name not in chosen]
        assert [table.schema.names for table in found] == [list(chosen), rest]
        assert sorted_rows(found[0].to_pylist()) == sorted_rows(rows.select(list(chosen)).to_pylist())

    def test_a_column_that_is_not_there(self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table) -> None:
        """Is an error that names it and the nearest one."""
        self._needs_projection()
        add_rows(rows)
        wrong = f"{rows.schema.names[1]}x"
        for keys in ({"columns": (wrong,)}, {"exclude": (wrong,)}):
            with pytest.raises(RecipeError, match=wrong) as refused:
                make_source(**keys).schema()
            assert rows.schema.names[1] in (refused.value.hint or "")

    # ---------------------------------------------------------------- incremental, by a cursor

    def test_strategies_that_it_lacks_are_refused(
        self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table
    ) -> None:
        """When it is made or when its snapshot is opened, with what to write in their place."""
        add_rows(rows)
        lacks: list[CursorIncremental | ModifiedIncremental] = []
        lacks += [] if self.supports_cursor else [CursorIncremental(cursor_column="id")]
        lacks += [] if self.supports_modified else [ModifiedIncremental()]
        for strategy in lacks:
            with pytest.raises(RecipeError) as refused, make_source(incremental=strategy).snapshot(State()):
                pass
            assert refused.value.hint

    @pytest.mark.parametrize("boundary", ["closed", "hold_back", "open"])
    @pytest.mark.parametrize("lag", [None, _LAG])
    def test_windows_lose_no_row_and_repeat_none_unseen(
        self, make_source: MakeSource, add_rows: AddRows, boundary: Any, lag: dt.timedelta | None
    ) -> None:
        """Every row that comes in time is in a window; one that is in two lies in the overlap of both.

        Rows come one microsecond apart, at the same moment as the last one where the boundary allows it, and late by
        less than the lag.
        """
        runs = self._runs(make_source, boundary=boundary, lag=lag)
        late = (-30,) if lag is not None else ()
        ties = (0,) if boundary != "open" else ()
        moment = 0
        for step in range(5):
            arrivals = [moment + minutes for minutes in (*late, *ties, 10, 10, 20)]
            add_rows(_events(step * 10, arrivals))
            moment += 20
            runs.run()
        if boundary == "hold_back":
            add_rows(_events(1_000, [moment + 1_000]))
            runs.run()

        expected = sorted(step * 10 + n for step in range(5) for n in range(len(late) + len(ties) + 3))
        assert sorted(set(runs.ids)) == expected
        runs.assert_repeats_are_declared()

    def test_a_window_without_new_rows(self, make_source: MakeSource, add_rows: AddRows) -> None:
        """`closed` reads at most the ties again; `open` and `hold_back` say that there is nothing."""
        add_rows(_events(0, [0, 10, 10]))
        windows = {}
        for boundary in ("closed", "open", "hold_back"):
            runs = self._runs(make_source, boundary=boundary, lag=None)
            windows[boundary] = [sorted(runs.run()), sorted(runs.run())]
            assert runs.cursors[0] == runs.cursors[1]
            assert boundary == "closed" or runs.windows[1].empty

        assert windows == {"closed": [[0, 1, 2], [1, 2]], "open": [[0, 1, 2], []], "hold_back": [[0], []]}

    def test_a_cursor_keeps_its_full_precision(self, make_source: MakeSource, add_rows: AddRows) -> None:
        """A row that is a microsecond after the last one is new, and one that ties with it is known."""
        add_rows(_events(0, [0, 0], microsecond=999_998))
        runs = self._runs(make_source, boundary="open", lag=None)
        first = runs.run()
        add_rows(_events(2, [0], microsecond=999_999))

        assert sorted(first) == [0, 1]
        assert runs.run() == [2]

    def test_initial_value_is_where_the_first_window_starts(self, make_source: MakeSource, add_rows: AddRows) -> None:
        """The value itself included; later windows go by what is remembered."""
        self._needs_cursor()
        add_rows(_events(0, [0, 10, 20]))
        incremental = CursorIncremental(cursor_column="id", initial_value=1)

        with make_source(incremental=incremental).snapshot(State()) as snapshot:
            found = read(snapshot)

        assert sorted(found["id"].to_pylist()) == [1, 2]

    @pytest.mark.parametrize("null_cursor", ["error", "exclude", "include"])
    def test_rows_without_a_cursor(self, make_source: MakeSource, add_rows: AddRows, null_cursor: Any) -> None:
        """End the load, with how many they are; or are left out, with a note; or are in every window."""
        add_rows(_events(0, [0, None, 10]))
        runs = self._runs(make_source, boundary="closed", lag=None, null_cursor=null_cursor)
        if null_cursor == "error":
            with pytest.raises(DataError, match="at") as refused:
                runs.run()
            assert refused.value.hint
            return

        windows = [sorted(runs.run()), sorted(runs.run())]

        assert windows == ([[0, 2], [2]] if null_cursor == "exclude" else [[0, 1, 2], [1, 2]])
        assert null_cursor == "include" or all(window.notes for window in runs.windows)

    @pytest.mark.parametrize("lag", [None, _LAG])
    def test_a_cursor_over_no_rows(self, make_source: MakeSource, add_rows: AddRows, lag: dt.timedelta | None) -> None:
        """Remembers nothing, and takes all that comes then."""
        add_rows(_events(0, []))
        runs = self._runs(make_source, boundary="closed", lag=lag)
        first = runs.run()
        assert runs.windows[0].empty
        add_rows(_events(0, [5, 10]))

        assert first == []
        assert sorted(runs.run()) == [0, 1]

    def test_a_cursor_over_rows_that_have_none(self, make_source: MakeSource, add_rows: AddRows) -> None:
        """All NULL and left out: nothing is read and nothing remembered."""
        add_rows(_events(0, [None, None]))
        runs = self._runs(make_source, boundary="closed", lag=_LAG, null_cursor="exclude")
        first = runs.run()
        add_rows(_events(2, [5]))

        assert first == []
        assert runs.run() == [2]

    def test_a_cursor_that_is_not_there(self, make_source: MakeSource, add_rows: AddRows) -> None:
        """Is an error that names it and says what to do."""
        self._needs_cursor()
        add_rows(_events(0, [0]))
        incremental = CursorIncremental(cursor_column="att")

        with pytest.raises(RecipeError, match="att") as refused, make_source(incremental=incremental).snapshot(State()):
            pass

        assert refused.value.hint

    # ---------------------------------------------------------------- incremental, by modification

    def test_what_was_read_is_not_read_again(self, make_source: MakeSource, add_rows: AddRows, rows: pa.Table) -> None:
        """Only what is new since, each file once; the state goes through JSON."""
        self._needs_modified()
        sizes: list[int] = []
        empty: list[bool] = []
        state = State()
        for more in (10, 0, 5, 0):
            if more:
                add_rows(rows.slice(sum(sizes), more))
            with make_source(incremental=ModifiedIncremental()).snapshot(state) as snapshot:
                sizes.append(read(snapshot).num_rows)
                empty.append(snapshot.window.empty)
                state = through_json(snapshot.state)

        assert sizes == [10, 0, 5, 0]
        assert empty == [False, True, False, True]

    def test_what_has_changed_is_read_again(
        self, make_source: MakeSource, add_rows: AddRows, rewrite: AddRows, rows: pa.Table
    ) -> None:
        """The changed file whole, and no other."""
        self._needs_modified()
        add_rows(rows.slice(0, 10))
        add_rows(rows.slice(10, 5))
        with make_source(incremental=ModifiedIncremental()).snapshot(State()) as snapshot:
            state = through_json(snapshot.state)
        rewrite(rows.slice(20, 7))

        with make_source(incremental=ModifiedIncremental()).snapshot(state) as snapshot:
            found = read(snapshot)

        assert sorted_rows(found.to_pylist()) == sorted_rows(rows.slice(20, 7).to_pylist())

    def test_what_changes_under_the_reader_ends_the_load(
        self, make_source: MakeSource, add_rows: AddRows, rewrite: AddRows, rows: pa.Table
    ) -> None:
        """In a way that may be tried again: old and new rows are not mixed."""
        self._needs_modified()
        add_rows(rows.slice(0, 10))

        with make_source().snapshot(State()) as snapshot:
            rewrite(rows.slice(20, 7))
            with pytest.raises(TransientConnectorError):
                read(snapshot)

    # ---------------------------------------------------------------- helpers

    def _runs(self, make_source: MakeSource, **keys: Any) -> Runs:
        self._needs_cursor()
        lag = keys.pop("lag")
        span = None if lag is None else Duration(seconds=int(lag.total_seconds()))
        return Runs(make_source, CursorIncremental(cursor_column="at", lag=span, **keys))

    def _needs_cursor(self) -> None:
        if not self.supports_cursor:
            pytest.skip("the source declares that it has no cursor")

    def _needs_modified(self) -> None:
        if not self.supports_modified:
            pytest.skip("the source declares that it has no modification times")

    def _needs_projection(self) -> None:
        if not self.supports_projection:
            pytest.skip("the source declares that it reads all columns")


class Runs:
    """Runs of one recipe with a cursor, each starting from the state that the last one left.

    Attributes:
        ids: Of the rows of all windows, in turn.
        windows, cursors: What each run said, and what it left to be remembered.
    """

    def __init__(self, make_source: MakeSource, incremental: CursorIncremental) -> None:
        self._make_source = make_source
        self._incremental = incremental
        self._state = State()
        self._read: list[tuple[dict[int, Any], Overlap | None]] = []
        self.ids: list[int] = []
        self.windows: list[Any] = []
        self.cursors: list[Any] = []

    def run(self) -> list[int]:
        """The ids of the next window."""
        source = self._make_source(incremental=self._incremental)
        with source.snapshot(self._state) as snapshot:
            rows = read(snapshot)
            self._state = through_json(snapshot.state)
            ids: list[int] = rows["id"].to_pylist()
            self._read.append((dict(zip(ids, rows["at"].to_pylist(), strict=True)), snapshot.overlap))
            self.windows.append(snapshot.window)
            if snapshot.overlap is not None:
                bounds = (snapshot.overlap.seen_through, snapshot.overlap.seen_from)
                kind = snapshot.schema.field(snapshot.overlap.column).type
                assert all(bound is None or bound.type == kind for bound in bounds)
        source.close()
        self.cursors.append(self._state.cursor_values)
        self.ids += ids
        return ids

    def assert_repeats_are_declared(self) -> None:
        """Of a row that two neighbouring windows share, the first leaves the hash and the second looks it up."""
        for (before, overlap_before), (after, overlap_after) in zip(self._read, self._read[1:], strict=False):
            for shared in before.keys() & after.keys():
                assert overlap_before is not None
                assert overlap_after is not None
                assert overlap_before.seen_from is not None
                assert overlap_after.seen_through is not None
                assert before[shared] >= overlap_before.seen_from.as_py()
                assert after[shared] <= overlap_after.seen_through.as_py()


def sample_rows(rows: int) -> pa.Table:
    """Columns of the types that all sources know, every other one with NULLs.

    Values tell the types: a source that infers types from text comes to the same.
    """
    numbers = range(rows)
    start = dt.datetime(2024, 1, 1)
    return pa.table(
        {
            "id": pa.array(numbers, pa.int64()),
            "name": pa.array([None if n % 7 == 3 else f'näme "{n}", {n % 5}' for n in numbers], pa.string()),
            "flag": pa.array([n % 3 == 0 for n in numbers], pa.bool_()),
            "ratio": pa.array([None if n % 11 == 5 else n / 8 + 0.125 for n in numbers], pa.float64()),
            "day": pa.array([(start + dt.timedelta(days=n % 900)).date() for n in numbers], pa.date32()),
            "at": pa.array([start + dt.timedelta(seconds=n, microseconds=n + 1) for n in numbers], pa.timestamp("us")),
        }
    )


def read(snapshot: Snapshot) -> pa.Table:
    """All rows of a window."""
    tables = [snapshot.read_split(split, batch_size=1_000).read_all() for split in snapshot.splits(1)]
    return pa.concat_tables([snapshot.schema.empty_table(), *tables])


def ids(rows: pa.Table) -> list[int]:
    """Which rows they are, in an order that does not depend on how they were read."""
    found: list[int] = sorted(rows["id"].to_pylist())
    return found


def through_json(state: State) -> State:
    """The state, as the next process finds it."""
    return State.from_json(state.to_json())


def fields_but(schema: pa.Schema, names: frozenset[str]) -> list[pa.Field]:
    """The fields of all columns but some."""
    return [field for field in schema if field.name not in names]


def _events(first: int, minutes: list[int | None], *, microsecond: int = 1) -> pa.Table:
    """Rows of `id` (from `first` on) and `at`, so many minutes after a moment, or NULL."""
    start = dt.datetime(2024, 1, 1, 12, 0, 0, microsecond)
    times = [None if after is None else start + dt.timedelta(minutes=after) for after in minutes]
    ids = pa.array(range(first, first + len(minutes)), pa.int64())
    return pa.table({"id": ids, "at": pa.array(times, pa.timestamp("us"))})
