"""JSON is read strictly, with places."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arrowload.core.exceptions import RecipeError
from arrowload.models.json_reader import read_json
from arrowload.models.origins import leaves

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4),
    max_leaves=20,
)


@given(values, st.sampled_from([None, 0, 2]), st.booleans())
def test_it_reads_what_the_standard_library_writes(value, indent, ascii_only):
    """Every JSON value comes back with its type."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)

    read = read_json(text, "f")

    assert repr(read) == repr(value)


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsn\\u \n', max_size=30))
def test_it_accepts_what_the_standard_library_accepts(text):
    """The two agree on what JSON is, but for NaN, Infinity, numbers out of range and half surrogates."""
    try:
        expected = json.loads(text, parse_constant=pytest.fail)
        json.dumps(expected, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        expected = ...
    try:
        read = read_json(text, "f")
    except RecipeError as exc:
        assert expected is ... or any(ours in str(exc) for ours in ("duplicate key", "a key is empty"))  # noqa: PT017 - else both refuse
    else:
        assert read == expected


def test_each_value_knows_its_place():
    """Lines and columns count from 1."""
    document = read_json('{"a": [1,\n  {"b": "x"}]}', "f.json")

    assert [(path, str(at)) for path, _, at in leaves(document)] == [
        (("a", 0), "f.json:1:8"),
        (("a", 1, "b"), "f.json:2:9"),
    ]


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ('{"a": 1,}', "f:1:9", "found `}` in the place of a key in double quotes"),
        ('{"a": 1 "b": 2}', "f:1:9", "in the place of `,` or `}`"),
        ('{"a": 1}\nx', "f:2:1", "in the place of the end of the file"),
        ('{"a": NaN}', "f:1:7", "in the place of a value"),
        ('{"a": 01}', "f:1:8", "in the place of `,` or `}`"),
        ('{"a": "x', "f:1:7", "unterminated string"),
        ('{"a": "\\ud800"}', "f:1:7", "half of a surrogate pair"),
        ('{"a": 1e999}', "f:1:7", "out of range"),
        ('{"a": 1, "a": 2}', "f:1:10", "duplicate key `a`"),
        ('{"a": {"": 1}}', "f:1:8", "a key is empty"),
        ("[", "f:1:2", "the file ends in the place of a value"),
        (" ", "f:1:2", "the file is empty"),
        ("[" * 100, "f:1:65", "nested more than 64 deep"),
    ],
)
def test_what_is_refused(text, place, problem):
    """Each refusal says where."""
    with pytest.raises(RecipeError) as caught:
        read_json(text, "f")

    assert str(caught.value).startswith(place + "  ")
    assert problem in str(caught.value)
