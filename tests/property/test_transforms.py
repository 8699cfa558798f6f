"""Laws of types, casts and pipelines, checked against Python's own exact arithmetic."""

from __future__ import annotations

import datetime as dt
import math
import operator
from decimal import Decimal
from fractions import Fraction

import msgspec
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from arrowload.core.casting import CastFailure, cast_exact
from arrowload.core.exceptions import TransformError
from arrowload.core.registry import transforms
from arrowload.core.types import parse_type, type_name
from arrowload.transforms.pipeline import TransformPipeline

INT64 = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-10, 10),
    st.sampled_from([2**62, -(2**62), 2**63 - 1, -(2**63), 2**31, -(2**31), 2**53, 2**53 + 1]),
)
FLOATS = st.one_of(st.floats(), st.floats(-1e6, 1e6), st.integers(-1000, 1000).map(lambda n: n / 100))
DECIMALS = st.decimals(min_value=Decimal(-(10**16)), max_value=Decimal(10**16), places=3)
RANGES = {f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)} | {
    f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)
}
DECIMAL_TARGETS = st.tuples(st.integers(1, 40), st.integers(0, 6)).filter(lambda t: t[1] <= t[0])


def leaves() -> st.SearchStrategy[pa.DataType]:
    simple = [
        "int8",
        "uint64",
        "float32",
        "float64",
        "bool",
        "date",
        "time",
        "time[ns]",
        "json",
        "uuid",
        "binary",
        "null",
    ]
    return st.one_of(
        st.sampled_from(simple).map(parse_type),
        st.builds(
            pa.timestamp, st.sampled_from(["s", "ms", "us", "ns"]), st.sampled_from([None, "UTC", "Asia/Kolkata"])
        ),
        st.builds(lambda p, s: parse_type(f"decimal({p},{min(p, s)})"), st.integers(1, 76), st.integers(0, 76)),
        st.builds(pa.binary, st.integers(1, 99)),
    )


def nested(inner: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    fields = st.dictionaries(st.text(min_size=1, max_size=5), st.tuples(inner, st.booleans()), max_size=3)
    return st.one_of(
        inner.map(pa.list_),
        inner.map(pa.large_list),
        st.builds(pa.list_, inner, st.integers(0, 5)),
        st.builds(pa.map_, st.just(pa.string()), inner),
        fields.map(
            lambda f: pa.struct(
                [pa.field(name, kind, nullable or pa.types.is_null(kind)) for name, (kind, nullable) in f.items()]
            )
        ),
    )


@given(st.recursive(leaves(), nested, max_leaves=5))
def test_a_type_is_read_back_from_its_name(data_type):
    """`parse_type` undoes `type_name`, however deep the type and however odd its field names."""
    assert parse_type(type_name(data_type)) == data_type


def cast_or_none(array, target):
    """The values cast, or the row of the first that does not fit."""
    try:
        return cast_exact(array, target).to_pylist()
    except CastFailure as exc:
        return exc.row


def first_misfit(values, fits):
    return next((row for row, value in enumerate(values) if value is not None and not fits(value)), None)


@given(st.lists(st.none() | INT64), st.sampled_from(sorted(RANGES)))
def test_integers_fit_or_the_first_misfit_is_named(values, target):
    """Between integer types a value is kept or refused by its range alone."""
    low, high = RANGES[target]
    misfit = first_misfit(values, lambda value: low <= value <= high)

    made = cast_or_none(pa.array(values, pa.int64()), parse_type(target))

    assert made == (values if misfit is None else misfit)


@given(st.lists(st.none() | INT64))
def test_integers_become_floats_only_when_these_are_equal(values):
    """The oracle is Python's exact comparison of int and float."""
    misfit = first_misfit(values, lambda value: float(value) == value)

    made = cast_or_none(pa.array(values, pa.int64()), pa.float64())

    assert made == (values if misfit is None else misfit)


@given(st.lists(st.none() | FLOATS))
def test_floats_become_integers_only_when_they_are_some(values):
    """NaN, infinities, fractions and what is out of range are refused."""
    misfit = first_misfit(values, lambda f: math.isfinite(f) and f == int(f) and -(2**63) <= f < 2**63)

    made = cast_or_none(pa.array(values, pa.float64()), pa.int64())

    assert made == (values if misfit is None else misfit)


@given(st.lists(st.none() | DECIMALS), DECIMAL_TARGETS)
def test_decimals_keep_every_digit_or_are_refused(values, target):
    """A decimal fits when no digit is lost before or after the point."""
    precision, scale = target
    fits = lambda v: Fraction(v) * 10**scale % 1 == 0 and abs(v) * 10**scale < 10**precision  # noqa: E731
    misfit = first_misfit(values, fits)
    array = pa.array(values, pa.decimal128(30, 3))

    made = cast_or_none(array, parse_type(f"decimal({precision},{scale})"))
    texts = cast_or_none(cast_exact(array, pa.string()), parse_type(f"decimal({precision},{scale})"))

    assert made == (values if misfit is None else misfit)
    assert made == texts


@given(st.lists(st.none() | FLOATS), DECIMAL_TARGETS)
def test_floats_become_decimals_by_their_shortest_form(values, target):
    """The decimal is what Python prints for the float, or the value is refused."""
    precision, scale = target

    def fits(value):
        return (
            math.isfinite(value)
            and Fraction(repr(value)) * 10**scale % 1 == 0
            and abs(Fraction(repr(value))) * 10**scale < 10**precision
        )

    misfit = first_misfit(values, fits)

    made = cast_or_none(pa.array(values, pa.float64()), parse_type(f"decimal({precision},{scale})"))

    assert made == ([None if v is None else Decimal(repr(v)) for v in values] if misfit is None else misfit)


@given(st.lists(st.none() | DECIMALS))
def test_decimals_become_floats_that_print_the_same(values):
    """A decimal is kept by the float nearest to it, or refused when that stands for another decimal."""
    misfit = first_misfit(values, lambda v: Decimal(repr(float(v))) == v)

    made = cast_or_none(pa.array(values, pa.decimal128(30, 3)), pa.float64())

    assert made == ([None if v is None else float(v) for v in values] if misfit is None else misfit)


WRITTEN = {
    "int64": INT64,
    "bool": st.booleans(),
    "date": st.dates(),
    "time": st.times(),
    "timestamp": st.datetimes(),
    "timestamptz": st.datetimes().map(lambda moment: moment.replace(tzinfo=dt.UTC)),
    "float64": st.floats(allow_nan=False),
    "uuid": st.uuids(),
}


@given(st.sampled_from(sorted(WRITTEN)).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.none() | WRITTEN[n]))))
def test_what_was_written_as_text_is_read_back(written):
    """Text and back gives the same values for every type that has a text form."""
    name, values = written
    target = parse_type(name)
    array = pa.array([value.bytes if name == "uuid" and value else value for value in values], storage_of(target))
    if isinstance(target, pa.BaseExtensionType):
        array = pa.ExtensionArray.from_storage(target, array)

    assert cast_exact(cast_exact(array, pa.string()), target).to_pylist() == values


