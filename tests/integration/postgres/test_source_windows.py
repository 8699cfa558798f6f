"""Which rows a window takes: bounds, ties, NULLs, lag, projection, filter."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import TYPE_CHECKING, Any

import pytest

from arrowload.core.exceptions import DataError, RecipeError, StateError
from arrowload.core.state import CursorValue, State

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from arrowload.connectors.postgres.source import PostgresSource
    from tests.postgres_server import PostgresDatabase

TIMES = """
CREATE TABLE t (id int, at timestamptz);
INSERT INTO t VALUES
    (1, '2026-01-01 10:00+00'), (2, '2026-01-01 11:00:00.000001+00'), (3, '2026-01-01 11:00:00.000001+00');
"""


class Runs:
    """Runs of one recipe, each starting where the last one ended."""

    def __init__(self, source: PostgresSource) -> None:
        self.source = source
        self.state = State()
        self.snapshot: Any = None

    def run(self) -> list[int]:
        """The ids of the next window, sorted."""
        with self.source.snapshot(self.state) as snapshot:
            (split,) = snapshot.splits(1)
            rows = snapshot.read_split(split, batch_size=1_000).read_all()
            self.snapshot = snapshot
            self.state = State.from_json(snapshot.state.to_json())
        return sorted(rows.column("id").to_pylist())


@pytest.fixture
def runs(source: Callable[..., PostgresSource]) -> Callable[..., Runs]:
    return lambda cursor=None, **keys: Runs(source(table="t", cursor={"cursor_column": "at"} | (cursor or {}), **keys))


def at(hour: int, microsecond: int = 0) -> dt.datetime:
    return dt.datetime(2026, 1, 1, hour, 0, 0, microsecond, tzinfo=dt.UTC)


def test_closed_reads_ties_with_the_last_value_again(postgres: PostgresDatabase, runs: Callable[..., Runs]) -> None:
    """A row that ties with the last cursor and comes later is in the next window; the overlap says where to look."""
    postgres.execute(TIMES)
    loads = runs()

    first = loads.run()
    overlap_of_first = loads.snapshot.overlap
    postgres.execute("INSERT INTO t VALUES (4, '2026-01-01 11:00:00.000001+00'), (5, '2026-01-01 12:00+00');")
    second = loads.run()

    assert first == [1, 2, 3]
    assert (overlap_of_first.seen_through, overlap_of_first.seen_from.as_py()) == (None, at(11, 1))
    assert second == [2, 3, 4, 5]
    assert loads.snapshot.overlap.column == "at"
    assert loads.snapshot.overlap.seen_through.as_py() == at(11, 1)
    assert loads.snapshot.overlap.seen_from.as_py() == at(12)
    assert loads.snapshot.overlap.seen_from.type == loads.snapshot.schema.field("at").type
    assert loads.state.cursor_values["at"].text == "2026-01-01 12:00:00+00"
    assert (loads.snapshot.window.lower, loads.snapshot.window.upper) == (
        "2026-01-01 11:00:00.000001+00",
        "2026-01-01 12:00:00+00",
    )


def test_a_closed_window_is_not_empty_while_rows_may_tie(postgres: PostgresDatabase, runs: Callable[..., Runs]) -> None:
    """Without new values only the ties are read, and the cursor stays."""
    postgres.execute(TIMES)
    loads = runs()
    loads.run()

    assert loads.run() == [2, 3]
    assert not loads.snapshot.window.empty


def test_hold_back_leaves_the_highest_value_for_the_next_run(
    postgres: PostgresDatabase, runs: Callable[..., Runs]
) -> None:
    """Rows at the open tick wait until there is a greater one; no row is read twice."""
    postgres.execute(TIMES)
    loads = runs({"boundary": "hold_back"})

    windows = [loads.run(), loads.run()]
    empty = loads.snapshot.window.empty
    postgres.execute("INSERT INTO t VALUES (4, '2026-01-01 11:00:00.000001+00'), (5, '2026-01-01 12:00+00');")
    windows += [loads.run()]

    assert windows == [[1], [], [2, 3, 4]]
    assert empty
    assert loads.snapshot.overlap is None


def test_hold_back_waits_when_all_rows_tie(postgres: PostgresDatabase, runs: Callable[..., Runs]) -> None:
    """There is no value below the highest: nothing is taken, nothing remembered, and a note says why."""
    postgres.execute(
        "CREATE TABLE t (id int, at timestamptz); INSERT INTO t VALUES (1, '2026-01-01'), (2, '2026-01-01');"
    )
    loads = runs({"boundary": "hold_back"})

    assert loads.run() == []
    assert loads.snapshot.window.empty
    assert loads.snapshot.window.notes
    assert loads.state.cursor_values == {}


def test_open_starts_above_the_last_value(postgres: PostgresDatabase, runs: Callable[..., Runs]) -> None:
    """Windows share no row, and none is left for the next."""
    postgres.execute(TIMES)
    loads = runs({"boundary": "open"})

    windows = [loads.run(), loads.run()]
    empty = loads.snapshot.window.empty
    postgres.execute("INSERT INTO t VALUES (4, '2026-01-01 11:00:00.000002+00');")
    windows += [loads.run()]

    assert windows == [[1, 2, 3], [], [4]]
    assert empty
    assert loads.snapshot.overlap is None


@pytest.mark.parametrize("boundary", ["closed", "open", "hold_back"])
def test_lag_reads_a_span_again(postgres: PostgresDatabase, runs: Callable[..., Runs], boundary: str) -> None:
    """A row that comes late, but within the lag, is in the next window, and so is what lies around it."""
    postgres.execute(TIMES)
    loads = runs({"boundary": boundary, "lag": dt.timedelta(minutes=90)})
    loads.run()
    postgres.execute(
        "INSERT INTO t VALUES (4, '2026-01-01 09:45+00'), (5, '2026-01-01 06:00+00'), (6, '2026-01-01 13:00+00');"
    )

    second = loads.run()

    # What was remembered is 10:00 under hold_back, 11:00 else, and 90 minutes less are read again.
    last = at(10) if boundary == "hold_back" else at(11, 1)
    assert second == ([1, 2, 3, 4] if boundary == "hold_back" else [1, 2, 3, 4, 6])
    assert loads.snapshot.overlap.seen_through.as_py() == last
    upper = at(11, 1) if boundary == "hold_back" else at(13)
    assert loads.snapshot.overlap.seen_from.as_py() == upper - dt.timedelta(minutes=90)


@pytest.mark.fault(24)
def test_null_cursors_end_the_load_by_default(postgres: PostgresDatabase, runs: Callable[..., Runs]) -> None:
    """In the first run and in later ones, where `>=` alone would hide them; the count is named."""
    postgres.execute(TIMES)
    loads = runs()
    loads.run()
    postgres.execute("INSERT INTO t VALUES (8, NULL), (9, NULL);")

    with pytest.raises(DataError, match="NULL in 2 rows") as caught:
        loads.run()

    assert caught.value.context["rows"] == 2


def test_null_cursors_are_left_out_with_a_note_or_taken_each_time(
    postgres: PostgresDatabase, runs: Callable[..., Runs]
) -> None:
    """`exclude` says how many; `include` reads them in every window."""
    postgres.execute(TIMES + "INSERT INTO t VALUES (9, NULL);")
    excluded, included = runs({"null_cursor": "exclude"}), runs({"null_cursor": "include", "boundary": "open"})

    assert excluded.run() == [1, 2, 3]
    assert "1 rows" in excluded.snapshot.window.notes[0]
    assert [included.run(), included.run()] == [[1, 2, 3, 9], [9]]
    assert not included.snapshot.window.empty


@pytest.mark.fault(27)
def test_a_cursor_that_fell_keeps_the_last_value(postgres: PostgresDatabase, runs: Callable[..., Runs]) -> None:
    """Deleted rows at the top are noted; the cursor does not go back."""
    postgres.execute(TIMES)
    loads = runs()
    loads.run()
    postgres.execute("DELETE FROM t WHERE id > 1;")

    assert loads.run() == []
    assert "fell" in loads.snapshot.window.notes[0]
    assert loads.state.cursor_values["at"].text == "2026-01-01 11:00:00.000001+00"


def test_an_emptied_table_keeps_the_last_value(postgres: PostgresDatabase, runs: Callable[..., Runs]) -> None:
    """No row, no new cursor."""
    postgres.execute(TIMES)
    loads = runs()
    loads.run()
    postgres.execute("DELETE FROM t;")

    assert loads.run() == []
    assert loads.state.cursor_values["at"].text == "2026-01-01 11:00:00.000001+00"


def test_an_empty_table_remembers_nothing(postgres: PostgresDatabase, runs: Callable[..., Runs]) -> None:
    """Its first window is empty."""
    postgres.execute("CREATE TABLE t (id int, at timestamptz);")
    loads = runs()

    assert loads.run() == []
    assert loads.snapshot.window.empty
    assert loads.state == State()


def test_initial_value_starts_the_first_run(postgres: PostgresDatabase, runs: Callable[..., Runs]) -> None:
    """Rows below it are never read, not even while none has reached it."""
    postgres.execute(TIMES)
    later, now = runs({"initial_value": "2026-06-01"}), runs({"initial_value": "2026-01-01 10:30+00"})

    assert now.run() == [2, 3]
    assert later.run() == []
    postgres.execute("INSERT INTO t VALUES (4, '2026-06-01');")
    assert later.run() == [4]


def test_an_initial_value_of_another_type_is_refused(postgres: PostgresDatabase, runs: Callable[..., Runs]) -> None:
    """The error is about the recipe."""
    postgres.execute(TIMES)

    with pytest.raises(RecipeError, match="`soon` is no value of `at`"):
        runs({"initial_value": "soon"}).run()


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("int8", ["9007199254740993", "9007199254740992"], 9007199254740993),
        ("numeric", ["1.10", "1.100000000001"], decimal.Decimal("1.100000000001")),
        ("numeric(20,5)", ["-1", "0.00001"], decimal.Decimal("0.00001")),
        ("date", ["2026-01-01", "2026-01-02"], dt.date(2026, 1, 2)),
        ("timestamp", ["2026-01-01 00:00:00.000001", "2026-01-01"], dt.datetime(2026, 1, 1, 0, 0, 0, 1)),
        ("text", ["a", "B", "é"], "é"),
        ("varchar(10)", ["Z", "a"], "a"),
        ("uuid", ["00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"], None),
    ],
)
def test_each_kind_of_cursor_goes_on_where_it_ended(
    postgres: PostgresDatabase, runs: Callable[..., Runs], kind: str, values: list[str], expected: Any
) -> None:
    """The greatest value is remembered in full and compared in the database's own order, texts byte by byte."""
    rows = ", ".join(f"({i}, '{value}')" for i, value in enumerate(values))
    postgres.execute(f"CREATE TABLE t (id int, at {kind}); INSERT INTO t VALUES {rows};")
    loads = runs()

    first, second = loads.run(), loads.run()

    assert first == list(range(len(values)))
    assert len(second) == 1
    if expected is not None:
        assert loads.snapshot.overlap.seen_through.as_py() == expected
    assert loads.snapshot.overlap.seen_through.type == loads.snapshot.schema.field("at").type


