"""Casts: what fits comes out unchanged, what does not is refused with its row, and nothing turns into a null."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal as D  # noqa: N817 - the tables below are read in columns

import pyarrow as pa
import pytest

from arrowload.core.casting import (
    CastFailure,
    cast_batch_exact,
    cast_exact,
    check_batch_cast,
    check_cast,
    sift_exact,
)
from arrowload.core.exceptions import RecipeError, TransformError
from arrowload.core.types import parse_type

BERLIN = "Europe/Berlin"
NAN = float("nan")
NOON = dt.datetime(2020, 1, 1, 12, 0)
MICRO = dt.datetime(2020, 1, 1, 12, 0, 0, 123456)
DAY = dt.date(2020, 1, 1)
RUNS = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["1", "x"]))
UUID = uuid.UUID("fbcc669f-3bb0-4c36-93f1-4155a7bfc771")

FITS = [
    ("string", "int", "-12", -12),
    ("string", "uint8", "255", 255),
    ("large_string", "int", "7", 7),
    ("string_view", "int", "7", 7),
    ("dictionary<int32, string>", "int", "7", 7),
    ("string", "float", "1e3", 1000.0),
    ("string", "float", "-inf", float("-inf")),
    ("string", "float32", "0.5", 0.5),
    ("string", "decimal(10,2)", "12.50", D("12.50")),
    ("string", "decimal(10,2)", "12.5000", D("12.50")),
    ("string", "decimal(10,2)", "1e2", D("100.00")),
    ("string", "decimal(50,2)", "9" * 48 + ".25", D("9" * 48 + ".25")),
    ("string", "decimal(10,2)", "1250e-2", D("12.50")),
    ("string", "decimal(10,2)", "1." + "0" * 100, D("1.00")),
    ("string", "decimal(10,2)", "0" * 100 + "1", D("1.00")),
    ("string", "decimal(38,0)", "-" + "9" * 38, D("-" + "9" * 38)),
    ("string", "decimal(10,2)", "0e-300", D("0.00")),
    ("float", "decimal(38,20)", 1e-7, D("1e-7")),
    ("string", "bool", "TRUE", True),
    ("string", "bool", "0", False),
    ("string", "bool", "Off", False),
    ("string", "date", "0001-01-01", dt.date(1, 1, 1)),
    ("string", "date64", "2020-01-01", DAY),
    ("string", "timestamp", "2020-01-01T12:00:00.123456", MICRO),
    ("string", "timestamp", "2020-01-01", dt.datetime(2020, 1, 1)),
    ("string", "timestamptz", "2020-01-01T12:00:00+02:00", dt.datetime(2020, 1, 1, 10, tzinfo=dt.UTC)),
    ("string", "time", "10:30", dt.time(10, 30)),
    ("string", "time", "10:30:01.000001", dt.time(10, 30, 1, 1)),
    ("string", "time[s]", "10:30:01", dt.time(10, 30, 1)),
    ("string", "uuid", str(UUID).upper(), UUID),
    ("string", "uuid", UUID.hex, UUID),
    ("string", "json", '{"a": 1}', '{"a": 1}'),
    ("string", "binary", "é", "é".encode()),
    ("string", "large_string", "x", "x"),
    ("json", "string", "[1]", "[1]"),
    ("uuid", "string", UUID.bytes, str(UUID)),
    ("uuid", "binary(16)", UUID.bytes, UUID.bytes),
    ("binary(16)", "uuid", UUID.bytes, UUID),
    ("binary", "string", b"x", "x"),
    ("int", "int8", 127, 127),
    ("int", "float", 2**53, 2.0**53),
    ("int", "float", 2**60, 2.0**60),
    ("int", "decimal(10,2)", 12345678, D("12345678.00")),
    ("uint64", "decimal(20,0)", 2**64 - 1, D(2**64 - 1)),
    ("int", "bool", 1, True),
    ("int", "string", 12, "12"),
    ("bool", "int", True, 1),
    ("bool", "string", False, "false"),
    ("float", "int", -(2.0**63), -(2**63)),
    ("float", "int", 2.0**53 + 2, 2**53 + 2),
    ("float", "float32", 0.5, 0.5),
    ("float32", "float", 0.5, 0.5),
    ("float", "decimal(10,2)", 0.1, D("0.10")),
    ("float", "decimal(20,10)", 123456789.12, D("123456789.1200000000")),
    ("float", "string", 0.1, "0.1"),
    ("decimal(10,2)", "decimal(5,1)", D("12.50"), D("12.5")),
    (
        "decimal(38,0)",
        "decimal(40,2)",
        D(10**37),
        D(10**37).quantize(D("0.01"), context=__import__("decimal").Context(60)),
    ),
    ("decimal(10,2)", "int", D("12.00"), 12),
    ("decimal(10,2)", "float", D("12.34"), 12.34),
    ("decimal(20,8)", "float", D("0.12345678"), 0.12345678),
    ("decimal(10,8)", "string", D("0.00000001"), "0.00000001"),
    ("date", "timestamp", DAY, dt.datetime(2020, 1, 1)),
    ("date", "string", DAY, "2020-01-01"),
    ("date", "date64", DAY, DAY),
    ("timestamp", "date", dt.datetime(2020, 1, 1), DAY),
    ("timestamp", "timestamp[s]", NOON, NOON),
    ("timestamptz", "timestamp[us, Europe/Berlin]", NOON, dt.datetime(2020, 1, 1, 12, tzinfo=dt.UTC)),
    ("time[ns]", "time", dt.time(10), dt.time(10)),
    ("duration[us]", "duration[s]", dt.timedelta(seconds=1), dt.timedelta(seconds=1)),
    ("list<int>", "list<int8>", [1, None], [1, None]),
    ("list<float>", "large_list<decimal(4,2)>", [0.1], [D("0.10")]),
    ("list<int>", "list<int>(2)", [1, 2], [1, 2]),
    ("struct<a: int, b: string>", "struct<b: int, a: int8>", {"a": 1, "b": "2"}, {"b": 2, "a": 1}),
    ("string", "dictionary<int8, string>", "x", "x"),
]

REFUSED = [
    ("string", "int", "12.5"),
    ("string", "int", "0x10"),
    ("string", "int", " 1"),
    ("string", "int", ""),
    ("string", "int", "9223372036854775808"),
    ("string", "float", "1,5"),
    ("string", "float", "1e400"),
    ("string", "float32", "1e39"),
    ("string", "decimal(10,2)", "12,50"),
    ("string", "decimal(10,2)", "12.345"),
    ("string", "decimal(10,2)", "123456789.00"),
    ("string", "decimal(10,2)", "NaN"),
    # pyarrow wraps around in silence in each of these.
    ("string", "decimal(38,0)", "1e-237"),
    ("string", "decimal(38,0)", "9" * 38 + "e1"),
    ("string", "decimal(38,0)", "1234567890123456789" + "0" * 22),
    ("string", "decimal(38,37)", "1000000000"),
    ("string", "decimal(10,2)", "1e999999999"),
    ("decimal(5,2)", "decimal(38,38)", D("58.74")),
    ("decimal(5,2)", "decimal(76,76)", D("58.74")),
    ("float", "decimal(1,0)", 2.571443056858697e-221),
    ("string", "bool", "maybe"),
    ("string", "bool", ""),
    ("string", "date", "2020-02-30"),
    ("string", "date", "2020-01-01T00:00:00"),
    ("string", "date", "0000-12-31"),
    ("string", "date", "10000-01-01"),
    ("string", "timestamp", "2020-01-01T12:00:00.1234567"),
    ("string", "timestamp", "2020-01-01T12:00:00Z"),
    ("string", "timestamp", "0000-01-01 00:00:00"),
    ("string", "timestamptz", "2020-01-01T12:00:00"),
    ("string", "time", "24:00"),
    ("string", "time", "10"),
    ("string", "uuid", "fbcc669f"),
    ("string", "json", '{"a":'),
    ("string", "json", "1,2"),
    ("string", "json", "[" * 100_000),
    ("binary", "string", b"\xff"),
    ("int", "int8", 128),
    ("int", "uint64", -1),
    ("int", "float", 2**53 + 1),
    ("int", "float", 2**63 - 1),
    ("int", "decimal(10,2)", 123456789),
    ("int", "bool", 2),
    ("float", "int", 1.5),
    ("float", "int", NAN),
    ("float", "int", 2.0**63),
    ("float", "float32", 0.1),
    ("float", "float32", 1e300),
    ("float", "decimal(10,2)", 0.123),
    ("float", "decimal(10,2)", NAN),
    ("float", "decimal(10,2)", float("inf")),
    ("decimal(10,2)", "decimal(10,1)", D("12.34")),
    ("decimal(10,2)", "decimal(4,2)", D("123.00")),
    ("decimal(10,2)", "int", D("12.34")),
    ("decimal(10,2)", "int8", D("128.00")),
    ("decimal(30,2)", "float", D("12345678901234567890.12")),
    ("timestamp", "date", NOON),
    ("timestamp", "timestamp[ms]", MICRO),
    ("timestamp", "timestamp[ns]", dt.datetime(9999, 1, 1)),
    ("date", "timestamp[ns]", dt.date(9999, 1, 1)),
    ("time", "time[s]", dt.time(0, 0, 0, 1)),
    ("duration[us]", "duration[s]", dt.timedelta(microseconds=1)),
    ("list<int>", "list<int8>", [1, 128]),
    ("list<int>", "list<int>(2)", [1]),
    ("struct<a: int>", "struct<a: int8>", {"a": 128}),
]

IMPOSSIBLE = [
    ("int", "timestamp"),
    ("int", "date"),
    ("timestamp", "int"),
    ("bool", "date"),
    ("timestamp", "timestamptz"),
    ("timestamptz", "timestamp"),
    ("timestamptz", "date"),
    ("date", "timestamptz"),
    ("timestamp", "time"),
    ("struct<a: int>", "struct<b: int>"),
    ("struct<a: int, b: int>", "struct<a: int>"),
    ("list<int>", "int"),
    ("map<string, int>", "string"),
    ("interval", "string"),
    ("uuid", "json"),
    ("string", "list<int>"),
    ("binary(3)", "uuid"),
]


def array_of(type_text: str, *values: object) -> pa.Array:
    data_type = parse_type(type_text)
    if isinstance(data_type, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(data_type, pa.array(values, data_type.storage_type))
    return pa.array(values, data_type)


@pytest.mark.parametrize(("source", "target", "value", "expected"), FITS)
def test_what_fits_comes_out_unchanged_and_nulls_stay(source, target, value, expected):
    """A value that the target holds arrives as that value, between nulls, in a slice, and in the exact type."""
    array = array_of(source, value, None, value, None)[1:]

    cast = cast_exact(array, parse_type(target))

    assert cast.type == parse_type(target)
    assert cast.to_pylist() == [None, expected, None]
    cast.validate(full=True)


@pytest.mark.parametrize(("source", "target"), sorted({(source, target) for source, target, *_ in FITS}))
def test_empty_and_all_null_arrays_pass(source, target):
    """No value, no failure: an empty array and one of nulls alone come out in the target type."""
    check_cast(parse_type(source), parse_type(target))

    for array in (array_of(source), array_of(source, None, None)):
        cast = cast_exact(array, parse_type(target))
        assert cast.type == parse_type(target)
        assert cast.null_count == len(cast) == len(array)


@pytest.mark.fault(54)
@pytest.mark.parametrize(("source", "target", "value"), REFUSED)
def test_what_does_not_fit_is_refused_with_its_row(source, target, value):
    """A value that the target cannot hold is never changed, cut or made null: its row is named."""
    array = array_of(source, None, None, None, value, None, value)

    with pytest.raises(CastFailure) as caught:
        cast_exact(array, parse_type(target))

    assert caught.value.row == 3
    assert caught.value.value == value or value != value


@pytest.mark.parametrize(("source", "target"), IMPOSSIBLE)
def test_types_without_an_exact_conversion_are_refused_before_any_row(source, target):
    """A pair of types that no value can cross is refused for the types alone."""
    with pytest.raises(RecipeError, match="cannot be cast to"):
        check_cast(parse_type(source), parse_type(target))


def test_every_possible_cast_is_accepted_by_the_check():
    """`check_cast` lets every pair through that `cast_exact` can do."""
    for source, target, *_ in (*FITS, *REFUSED):
        check_cast(parse_type(source), parse_type(target))


def test_same_type_is_the_same_array():
    """Nothing is copied when nothing is to be done."""
    for array in (pa.array([1, 2]), RUNS, RUNS.values.dictionary_encode(), RUNS.values.cast(pa.string_view())):
        assert cast_exact(array, array.type) is array
        assert sift_exact(array, array.type)[0] is array


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("%d.%m.%Y", "1.2.2020", dt.date(2020, 2, 1)),
        ("%d/%m/%y", "01/02/69", dt.date(1969, 2, 1)),
        ("%d/%m/%y", "01/02/68", dt.date(2068, 2, 1)),
        ("%b %d, %Y", "dec 31, 2020", dt.date(2020, 12, 31)),
        ("%B %d %Y", "March 1 2020", dt.date(2020, 3, 1)),
        ("%Y%m%d", "20201231", dt.date(2020, 12, 31)),
        ("%d.%m.%Y", "31.02.2020", None),
        ("%d.%m.%Y", "1.2.2020 ", None),
        ("%d.%m.%Y", "1.13.2020", None),
        ("%d.%m.%Y", "2020-01-01", None),
    ],
)
def test_dates_in_a_format_of_their_own(form, text, expected):
    """A format is matched whole, and a day that the calendar lacks is refused."""
    array = pa.array([None, text])

    if expected is None:
        with pytest.raises(CastFailure):
            cast_exact(array, pa.date32(), form=form)
    else:
        assert cast_exact(array, pa.date32(), form=form).to_pylist() == [None, expected]


@pytest.mark.parametrize(
    ("form", "text", "target", "expected"),
    [
        ("%d.%m.%Y %H:%M", "1.2.2020 9:05", "timestamp", dt.datetime(2020, 2, 1, 9, 5)),
        ("%d.%m.%Y %I:%M %p", "1.2.2020 12:05 am", "timestamp", dt.datetime(2020, 2, 1, 0, 5)),
        ("%d.%m.%Y %I:%M %p", "1.2.2020 12:05 PM", "timestamp", dt.datetime(2020, 2, 1, 12, 5)),
        (
            "%F %T.%f%z",
            "2020-01-01 00:00:00.5+0130",
            "timestamptz",
            dt.datetime(2019, 12, 31, 22, 30, 0, 500000, dt.UTC),
        ),
        ("%H.%M", "9.05", "time", dt.time(9, 5)),
    ],
)
def test_times_in_a_format_of_their_own(form, text, target, expected):
    """Twelve-hour clocks, fractions and offsets are read; a missing second is 0."""
    assert cast_exact(pa.array([text]), parse_type(target), form=form).to_pylist() == [expected]


@pytest.mark.parametrize("form", ["%q", "%Y", "%H:%S", "%I:%M", "%d.%m.%d", "%M", "plain"])
def test_a_useless_format_is_refused_before_any_row(form):
    """A format must be made of known codes and give a whole date or time."""
    with pytest.raises(RecipeError, match="the format"):
        check_cast(pa.string(), pa.timestamp("us"), form=form)


def test_zone_leads_between_local_and_absolute_time():
    """`zone` reads local times in it, and writes absolute ones in it."""
    local = pa.array([dt.datetime(2020, 7, 1, 12), None])
    zoned = cast_exact(local, parse_type("timestamptz"), zone=BERLIN)

    assert zoned.to_pylist() == [dt.datetime(2020, 7, 1, 10, tzinfo=dt.UTC), None]
    assert cast_exact(zoned, pa.timestamp("us"), zone=BERLIN).equals(local)


def test_zone_applies_only_to_texts_without_an_offset():
    """A text's own offset wins over `zone`."""
    texts = pa.array(["2020-01-01 12:00", "2020-01-01 12:00Z", None])

    cast = cast_exact(texts, parse_type("timestamptz"), zone=BERLIN)

    assert [value and value.hour for value in cast.to_pylist()] == [11, 12, None]


