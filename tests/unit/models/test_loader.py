"""RecipeLoader from file to Recipe."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from arrowload.core import registry
from arrowload.core.exceptions import RecipeError
from arrowload.core.registry import Registration
from arrowload.models.destination_config import PluginDestinationConfig
from arrowload.models.loader import RecipeLoader
from arrowload.models.recipe import Recipe
from arrowload.models.source_config import CursorIncremental, PluginSourceConfig
from arrowload.models.transform_config import PluginStepConfig
from arrowload.models.units import ByteSize, Duration, ResourcePath

SOURCE = "source: {type: test_db, table: t}\n"


# ---------------------------------------------------------------- decoding


def test_a_recipe_decodes_to_the_structs_of_its_connectors(write):
    """Each section is an instance of the Struct registered under its type; units and paths are parsed."""
    path = write(
        "recipes/full.yaml",
        """\
name: full
source:
  type: test_db
  table: t
  incremental: {strategy: cursor, cursor_column: id, lag: 10m}
transform:
  steps:
    - {type: test_step, mapping: {a: b}}
destination: {type: test_sink, path: out/x.db, write_mode: merge, merge_keys: [id]}
runtime: {max_memory: 1GiB, retries: {wait_max: 1m}}
state: {folder: elsewhere}
""",
    )

    recipe = RecipeLoader().load(path)

    assert isinstance(recipe, Recipe)
    assert recipe.source.incremental == CursorIncremental(cursor_column="id", lag=Duration(minutes=10))
    assert recipe.transform.steps[0].mapping == {"a": "b"}
    assert recipe.destination.path == str(path.parent / "out/x.db")
    assert type(recipe.destination.path) is ResourcePath
    assert recipe.destination.merge_keys == ("id",)
    assert recipe.runtime.max_memory == ByteSize(1 << 30)
    assert recipe.runtime.retries.wait_max == Duration(minutes=1)
    assert (recipe.state.type, recipe.state.folder) == ("local", "elsewhere")
    assert recipe.root == str(path.parent)


def test_json_and_yaml_give_the_same_recipe(write):
    """The file's name says which of the two it is."""
    write("a.yaml", "name: a\nsource: {type: test_db, table: t, port: 1}\n")
    write("b.json", '{"name": "a", "source": {"type": "test_db", "table": "t", "port": 1}}')

    assert RecipeLoader().load("a.yaml") == RecipeLoader().load("b.json")


def test_a_mapping_is_a_recipe_too(write, tmp_path):
    """Paths start from the working directory; errors say `<mapping>`."""
    write("base.yaml", "name: base\n" + SOURCE)
    loader = RecipeLoader()

    recipe = loader.load_mapping({"extends": "base.yaml", "destination": {"type": "test_sink", "path": Path("x")}})

    assert recipe.destination.path == str(tmp_path / "x")
    with pytest.raises(RecipeError) as caught:
        loader.load_mapping({"name": "n", "source": {"type": "test_db", "table": "t", "prot": 1}})
    assert str(caught.value) == "<mapping>  $.source.prot: unknown field; did you mean `port`?"


def test_objects_in_a_mapping_reach_the_connector_as_they_are():
    """A plug-in may take a table or a function from Python."""
    table = object()

    recipe = RecipeLoader().load_mapping({"name": "n", "source": {"type": "test_plugin", "data": table}})

    assert recipe.source.options["data"] is table


def test_a_mapping_that_holds_itself_is_refused():
    """No endless descent."""
    mapping = {"name": "n"}
    mapping["source"] = mapping

    with pytest.raises(RecipeError, match="nested more than 64 deep"):
        RecipeLoader().load_mapping(mapping)


def test_a_plug_in_without_a_struct_gets_its_keys_as_options(write):
    """Keys that every connector understands are taken out of them."""
    write(
        "r.yaml",
        "name: r\n"
        "source: {type: test_plugin, url: u, incremental: {strategy: modified}}\n"
        "transform: {steps: [{type: test_plugin, x: 1}]}\n"
        "destination: {type: test_plugin, write_mode: replace, url: '{{ env.DB_HOST }}'}\n".replace(
            "replace", "append"
        ),
    )

    recipe = RecipeLoader(env={"DB_HOST": "h"}).load("r.yaml")

    assert isinstance(recipe.source, PluginSourceConfig)
    assert recipe.source.options == {"url": "u"}
    assert recipe.source.incremental is not None
    assert recipe.transform.steps == (PluginStepConfig(type="test_plugin", options={"x": 1}),)
    assert recipe.destination == PluginDestinationConfig(type="test_plugin", options={"url": "h"})
    assert type(recipe.destination.options["url"]) is str


