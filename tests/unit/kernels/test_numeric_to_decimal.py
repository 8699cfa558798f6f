"""Numeric text becomes decimals exactly, or is refused with its row."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from arrowload import kernels
from arrowload.core.exceptions import DataError
from arrowload.kernels import reference

NINES_38, NINES_76 = "9" * 38, "9" * 76


@pytest.fixture(params=[kernels, reference], ids=["compiled", "reference"])
def kernel(request: pytest.FixtureRequest) -> Any:
    return request.param.numeric_to_decimal


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0", pa.decimal128(1, 0)),
        ("-12.3400", pa.decimal128(4, 2)),
        ("1e-5", pa.decimal128(10, 5)),
        ("1E+3", pa.decimal128(10, 2)),
        ("12300", pa.decimal128(3, -2)),
        ("18446744073709551616", pa.decimal128(20, 0)),
        (f"-{NINES_38}", pa.decimal128(38, 0)),
        (f"0.{NINES_38}", pa.decimal128(38, 38)),
        ("-1.5", pa.decimal256(39, 2)),
        (NINES_76, pa.decimal256(76, 0)),
        (f"-{NINES_38}.{NINES_38}", pa.decimal256(76, 38)),
    ],
)
def test_values_are_exact(kernel: Any, text: str, kind: pa.DataType) -> None:
    """The decimal has the asked type and the value of the text."""
    decimals = kernel(pa.array([text, None]), kind.precision, kind.scale)

    decimals.validate(full=True)
    assert decimals.type == kind
    assert decimals.to_pylist() == [Decimal(text), None]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("100", "does not fit `decimal\\(2, 1\\)`"),
        ("0.11", "does not fit `decimal\\(2, 1\\)`"),
        ("1e99", "does not fit `decimal\\(2, 1\\)`"),
        ("", "is not a number"),
        ("1,5", "is not a number"),
        ("NaN", "cannot be held by a decimal"),
        ("inf", "cannot be held by a decimal"),
        ("-Infinity", "cannot be held by a decimal"),
    ],
)
def test_a_refusal_names_row_and_value(kernel: Any, text: str, problem: str) -> None:
    """The row counts from the start of the slice that was given."""
    texts = pa.array(["x", "1", None, text, "x"]).slice(1)

    with pytest.raises(DataError, match=problem) as caught:
        kernel(texts, 2, 1)

    assert (caught.value.context["row"], caught.value.context["value"]) == (2, text)
    assert caught.value.exit_code == 65


def test_special_values_may_become_null(kernel: Any) -> None:
    """Only what decimals cannot hold becomes NULL; what does not fit is still refused."""
    texts = pa.array(["9", "NaN", None, "Infinity", "-inf", "2"], pa.large_string()).slice(1)

    assert kernel(texts, 3, 0, on_special="null").to_pylist() == [None, None, None, None, Decimal(2)]
    with pytest.raises(DataError, match="`1000` in row 1 does not fit"):
        kernel(pa.array(["NaN", "1000"]), 3, 0, on_special="null")


def test_an_extension_type_is_its_storage() -> None:
    """The Postgres driver hands numerics over as `arrow.opaque` over text."""
    kind = pa.opaque(pa.string(), "numeric", "PostgreSQL")
    texts = pa.ExtensionArray.from_storage(kind, pa.array(["1.50", None]))

    assert kernels.numeric_to_decimal(texts, 5, 2).to_pylist() == [Decimal("1.50"), None]


@pytest.mark.parametrize(("precision", "scale"), [(0, 0), (77, 0), (3, 4)])
def test_a_decimal_that_does_not_exist_is_refused(precision: int, scale: int) -> None:
    """Precision and scale outside of Arrow's bounds are the caller's mistake."""
    with pytest.raises(ValueError, match="does not exist"):
        kernels.numeric_to_decimal(pa.array(["1"]), precision, scale)


def test_other_mistakes_of_the_caller() -> None:
    """Numbers are not text, a batch is no text either, and `on_special` has two values."""
    with pytest.raises(TypeError, match="`Int64`"):
        kernels.numeric_to_decimal(pa.array([1]), 3, 0)
    with pytest.raises(ValueError, match="neither `error` nor `null`"):
        kernels.numeric_to_decimal(pa.array(["1"]), 3, 0, on_special="quarantine")  # type: ignore[arg-type]