@pytest.mark.parametrize("text", ["2020-03-29 02:30", "2020-10-25 02:30"])
def test_local_times_that_do_not_exist_or_exist_twice_are_refused(text):
    """The hour that summer time skips, and the one that it repeats, name no moment."""
    with pytest.raises(CastFailure):
        cast_exact(pa.array([text]), parse_type("timestamptz"), zone=BERLIN)


@pytest.mark.parametrize(
    ("source", "target", "value", "expected"),
    [
        ("float", "float32", 0.1, 0.10000000149011612),
        ("float", "int", 2.5, 3),
        ("float", "int", -2.5, -3),
        ("float", "decimal(4,2)", 1.005, D("1.01")),
        ("decimal(10,3)", "decimal(10,2)", D("-1.005"), D("-1.01")),
        ("decimal(3,2)", "decimal(3,1)", D("9.99"), D("10.0")),
        ("decimal(10,2)", "int", D("1.50"), 2),
        ("string", "int", "1.5", 2),
        ("string", "decimal(10,2)", "1.005", D("1.01")),
        ("int", "float", 2**53 + 1, 2.0**53),
    ],
)
def test_rounding_is_done_only_when_asked_for(source, target, value, expected):
    """With `rounding` halves go away from zero; without it the same value is refused."""
    array = array_of(source, value, None)

    assert cast_exact(array, parse_type(target), rounding=True).to_pylist() == [expected, None]
    with pytest.raises(CastFailure):
        cast_exact(array, parse_type(target))


