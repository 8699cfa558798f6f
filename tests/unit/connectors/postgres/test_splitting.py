"""Where tables are cut, and what types lie on the wire."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arrowload.connectors.base import RelayFormat
from arrowload.connectors.postgres.binding import TargetColumn
from arrowload.connectors.postgres.errors import translate_text
from arrowload.connectors.postgres.relay import _wire, stores_as_is
from arrowload.connectors.postgres.splitting import _blocks, _cut, _ends, _values
from arrowload.core.exceptions import ConnectorError, DataError, TransientConnectorError

SIZES = st.lists(st.integers(0, 10_000), min_size=1, max_size=20)


@given(SIZES, st.integers(0, 200_000))
def test_a_cut_is_the_lowest_block_with_enough_below_it(sizes: list[int], wanted: int) -> None:
    """All heaps are cut at one number; one less would not be enough."""
    wanted = min(wanted, sum(sizes))

    cut = _cut(sizes, wanted)

    assert sum(min(size, cut) for size in sizes) >= wanted
    assert cut == 0 or sum(min(size, cut - 1) for size in sizes) < wanted


@given(SIZES, st.integers(1, 9))
def test_cuts_grow_and_parts_are_even(sizes: list[int], n: int) -> None:
    """But for what one block number holds in all heaps."""
    cuts = [0, *(_cut(sizes, sum(sizes) * i // n) for i in range(1, n)), max(sizes)]

    below = [sum(min(size, cut) for size in sizes) for cut in cuts]
    parts = [after - before for before, after in pairwise(below)]
    assert cuts == sorted(cuts)
    assert sum(parts) == sum(sizes)
    assert max(parts) <= sum(sizes) / n + len(sizes) + 1


def parts_of(blocks: int, n: int) -> list[int]:
    return [end - start for start, end in pairwise([0, *_ends(blocks, n, 100), blocks])]


@given(st.integers(0, 10**7), st.integers(2, 64))
def test_parts_of_a_large_table_become_smaller(blocks: int, n: int) -> None:
    """Down to the least that is worth it, and a rest; a small table has as many as readers, of one size."""
    parts = parts_of(blocks, n)

    assert sum(parts) == blocks
    if blocks < 200 * n:
        assert len(parts) == n
        assert max(parts) - min(parts) <= 1
    else:
        assert parts == sorted(parts, reverse=True)
        assert parts[-2] >= 100


@given(st.integers(10**5, 10**7), st.lists(st.floats(1, 2), min_size=2, max_size=16))
def test_readers_of_different_speed_end_at_about_one_time(blocks: int, speeds: list[float]) -> None:
    """Each takes the next part when it is done; the first has nothing to do for less than a twelfth of the time."""
    done = [0.0] * len(speeds)
    for part in parts_of(blocks, len(speeds)):
        reader = done.index(min(done))
        done[reader] += part / speeds[reader]

    assert max(done) - min(done) < max(done) / 12


def test_the_ends_of_parts_meet() -> None:
    """The first has no lower bound, the last no upper one, and NULLs are in the last."""
    assert _blocks(0, 5).condition == "ctid < '(5,0)'::tid"
    assert _blocks(5, 9).condition == "ctid >= '(5,0)'::tid AND ctid < '(9,0)'::tid"
    assert _blocks(9, None).condition == "ctid >= '(9,0)'::tid"
    assert _values('"k"', None, "a'b").condition == "\"k\" < 'a''b'"
    assert _values('"k"', "a'b", "c").condition == "\"k\" >= 'a''b' AND \"k\" < 'c'"
    assert _values('"k"', "c", None).condition == '"k" >= \'c\' OR "k" IS NULL'


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("integer", ("int4", "")),
        ("numeric(10,2)", ("numeric", "10,2")),
        ("numeric(10, 2)", ("numeric", "10,2")),
        ("timestamp(3) with time zone", ("timestamptz", "3")),
        ("timestamp without time zone", ("timestamp", "")),
        ("timestamp", ("timestamp", "")),
        ("time(0) without time zone", ("time", "0")),
        ("character varying(5)", ("text", "character varying 5")),
        ("character(5)", ("text", "character 5")),
        ("bpchar", ("text", "")),
        ('"char"', ('"char"', "")),
        ("interval second(3)", ("interval second", "3")),
        ("json", ("json", "")),
        ("jsonb", ("jsonb", "")),
    ],
)
def test_each_type_has_its_name_on_the_wire(sql: str, expected: tuple[str, str]) -> None:
    """Of DDL's names and those of `format_type`; a text keeps what kind its modifier is of."""
    assert _wire(sql) == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (TargetColumn("v", pa.timestamp("us"), "timestamp"), True),
        (TargetColumn("v", pa.timestamp("s"), "timestamp without time zone"), False),
        (TargetColumn("v", pa.timestamp("us"), "timestamp", "timestamp(0)"), False),
        (TargetColumn("w", pa.timestamp("us"), "timestamp"), False),
        (TargetColumn("v", pa.timestamp("us", "UTC"), "timestamptz"), False),
    ],
)
def test_a_column_takes_what_it_stores_unchanged(column: TargetColumn, *, expected: bool) -> None:
    """A domain shows by the coarser unit that it asks for."""
    relay = RelayFormat(protocol="postgres copy binary", columns=(("v", "timestamp", ""),))

    assert stores_as_is(relay, [column]) == expected
    assert not stores_as_is(relay, [])
    assert not stores_as_is(RelayFormat(protocol="other", columns=relay.columns), [column])


@pytest.mark.parametrize(
    ("text", "kind", "sqlstate"),
    [
        ('Db, cause: Some(DbError { code: SqlState(E22012), message: "division by zero", x })', DataError, "22012"),
        ('Db(DbError { code: SqlState(Other("E57P01")), message: "ended" })', TransientConnectorError, "57P01"),
        ('db error: ERROR: snapshot "0000000A-00000019-1" does not exist', TransientConnectorError, None),
        ('db error: ERROR: snapshot "x" is odd', ConnectorError, None),
        ("error connecting to server: Connection refused (os error 111)", TransientConnectorError, None),
        ('FromSql(1), cause: Some("value too large to decode")', DataError, None),
    ],
)
def test_errors_told_as_text_are_sorted_as_others(text: str, kind: type, sqlstate: str | None) -> None:
    """By the SQLSTATE where it is told, else by words."""
    error = translate_text(text)

    assert type(error) is kind
    assert error.context.get("sqlstate") == sqlstate
