"""What the Postgres connector decides without a server."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa
import pytest
from adbc_driver_manager import AdbcStatusCode, OperationalError

from arrowload.connectors.postgres.binding import holds_all
from arrowload.connectors.postgres.config import PostgresDestinationConfig, PostgresSourceConfig
from arrowload.connectors.postgres.conversion import recut
from arrowload.connectors.postgres.errors import leaves_outcome_open, translate_error
from arrowload.connectors.postgres.session import _conninfo, describe_server
from arrowload.connectors.postgres.types import PgType
from arrowload.core.exceptions import (
    ConnectorError,
    CredentialsError,
    DataError,
    DataLoaderError,
    TransientConnectorError,
)
from arrowload.core.secret import Secret


def driver_error(message: str = "IO: sentence", sqlstate: str | None = None) -> Any:
    return OperationalError(message, status_code=AdbcStatusCode.IO, sqlstate=sqlstate)


@pytest.mark.fault(48)
@pytest.mark.parametrize(
    ("sqlstate", "kind", "outcome_open"),
    [
        ("08006", TransientConnectorError, True),
        ("57P01", TransientConnectorError, True),
        ("57014", TransientConnectorError, False),
        ("40001", TransientConnectorError, False),
        ("40P01", TransientConnectorError, False),
        ("53300", TransientConnectorError, False),
        ("55P03", TransientConnectorError, False),
        ("28P01", CredentialsError, False),
        ("42501", CredentialsError, False),
        ("22003", DataError, False),
        ("23505", DataError, False),
        ("42P01", ConnectorError, False),
        ("XX000", ConnectorError, False),
    ],
)
def test_each_sqlstate_says_what_to_do(sqlstate: str, kind: type, *, outcome_open: bool) -> None:
    """The class of the error, and whether a COMMIT that ended so may have taken effect."""
    error = translate_error(driver_error(sqlstate=sqlstate), None)

    assert type(error) is kind
    assert error.context["sqlstate"] == sqlstate
    assert leaves_outcome_open(error) == outcome_open


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ('connection to server failed: FATAL:  password authentication failed for user "x"', CredentialsError),
        ('FATAL:  role "x" does not exist', CredentialsError),
        ("fe_sendauth: no password supplied", CredentialsError),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', CredentialsError),
        ("root certificate file does not exist", CredentialsError),
        ("connection to server failed: Connection refused\n\tIs the server running?", TransientConnectorError),
        ("FATAL:  the database system is starting up", TransientConnectorError),
        ("FATAL:  sorry, too many clients already", TransientConnectorError),
        ("server closed the connection unexpectedly", TransientConnectorError),
        ('FATAL:  database "x" does not exist', ConnectorError),
        ("could not translate host name to address: Name or service not known", ConnectorError),
        ("ReadRecord failed at row 0: something", DataError),
    ],
)
def test_errors_without_a_code_are_told_apart_by_their_words(words: str, kind: type) -> None:
    """On one line, without the driver's prefixes."""
    error = translate_error(driver_error(f"IO: [libpq] {words}\n"), None)

    assert type(error) is kind
    assert error.message == "postgres: " + " ".join(words.split())


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("postgresql://u:p%40ss-canary@h:5/d", "postgres h:5/d"),
        ("postgres://h/d?sslmode=require&password=p%40ss-canary", "postgres h/d"),
        ("host=h dbname='my db' user=u password='p@ss-canary'", "postgres h/my db"),
    ],
)
def test_a_dsn_keeps_its_keys_and_its_secret(dsn: str, expected: str) -> None:
    """Defaults are added where it is silent; what names the server has neither user nor password."""
    config = PostgresSourceConfig(type="postgres", dsn=Secret(dsn), table="t")

    assert describe_server(config) == expected
    assert _conninfo(config, {"connect_timeout": "9"}).startswith(dsn)
    assert "connect_timeout" in _conninfo(config, {"connect_timeout": "9"})
    assert _conninfo(config, {"dbname": "other"} if "dbname" in dsn else {}) in (dsn, f"{dsn} ")
    assert "canary" not in DataLoaderError("p@ss-canary").message