@pytest.mark.parametrize(
    ("source", "target", "value"),
    [("float", "int", 1e30), ("float", "float32", 1e300), ("decimal(10,2)", "decimal(3,1)", D("99.99"))],
)
def test_rounding_does_not_excuse_overflow(source, target, value):
    """What lies outside the range of the target is refused, rounded or not."""
    with pytest.raises(CastFailure):
        cast_exact(array_of(source, value), parse_type(target), rounding=True)


@pytest.mark.parametrize(
    ("source", "target", "options"),
    [("int", "date", {"form": "%Y"}), ("string", "int", {"zone": "UTC"}), ("string", "date", {"rounding": True})],
)
def test_options_that_do_not_belong_are_refused(source, target, options):
    """An option that could have no effect is a mistake in the recipe."""
    with pytest.raises(RecipeError):
        check_cast(parse_type(source), parse_type(target), **options)


def test_the_first_bad_row_is_named():
    """Of several bad values in a long column the first is reported."""
    values = ["1"] * 10_000
    values[6_789] = values[9_000] = "x"

    with pytest.raises(CastFailure) as caught:
        cast_exact(pa.array(values), pa.int64())

    assert (caught.value.row, caught.value.value, caught.value.reason) == (6_789, "x", "is no int64")


def test_a_batch_is_aligned_by_name():
    """Columns are put in the order of the schema and given its types; metadata is the schema's."""
    batch = pa.record_batch({"b": ["1", None], "a": [1, 2]})
    schema = pa.schema([pa.field("a", pa.int8(), metadata={"k": "v"}), pa.field("b", pa.decimal128(5, 1))], {"s": "t"})

    aligned = cast_batch_exact(batch, schema)

    assert aligned.schema.equals(schema, check_metadata=True)
    assert aligned.to_pydict() == {"a": [1, 2], "b": [D("1.0"), None]}