def test_a_lag_of_hours_on_a_date_reads_the_whole_day(postgres: PostgresDatabase, runs: Callable[..., Runs]) -> None:
    """The bound is floored, so that nothing is skipped."""
    postgres.execute("CREATE TABLE t (id int, at date); INSERT INTO t VALUES (1, '2026-01-01'), (2, '2026-01-03');")
    loads = runs({"lag": dt.timedelta(hours=36)})
    loads.run()

    assert loads.run() == [1, 2]


@pytest.mark.parametrize(("kind", "value"), [("timestamptz", "infinity"), ("numeric", "NaN"), ("date", "infinity")])
def test_a_cursor_without_end_is_an_error(
    postgres: PostgresDatabase, runs: Callable[..., Runs], kind: str, value: str
) -> None:
    """It can never be passed, so it never becomes the watermark."""
    postgres.execute(f"CREATE TABLE t (id int, at {kind}); INSERT INTO t VALUES (1, '{value}');")

    with pytest.raises(DataError, match="greatest value"):
        runs().run()


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("float8", {}),
        ("char(3)", {}),
        ("int", {"cursor": {"lag": dt.timedelta(days=1)}}),
        ("int", {"columns": ("id",)}),
        ("timestamptz", {"columns": {"at": "text"}}),
    ],
)
def test_what_cannot_be_a_cursor_is_refused_before_anything_is_read(
    postgres: PostgresDatabase, runs: Callable[..., Runs], kind: str, keys: dict[str, Any]
) -> None:
    """`schema()` says so already."""
    postgres.execute(f"CREATE TABLE t (id int, at {kind});")

    with pytest.raises(RecipeError):
        runs(**keys).source.schema()