def storage_of(target):
    return target.storage_type if isinstance(target, pa.BaseExtensionType) else target


OPERATIONS = {
    "x + y": operator.add,
    "x - y": operator.sub,
    "x * y": operator.mul,
    "x // y": lambda x, y: None if y == 0 else int(Fraction(x, y)),
    "x % y": lambda x, y: None if y == 0 else x - y * int(Fraction(x, y)),
}
BOUND = {
    text: TransformPipeline.from_configs(
        [msgspec.convert({"type": "derive", "columns": {"z": text}}, transforms.lookup("derive").config)]
    ).bind(pa.schema({"x": pa.int64(), "y": pa.int64()}))
    for text in OPERATIONS
}


@given(st.sampled_from(sorted(OPERATIONS)), st.lists(st.tuples(st.none() | INT64, st.none() | INT64), max_size=8))
def test_integer_arithmetic_is_exact_or_an_error(text, rows):
    """Python's integers are the oracle: what int64 cannot hold, and a division by zero, names its row."""
    expected = [None if None in pair else OPERATIONS[text](*pair) for pair in rows]
    bad = [
        row
        for row, (pair, value) in enumerate(zip(rows, expected, strict=True))
        if None not in pair and (value is None or not -(2**63) <= value < 2**63)
    ]
    batch = pa.record_batch(
        {"x": pa.array([x for x, _ in rows], pa.int64()), "y": pa.array([y for _, y in rows], pa.int64())}
    )

    made, refused = None, None
    try:
        made = BOUND[text].apply(batch).batch.column("z").to_pylist()
    except TransformError as exc:
        refused = exc.context["row"]

    assert (refused in bad) if bad else (made == expected)


STEPS = [
    {"type": "filter", "where": "a > 2 or a is null"},
    {"type": "filter", "where": "length(s) < 3"},
    {"type": "rename_columns", "mapping": {"a": "b", "b": "a"}},
    {"type": "derive", "columns": {"a": "a * 3 - b"}},
    {"type": "derive", "columns": {"s": "coalesce(s, 'none') || a"}},
    {"type": "cast", "columns": {"a": "int32"}},
    {"type": "cast", "columns": {"b": "int64"}},
    {"type": "select", "columns": ["b", "s", "a"]},
    {"type": "add_column", "name": "k", "value": 5},
]


@st.composite
def batches(draw):
    numbers = st.none() | st.integers(-100, 100)
    rows = draw(st.lists(st.tuples(numbers, numbers, st.none() | st.text("ab", max_size=4)), max_size=30))
    a, b, s = ([row[i] for row in rows] for i in range(3))
    columns = {"a": pa.array(a, pa.int64()), "b": pa.array(b, pa.int64()), "s": pa.array(s, pa.string())}
    return pa.record_batch({**columns, "wide": pa.array(range(len(rows)), pa.int64()).cast(pa.decimal256(60, 0))})


@given(batches(), st.lists(st.sampled_from(STEPS), max_size=6, unique_by=str), st.integers(1, 9))
def test_cutting_and_fusing_change_nothing(batch, steps, size):
    """A pipeline gives the same rows whole, cut into batches, and with each step run by itself."""
    configs = [msgspec.convert(step, transforms.lookup(step["type"]).config) for step in steps]
    bound = TransformPipeline.from_configs(configs).bind(batch.schema)

    whole = bound.apply(batch)
    cuts = [bound.apply(batch.slice(at, size)) for at in range(0, batch.num_rows, size)]
    apart, kept = batch, list(range(batch.num_rows))
    for config in configs:
        single = TransformPipeline.from_configs([config]).bind(apart.schema).apply(apart)
        kept = kept if single.kept is None else [kept[row] for row in single.kept.to_pylist()]
        apart = single.batch

    assert whole.batch.schema.equals(bound.output_schema, check_metadata=True)
    assert [row for cut in cuts for row in cut.batch.to_pylist()] == whole.batch.to_pylist()
    assert apart.equals(whole.batch)
    assert kept == (list(range(batch.num_rows)) if whole.kept is None else whole.kept.to_pylist())
