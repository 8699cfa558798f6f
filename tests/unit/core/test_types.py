"""Recipe type names: each leads to one Arrow type, and what a plan prints can be read back."""

from __future__ import annotations

import pyarrow as pa
import pytest

from arrowload.core.exceptions import RecipeError
from arrowload.core.types import parse_type, type_name


@pytest.mark.parametrize(
    ("text", "expected", "name"),
    [
        ("str", pa.string(), "string"),
        ("text", pa.string(), "string"),
        ("int", pa.int64(), "int64"),
        (" Int ", pa.int64(), "int64"),
        ("uint16", pa.uint16(), "uint16"),
        ("float", pa.float64(), "float64"),
        ("float32", pa.float32(), "float32"),
        ("bool", pa.bool_(), "bool"),
        ("date", pa.date32(), "date"),
        ("date64", pa.date64(), "date64"),
        ("time", pa.time64("us"), "time"),
        ("time[ms]", pa.time32("ms"), "time[ms]"),
        ("datetime", pa.timestamp("us"), "timestamp[us]"),
        ("timestamp", pa.timestamp("us"), "timestamp[us]"),
        ("timestamptz", pa.timestamp("us", "UTC"), "timestamp[us, UTC]"),
        ("timestamptz[ns]", pa.timestamp("ns", "UTC"), "timestamp[ns, UTC]"),
        ("timestamp[ms, Europe/Berlin]", pa.timestamp("ms", "Europe/Berlin"), "timestamp[ms, Europe/Berlin]"),
        ("timestamp[us,+02:00]", pa.timestamp("us", "+02:00"), "timestamp[us, +02:00]"),
        ("duration", pa.duration("us"), "duration[us]"),
        ("interval", pa.month_day_nano_interval(), "interval"),
        ("decimal(10,2)", pa.decimal128(10, 2), "decimal(10,2)"),
        ("decimal( 10 , -2 )", pa.decimal128(10, -2), "decimal(10,-2)"),
        ("decimal(38)", pa.decimal128(38, 0), "decimal(38,0)"),
        ("decimal(39,4)", pa.decimal256(39, 4), "decimal(39,4)"),
        ("decimal256(10,2)", pa.decimal256(10, 2), "decimal256(10,2)"),
        ("decimal32(5,2)", pa.decimal32(5, 2), "decimal32(5,2)"),
        ("binary", pa.binary(), "binary"),
        ("binary(16)", pa.binary(16), "binary(16)"),
        ("json", pa.json_(), "json"),
        ("uuid", pa.uuid(), "uuid"),
        ("list<int>", pa.list_(pa.int64()), "list<int64>"),
        ("list<list<str>>", pa.list_(pa.list_(pa.string())), "list<list<string>>"),
        ("list<int>(3)", pa.list_(pa.int64(), 3), "list<int64>(3)"),
        ("large_list<int>", pa.large_list(pa.int64()), "large_list<int64>"),
        ("map<string,int>", pa.map_(pa.string(), pa.int64()), "map<string, int64>"),
        ("dictionary<int32,string>", pa.dictionary(pa.int32(), pa.string()), "dictionary<int32, string>"),
        ("struct<>", pa.struct([]), "struct<>"),
        (
            'struct<a: int not null, "an ""odd"" name": decimal(5,1)>',
            pa.struct([pa.field("a", pa.int64(), nullable=False), ('an "odd" name', pa.decimal128(5, 1))]),
            'struct<a: int64 not null, "an ""odd"" name": decimal(5,1)>',
        ),
    ],
)
def test_names_lead_to_types_and_back(text, expected, name):
    """A name is parsed to its type; the type's own name is stable and is parsed to the same."""
    assert parse_type(text) == expected
    assert type_name(expected) == name
    assert parse_type(name) == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("strng", "did you mean `string`?"),
        ("varchar", "did you mean `string`?"),
        ("varchar(20)", "did you mean `string`?"),
        ("bigint", "did you mean `int64`?"),
        ("numeric(10,2)", "did you mean `decimal(p,s)`?"),
        ("decimal", "write it as `decimal(10,2)`"),
        ("decimal(77,0)", "give 1 to 76 digits, of which at most as many after the point"),
        ("decimal(5,6)", "give 1 to 76 digits, of which at most as many after the point"),
        ("decimal32(10,2)", "write decimal(p,s) and the width follows from p"),
        ("list", "write it as `list<int>`"),
        ("list<int", "`>` is missing after `list<int`"),
        ("struct<a>", "`:` is missing after `struct<a`"),
        ("dictionary<string, int>", "the index of a dictionary is an integer type"),
        ("struct<a: null not null>", "`a` can hold nothing but NULL"),
        ("int or so", "nothing may follow `int`"),
        ("timestamp[minutes]", "units are s, ms, us and ns"),
        ("timestamp[us, Europe/Berln]", "did you mean `Europe/Berlin`?"),
        ("", "write a name such as `int`, `decimal(10,2)` or `timestamptz`"),
    ],
)
def test_what_is_no_type_is_answered_with_the_next_thing_to_do(text, hint):
    """The hint gives the nearest name, or the form in which the type is written."""
    with pytest.raises(RecipeError) as caught:
        parse_type(text)

    assert caught.value.hint == hint


def test_a_type_that_recipes_cannot_name_is_printed_as_arrow_writes_it():
    """A plan shows an opaque type, too."""
    assert "opaque" in type_name(pa.opaque(pa.string(), "inet", "PostgreSQL"))