def test_a_bad_value_in_a_batch_names_column_value_and_row():
    """The message and the context say which value of which row, counted from `first_row`."""
    batch = pa.record_batch({"price": ["1.00", "12,50"]})

    with pytest.raises(TransformError) as caught:
        cast_batch_exact(batch, pa.schema([("price", pa.decimal128(10, 2))]), first_row=16)

    assert str(caught.value) == "column `price`: `12,50` in row 17 is no decimal(10,2)"
    assert caught.value.context == {"column": "price", "row": 17, "value": "12,50", "type": "decimal(10,2)"}


def test_long_values_are_cut_in_messages():
    """A cell of a megabyte does not become a message of a megabyte."""
    with pytest.raises(TransformError) as caught:
        cast_batch_exact(pa.record_batch({"a": ["x" * 1_000_000]}), pa.schema([("a", pa.int64())]))

    assert len(str(caught.value)) < 200


def test_batches_whose_columns_differ_are_refused():
    """Nothing is dropped and nothing is filled in: a missing or a spare column is an error."""
    with pytest.raises(RecipeError, match=r"missing \['b'\], left over \['a'\]"):
        check_batch_cast(pa.schema([("a", pa.int64())]), pa.schema([("b", pa.int64())]))


def test_an_impossible_column_is_named():
    """The check of whole schemas says which column cannot be cast."""
    with pytest.raises(RecipeError, match="column `a`: int64 cannot be cast to date"):
        check_batch_cast(pa.schema([("a", pa.int64())]), pa.schema([("a", pa.date32())]))