def test_a_struct_that_is_no_config_is_refused(write, monkeypatch):
    """A plug-in's mistake is named as such."""
    monkeypatch.setitem(registry.sources._registrations, "odd", Registration("odd", dict, Recipe, ""))
    write("r.yaml", "name: r\nsource: {type: odd}\n")

    with pytest.raises(RecipeError, match="the config of `odd` is no SourceConfig"):
        RecipeLoader().load("r.yaml")


def test_a_missing_type_lists_what_there_is(write):
    """The hint names the registered connectors."""
    write("r.yaml", "name: r\nsource: {table: t}\n")

    with pytest.raises(RecipeError, match=r"^r\.yaml:2:1  \$\.source: missing required field `type`") as caught:
        RecipeLoader().load("r.yaml")
    assert "test_db" in caught.value.hint


@pytest.mark.parametrize("name", [".", "..", "a/b", "a\n", "a" * 129, "ä", ""])
def test_a_name_that_could_leave_its_folder_is_refused(name):
    """The name becomes part of file names and keys."""
    with pytest.raises(RecipeError, match="is not a name"):
        RecipeLoader().load_mapping({"name": name, "source": {"type": "test_db", "table": "t"}})


# ---------------------------------------------------------------- extends, include, delete


def test_the_deepest_parent_comes_first_and_lists_merge_left_to_right(write):
    """Steps are joined in the order base, left, right, child; the last word on a scalar is the child's."""
    step = "transform: {{steps: [{{type: test_step, value: {0}}}]}}\n"
    write("base.yaml", SOURCE + step.format("base") + "runtime: {batch_size: 1, parallelism: 1}\n")
    write("left.yaml", "extends: base.yaml\n" + step.format("left") + "runtime: {batch_size: 2}\n")
    write("sub/right.yaml", "extends: ../base.yaml\n" + step.format("right") + "runtime: {parallelism: 3}\n")
    write("child.yaml", "extends: [left.yaml, sub/right.yaml]\nname: child\n" + step.format("child"))

    recipe = RecipeLoader().load("child.yaml")

    assert [item.value for item in recipe.transform.steps] == ["base", "left", "right", "child"]
    assert (recipe.runtime.batch_size, recipe.runtime.parallelism) == (2, 3)


def test_each_file_deletes_after_it_is_laid_over_its_parents(write):
    """A parent's `delete` works on its own parents; what it deleted, a child may set again."""
    write("base.yaml", "source: {type: test_db, table: t, host: h, port: 1}\ntransform: {steps: [{type: test_step}]}\n")
    write("middle.yaml", "extends: base.yaml\ndelete: [source.host, transform.steps]\n")
    write("child.yaml", "extends: middle.yaml\nname: child\nsource: {host: again}\ndelete: [source.port]\n")

    recipe = RecipeLoader().load("child.yaml")

    assert (recipe.source.host, recipe.source.port, recipe.transform.steps) == ("again", 5432, ())


@pytest.mark.fault(71)
def test_what_lies_outside_of_the_root_is_refused(write, tmp_path):
    """By path, by symlink, or by an absolute name."""
    outside = tmp_path.parent / f"{tmp_path.name}_outside.yaml"
    outside.write_text("name: secret\n")
    (tmp_path / "link.yaml").symlink_to(outside)
    for reference in (f"../{outside.name}", "link.yaml", str(outside), "/etc/passwd", "sub/../../" + outside.name):
        write("r.yaml", f"extends: {reference}\nname: r\n" + SOURCE)

        with pytest.raises(RecipeError, match="outside of the recipe root"):
            RecipeLoader().load("r.yaml")


@pytest.mark.fault(71)
@pytest.mark.parametrize(
    "reference", ["http://x/y.yaml", "file:///etc/passwd", "s3://b/k", "FTP:x", "data:,x", "c:\\x.yaml"]
)
def test_urls_are_refused(write, reference):
    """Nothing is fetched."""
    write("r.yaml", f"extends: '{reference}'\nname: r\n" + SOURCE)

    with pytest.raises(RecipeError, match="is a URL"):
        RecipeLoader().load("r.yaml")


