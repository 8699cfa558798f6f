"""Laws of the recipe layer: merging, deleting, origins, and that a loader complains in one way only."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from arrowload.core import registry
from arrowload.core.exceptions import RecipeError
from arrowload.models.json_reader import read_json
from arrowload.models.loader import RecipeLoader
from arrowload.models.merger import RecipeMerger
from arrowload.models.origins import LocatedDict, leaves
from arrowload.models.resolved import ResolvedRecipe
from arrowload.models.secrets import plain
from arrowload.models.template_grammar import TemplateError
from arrowload.models.templates import UndefinedError, render
from arrowload.models.yaml_reader import read_yaml

merger = RecipeMerger()

# Few keys, so that documents overlap; some of them need quotes in a path.
keys = st.sampled_from(["transform", "steps", "source", "host", "a.b", "0", "ä"])
scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["x", "5", "true", "", "a: b", "#", "ß\n"])


def nested(inner):
    return st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4)


values = st.recursive(scalars, nested, max_leaves=12)
documents = st.dictionaries(keys, values, max_size=5)
steps = st.lists(scalars, max_size=4)


def kind(value):
    return type(value) if isinstance(value, dict | list) else None


def same_kinds(left, right):
    """Whether no value is a mapping or list here and something else there."""
    return all(
        kind(left[key]) is kind(right[key]) and (not isinstance(left[key], dict) or same_kinds(left[key], right[key]))
        for key in left.keys() & right.keys()
    )


def paths(value, path=()):
    """Every path below `value`, containers included."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, item in pairs:
        yield (*path, part)
        yield from paths(item, (*path, part))


def get(value, path):
    for part in path:
        value = value[part]
    return value


def outcome(function, *arguments, kind=RecipeError):
    """What a function returns, and the text of its error; one of the two is None. Other errors come through."""
    try:
        return function(*arguments), None
    except kind as exc:
        return None, str(exc)


def dotted(path):
    return ".".join(f'"{part}"' if isinstance(part, str) else str(part) for part in path)


# ---------------------------------------------------------------- merging


@given(documents)
def test_merging_with_nothing_changes_nothing(document):
    """The empty document is the identity, on both sides."""
    assert merger.merge(document, {}) == document
    assert merger.merge({}, document) == document


@given(documents, documents, documents)
def test_merging_is_associative_where_kinds_agree(a, b, c):
    """A base, its child and its grandchild merge to the same, whichever two are merged first."""
    assume(same_kinds(a, b) and same_kinds(b, c) and same_kinds(a, c))

    assert merger.merge(merger.merge(a, b), c) == merger.merge(a, merger.merge(b, c))


@given(documents, documents)
def test_a_leaf_of_the_child_wins(parent, child):
    """Each scalar and each list of the child is in the result, except that steps stand behind the parent's."""
    merged = merger.merge(parent, child)

    for path in paths(child):
        through_list = any(isinstance(get(child, path[:i]), list) for i in range(len(path)))
        value = get(child, path)
        if not through_list and not isinstance(value, dict) and path != ("transform", "steps"):
            assert get(merged, path) == value


@given(documents, documents)
def test_what_the_child_does_not_name_is_inherited(parent, child):
    """Nothing of the parent is lost elsewhere, and nothing is invented."""
    merged = merger.merge(parent, child)

    assert merged.keys() == parent.keys() | child.keys()
    for key in parent.keys() - child.keys():
        assert merged[key] == parent[key]


@given(steps, steps, steps)
def test_steps_concatenate_in_order(a, b, c):
    """The grandparent's first, the child's last."""
    layers = [{"transform": {"steps": part}} for part in (a, b, c)]

    assert merger.merge(merger.merge(layers[0], layers[1]), layers[2]) == {"transform": {"steps": a + b + c}}


@given(documents, documents)
def test_inputs_are_left_alone(parent, child):
    """Merging builds; it does not change."""
    before = copy.deepcopy((parent, child))

    merger.merge(parent, child)

    assert (parent, child) == before


# ---------------------------------------------------------------- deleting


@given(documents, st.data())
def test_delete_removes_exactly_its_path(document, data):
    """What the path names is gone; all else is as it was."""
    everything = sorted(paths(document), key=repr)
    assume(everything)
    path = data.draw(st.sampled_from(everything))
    expected = copy.deepcopy(document)
    del get(expected, path[:-1])[path[-1]]

    assert merger.delete(document, [dotted(path)]) == expected


@given(documents, st.data())
def test_the_order_of_deletions_does_not_matter(document, data):
    """All paths name places in the document as it was."""
    everything = sorted(paths(document), key=repr)
    assume(everything)
    chosen = [dotted(path) for path in data.draw(st.lists(st.sampled_from(everything), max_size=4))]

    assert merger.delete(document, chosen) == merger.delete(document, data.draw(st.permutations(chosen)))


