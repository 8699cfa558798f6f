"""Decimals of every precision and scale, into Postgres and out again."""

from __future__ import annotations

import decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arrowload.core.types import decimal_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postgres_server import PostgresDatabase


@st.composite
def decimals(draw: st.DrawFn) -> pa.Array:
    precision = draw(st.integers(1, 76))
    scale = draw(st.integers(0, precision))
    digits = st.integers(-(10**precision) + 1, 10**precision - 1) | st.integers(0, precision - 1).map(lambda n: 10**n)
    values = draw(st.lists(st.none() | digits, max_size=20))
    with decimal.localcontext(prec=100):
        numbers = [None if v is None else decimal.Decimal(v).scaleb(-scale) for v in values]
    return pa.array(numbers, decimal_type(precision, scale))


@pytest.mark.fault(53)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(column=decimals())
def test_no_digit_is_lost(
    postgres: PostgresDatabase, loading: Callable[..., Any], read: Callable[..., pa.Table], column: pa.Array
) -> None:
    """The server's text of each number, and the number read back, are the number that was written."""
    postgres.execute("DROP TABLE IF EXISTS target; DROP SCHEMA IF EXISTS _arrowload CASCADE;")

    loader = loading("target")
    loader.load(pa.table({"v": column}))
    loader.destination.close()

    texts = [text for (text,) in postgres.query("SELECT v::text AS v FROM target")]
    assert texts == [None if value is None else f"{value:f}" for value in column.to_pylist()]
    assert read(table="target").column("v").to_pylist() == column.to_pylist()