def test_the_root_is_the_callers_or_the_working_directory_or_the_recipes_folder(write, tmp_path, monkeypatch):
    """A recipe in a sub-folder may use its siblings, unless the root is narrower or the work is done elsewhere."""
    write("shared/base.yaml", SOURCE)
    path = write("team/r.yaml", "extends: ../shared/base.yaml\nname: r\n")

    assert RecipeLoader().load(path).name == "r"
    assert RecipeLoader(root=tmp_path).load(path).name == "r"
    with pytest.raises(RecipeError, match="outside"):
        RecipeLoader(root=tmp_path / "team").load(path)
    with pytest.raises(RecipeError, match="outside"):
        RecipeLoader(root=tmp_path / "shared").load(path)
    monkeypatch.chdir(tmp_path / "shared")
    with pytest.raises(RecipeError, match="outside"):
        RecipeLoader().load(path)


@pytest.mark.fault(71)
def test_a_cycle_through_a_symlink_is_seen(write, tmp_path):
    """Files are told apart by what they are, not by what they are called."""
    write("a.yaml", "extends: b.yaml\nname: a\n")
    (tmp_path / "b.yaml").symlink_to(tmp_path / "a.yaml")

    with pytest.raises(RecipeError, match=r"runs in a circle: a\.yaml → b\.yaml"):
        RecipeLoader().load("a.yaml")


@pytest.mark.fault(71)
def test_a_hundred_levels_are_enough(write):
    """A chain of a thousand is refused, before it has been read to its end."""
    for level in range(1000):
        write(f"r{level}.yaml", f"extends: r{level + 1}.yaml\n")
    write("r1000.yaml", "name: r\n" + SOURCE)

    assert RecipeLoader().load("r901.yaml").name == "r"
    with pytest.raises(RecipeError, match=r"^r99\.yaml:1:10 .* more than 100 levels deep"):
        RecipeLoader().load("r0.yaml")


def test_a_pipe_is_no_recipe(write, tmp_path):
    """Opening one would wait for ever."""
    os.mkfifo(tmp_path / "pipe.yaml")
    write("r.yaml", "extends: pipe.yaml\nname: r\n")

    with pytest.raises(RecipeError, match=r"^pipe\.yaml  is not a file"):
        RecipeLoader().load(tmp_path / "pipe.yaml")
    with pytest.raises(RecipeError, match="no such file"):
        RecipeLoader().load("r.yaml")


def test_a_file_is_read_only_up_to_its_limit(write):
    """A file of one byte more than 1 MiB is refused for its size, not for what it holds."""
    rest = f"name: r\n{SOURCE}#"
    write("fits.yaml", rest + "x" * ((1 << 20) - len(rest)))
    write("large.yaml", rest + "x" * ((1 << 20) - len(rest) + 1))

    assert RecipeLoader().load("fits.yaml").name == "r"
    with pytest.raises(RecipeError, match=r"^large\.yaml  the file is larger than 1 MiB"):
        RecipeLoader().load("large.yaml")


def test_included_files_hold_macros_and_nothing_else(write):
    """The including file's own macro of the same name wins."""
    write("m.yaml", "macros: {a: {steps: [{type: test_step, value: m}]}, b: {steps: [{type: test_step, value: b}]}}\n")
    write(
        "r.yaml", f"name: r\n{SOURCE}include: [m.yaml]\nmacros: {{a: {{steps: [{{type: test_step, value: own}}]}}}}\n"
    )
    write("child.yaml", "extends: r.yaml\nname: c\ntransform: {steps: [macro: a, macro: b]}\n")

    assert [step.value for step in RecipeLoader().load("child.yaml").transform.steps] == ["own", "b"]

    write("m.yaml", "macros: {}\nsource: {}\n")
    with pytest.raises(RecipeError, match=r"^m\.yaml:2:1  \$\.source: unknown field; an included file holds only"):
        RecipeLoader().load("child.yaml")


# ---------------------------------------------------------------- variables and the environment


