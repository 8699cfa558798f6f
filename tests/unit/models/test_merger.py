"""The merge and delete rules, case by case; their laws are in tests/property/test_merger.py."""

from __future__ import annotations

import pytest

from arrowload.core.exceptions import RecipeError
from arrowload.models.merger import RecipeMerger
from arrowload.models.origins import origin_of
from arrowload.models.yaml_reader import read_yaml

merge = RecipeMerger().merge
delete = RecipeMerger().delete


def test_scalars_override_and_mappings_merge_deeply():
    """A child's scalar wins; keys that it does not name stay."""
    parent = {"source": {"host": "a", "options": {"x": 1, "y": 2}}}
    child = {"source": {"host": "b", "options": {"y": 3}}}

    assert merge(parent, child) == {"source": {"host": "b", "options": {"x": 1, "y": 3}}}


def test_only_the_steps_of_the_transform_concatenate():
    """`transform.steps` are joined, parent first; a list called `steps` elsewhere is replaced, as all others are."""
    parent = {"transform": {"steps": [1, 2]}, "columns": ["a"], "other": {"steps": [1]}}
    child = {"transform": {"steps": [3]}, "columns": ["b"], "other": {"steps": [2]}}

    assert merge(parent, child) == {"transform": {"steps": [1, 2, 3]}, "columns": ["b"], "other": {"steps": [2]}}


@pytest.mark.parametrize(("parent", "child"), [({"a": {"b": 1}}, {"a": 1}), ({"a": 1}, {"a": {"b": 1}})])
def test_where_kinds_differ_the_child_wins(parent, child):
    """A mapping in the place of a scalar, or the other way round, is replaced whole."""
    assert merge(parent, child) == child


def test_null_overrides():
    """A null says that there is nothing, where leaving the key out would inherit."""
    assert merge({"destination": {"type": "x"}}, {"destination": None}) == {"destination": None}


def test_inputs_stay_as_they_were():
    """Neither merging nor deleting changes its arguments."""
    parent = read_yaml("transform: {steps: [{type: a}]}\n", "p")
    child = read_yaml("transform: {steps: [{type: b}]}\n", "c")

    delete(merge(parent, child), ["transform.steps.0.type"])

    assert parent == {"transform": {"steps": [{"type": "a"}]}}
    assert child == {"transform": {"steps": [{"type": "b"}]}}


def test_each_leaf_keeps_its_place():
    """What is inherited points at the parent, what is overridden at the child."""
    parent = read_yaml("source:\n  host: a\n  port: 1\n", "parent.yaml")
    child = read_yaml("source: {host: b}\n", "child.yaml")

    merged = merge(parent, child)

    assert str(origin_of(merged, ("source", "port"))) == "parent.yaml:3:9"
    assert str(origin_of(merged, ("source", "host"))) == "child.yaml:1:16"
    assert str(origin_of(merged, ("source",), key=True)) == "child.yaml:1:1"


@pytest.mark.parametrize(
    ("paths", "left"),
    [
        (["a"], {"l": [{"x": 1}, {"x": 2}, {"x": 3}], "k.d": 1}),
        (["l.0", "l.1"], {"a": {"b": 1}, "l": [{"x": 3}], "k.d": 1}),
        (["l[2].x"], {"a": {"b": 1}, "l": [{"x": 1}, {"x": 2}, {}], "k.d": 1}),
        (["a", "a.b", "l"], {"k.d": 1}),
        (['"k.d"', "$.a.b"], {"a": {}, "l": [{"x": 1}, {"x": 2}, {"x": 3}]}),
    ],
)
def test_delete_takes_out_what_its_paths_name(paths, left):
    """Indices count in the document as it was before anything was deleted."""
    document = {"a": {"b": 1}, "l": [{"x": 1}, {"x": 2}, {"x": 3}], "k.d": 1}

    assert delete(document, paths) == left


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("sorce.host", "did you mean `source`?"),
        ("source.hots", "did you mean `source.host`?"),
        ("steps.5", "`steps` has 2 items, counted from 0"),
        ("steps.first", "`steps` has 2 items, counted from 0"),
        ("source.host.name", "`source.host` holds nothing"),
    ],
)
def test_a_path_that_deletes_nothing_is_refused(path, hint):
    """The hint gives the nearest path."""
    with pytest.raises(RecipeError) as caught:
        delete({"source": {"host": 1}, "steps": [1, 2]}, [path])

    assert "deletes nothing" in caught.value.message
    assert caught.value.hint == hint


@pytest.mark.parametrize("path", ["", ".", "a.", "a..b", ".a", '"a', "a[x]", "a]"])
def test_a_malformed_path_is_refused(path):
    """A path is keys joined by dots."""
    with pytest.raises(RecipeError, match="is not a path"):
        delete({"a": {"b": 1}}, [path])
