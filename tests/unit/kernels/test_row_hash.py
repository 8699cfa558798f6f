"""The row hash: golden values, what does and does not change it, and that it runs without the GIL."""

from __future__ import annotations

import csv
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
import xxhash

from arrowload import kernels
from arrowload.core.exceptions import DataError
from arrowload.kernels import ContentHash, reference

GOLDEN = Path(__file__).parents[3] / "crates/arrowload-core/tests/golden/row_hash.tsv"
DIGITS_76 = Decimal("1234567890123456789012345678901234567890123456789012345678901234567890123456")


def batch(*columns: pa.Array) -> pa.RecordBatch:
    names = [f"c{i}" for i in range(len(columns))]
    return pa.RecordBatch.from_arrays(list(columns), names) if columns else _batch_without_columns(1)


def _batch_without_columns(rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))


def one(value: object, kind: pa.DataType) -> pa.Array:
    return pa.array([value], kind)


CASES = {
    "null": [one(None, pa.null())],
    "false": [one(False, pa.bool_())],
    "true": [one(True, pa.bool_())],
    "integer_5": [one(5, pa.int8())],
    "integer_minus_1": [one(-1, pa.int64())],
    "integer_max_u64": [one(2**64 - 1, pa.uint64())],
    "integer_256_bits": [one(DIGITS_76, pa.decimal256(76, 0))],
    "integer_negative_scale": [one(Decimal(12300), pa.decimal128(5, -2))],
    "decimal_1_20": [one(Decimal("1.20"), pa.decimal128(10, 2))],
    "decimal_128_bits": [one(Decimal("-1234567890123456789012345678.9012345678"), pa.decimal128(38, 10))],
    "decimal_256_bits": [one(Decimal((0, DIGITS_76.as_tuple().digits, -38)), pa.decimal256(76, 38))],
    "float_1_5": [one(1.5, pa.float32())],
    "float_negative_zero": [one(-0.0, pa.float64())],
    "float_nan": [one(float("-nan"), pa.float64())],
    "text_empty": [one("", pa.string())],
    "text_accent": [one("é", pa.string())],
    "text_300": [one("x" * 300, pa.string())],
    "binary": [one(b"\x00\xff", pa.binary())],
    "date": [one(-1, pa.int32()).cast(pa.date32())],
    "time": [one(86_399_999_999, pa.time64("us"))],
    "timestamp_before_1970": [one(-1, pa.timestamp("us"))],
    "timestamp_utc": [one(1_700_000_000_000_001, pa.timestamp("us", "UTC"))],
    "duration": [one(timedelta(milliseconds=-1500), pa.duration("ms"))],
    "interval": [one((1, -2, 3), pa.month_day_nano_interval())],
    "list": [one([1, None], pa.list_(pa.int32()))],
    "list_empty": [one([], pa.list_(pa.int32()))],
    "struct": [one({"a": 1, "b": "x"}, pa.struct({"a": pa.int32(), "b": pa.string()}))],
    "map": [one([("k", 1), ("n", None)], pa.map_(pa.string(), pa.int32()))],
    "text_1_byte": [one("a", pa.string())],
    "text_200": [one("ab" * 100, pa.string())],
    "text_1000": [one("abcde" * 200, pa.string())],
    "integer_min_i64": [one(-(2**63), pa.int64())],
    "integer_0": [one(Decimal(0), pa.decimal128(38, 38))],
    "no_columns": [],
    "texts_ab_c": [one("ab", pa.string()), one("c", pa.string())],
    "texts_a_bc": [one("a", pa.string()), one("bc", pa.string())],
    "row": [
        one(1, pa.int32()),
        one(Decimal("1.20"), pa.decimal128(10, 2)),
        one("x", pa.string()),
        one(None, pa.null()),
    ],
}