def test_variables_have_defaults_and_the_command_line_wins(write):
    """A lone template keeps the variable's type; a variable may come from the environment."""
    write(
        "r.yaml",
        "name: '{{ var.region }}_load'\n"
        "vars: {region: eu, port: 1, host: '{{ env.H }}', deep: {cols: [a, b]}}\n"
        "source:\n  type: test_db\n  table: '{{ recipe.name }}.{{ var.port }}'\n  port: '{{ var.port }}'\n"
        "  host: '{{ var.host }}'\n  columns: '{{ var.deep.cols }}'\n",
    )
    loader = RecipeLoader(env={"H": "h"})

    recipe = loader.load("r.yaml", cli_vars={"region": "us"})

    assert (recipe.name, recipe.source.table, recipe.source.port) == ("us_load", "us_load.1", 1)
    assert (recipe.source.host, recipe.source.columns) == ("h", ("a", "b"))
    assert recipe.vars == {"region": "us", "port": 1, "host": "h", "deep": {"cols": ["a", "b"]}}
    assert {type(value) for value in recipe.vars.values()} == {str, int, dict}
    assert loader.load("r.yaml").name == "eu_load"


@pytest.mark.parametrize(("field", "text", "value"), [("port", "7", 7), ("ssl", "true", True), ("ratio", "2", 2.0)])
def test_text_from_outside_takes_the_type_of_its_field(write, field, text, value):
    """The environment and the command line know only text."""
    write("r.yaml", f"name: r\nsource:\n  type: test_db\n  table: t\n  {field}: '{{{{ env.X }}}}'\n")
    write("v.yaml", f"name: r\nsource:\n  type: test_db\n  table: t\n  {field}: '{{{{ var.X }}}}'\n")

    assert getattr(RecipeLoader(env={"X": text}).load("r.yaml").source, field) == value
    assert getattr(RecipeLoader().load("v.yaml", {"X": text}).source, field) == value


@pytest.mark.parametrize("text", ["", "abc", "1.5", "70000", "true", "0123"])
def test_text_from_outside_that_does_not_fit_its_field_is_refused(write, text):
    """Nothing is guessed."""
    write("r.yaml", "name: r\nsource:\n  type: test_db\n  table: t\n  port: '{{ env.X }}'\n")

    with pytest.raises(RecipeError, match=r"^r\.yaml:5:9  \$\.source\.port: "):
        RecipeLoader(env={"X": text}).load("r.yaml")


def test_digits_from_outside_stay_text_where_text_is_wanted(write):
    """A password of digits is no number."""
    write("r.yaml", "name: r\nsource: {type: test_db, table: '{{ env.X }}', password: '{{ env.X }}'}\n")

    source = RecipeLoader(env={"X": "00123"}).load("r.yaml").source

    assert (source.table, source.password.reveal()) == ("00123", "00123")


def test_a_variable_that_is_used_nowhere_is_refused(write):
    """A misspelt `--var` would otherwise change nothing, in silence."""
    write("r.yaml", "name: r\nvars: {region: eu}\nsource: {type: test_db, table: '{{ var.table }}'}\n")

    with pytest.raises(RecipeError) as caught:
        RecipeLoader().load("r.yaml", {"regoin": "us", "table": "t"})

    assert str(caught.value) == "--var  the variable `regoin` is used nowhere; did you mean `region`?"


def test_a_value_from_outside_is_no_template(write):
    """Neither the environment nor the command line can reach further names."""
    write("r.yaml", "name: r\nvars: {v: x}\nsource: {type: test_db, table: '{{ env.T }}{{ var.v }}'}\n")

    recipe = RecipeLoader(env={"T": "{{ env.PW }}", "PW": "p"}).load("r.yaml", {"v": "{{ env.PW }}"})

    assert recipe.source.table == "{{ env.PW }}{{ env.PW }}"


def test_keys_are_no_templates(write):
    """Only values are rendered."""
    write("r.yaml", "name: r\nsource: {type: test_plugin, '{{ env.X }}': 1}\n")

    assert RecipeLoader(env={}).load("r.yaml").source.options == {"{{ env.X }}": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name: '{{ recipe.name }}'",
            "r.yaml:1:11  $.name: `recipe` is not known within `name`; only `env` is, and `var`",
        ),
        ("vars: {a: '{{ var.b }}'}", "r.yaml:1:15  $.vars.a: `var` is not known within `vars`; only `env` is"),
        (
            "runtime: '{{ recipe.nam }}'",
            "r.yaml:1:14  $.runtime: `recipe.nam` is not defined; did you mean `recipe.name`?",
        ),
        ("runtime: '{{ param.x }}'", "r.yaml:1:14  $.runtime: `param` is known only within a macro; use `var` here"),
        ("runtime: '{{ env.A.b }}'", "r.yaml:1:14  $.runtime: `env.A.b` has too many dots; write `{{ env.NAME }}`"),
        (
            "runtime: '{{ var.zz }}'",
            "r.yaml:1:14  $.runtime: `var.zz` is not defined; give it a default under `vars:`, or pass `--var zz=…`",
        ),
        (
            "runtime: '{{ hos }}'",
            "r.yaml:1:14  $.runtime: unknown name `hos`; names start with `env.`, `var.` or `recipe.`: `{{ var.hos }}`",
        ),
    ],
)
def test_names_that_stand_for_nothing(write, text, message):
    """The place is that of the name."""
    key = text.partition(":")[0]
    rest = {"name": "name: r\n", "source": SOURCE, "vars": "vars: {}\n"}
    write("r.yaml", text + "\n" + "".join(line for name, line in rest.items() if name != key))

    with pytest.raises(RecipeError) as caught:
        RecipeLoader(env={"A": "a"}).load("r.yaml")

    assert str(caught.value) == message


