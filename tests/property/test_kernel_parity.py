"""Compiled kernels and their Python reference agree on everything that Hypothesis comes up with."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from arrowload import kernels
from arrowload.core.exceptions import DataError
from arrowload.kernels import ContentHash, reference

UNITS = ("s", "ms", "us", "ns")
TIMES = (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))
Strategy = st.SearchStrategy[Any]


def integers(bits: int, *, signed: bool = True) -> Strategy:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.integers(low, high) | st.integers(max(low, -3), 3)


def arrays_of(kind: pa.DataType, values: Strategy, *, storage: pa.DataType | None = None) -> Strategy:
    """Arrays of `kind`, made as `storage` first where pyarrow's conversion from Python would lose range."""
    return st.lists(st.none() | values, max_size=8).map(lambda items: pa.array(items, storage or kind).cast(kind))


def decimals(make: Any, digits: int) -> Strategy:
    def of_scale(precision: int, scale: int) -> Strategy:
        coefficients = st.integers(-(10**precision) + 1, 10**precision - 1)
        rounds = st.builds(lambda base, zeros: base * 10**zeros, st.integers(-9, 9), st.integers(0, precision - 1))
        unscaled = st.lists(st.none() | coefficients | rounds, max_size=8)
        return unscaled.map(lambda values: reference.decimals(make(precision, scale), values))

    precisions = st.integers(1, digits)
    sizes = precisions.flatmap(lambda p: st.tuples(st.just(p), st.integers(max(-5, p - 76), p)))
    return sizes.flatmap(lambda size: of_scale(*size))


def plain_arrays() -> Strategy:
    ints = [arrays_of(getattr(pa, f"int{bits}")(), integers(bits)) for bits in (8, 16, 32, 64)]
    uints = [arrays_of(getattr(pa, f"uint{bits}")(), integers(bits, signed=False)) for bits in (8, 16, 32, 64)]
    floats = [arrays_of(getattr(pa, f"float{bits}")(), st.floats(width=bits)) for bits in (16, 32, 64)]
    texts = [arrays_of(kind, st.text(max_size=5)) for kind in (pa.string(), pa.large_string(), pa.string_view())]
    texts.append(arrays_of(pa.string(), st.text("ab", min_size=100, max_size=200)))
    binaries = [arrays_of(kind, st.binary(max_size=20)) for kind in (pa.binary(), pa.large_binary(), pa.binary_view())]
    fixed = st.binary(min_size=3, max_size=3)
    return st.one_of(
        arrays_of(pa.null(), st.none()),
        arrays_of(pa.bool_(), st.booleans()),
        *ints,
        *uints,
        *floats,
        *texts,
        *binaries,
        arrays_of(pa.binary(3), fixed),
        decimals(pa.decimal32, 9),
        decimals(pa.decimal64, 18),
        decimals(pa.decimal128, 38),
        decimals(pa.decimal256, 76),
        temporal_arrays(),
    )


def temporal_arrays() -> Strategy:
    days = st.integers(-(2**31), 2**31 - 1)
    dates = [
        arrays_of(pa.date32(), days, storage=pa.int32()),
        arrays_of(pa.date64(), days.map(lambda day: day * 86_400_000), storage=pa.int64()),
    ]
    times = [
        arrays_of(
            kind, st.integers(0, 86_400 * per_second - 1), storage=pa.int32() if kind.bit_width == 32 else pa.int64()
        )
        for per_second, kind in zip((1, 10**3, 10**6, 10**9), TIMES, strict=True)
    ]
    zoned = [pa.timestamp(unit, zone) for unit in UNITS for zone in (None, "UTC", "Europe/Berlin")]
    stamps = [
        arrays_of(kind, integers(64), storage=pa.int64()) for kind in zoned + [pa.duration(unit) for unit in UNITS]
    ]
    parts = st.tuples(integers(32), integers(32), integers(64))
    return st.one_of(*dates, *times, *stamps, arrays_of(pa.month_day_nano_interval(), parts))


