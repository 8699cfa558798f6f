"""SQL expressions: one row at a time, exact types, and nothing that changes a value in silence."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa
import pytest

from arrowload.core.exceptions import RecipeError, TransformError

SCHEMA = pa.schema(
    {
        "a": pa.int64(),
        "i": pa.int32(),
        "u": pa.uint64(),
        "s": pa.string(),
        "d": pa.decimal128(10, 2),
        "f": pa.float64(),
        "t": pa.timestamp("us"),
        "z": pa.timestamp("us", "UTC"),
        "day": pa.date32(),
        "l": pa.list_(pa.int64()),
        "id": pa.uuid(),
        "wide": pa.decimal256(50, 2),
    }
)
MOMENT = dt.datetime(2024, 2, 29, 13, 45)
DEFAULTS = {
    "a": 7,
    "i": 3,
    "u": 5,
    "s": "Ab-c",
    "d": Decimal("1.25"),
    "f": 0.5,
    "t": MOMENT,
    "z": MOMENT.replace(tzinfo=dt.UTC),
    "day": MOMENT.date(),
    "l": [1, 2],
    "id": b"x" * 16,
    "wide": Decimal(1),
}


def batch_of(**values):
    """One row of the default values with some replaced, a row of nulls before it and one behind it."""
    row = DEFAULTS | values
    columns = []
    for field in SCHEMA:
        storage = field.type.storage_type if isinstance(field.type, pa.BaseExtensionType) else field.type
        array = pa.array([None, row[field.name], None], storage)
        columns.append(array if storage == field.type else pa.ExtensionArray.from_storage(field.type, array))
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


@pytest.fixture
def evaluate(pipeline):
    def evaluate(text, **values):
        batch = batch_of(**values)
        made = pipeline({"type": "derive", "columns": {"made": text}}).bind(SCHEMA).apply(batch)
        return made.batch.schema.field("made").type, made.batch.column("made")[1].as_py()

    return evaluate


@pytest.mark.parametrize(
    ("text", "expected", "data_type"),
    [
        ("a + 1", 8, "int64"),
        ("i * 2", 6, "int32"),
        ("a / 2", 3.5, "double"),
        ("a // 2", 3, "int64"),
        ("a % 4", 3, "int64"),
        ("-a", -7, "int64"),
        ("abs(-a)", 7, "int64"),
        ("power(a, 2)", 49, "int64"),
        ("d * 2", Decimal("2.50"), "decimal128(38, 2)"),
        ("d * d", Decimal("1.5625"), "decimal128(38, 4)"),
        ("d + 1", Decimal("2.25"), "decimal128(38, 2)"),
        ("d * 1.5", Decimal("1.875"), "decimal128(38, 3)"),
        ("d / 3", Decimal("0.41666667"), "decimal128(38, 8)"),
        ("d * f", 0.625, "double"),
        ("round(d, 1)", Decimal("1.30"), "decimal128(11, 2)"),
        ("cast(round(d, 1) as decimal(5,1))", Decimal("1.3"), "decimal128(5, 1)"),
        ("cast(floor(f) as bigint)", 0, "int64"),
        ("a > 1.5", True, "bool"),
        ("upper(s)", "AB-C", "string"),
        ("s || '!' || a", "Ab-c!7", "string"),
        ("substr(s, 1, 2)", "Ab", "string"),
        ("split_part(s, '-', 2)", "c", "string"),
        ("length(s) - 9", -5, "int64"),
        ("position('-' in s)", 3, "int64"),
        ("s like 'A%'", True, "bool"),
        ("s ~ '^[A-Z]'", True, "bool"),
        ("s in ('x', 'Ab-c')", True, "bool"),
        ("case when a > 5 then 'big' else 'small' end", "big", "string"),
        ("coalesce(null, s)", "Ab-c", "string"),
        ("nullif(a, 7)", None, "int64"),
        ("a is null", False, "bool"),
        ("try_cast(s as int)", None, "int32"),
        ("extract(year from t)", 2024, "int32"),
        ("t + interval '1 day'", MOMENT + dt.timedelta(days=1), "timestamp[us]"),
        ("t - interval '1 day'", MOMENT - dt.timedelta(days=1), "timestamp[us]"),
        ("day + interval '1 month'", dt.date(2024, 3, 29), "date32[day]"),
        ("t > timestamp '2024-01-01 00:00:00'", True, "bool"),
        ("z > date '2024-01-01'", True, "bool"),
        ("strftime(t, '%Y-%m')", "2024-02", "string"),
        ("strptime('03.02.2024', '%d.%m.%Y')", dt.datetime(2024, 2, 3), "timestamp[us]"),
        ("cast(t as date)", dt.date(2024, 2, 29), "date32[day]"),
        ("l", [1, 2], "list<item: int64>"),
        ("array_length(l)", 2, "int64"),
        ("1", 1, "int32"),
        ("1 = 1", True, "bool"),
    ],
)
def test_expressions_give_plain_types(evaluate, text, expected, data_type):
    """What comes out has the planned Arrow type: no views, no large layouts, decimals exact."""
    made_type, made = evaluate(text)

    assert made == expected
    assert str(made_type) == data_type


@pytest.mark.parametrize(
    "text", ["a + 1", "d * 2", "upper(s)", "a > 1", "not (a > 1)", "t + interval '1 day'", "a = null"]
)
def test_null_in_gives_null_out(pipeline, text):
    """An operation on NULL is NULL, and not false."""
    made = pipeline({"type": "derive", "columns": {"made": text}}).bind(SCHEMA).apply(batch_of())

    assert made.batch.column("made")[0].as_py() is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sum(a) > 1", "an aggregate"),
        ("a > avg(a)", "an aggregate"),
        ("count(*) > 1", "an aggregate"),
        ("first(a) = a", "an aggregate"),
        ("case when a > 0 then max(a) end = 1", "an aggregate"),
        ("sum(a) over (partition by s) > 1", "a window function"),
        ("row_number() over (order by a) = 1", "a window function"),
        ("lag(a) over (order by a) = 1", "a window function"),
        ("rank() over (order by a) = 1", "a window function"),
        ("unnest(l) = 1", "a function that makes several rows of one"),
        ("(select 1) = 1", "a subquery"),
        ("a in (select 1)", "a subquery"),
        ("exists (select 1)", "a subquery"),
        ("corr(a, f) > 0", "a function of more than one row"),
        ("array_unique(l) = l", "`Eval`, which looks at more than one row or is not known here"),
        ("date(s) > day", "text read as a date in a format that is guessed from the rows around it"),
    ],
)
def test_only_one_row_may_be_looked_at(pipeline, text, reason):
    """What would depend on how rows are cut into batches is refused before any row is read."""
    with pytest.raises(RecipeError) as caught:
        pipeline({"type": "filter", "where": text}).bind(SCHEMA)

    assert caught.value.message == f"step 1 (`filter`): `{text}` uses {reason}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a +", "is no SQL expression"),
        ("a, i", "is no SQL expression"),
        ("a; drop table x", "is no SQL expression"),
        ("nosuch(a)", "unsupported function 'nosuch'"),
        ("date_trunc('month', t)", "is no SQL expression"),
        ("a + s", "does not fit the types of its columns"),
        ("t > '2024-01-01'", "does not fit the types of its columns"),
        ("cast(s as date)", "casts text to date, which Polars does not do"),
        ("cast(s as boolean)", "casts text to bool, which Polars does not do"),
        ("strftime(f, '%Y')", "does not fit the types of its columns"),
        ("columns('a')", "gives several columns"),
        ('"^a$"', "gives several columns"),
        ("id = 'x'", "column `id` is of type uuid, which expressions cannot read"),
        ("wide > 1", "column `wide` is of type decimal(50,2), which expressions cannot read"),
        ("(a + u) * 2", "needs integers of more than 64 bits"),
        ("a + u", "needs integers of more than 64 bits"),
        ("greatest(a, u)", "int128, which Arrow columns cannot hold"),
    ],
)
def test_what_cannot_be_computed_is_refused_before_any_row(pipeline, text, message):
    """SQL errors, type errors and types that Polars lacks are found when the pipeline is bound."""
    with pytest.raises(RecipeError) as caught:
        pipeline({"type": "derive", "columns": {"made": text}}).bind(SCHEMA)

    assert message in caught.value.message
    assert caught.value.message.startswith("step 1 (`derive`): ")


@pytest.mark.parametrize(
    ("text", "values", "reason"),
    [
        ("a * 4", {"a": 2**62}, "an integer leaves the range of int64"),
        ("a + 1", {"a": 2**63 - 1}, "an integer leaves the range of int64"),
        ("a - 2", {"a": -(2**63) + 1}, "an integer leaves the range of int64"),
        ("-a", {"a": -(2**63)}, "an integer leaves the range of int64"),
        ("abs(a)", {"a": -(2**63)}, "an integer leaves the range of int64"),
        ("a // -1", {"a": -(2**63)}, "overflow in integer division"),
        ("i * 2", {"i": 2**30}, "an integer leaves the range of int32"),
        ("u - 6", {}, "an integer leaves the range of uint64"),
        ("u * u", {"u": 2**32}, "an integer leaves the range of uint64"),
        ("u * u", {"u": 2**63}, "an integer leaves the range of uint64"),
        ("power(a, 40)", {}, "an integer leaves the range of int64"),
        ("a * 4 * 4 > 0", {"a": 2**62}, "an integer leaves the range of int64"),
        ("upper(cast(a * 4 as varchar))", {"a": 2**62}, "an integer leaves the range of int64"),
        ("a % i", {"i": 0}, "`%` divides by zero"),
        ("a // i", {"i": 0}, "`//` divides by zero"),
        ("a / i", {"i": 0}, "`/` divides by zero"),
        ("coalesce(a % i, 1)", {"i": 0}, "`%` divides by zero"),
        ("d / i", {"i": 0}, "division by zero"),
        ("d % i", {"i": 0}, "division by zero"),
        ("cast(d as decimal(38,0)) * 100", {"d": Decimal("1.00")}, None),
        ("cast(f as int)", {}, "int32 has no place for its last digits; round it first"),
        ("cast(f as bigint)", {"f": math.nan}, "conversion from `f64` to `i64` failed"),
        ("cast(d as int)", {}, "int32 has no place for its last digits; round it first"),
        ("cast(d as decimal(10,1))", {}, "decimal(10,1) has no place for its last digits; round it first"),
        ("cast(f as decimal(10,1))", {"f": 0.25}, "decimal(10,1) has no place for its last digits; round it first"),
        ("cast(s as decimal(10,1))", {"s": "1.25"}, "decimal(10,1) has no place for its last digits; round it first"),
        ("cast(a as smallint)", {"a": 40_000}, "conversion from `i64` to `i16` failed"),
        ("cast(s as int)", {}, "conversion from `str` to `i32` failed"),
    ],
)
def test_no_value_changes_in_silence(pipeline, text, values, reason):
    """Overflow, division by zero and lost digits are errors that name step, row, expression and values."""
    bound = pipeline({"type": "derive", "columns": {"made": text}}).bind(SCHEMA)
    batch = batch_of(**values)

    if reason is None:
        assert bound.apply(batch).batch.num_rows == 3
        return
    with pytest.raises(TransformError) as caught:
        bound.apply(batch, first_row=100)

    assert reason in caught.value.message
    assert caught.value.message.startswith(f"step 1 (`derive`): column `made`: row 101: `{text}` where ")
    assert caught.value.context["row"] == 101
    assert caught.value.context["column"] == "made"


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("case when i <> 0 then a % i end", {"i": 0}, None),
        ("case when i = 0 then -1 else a % i end", {"i": 0}, -1),
        ("case when a < 10 then a * 4 else a end", {"a": 2**62}, 2**62),
        ("i <> 0 and a % i = 1", {"i": 0}, False),
        ("i = 0 or a % i = 1", {"i": 0}, True),
        ("case when s ~ '^[0-9]+$' then cast(s as int) end", {}, None),
        ("case when s ~ '^[0-9]+$' then cast(s as int) * 2 + 1 end", {}, None),
        ("case when s ~ '^[0-9]+$' then case when cast(s as int) > 5 then cast(s as int) * 2 end end", {}, None),
    ],
)
def test_a_branch_that_is_not_taken_cannot_fail(evaluate, text, values, expected):
    """A condition protects what it guards, as it would in a database."""
    assert evaluate(text, **values)[1] == expected


def test_a_condition_protects_only_its_own_branch(pipeline):
    """The same operation outside of the branch is still checked."""
    bound = pipeline({"type": "derive", "columns": {"made": "case when i <> 0 then 1 else a % i end"}}).bind(SCHEMA)

    with pytest.raises(TransformError, match="divides by zero"):
        bound.apply(batch_of(i=0))


def test_a_filter_behind_does_not_hide_an_overflow(pipeline):
    """A value that has wrapped to the other sign is reported, not filtered away."""
    steps = [{"type": "derive", "columns": {"made": "a * 2"}}, {"type": "filter", "where": "made > 0"}]

    with pytest.raises(TransformError, match="step 1"):
        pipeline(*steps).bind(SCHEMA).apply(batch_of(a=2**62))


def test_an_overflow_in_a_condition_is_reported(pipeline):
    """A filter's own arithmetic is checked as well, and the error has no column."""
    with pytest.raises(TransformError) as caught:
        pipeline({"type": "filter", "where": "a * 4 > 0"}).bind(SCHEMA).apply(batch_of(a=2**62))

    assert caught.value.context["column"] is None
    assert caught.value.context["value"] == {"a": str(2**62)}


def test_rows_filtered_before_are_not_computed(pipeline):
    """A filter ahead of an expression keeps from it the rows that it cannot handle."""
    steps = [{"type": "filter", "where": "i <> 0"}, {"type": "derive", "columns": {"made": "a % i"}}]

    assert pipeline(*steps).bind(SCHEMA).apply(batch_of(i=0)).batch.num_rows == 0


def test_now_is_one_moment_for_the_whole_load(pipeline):
    """The clock is read when the pipeline is bound, so that every batch has the same time."""
    bound = pipeline({"type": "derive", "columns": {"made": "now()"}}).bind(SCHEMA)

    first, second = (bound.apply(batch_of()).batch.column("made")[0].as_py() for _ in range(2))

    assert first == second