def test_a_cursor_of_another_type_is_refused(postgres: PostgresDatabase, runs: Callable[..., Runs]) -> None:
    """A remembered number says nothing about a time."""
    postgres.execute(TIMES)
    loads = runs()
    loads.state = State(cursor_values={"at": CursorValue("5", "number")})

    with pytest.raises(StateError, match="`at`"):
        loads.run()


@pytest.mark.fault(20)
def test_rows_and_bounds_come_from_one_snapshot(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """What is written after the snapshot is opened is not in it, however often it is read."""
    postgres.execute(TIMES)

    with source(table="t", cursor={"cursor_column": "at"}).snapshot(State()) as snapshot:
        postgres.execute("INSERT INTO t VALUES (4, '2026-01-01 10:30+00'); UPDATE t SET id = -id;")
        (split,) = snapshot.splits(4)
        readings = [snapshot.read_split(split, batch_size=1).read_all().column("id").to_pylist() for _ in range(2)]

    assert readings == [[1, 2, 3], [1, 2, 3]]


def test_a_reading_that_was_left_can_be_started_again(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """Closing half way cancels the query, and keeps the snapshot."""
    with source(query="SELECT g AS id FROM generate_series(1, 3000000) g").snapshot(State()) as snapshot:
        (split,) = snapshot.splits(1)
        first = snapshot.read_split(split, batch_size=1_000)
        first.read_next_batch()
        first.close()

        assert snapshot.read_split(split, batch_size=100_000).read_all().num_rows == 3_000_000


def test_batches_have_about_the_size_asked_for(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource]
) -> None:
    """The driver's batches are cut evenly."""
    with source(query="SELECT g AS id, g::numeric(20,2) AS v FROM generate_series(1, 500000) g").snapshot(
        State()
    ) as snapshot:
        sizes = [batch.num_rows for batch in snapshot.read_split(snapshot.splits(1)[0], batch_size=10_000)]

    assert sum(sizes) == 500_000
    assert max(sizes) <= 15_000
    assert sorted(sizes)[1] >= 5_000


def test_columns_exclude_and_filter_are_pushed_into_the_query(
    postgres: PostgresDatabase, source: Callable[..., PostgresSource], read: Callable[..., pa.Table]
) -> None:
    """Only what is asked for is selected, in the order asked for."""
    postgres.execute(
        "CREATE TABLE t (a int, \"B\"\"x\" text, c text); INSERT INTO t VALUES (1, 'x', 'y'), (2, 'z', 'w');"
    )

    assert read(table="t", columns=('B"x', "a"), filter="t.a > 1 -- two").to_pylist() == [{'B"x': "z", "a": 2}]
    assert read(table="t", exclude=("c",)).column_names == ["a", 'B"x']
    with source(table="t", columns=("a",), filter="a > 1").snapshot(State()) as snapshot:
        assert snapshot.window.statements == ('SELECT "a" FROM "public"."t" WHERE (a > 1\n)',)


def test_a_query_may_end_in_a_semicolon_or_a_comment(postgres: PostgresDatabase, read: Callable[..., pa.Table]) -> None:
    """It is put in parentheses as it is."""
    assert read(query="WITH x AS (SELECT 1 AS a) SELECT a FROM x WHERE a > 0 ; \n").to_pylist() == [{"a": 1}]
    assert read(query="SELECT 1 AS a -- one").to_pylist() == [{"a": 1}]


@pytest.mark.fault(68)
@pytest.mark.parametrize("name", ["o'dd", 'quo"ted', "do.ts; --", "é😀", "x" * 63, "SELECT", "a b", "%s {x} $1 :y"])
def test_odd_names_are_quoted(postgres: PostgresDatabase, read: Callable[..., pa.Table], name: str) -> None:
    """Schemas, tables, columns and types may have any name, cursors too."""
    q = '"' + name.replace('"', '""') + '"'
    postgres.execute(
        f"CREATE SCHEMA {q}; CREATE TYPE {q} AS ENUM ('v'); CREATE TABLE {q}.{q} ({q} int[], e {q}, at int);"
        f"INSERT INTO {q}.{q} VALUES ('{{1}}', 'v', 1);"
    )

    table = read(table=f"{q}.{q}", cursor={"cursor_column": "at"})

    assert table.to_pylist() == [{name: [1], "e": "v", "at": 1}]