@st.composite
def nested_arrays(draw: st.DrawFn, inner: Strategy) -> pa.Array:
    values = draw(inner)
    kind = draw(st.sampled_from(["list", "large", "view", "fixed", "struct", "map", "dictionary", "run_end", "slice"]))
    if kind == "slice":
        return values.slice(draw(st.integers(0, len(values))))
    if kind == "dictionary":
        indices = st.lists(st.none() | st.integers(0, len(values) - 1) if len(values) else st.none(), max_size=8)
        return pa.DictionaryArray.from_arrays(pa.array(draw(indices), pa.int16()), values)
    if kind == "run_end":
        lengths = draw(st.lists(st.integers(1, 4), min_size=len(values), max_size=len(values)))
        ends = pa.array([sum(lengths[: i + 1]) for i in range(len(values))], pa.int32())
        return pa.RunEndEncodedArray.from_arrays(ends, values)
    if kind == "fixed":
        return pa.FixedSizeListArray.from_arrays(values.slice(0, len(values) // 2 * 2), 2)
    if kind == "struct":
        mask = pa.array(draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))), pa.bool_())
        return pa.StructArray.from_arrays([values, pa.nulls(len(values))], ["a", "b"], mask=mask)
    return _with_offsets(draw, kind, values)


def _with_offsets(draw: st.DrawFn, kind: str, values: pa.Array) -> pa.Array:
    cuts = sorted(draw(st.lists(st.integers(0, len(values)), min_size=1, max_size=5)))
    if kind == "view":
        sizes = [draw(st.integers(0, len(values) - cut)) for cut in cuts]
        return pa.ListViewArray.from_arrays(pa.array(cuts, pa.int32()), pa.array(sizes, pa.int32()), values)
    if kind == "map":
        keys = pa.array([f"k{i}" for i in range(len(values))], pa.string())
        return pa.MapArray.from_arrays(pa.array(cuts, pa.int32()), keys, values)
    offsets = [cut if i == len(cuts) - 1 or draw(st.booleans()) else None for i, cut in enumerate(cuts)]
    if kind == "large":
        return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def arrays() -> Strategy:
    return st.recursive(plain_arrays(), nested_arrays, max_leaves=3)


@st.composite
def batches(draw: st.DrawFn) -> pa.RecordBatch:
    columns = draw(st.lists(arrays(), min_size=1, max_size=4))
    rows = min(map(len, columns))
    starts = [draw(st.integers(0, len(column) - rows)) for column in columns]
    cut = [column.slice(start, rows) for column, start in zip(columns, starts, strict=True)]
    return pa.RecordBatch.from_arrays(cut, [f"c{i}" for i in range(len(cut))])


@given(batches())
def test_row_hash(batch: pa.RecordBatch) -> None:
    """Every row has the documented hash."""
    assert kernels.row_hash(batch).equals(reference.row_hash(batch))


@st.composite
def long_batches(draw: st.DrawFn) -> pa.RecordBatch:
    """Batches that fill blocks of 256 rows to the brim, or just not, and begin anywhere in their buffers."""
    rows = draw(st.sampled_from([255, 256, 257, 511, 512, 513, 800]))
    columns = []
    for column in draw(st.lists(plain_arrays(), min_size=1, max_size=6)):
        start = draw(st.integers(0, 70))
        order = draw(st.randoms(use_true_random=False))
        values = column if len(column) else pa.nulls(1, column.type)
        # `take` has no kernel for views.
        picked = [values.slice(order.randrange(len(values)), 1) for _ in range(start + rows)]
        columns.append(pa.concat_arrays(picked).slice(start))
    return pa.RecordBatch.from_arrays(columns, [f"c{i}" for i in range(len(columns))])


@settings(max_examples=25)
@given(long_batches())
def test_row_hash_across_blocks(batch: pa.RecordBatch) -> None:
    """Rows hash alike wherever they stand in a block, with nulls or without."""
    assert kernels.row_hash(batch).equals(reference.row_hash(batch))


@settings(max_examples=12)
@given(st.lists(st.sampled_from([0, 1, 15, 16, 17, 31, 32, 33, 127, 128, 3_000, 100_000, 300_000]), max_size=400))
def test_row_hash_of_rows_of_any_size(lengths: list[int]) -> None:
    """Rows larger than a block, among small ones, in every layout of text."""
    texts = pa.array([chr(97 + i % 26) * length for i, length in enumerate(lengths)], pa.string())
    layouts = [texts, texts.cast(pa.string_view()), texts.dictionary_encode()]
    lists = pa.ListArray.from_arrays(pa.array(range(len(lengths) + 1), pa.int32()), texts)
    numbers = pa.arange(0, len(lengths))

    for column in [*layouts, lists]:
        batch = pa.RecordBatch.from_arrays([numbers, column, numbers], ["a", "b", "c"])
        assert kernels.row_hash(batch).equals(reference.row_hash(batch))


