"""What `show --resolved` shows, and what it hides."""

from __future__ import annotations

import pytest

from arrowload.core.exceptions import RecipeError
from arrowload.core.secret import mask
from arrowload.models.loader import RecipeLoader
from arrowload.models.secrets import reference_of
from arrowload.models.templates import Rendered
from arrowload.models.yaml_reader import read_yaml

CANARY = "c4nary-p4ssword"


def test_a_resolved_recipe_shows_the_origin_of_each_leaf(write):
    """The text is YAML that reads back as the document; origins are comments."""
    write(
        "base.yaml",
        "source: {type: test_db, table: t, columns: []}\ntransform: {steps: [{type: test_step, value: [1.0, '5']}]}\n",
    )
    write(
        "r.yaml", "extends: base.yaml\nname: r\nsource: {host: 'a: b # c'}\ntransform: {steps: [{type: test_step}]}\n"
    )

    resolved = RecipeLoader().resolve("r.yaml")

    assert resolved.origins["$.source.table"] == "base.yaml:1:32"
    assert resolved.origins["$.transform.steps[1].type"] == "r.yaml:4:28"
    assert read_yaml(resolved.to_yaml(), "f") == resolved.document
    assert read_yaml(resolved.to_yaml(origins=True), "f") == resolved.document
    assert '  host: "a: b # c"     # r.yaml:3:16\n' in resolved.to_yaml(origins=True)
    assert "extends" not in resolved.document


@pytest.mark.parametrize(
    ("password", "shown"),
    [
        ("'{{ env.DB_PASSWORD }}'", "{{ env.DB_PASSWORD }}"),
        ("'{{ var.pw }}'", "{{ env.DB_PASSWORD }}"),
        ("'{{ var.given }}'", "***"),
        (f"{CANARY}", "***"),
        (f"'{CANARY}{{{{ env.DB_HOST }}}}'", "***"),
        (f"'{{{{ env.NONE | default(\"{CANARY}\") }}}}'", "***"),
        (f"'{{{{ env.DB_PASSWORD | default(\"{CANARY}\") }}}}'", "{{ env.DB_PASSWORD }}"),
        ("'db://u:{{ env.DB_PASSWORD }}@{{ env.DB_HOST }}/x'", "db://u:{{ env.DB_PASSWORD }}@{{ env.DB_HOST }}/x"),
        ("'db://u:{{ var.pw }}@h/x'", "db://u:{{ env.DB_PASSWORD }}@h/x"),
        (f"'db://u:{CANARY}@{{{{ env.DB_HOST }}}}/x'", "***"),
        (f"'db://{{{{ env.DB_HOST }}}}/x?password={CANARY}'", "***"),
    ],
)
def test_a_secret_shows_at_most_its_template(write, env, password, shown):
    """The canary is nowhere: not in the document, not in the decoded recipe, not in the variables."""
    write(
        "r.yaml",
        "name: r\nvars: {pw: '{{ env.DB_PASSWORD }}'}\n"
        f"source:\n  type: test_db\n  table: select '{CANARY}'\n  password: {password}\n  headers: {{a: {password}}}\n"
        "runtime: {}\n",
    )
    loader, given = RecipeLoader(env=env), {"given": CANARY} if "given" in password else {}

    resolved, recipe = loader.resolve("r.yaml", given), loader.load("r.yaml", given)

    assert resolved.document["source"]["password"] == shown
    assert resolved.document["source"]["headers"] == {"a": shown}
    assert recipe.source.password.reference == (None if shown == "***" else shown)
    if password in (f"{CANARY}", "'{{ env.DB_PASSWORD }}'", "'{{ var.pw }}'", "'{{ var.given }}'"):
        assert CANARY not in resolved.to_yaml(origins=True)
        assert resolved.document["source"]["table"] == "select '***'"
        assert CANARY not in mask(repr(recipe))


def test_what_the_environment_put_into_a_secret_is_masked_everywhere(write, env):
    """The password within a DSN is hidden in other text as well."""
    write(
        "r.yaml",
        "name: r\nsource:\n  type: test_db\n  table: 'x {{ env.DB_PASSWORD }}'\n"
        "  password: 'db://u:{{ env.DB_PASSWORD }}@h'\n",
    )

    resolved = RecipeLoader(env=env).resolve("r.yaml")

    assert resolved.document["source"]["table"] == "x ***"
    assert CANARY not in resolved.to_yaml()


def test_of_a_plug_in_without_a_struct_all_that_came_from_the_environment_stays_hidden(write, env):
    """Nothing says which of its keys are secrets."""
    write("r.yaml", "name: r\nsource: {type: test_plugin, token: '{{ env.DB_PASSWORD }}', url: u}\n")

    document = RecipeLoader(env=env).resolve("r.yaml").document

    assert document["source"] == {"type": "test_plugin", "token": "{{ env.DB_PASSWORD }}", "url": "u"}


def test_an_error_does_not_quote_a_secret(write, env):
    """Even when the complaint is about another field that holds the same value."""
    write(
        "r.yaml",
        "name: r\nsource: {type: test_db, table: t, driver: '{{ env.DB_PASSWORD }}'}\n"
        "destination: {type: test_sink, path: p}\n",
    )
    write("c.yaml", "extends: r.yaml\nsource: {password: '{{ env.DB_PASSWORD }}'}\n")

    with pytest.raises(RecipeError) as caught:
        RecipeLoader(env=env).load("c.yaml")

    assert "`***` is none of" in str(caught.value)
    assert CANARY not in repr(caught.value.context)


def test_a_broken_value_does_not_keep_a_recipe_from_being_shown(write):
    """Resolving is how one finds out what is wrong; the values are not checked."""
    write("r.yaml", "name: r\nsource: {type: test_db, port: many}\n")

    assert RecipeLoader().resolve("r.yaml").document["source"]["port"] == "many"


@pytest.mark.parametrize(
    ("template", "safe"),
    [
        ("{{ env.A }}", True),
        ("{{ env.A }}{{ env.B }}", True),
        ("x{{ env.A }}", False),
        ("db://{{ env.U }}:{{ env.P }}@h:1/d?sslmode=require", True),
        ("db://u:p{{ env.P }}@h", False),
        ("db://h/{{ env.D }}?sslpassword=x", False),
        ("host=h password={{ env.P }}", False),
    ],
)
def test_which_templates_give_nothing_away(template, safe):
    """What a person wrote around an expression may be a part of the secret."""
    assert reference_of(Rendered("value", template, ("v",))) == (template if safe else None)