@given(documents, st.text(max_size=12))
def test_a_path_deletes_something_or_is_refused(document, path):
    """There is no silent third way."""
    remaining, complaint = outcome(merger.delete, document, [path])

    if complaint is None:
        assert len(list(paths(remaining))) < len(list(paths(document)))
    else:
        assert "\n" not in complaint


# ---------------------------------------------------------------- origins


@given(documents, documents, st.sampled_from([read_yaml, read_json]))
def test_each_leaf_stands_where_its_origin_says(parent, child, read):
    """After a merge, what is written at the origin of each leaf is that leaf's value."""
    texts = {
        name: json.dumps(layer, ensure_ascii=False, indent=1) for name, layer in (("parent", parent), ("child", child))
    }
    merged = merger.merge(*(read(text, name) for name, text in texts.items()))

    assert merged == merger.merge(parent, child)
    for path, value, at in leaves(merged):
        rest = texts[at.file].splitlines()[at.line - 1][at.column - 1 :]
        written, _ = json.JSONDecoder().raw_decode(rest)
        assert (written, type(written)) == (value, type(plain(value)))
        assert get(merged, path) is value


@given(st.dictionaries(st.text(min_size=1, max_size=8), values, max_size=4))
def test_a_resolved_recipe_reads_back(document):
    """What `show --resolved` prints is YAML for the same document."""
    try:
        document = read_yaml(yaml.safe_dump(document, allow_unicode=True), "f")
    except RecipeError:
        assume(False)
    assume(isinstance(document, LocatedDict) and document)

    text = ResolvedRecipe(document=document, origins={}).to_yaml()

    assert read_yaml(text, "f") == document


# ---------------------------------------------------------------- one kind of complaint

fragments = st.lists(
    st.sampled_from(
        [
            *"\n\n\n  :-,[]{}&*!|>'\"%@`#?0a~.\t",
            "name: r\n",
            "source: ",
            "{type: test_law}",
            "extends: ",
            "r.yaml",
            "vars: ",
            "delete: ",
            "macros: ",
            "transform: {steps: [",
            "{macro: m}",
            "{{ ",
            " }}",
            "env.X",
            "var.",
            "recipe.name",
            " | upper",
            "{% ",
            "!!str ",
            "&a ",
            "*a",
            "<<",
            "---\n",
            "\u2028",
            "\x00",
            "é",
            "1e999",
        ]
    ),
    max_size=25,
).map("".join)


@pytest.fixture(autouse=True, scope="module")
def connectors():
    """A plug-in of every kind, without a Struct."""
    kinds = (registry.sources, registry.destinations, registry.transforms)
    for where in kinds:
        where.register("test_law", dict)
    yield
    for where in kinds:
        del where._registrations["test_law"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recipes")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80) | (fragments | st.text(max_size=60)).map(str.encode), st.sampled_from([".yaml", ".json"]))
@example(b"\xff\xfe", ".yaml")
@example(b"extends: r.yaml", ".yaml")
def test_the_loader_complains_in_one_way_only(folder, content, suffix):
    """Whatever the bytes, there is a recipe or a RecipeError of one line."""
    path = Path(folder, f"r{suffix}")
    path.write_bytes(content)

    _, complaint = outcome(RecipeLoader(env={"X": "x"}).load, path)

    if complaint is not None:
        assert "\n" not in complaint
        assert complaint.startswith(str(path))


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "name",
                "source",
                "transform",
                "destination",
                "runtime",
                "state",
                "vars",
                "macros",
                "delete",
                "include",
                "x",
            ]
        ),
        st.recursive(
            scalars | st.sampled_from(["{{ var.x }}", "{{ env.X }}", "{{ param.a }}", "test_law", "m", "x.y"]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["type", "steps", "macro", "with", "params", "default", "m", "x", "write_mode"]),
                    inner,
                )
            ),
            max_leaves=10,
        ),
    )
)
def test_a_mapping_is_a_recipe_or_draws_a_recipe_error(mapping):
    """Any document whatever; what is wrong with its shape is said, not raised as something else."""
    loader = RecipeLoader(env={"X": "x"})

    for load in (loader.load_mapping, loader.resolve):
        _, complaint = outcome(load, {"name": "n", "source": {"type": "test_law"}, **mapping})
        assert complaint is None or "\n" not in complaint


class _NoNames:
    def lookup(self, parts):
        raise UndefinedError("undefined")


@given(
    st.lists(
        st.sampled_from(
            [
                "{{",
                "}}",
                "{%",
                "%}",
                "{#",
                " ",
                "env",
                ".",
                "A",
                "|",
                "default",
                "('x')",
                "(",
                ")",
                "[",
                "]",
                "'",
                "1",
                "-",
            ]
        ),
        max_size=16,
    ).map("".join)
)
def test_a_template_renders_or_draws_a_template_error(text):
    """No text makes the template engine fail in another way."""
    value, complaint = outcome(render, text, _NoNames(), kind=TemplateError)

    assert complaint or isinstance(value, str | int | bool | None)
