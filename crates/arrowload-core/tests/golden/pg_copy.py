"""Write pg_copy.tsv anew, from a real server: how each value lies in COPY … (FORMAT binary).

    .venv/bin/python crates/arrowload-core/tests/golden/pg_copy.py

Columns: SQL type; the value, as SQL text; the Arrow value, computed by the server; the field's bytes in hexadecimal.
An Arrow value is a number (of days, microseconds, …), a text, JSON for arrays, or `months days microseconds`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2].parent / "tests"))

from postgres_server import PostgresServer, running_postgres  # noqa: E402 - tests are not installed

_SIGNATURE = 11 + 4 + 4
_MICROSECONDS = "(extract(epoch from {v}) * 1000000)::numeric(30,0)::text"
# What extract(epoch …) says of far years is not exact.
_SINCE_1970 = (
    "CASE WHEN isfinite({v}) THEN (({v}::date - '1970-01-01'::date)::numeric * 86400000000"
    " + extract(epoch from {v}::time) * 1000000)::numeric(30,0)::text ELSE {v}::text END"
)
_INTERVAL = (
    "CASE WHEN isfinite({v}) THEN (extract(year from {v}) * 12 + extract(month from {v}))::int8 || ' '"
    " || extract(day from {v}) || ' ' || (extract(hour from {v}) * 3600000000 + extract(minute from {v}) * 60000000"
    " + extract(microsecond from {v}))::int8 ELSE {v}::text END"
)
_JSON = "array_to_json({v})::text"

# SQL type → (how the server says the Arrow value, values)
CASES: dict[str, tuple[str, list[str]]] = {
    "bool": ("{v}::text", ["true", "false"]),
    "int2": ("{v}::text", ["0", "1", "-1", "32767", "-32768"]),
    "int4": ("{v}::text", ["0", "1", "-1", "2147483647", "-2147483648"]),
    "int8": ("{v}::text", ["0", "1", "-1", "9223372036854775807", "-9223372036854775808"]),
    "oid": ("{v}::text", ["0", "1", "4294967295"]),
    "float4": ("{v}::text", ["0", "-0", "1.5", "3.4028235e38", "1e-45", "NaN", "Infinity", "-Infinity"]),
    "float8": ("{v}::text", ["0", "-0", "0.1", "1.7976931348623157e308", "5e-324", "NaN", "Infinity", "-Infinity"]),
    "numeric(15,2)": (
        "{v}::text",
        [
            *("0", "0.01", "-0.01", "0.10", "1", "-1", "9999", "10000", "10000.5", "12345678.90", "-99999999.99"),
            *("100000000", "999999999999.99", "1000000000000", "9999999999999.99", "-9999999999999.99"),
        ],
    ),
    "numeric(4,0)": ("{v}::text", ["0", "1", "9999", "-9999", "1000"]),
    "numeric(19,1)": ("{v}::text", ["0.1", "12345678901234567.8", "999999999999999999.9", "-10000"]),
    "numeric(18,3)": ("{v}::text", ["0.001", "-123456789012345.678", "1000", "0.120"]),
    "numeric(20,4)": ("{v}::text", ["0.0001", "-1234567890123456.7890", "1000", "10000000000000"]),
    "numeric(38,10)": (
        "{v}::text",
        ["0", "0.0000000001", "9999999999999999999999999999.9999999999", "-1234567890123456789012345678.0000000001"],
    ),
    "numeric(38,0)": ("{v}::text", ["9" * 38, "-" + "9" * 38, "1" + "0" * 37, "1"]),
    "numeric(38,38)": ("{v}::text", ["0." + "9" * 38, "-0." + "0" * 37 + "1", "0"]),
    "numeric(76,20)": ("{v}::text", ["9" * 56 + "." + "9" * 20, "-" + "9" * 56, "0.00000000000000000001", "0", "-1.5"]),
    "numeric": ("{v}::text", ["0", "0.0", "1.500", "-100000", "123456789.123456789", "NaN", "Infinity", "-Infinity"]),
    "text": ("{v}", ["", "a", "naïve 日本語 🙂", "tab\tin it", "x" * 300]),
    "varchar(5)": ("{v}::text", ["abc", "ééééé"]),
    "char(5)": ("rpad({v}::text, 5)", ["abc", ""]),
    "name": ("{v}::text", ["pg_class"]),
    '"char"': ("{v}::text", ["a", "", "\\377"]),
    "mood": ("{v}::text", ["sad", "o k"]),
    "bytea": ("encode({v}, 'hex')", ["\\x", "\\x00", "\\xdeadbeef00ff"]),
    "date": (
        "CASE WHEN isfinite({v}) THEN ({v} - '1970-01-01'::date)::text ELSE {v}::text END",
        [
            *("2000-01-01", "1970-01-01", "1999-12-31", "4714-11-24 BC", "5874897-12-31", "0001-01-01"),
            *("infinity", "-infinity"),
        ],
    ),
    "time": (_MICROSECONDS, ["00:00:00", "23:59:59.999999", "12:34:56.789", "24:00:00"]),
    "timestamp": (
        _SINCE_1970,
        [
            *("2000-01-01", "1970-01-01", "1969-12-31 23:59:59.999999", "4714-11-24 00:00:00 BC"),
            *("294247-01-10 04:00:54.775807", "294276-12-31 23:59:59.999999", "infinity", "-infinity"),
        ],
    ),
    "timestamptz": (
        _SINCE_1970,
        ["2000-01-01 00:00:00+00", "2024-02-29 12:00:00.000001+05:30", "infinity", "-infinity"],
    ),
    "interval": (
        _INTERVAL,
        [
            *("0", "1 year 2 months -3 days 04:05:06.789", "-00:00:00.000001", "178000000 years", "-2147483648 days"),
            *("9223372036854775 microseconds", "9223372036854776 microseconds", "infinity", "-infinity"),
        ],
    ),
    "uuid": ("{v}::text", ["00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    "json": ("{v}::text", ['{"b" : 1, "a": [null]}', "null", '"é"']),
    "jsonb": ("{v}::text", ['{"b" : 1, "a": [null]}', "null", '"é"']),
    "int4[]": (_JSON, ["{}", "{1}", "{1,NULL,-3}", "{NULL}", "{{1,2},{3,4}}", "[0:1]={1,2}"]),
    "int4[][]": (_JSON, ["{}", "{{1}}", "{{1,2,3},{4,NULL,6}}", "{1,2}", "{{{1}}}"]),
    "text[]": (_JSON, ["{}", '{a,"",NULL,"NULL",é}']),
    "numeric(6,2)[]": (_JSON, ["{1.50,NULL,-9999.99,0}"]),
    "bool[][][]": (_JSON, ["{{{t,f},{f,t}}}", "{}"]),
    "date[]": (
        "to_json(array(SELECT d - '1970-01-01'::date FROM unnest({v}) d))::text",
        ["{2000-01-01,NULL,1970-01-02}"],
    ),
}

# Streams as `COPY … TO` writes them, for what lies between the fields.
STREAMS = {
    "no rows": "SELECT 1::int4 AS a, ''::text AS b WHERE false",
    "no columns": "SELECT FROM generate_series(1, 3)",
    "rows": "SELECT i::int4 AS a, CASE WHEN i % 3 > 0 THEN repeat('é', i) END AS b FROM generate_series(1, 20) i",
}


def fields(stream: bytes) -> list[bytes | None]:
    """The only field of each row."""
    at, found = _SIGNATURE, []
    while stream[at : at + 2] == b"\x00\x01":
        length = int.from_bytes(stream[at + 2 : at + 6], signed=True)
        found.append(stream[at + 6 : at + 6 + length] if length >= 0 else None)
        at += 6 + max(length, 0)
    assert stream[at:] == b"\xff\xff", stream[at:]
    return found


def copied(server: PostgresServer, query: str) -> bytes:
    """What the server sends for `COPY (query) TO STDOUT (FORMAT binary)`."""
    command = [server.bindir / "psql", "-XAqt", "-v", "ON_ERROR_STOP=1", "-d", server.dsn(), "-c"]
    done = subprocess.run([*command, f"COPY ({query}) TO STDOUT (FORMAT binary)"], capture_output=True, check=True)
    return done.stdout


def cases(server: PostgresServer) -> list[str]:
    """The lines of pg_copy.tsv."""
    lines = []
    for sql, (arrow, values) in CASES.items():
        literals = [value.replace("'", "''") for value in values]
        rows = ", ".join(f"({i}, '{value}'::{sql})" for i, value in enumerate(literals))
        source = f"(VALUES {rows}) AS t(i, v) ORDER BY i"
        texts = server.psql("postgres", f"SELECT {arrow.format(v='v')} FROM {source}").split("\n")[:-1]
        sent = fields(copied(server, f"SELECT v FROM {source}"))
        for value, text, field in zip(values, texts, sent, strict=True):
            assert field is not None
            lines.append("\t".join([sql, value.replace("\t", "\\t"), text.replace("\t", "\\t"), field.hex()]))
    return lines


def main() -> None:
    """Write both files."""
    with running_postgres() as server:
        server.psql("postgres", "CREATE TYPE mood AS ENUM ('sad', 'o k'); ALTER ROLE postgres SET TimeZone = 'UTC'")
        (HERE / "pg_copy.tsv").write_text("\n".join([*cases(server), ""]))
        streams = [f"{name}\t{copied(server, query).hex()}\n" for name, query in STREAMS.items()]
        (HERE / "pg_copy_streams.tsv").write_text("".join(streams))


if __name__ == "__main__":
    main()
