"""YAML is read as text would be expected to read, and hostile YAML is refused."""

from __future__ import annotations

import pytest

from arrowload.core.exceptions import RecipeError
from arrowload.models.origins import Text, leaves
from arrowload.models.yaml_reader import read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-0", 0),
        ("00123", "00123"),
        ("1_000", "1_000"),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        (".inf", ".inf"),
        ("12:30:00", "12:30:00"),
        ("2024-02-30", "2024-02-30"),
        ('"5"', "5"),
        ("!!str 5", "5"),
        ("! 5", "5"),
        ('!!int "5"', 5),
        ("=", "="),
        ("a b", "a b"),
    ],
)
def test_what_a_scalar_stands_for(text, value):
    """Only true and false are booleans; dates, times and numbers with leading zeros stay text."""
    read = read_yaml(f"k: {text}\n", "f")["k"]

    assert read == value
    assert type(read) is type(value)


def test_keys_are_text():
    """A key is what is written, whatever it would be as a value."""
    assert read_yaml("{no: 1, 5: 2, null: 3, true: 4}", "f") == {"no": 1, "5": 2, "null": 3, "true": 4}


def test_each_value_knows_its_place():
    """Lines and columns count from 1, in characters."""
    document = read_yaml("é: [1, {ß: x}]\n\nb:\n  - |\n    text\n", "f.yaml")

    assert [(path, str(at)) for path, _, at in leaves(document)] == [
        (("é", 0), "f.yaml:1:5"),
        (("é", 1, "ß"), "f.yaml:1:12"),
        (("b", 0), "f.yaml:4:5"),
    ]
    assert str(document.keys_at["b"]) == "f.yaml:3:1"


def test_a_template_keeps_its_text_as_written():
    """So that a place within it can be found in spite of escapes."""
    text = read_yaml('k: "\\t{{ x }}"\n', "f")["k"]

    assert isinstance(text, Text)
    assert (text, text.raw) == ("\t{{ x }}", '"\\t{{ x }}"')


def test_an_alias_repeats_a_value():
    """Aliases may be used, within bounds."""
    assert read_yaml("a: &x [1]\nb: *x\n", "f") == {"a": [1], "b": [1]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2", "duplicate key `a`"),
        ("a: !ruby/object x", "tag `!ruby/object`"),
        ("a: !!set {x}", "tag `!!set`"),
        ("a: !!int x", "`x` is no int"),
        ("a: !!binary aGk=", "tag `!!binary`"),
        ("%TAG ! tag:evil,2000:\n---\na: !x y", "tag `tag:evil,2000:x`"),
        ("<<: {a: 1}", "merge keys"),
        ("? [a]\n: 1", "a key must be plain text"),
        ("&a x: 1", "a key must be plain text"),
        ('"": 1', "a key is empty"),
        ("a: &x [*x]", "refers to itself"),
        ("a: *x", "no anchor `&x`"),
        ("a: 1\n---\nb: 2", "a second document"),
        ("a: [", "not YAML"),
        ("a: \x07", "U\\+0007"),
        ("a: " + "9" * 500, "too many digits"),
        ("a: 1e999", "out of range"),
        ("", "the file is empty"),
    ],
)
def test_what_is_refused(text, problem):
    """Each refusal is a RecipeError that says where."""
    with pytest.raises(RecipeError, match=problem) as caught:
        read_yaml(text, "f.yaml")

    assert caught.value.context["line"] >= 1
    assert caught.value.hint