def golden() -> dict[str, tuple[bytes, bytes]]:
    with GOLDEN.open(newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {row["name"]: (bytes.fromhex(row["row_bytes"]), bytes.fromhex(row["hash"])) for row in rows}


@pytest.mark.parametrize("name", CASES)
def test_golden_values(name: str) -> None:
    """The bytes and the hash of each case are those that are committed, compiled and in the reference."""
    row_bytes, row_hash = golden()[name]
    rows = batch(*CASES[name])

    assert xxhash.xxh3_128_intdigest(row_bytes).to_bytes(16, "little") == row_hash
    assert reference.row_bytes(rows) == [row_bytes]
    assert kernels.row_hash(rows).to_pylist() == [row_hash]
    assert kernels.content_hash(rows) == ContentHash(1, int.from_bytes(row_hash, "little"))


def test_golden_file_is_covered() -> None:
    """Each committed case is checked."""
    assert golden().keys() == CASES.keys()


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (one(5, pa.int16()), one(5, pa.uint64())),
        (one(5, pa.int16()), one(Decimal("5.00"), pa.decimal64(10, 2))),
        (one(Decimal("1.2"), pa.decimal32(3, 1)), one(Decimal("1.2000"), pa.decimal256(60, 4))),
        (one(0.5, pa.float16()), one(0.5, pa.float64())),
        (one("x", pa.string()), one("x", pa.large_string())),
        (one("x", pa.string()), one("x", pa.string_view())),
        (one("x", pa.string()), one("x", pa.dictionary(pa.int8(), pa.string()))),
        (one("x", pa.string()), pa.RunEndEncodedArray.from_arrays(pa.array([1]), one("x", pa.string()))),
        (one(b"ab", pa.binary()), one(b"ab", pa.binary(2))),
        (one(b"ab", pa.binary()), one(b"ab", pa.binary_view())),
        (one([1], pa.list_(pa.int8())), one([1], pa.list_(pa.int64(), 1))),
        (one([1], pa.list_(pa.int8())), one([1], pa.large_list_view(pa.int64()))),
        (one({"a": 1}, pa.struct({"a": pa.int8()})), one({"b": 1}, pa.struct({"b": pa.int8()}))),
        (one(7, pa.timestamp("s", "UTC")), one(7_000_000, pa.timestamp("us", "Europe/Berlin"))),
        (one((0, 0, 10**9), pa.month_day_nano_interval()), one(timedelta(seconds=1), pa.duration("s"))),
        (one(b"x" * 16, pa.uuid()), one(b"x" * 16, pa.binary())),
        (one("{}", pa.json_()), one("{}", pa.string())),
    ],
    ids=lambda array: str(array.type),
)
def test_dress_does_not_count(left: pa.Array, right: pa.Array) -> None:
    """A value hashes alike in every type that a destination may hand it back in."""
    assert kernels.row_hash(batch(left)).equals(kernels.row_hash(batch(right)))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (one(None, pa.string()), one("", pa.string())),
        (one(None, pa.list_(pa.int8())), one([], pa.list_(pa.int8()))),
        (one(None, pa.struct({"a": pa.int8()})), one({"a": None}, pa.struct({"a": pa.int8()}))),
        (one("a", pa.string()), one(b"a", pa.binary())),
        (one(1, pa.int8()), one(1.0, pa.float64())),
        (one(1, pa.int8()), one(True, pa.bool_())),
        (one(1, pa.timestamp("us")), one(1, pa.timestamp("us", "UTC"))),
        (one((0, 1, 0), pa.month_day_nano_interval()), one(timedelta(hours=24), pa.duration("s"))),
    ],
    ids=lambda array: str(array.type),
)
def test_kinds_differ(left: pa.Array, right: pa.Array) -> None:
    """NULL, empty and values of different kinds are told apart."""
    assert not kernels.row_hash(batch(left)).equals(kernels.row_hash(batch(right)))


def test_columns_count_by_order_and_not_by_name() -> None:
    """Swapping two columns changes the hash; renaming one does not."""
    left, right = pa.array([1, 2]), pa.array(["a", "b"])
    rows = batch(left, right)

    assert kernels.content_hash(rows) == kernels.content_hash(rows.rename_columns(["x", "y"]))
    assert kernels.content_hash(rows) != kernels.content_hash(batch(right, left))


def test_content_hash_is_of_a_multiset() -> None:
    """Order does not count, repetition does, and parts merge."""
    rows = batch(pa.array([1, 2, 2, 3]))
    shuffled, fewer = rows.take(pa.array([3, 1, 0, 2])), rows.take(pa.array([0, 1, 3]))
    parts = [kernels.content_hash(rows.slice(0, 1)), kernels.content_hash(rows.slice(1))]

    assert kernels.content_hash(shuffled) == kernels.content_hash(rows)
    assert kernels.content_hash(fewer) != kernels.content_hash(rows)
    assert parts[0].merge(parts[1]) == parts[1].merge(parts[0]) == kernels.content_hash(rows)


def test_rows_without_columns_are_counted() -> None:
    """A batch without columns still has rows."""
    rows = _batch_without_columns(3)

    assert kernels.content_hash(rows) == reference.content_hash(rows)
    assert kernels.content_hash(rows).rows == 3


@pytest.mark.parametrize("kernel", [kernels.row_hash, kernels.content_hash, reference.row_hash])
@pytest.mark.parametrize(
    "column",
    [
        pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]),
        pa.array([{"u": None}], pa.struct({"u": pa.decimal128(38, -39)})),
    ],
    ids=["union", "decimal"],
)
def test_a_type_without_a_rule_is_refused(kernel: object, column: pa.Array) -> None:
    """The error names the column."""
    with pytest.raises(DataError, match="column `c1` cannot be hashed") as caught:
        kernel(batch(pa.array([1]), column))  # type: ignore[operator]

    assert caught.value.context["column"] == "c1"
    assert caught.value.hint == "cast the column or leave it out"


@pytest.mark.parametrize("rows", [pa.array([1]), pa.array([{"a": 1}, None])], ids=["integers", "null struct"])
def test_only_batches_are_hashed(rows: pa.Array) -> None:
    """An array that is not a batch is the caller's mistake."""
    with pytest.raises(TypeError, match="a record batch"):
        kernels.content_hash(rows)