def test_keys_are_quoted_for_libpq() -> None:
    """Blanks, quotes and backslashes stay within their value."""
    config = PostgresSourceConfig(type="postgres", host="h", user="o'n", password=Secret(r"a\b c'"), table="t")

    assert _conninfo(config, {"host": "default"}) == r"host='h' user='o\'n' password='a\\b c\''"


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"table": "t", "query": "SELECT 1"},
        {"table": "t", "columns": ["a"], "exclude": ["b"]},
        {"table": "t", "port": 0},
        {"table": "t", "sslmode": "maybe"},
        {"table": "t", "tabel": "t"},
    ],
)
def test_a_source_that_contradicts_itself_is_refused(keys: dict[str, Any]) -> None:
    """While the recipe is decoded."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"type": "postgres", **keys}, PostgresSourceConfig)


def test_a_dsn_stands_alone() -> None:
    """In a destination as in a source."""
    with pytest.raises(ValueError, match="`dsn` or `host`"):
        PostgresDestinationConfig(type="postgres", dsn=Secret("postgresql://h/d"), host="h", table="t")


@pytest.mark.parametrize(
    ("incoming", "stored", "expected"),
    [
        (pa.int32(), pa.int64(), True),
        (pa.int64(), pa.int32(), False),
        (pa.uint16(), pa.int16(), False),
        (pa.uint16(), pa.int32(), True),
        (pa.int16(), pa.uint32(), False),
        (pa.uint64(), pa.decimal128(20, 0), True),
        (pa.int64(), pa.decimal128(20, 2), False),
        (pa.decimal128(10, 2), pa.decimal128(12, 4), True),
        (pa.decimal128(10, 2), pa.decimal128(11, 4), False),
        (pa.decimal128(4, 0), pa.int16(), True),
        (pa.decimal128(5, 0), pa.int16(), False),
        (pa.float32(), pa.float64(), True),
        (pa.float64(), pa.float32(), False),
        (pa.int32(), pa.float64(), False),
        (pa.float64(), pa.decimal128(38, 9), False),
        (pa.timestamp("us"), pa.timestamp("ms"), False),
        (pa.timestamp("s"), pa.timestamp("us"), True),
        (pa.list_(pa.int32()), pa.list_(pa.int16()), False),
        (pa.string(), pa.string(), True),
        (pa.null(), pa.int16(), True),
    ],
)
def test_a_column_stays_when_it_holds_all_that_may_come(
    incoming: pa.DataType, stored: pa.DataType, *, expected: bool
) -> None:
    """What decides whether a replaced table is kept."""
    assert holds_all(incoming, stored) == expected


@pytest.mark.parametrize(
    ("precision", "scale", "expected"),
    [
        (10, 2, pa.decimal128(10, 2)),
        (39, 0, pa.decimal256(39, 0)),
        (2, 4, pa.decimal128(4, 4)),
        (3, -2, pa.decimal128(5, 0)),
        (1000, 0, None),
        (10, 1000, None),
    ],
)
def test_a_numeric_modifier_gives_its_decimal(precision: int, scale: int, expected: pa.DataType | None) -> None:
    """As `pg_attribute.atttypmod` has it: precision above 16 bits, scale in eleven bits with sign, four more."""
    typmod = ((precision << 16) | (scale & 0x7FF)) + 4

    assert PgType("numeric", "numeric", "numeric", "builtin", typmod).declared_decimal() == expected


@pytest.mark.parametrize(("rows", "size", "expected"), [(10, 4, [5, 5]), (7, 10, [7]), (11, 10, [11]), (0, 5, [])])
def test_batches_are_cut_evenly(rows: int, size: int, expected: list[int]) -> None:
    """Without copying, each row once and in order."""
    batch = pa.record_batch({"a": list(range(rows))})

    pieces = recut(batch, size)

    assert [piece.num_rows for piece in pieces] == expected
    assert [value for piece in pieces for value in piece.column(0).to_pylist()] == list(range(rows))
