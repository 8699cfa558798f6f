"""What the kernel takes for surely right is what the complete rules make of it, whatever Hypothesis comes up with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arrowload import kernels
from arrowload.connectors.csv.convert import convert
from arrowload.core import conversions
from arrowload.core.casting import CastFailure, cast_exact, sift_exact

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPES = [
    pa.bool_(),
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    pa.float64(),
    *(pa.decimal128(6, 2), pa.decimal128(38, 10), pa.decimal256(76, 3)),
    pa.date32(),
    *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")),
    *(pa.timestamp("us", zone) for zone in ("UTC", "Europe/Berlin")),
]

patient = settings(
    deadline=None,
    # The fixture of the rules is the same for all examples of a test.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
DAY, MINUTE, ZONE = r"[0-9]{4}-[01][0-9]-[0-3][0-9]", r"[0-2][0-9]:[0-5][0-9]", r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"
patterns = [
    r"-?[0-9]{1,21}",
    r"[+-]?[0-9]{0,20}\.?[0-9]{0,20}([eE][+-]?[0-9]{1,3})?",
    rf"{DAY}([T ]{MINUTE}(:[0-5][0-9](\.[0-9]{{0,9}})?)?)?{ZONE}",
    r"(?i:true|false|t|f|yes|no|y|n|on|off|nan|inf|-inf|infinity|0x1f)",
]
texts = st.one_of(
    *(st.from_regex(pattern, fullmatch=True) for pattern in patterns), st.text("0123456789-+.eE: TZx", max_size=12)
)
arrays = st.lists(st.none() | texts, max_size=12).map(lambda items: pa.array(items, pa.string()))


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The complete rules alone."""
    with monkeypatch.context() as patched:
        patched.setattr(conversions, "parse_quickly", lambda *_, **__: None)
        yield


@pytest.mark.usefixtures("slowly")
@pytest.mark.parametrize("target", TYPES, ids=str)
@patient
@given(array=arrays)
def test_what_is_sure_is_what_the_complete_rules_make_of_it(target: pa.DataType, array: pa.Array) -> None:
    parsed = kernels.parse_texts(array, target)
    assert parsed is not None
    for row in surely(array, parsed.unsure):
        assert same(parsed.values.slice(row, 1), cast_exact(array.slice(row, 1), target)), array[row]


@pytest.mark.usefixtures("slowly")
@pytest.mark.parametrize("target", TYPES, ids=str)
@patient
@given(array=arrays)
def test_what_is_sure_in_an_inferred_column_is_what_its_rules_make_of_it(target: pa.DataType, array: pa.Array) -> None:
    parsed = kernels.parse_texts(array, target, exact=True)
    assert parsed is not None
    for row in surely(array, parsed.unsure):
        assert same(parsed.values.slice(row, 1), convert(array.slice(row, 1), target, inferred=True)), array[row]


@pytest.mark.parametrize("target", [*TYPES, pa.uuid(), pa.time64("us")], ids=str)
@patient
@given(array=arrays)
def test_sifting_finds_each_value_that_a_cast_refuses_and_no_other(target: pa.DataType, array: pa.Array) -> None:
    made, failures = sift_exact(array, target)
    refused = {failure.row: failure for failure in failures}
    assert [failure.row for failure in failures] == sorted(refused)
    assert (made.type, len(made)) == (target, len(array))
    for row in range(len(array)):
        one = array.slice(row, 1)
        if row not in refused:
            assert same(made.slice(row, 1), cast_exact(one, target)), array[row]
            continue
        with pytest.raises(CastFailure) as caught:
            cast_exact(one, target)
        assert (refused[row].value, refused[row].reason) == (caught.value.value, caught.value.reason)
        assert not made[row].is_valid


def surely(array: pa.Array, unsure: pa.Array) -> list[int]:
    doubtful = set(unsure.to_pylist())
    assert all(array[row].is_valid for row in doubtful)
    return [row for row in range(len(array)) if row not in doubtful]


def same(one: pa.Array, other: Any) -> bool:
    """Also where they are NaN, or zeros of different signs."""
    hashes = [kernels.row_hash(pa.RecordBatch.from_arrays([array], ["value"])) for array in (one, other)]
    return one.type == other.type and hashes[0] == hashes[1]