def test_dates_that_python_lacks_are_reported_all_the_same():
    """A date after the year 9999 has no Python value; its text is in the error."""
    far = pa.array([5_000_000], pa.int32()).cast(pa.date32())

    with pytest.raises(CastFailure) as caught:
        cast_exact(far, pa.timestamp("ns"))

    assert "15659" in str(caught.value)


def test_an_equal_schema_costs_nothing():
    """A batch that has the schema already is handed back."""
    batch = pa.record_batch({"a": [1]})

    assert cast_batch_exact(batch, batch.schema) is batch


UUIDS = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes([n] * 16) for n in range(3)], pa.binary(16)))
SIFTED = [
    (pa.array([1, 2**62, None], pa.duration("us")), pa.duration("ns"), [1]),
    (pa.array([1, 300, None]), pa.dictionary(pa.int8(), pa.int8()), [1]),
    (pa.array([1, 2**63, None], pa.uint64()), pa.decimal64(18, 0), [1]),
    (pa.array([1.5, 2.0, None]), pa.decimal32(5, 0), [0]),
    (pa.array([1.0, 70000.0, None]), pa.float16(), [1]),
    (pa.array([1, 0, 2], pa.int8()), pa.bool_(), [2]),
    (pa.array([dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, 5), None]), pa.date32(), [1]),
    (pa.array(["1", "x", None, "1e3", "x"]).dictionary_encode(), pa.int64(), [1, 3, 4]),
    (pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array(["1", None, "x"])), pa.int64(), [2]),
    (RUNS, pa.int64(), [2]),
    (pa.array(["1", "x", None], pa.string_view()), pa.int64(), [1]),
    (pa.array(["1e3", "1", "x", None]), pa.decimal128(5, 1), [2]),
    (pa.array(["31.12.2020", None]), pa.date32(), [0]),
    (pa.array([b"a", b"\xff", None], pa.binary_view()), pa.string(), [1]),
    (pa.array([b"a", b"\xff", None]), pa.string_view(), [1]),
    (pa.array([b"a" * 16, b"b", None], pa.binary_view()), pa.uuid(), [1]),
    (pa.array([["1"], ["x"], None, []]), pa.list_(pa.int64()), [1]),
    (pa.array([["true"], ["maybe"], None]), pa.list_(pa.bool_()), [1]),
    (pa.array([{"a": "true"}, {"a": "maybe"}, None]), pa.struct([("a", pa.bool_())]), [1]),
    (pa.array([["1"], [], None]), pa.list_(pa.int64(), 1), [1]),
    (pa.array([None, None], pa.list_(pa.string())), pa.list_(pa.int64(), 2), []),
    (
        pa.StructArray.from_arrays([UUIDS, pa.array(["1", "x", None])], ["u", "n"]),
        pa.struct([("u", pa.string()), ("n", pa.int64())]),
        [1],
    ),
    (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([0, 1, None], pa.int8())), pa.int64(), []),
    (pa.array([], pa.string()), pa.int64(), []),
    (pa.nulls(3), pa.int64(), []),
]


@pytest.mark.parametrize(("array", "target", "refused"), SIFTED, ids=lambda value: str(getattr(value, "type", value)))
def test_sifting_knows_every_type(array, target, refused):
    """What fits comes out as a cast of it alone would, and null takes the place of the rest; of a slice, too."""
    for part, shift in ((array, 0), (array.slice(1), 1)):
        made, failures = sift_exact(part, target)
        made.validate(full=True)
        rows = [row - shift for row in refused if row >= shift]
        assert (made.type, [failure.row for failure in failures]) == (target, rows)
        for row in range(len(part)):
            if row in rows:
                assert not made[row].is_valid
            else:
                assert made.slice(row, 1).to_pylist() == cast_exact(part.slice(row, 1), target).to_pylist()


@pytest.mark.parametrize(
    ("array", "target"),
    [
        (pa.array([["true"], ["maybe"]]), pa.list_(pa.bool_())),
        (pa.array([{"a": "true"}, {"a": "maybe"}]), pa.struct([("a", pa.bool_())])),
    ],
    ids=["list", "struct"],
)
def test_no_nested_value_becomes_null_by_stealth(array, target):
    with pytest.raises(CastFailure, match="in row 1 is no"):
        cast_exact(array, target)