# ---------------------------------------------------------------- macros


def test_macros_take_parameters_and_use_macros(write):
    """A parameter keeps its type, may be a list or a template, and has the scope of where it was written."""
    write(
        "r.yaml",
        f"""\
name: r
{SOURCE}
vars: {{team: crm}}
macros:
  tag:
    params: {{value: , note: {{default: "by {{{{ var.team }}}}"}}}}
    steps:
      - {{type: test_step, value: "{{{{ param.value }}}}", mapping: {{n: "{{{{ param.note }}}}"}}}}
  audit:
    params: {{source: }}
    steps:
      - {{macro: tag, with: {{value: "<{{{{ param.source }}}}>"}}}}
      - {{macro: tag, with: {{value: [1, "{{{{ param.source }}}}"], note: n}}}}
transform:
  steps:
    - {{type: test_step, value: first}}
    - {{macro: audit, with: {{source: "{{{{ var.team }}}}"}}}}
    - {{type: test_step, value: last}}
""",
    )

    steps = RecipeLoader().load("r.yaml").transform.steps

    assert [step.value for step in steps] == ["first", "<crm>", [1, "crm"], "last"]
    assert [step.mapping for step in steps] == [{}, {"n": "by crm"}, {"n": "n"}, {}]


@pytest.mark.parametrize(
    ("macro", "problem"),
    [
        ("5", r"\$\.macros\.m: expected a mapping"),
        ("{steps: x}", r"\$\.macros\.m\.steps: expected a list"),
        ("{}", r"\$\.macros\.m\.steps: expected a list"),
        ("{stepps: []}", r"\$\.macros\.m\.stepps: unknown field; did you mean `steps`"),
        ("{params: [a], steps: []}", r"\$\.macros\.m\.params: expected a mapping"),
        ("{params: {a: 5}, steps: []}", r"\$\.macros\.m\.params\.a: expected `default: …`"),
        ("{params: {a: {defualt: 1}}, steps: []}", r"params\.a\.defualt: unknown field; did you mean `default`"),
        ("{steps: [{macro: x, type: y}]}", r"\.steps\[0\]\.type: unknown field; a step that uses a macro"),
    ],
)
def test_malformed_macros_are_refused(write, macro, problem):
    """Each complaint has its place."""
    write("r.yaml", f"name: r\n{SOURCE}macros: {{m: {macro}}}\ntransform: {{steps: [{{macro: m}}]}}\n")

    with pytest.raises(RecipeError, match=r"^r\.yaml:3:\d+  " + ".*" + problem):
        RecipeLoader().load("r.yaml")


def test_macros_that_multiply_are_stopped(write):
    """Each of 30 macros uses the next one twice: a billion steps."""
    macros = "".join(f"  m{i}: {{steps: [{{macro: m{i + 1}}}, {{macro: m{i + 1}}}]}}\n" for i in range(30))
    write("r.yaml", f"name: r\n{SOURCE}macros:\n{macros}  m30: {{steps: []}}\ntransform: {{steps: [macro: m0]}}\n")

    with pytest.raises(RecipeError, match="more than 10000 keys, values"):
        RecipeLoader().load("r.yaml")


def test_variables_that_multiply_are_stopped(write):
    """A large value used in many places would fill the memory."""
    cells = ", ".join(f"k{i}: '{{{{ var.v }}}}'" for i in range(1000))
    write("r.yaml", f"name: r\nvars: {{v: {'x' * 100_000}}}\nsource: {{type: test_plugin, {cells}}}\n")

    with pytest.raises(RecipeError, match="more than 2 MiB of text"):
        RecipeLoader().load("r.yaml")