def decimals_near_powers() -> Strategy:
    """Coefficients around the limits of 64 and 128 bits, and with as many zeros at the end as fit."""
    edges = [2**63, 2**64, 2**127 - 1, *(10**n for n in range(38))]
    near = st.builds(
        lambda edge, off, sign: sign * (edge + off),
        st.sampled_from(edges),
        st.integers(-1, 1),
        st.sampled_from([-1, 1]),
    )
    zeros = st.builds(
        lambda digits, n: int(str(digits) + "0" * (n - len(str(digits)))) if n > len(str(digits)) else digits,
        st.integers(1, 10**20),
        st.integers(1, 38),
    )
    return (near | zeros).filter(lambda value: abs(value) < 10**38)


@given(st.lists(st.none() | decimals_near_powers(), min_size=1, max_size=40), st.integers(0, 38))
def test_row_hash_of_decimals(coefficients: list[int | None], scale: int) -> None:
    """Zeros after the point go, in 64 bits and beyond."""
    for kind in (pa.decimal128(38, scale), pa.decimal256(40, scale)):
        batch = pa.RecordBatch.from_arrays([reference.decimals(kind, coefficients)], ["d"])
        assert kernels.row_hash(batch).equals(reference.row_hash(batch))


@given(batches(), st.data())
def test_content_hash_of_parts(batch: pa.RecordBatch, data: st.DataObject) -> None:
    """Wherever a batch is cut, the parts merge into the documented hash of the whole."""
    cut = data.draw(st.integers(0, batch.num_rows))
    parts = [kernels.content_hash(batch.slice(0, cut)), kernels.content_hash(batch.slice(cut))]

    assert parts[1].merge(parts[0]) == kernels.content_hash(batch) == reference.content_hash(batch)


@given(st.lists(st.none() | st.text("ab", max_size=2), max_size=30), st.data())
def test_encodings_do_not_count(texts: list[str | None], data: st.DataObject) -> None:
    """Dictionary, run-end, large and view layouts of the same column hash alike, sliced or not."""
    plain = pa.array(texts, pa.string())
    start = data.draw(st.integers(0, len(texts)))
    layouts = [
        plain.cast(pa.large_string()),
        plain.cast(pa.string_view()),
        plain.dictionary_encode(),
        pc.run_end_encode(plain),
        pa.array([*texts, "x"], pa.string()).slice(0, len(texts)),
    ]

    expected = kernels.row_hash(pa.RecordBatch.from_arrays([plain], ["a"])).slice(start)
    for layout in layouts:
        assert kernels.row_hash(pa.RecordBatch.from_arrays([layout.slice(start)], ["b"])).equals(expected)


@given(st.lists(arrays(), max_size=3))
def test_no_batch_is_the_empty_hash(columns: list[pa.Array]) -> None:
    """Whatever its schema, a batch without rows adds nothing."""
    empty = pa.RecordBatch.from_arrays(
        [column.slice(0, 0) for column in columns], [str(i) for i in range(len(columns))]
    )

    assert kernels.content_hash(empty) == ContentHash(0, 0)


def numeric_texts() -> Strategy:
    digits = st.text("0123456789", max_size=45) | st.text("09", max_size=80) | st.just("")
    exponents = st.just("") | st.integers(-90, 90).map(lambda exponent: f"e{exponent}")
    numbers = st.builds("{}{}.{}{}".format, st.sampled_from(["", "-", "+"]), digits, digits, exponents)
    whole = st.integers(-(10**20), 10**20).map(str)
    return (
        whole
        | numbers
        | st.sampled_from(["NaN", "Infinity", "-Infinity", "nan", "", "."])
        | st.text("1-+.eE", max_size=6)
    )


@given(
    st.lists(st.none() | numeric_texts(), max_size=4),
    st.integers(1, 76).flatmap(lambda precision: st.tuples(st.just(precision), st.integers(-5, precision))),
    st.sampled_from(["error", "null"]),
    st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]),
)
def test_numeric_to_decimal(texts: list[str | None], size: tuple[int, int], on_special: Any, kind: pa.DataType) -> None:
    """The same decimals, or the same refusal."""

    def outcome(kernel: Any) -> Any:
        try:
            return kernel(pa.array(texts, kind), *size, on_special=on_special)
        except DataError as error:
            return error.message, error.context["row"], error.context["value"]

    assert outcome(kernels.numeric_to_decimal) == outcome(reference.numeric_to_decimal)
