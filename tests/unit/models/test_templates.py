"""The template grammar: what it gives, and that there is no way out of it."""

from __future__ import annotations

import pytest

from arrowload.models.template_grammar import ARITIES, TemplateError
from arrowload.models.templates import FILTERS, Rendered, UndefinedError, Value, render

NAMES = {
    ("env", "A"): Value("a1", "env.A", ("a1",)),
    ("env", "N"): Value("42", "env.N", ("42",)),
    ("var", "n"): Value(7),
    ("var", "f"): Value(1.5),
    ("var", "t"): Value(True),
    ("var", "none"): Value(None),
    ("var", "list"): Value([1, 2]),
    ("var", "s"): Value("text"),
    ("recipe", "name"): Value("r"),
}


class Names:
    def lookup(self, parts):
        if parts not in NAMES:
            raise UndefinedError(f"`{'.'.join(parts)}` is not defined")
        return NAMES[parts]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ var.n }}", 7),
        ("{{var.t}}", True),
        ("{{ var.list }}", [1, 2]),
        ("{{ var.none }}", None),
        ("{{- var.n -}}", 7),
        (" {{ var.n }}", " 7"),
        ("{{ var.t }}/{{ var.f }}", "true/1.5"),
        ("{{ env.A | upper }}", "A1"),
        ("{{ env.N | int }}", 42),
        ("{{ var.n | string }}", "7"),
        ("{{ var.x | default('d') }}", "d"),
        ("{{ var.x | default(var.n) }}", 7),
        ("{{ var.n | default(var.x) }}", 7),
        ("{{ var.x | default(5) | int }}", 5),
        ("{{ var.x | upper | default('d') }}", "d"),
        ("{{ var.s | replace('t', 'T') | trim | lower }}", "text"),
        ("{{ '{{' }} and {{ '{%' }}", "{{ and {%"),
        ("a\n{{ recipe.name }}\n", "a\nr\n"),
    ],
)
def test_what_a_template_gives(text, value):
    """A lone expression keeps its type; within text it becomes text."""
    rendered = render(text, Names())

    assert rendered == value
    assert type(rendered) is (Rendered if isinstance(value, str) else type(value))


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("{{ env.A }}", "{{ env.A }}"),
        ("{{env.A|upper}}", "{{ env.A | upper }}"),
        ("{{ env.A | default('hunter2') }}", "{{ env.A }}"),
        ("{{ env.X | default('hunter2') }}", None),
        ("{{ env.A | replace('a', 'b') }}", None),
        ("x-{{ env.A }}-{{ var.s }}", "x-{{ env.A }}-text"),
        ("{{ var.s }}", None),
        ("plain {{ var.s }}", None),
    ],
)
def test_a_rendered_string_knows_how_the_environment_gives_it(text, template):
    """The template holds `env` alone, so that another process can render it; no other value is named in it."""
    assert render(text, Names()).template == template


def test_a_rendered_string_knows_what_the_environment_put_into_it():
    """So that these parts can be masked."""
    assert render("x{{ env.A }}{{ env.N }}", Names()).secrets == ("a1", "42")


@pytest.mark.fault(69)
@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ env.__class__ }}",
        "{{ var.s.__class__ }}",
        "{{ env['A'] }}",
        "{{ env.A[0] }}",
        "{{ env.A() }}",
        "{{ env.get('A') }}",
        "{{ env.A.format_map(env) }}",
        "{{ env | attr('A') }}",
        "{{ env.A | map('upper') }}",
        "{{ self }}",
        "{{ self.x }}",
        "{{ config.x }}",
        "{{ lipsum.__globals__ }}",
        "{{ cycler() }}",
        "{{ range(10) }}",
        "{{ env }}",
        "{{ 1 + 1 }}",
        "{{ -1 }}",
        "{{ 'a' ~ 'b' }}",
        "{{ 'a' * 100000000 }}",
        "{{ 2 ** 1000000 }}",
        "{{ [1] }}",
        "{{ {'a': 1} }}",
        "{{ env.A if env.A else 1 }}",
        "{{ env.A is defined }}",
        "{{ env.A == 1 }}",
        "{{ not env.A }}",
        "{{ env.A, env.N }}",
        "{{ env.A | default(value='x') }}",
        "{{ env.A | default }}",
        "{{ env.A | upper(*env) }}",
        "{{ env.A | replace('a') }}",
        "{% for x in env %}{{ x }}{% endfor %}",
        "{% set x = 1 %}",
        "{% raw %}{{ env.A }}{% endraw %}",
        "{% include 'x' %}",
        "{% import 'os' as os %}",
        "{# comment #}",
        "{{ env.A }}{# comment #}",
        "{{",
        "{{ }}",
        "{{ env. }}",
        "{{ env.A",
        "}} {{",
        "{{ env.A | }}",
        "{{ " + "(" * 900 + "env.A" + ")" * 90 + " }}",
        "{{ env.A" + " | upper" * 2000 + " }}",
        "{{ env.A }}" * 201,
        "{{ 'a'" + " | replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')" * 15 + " }}",
        "{{ var.n | upper }}",
        "{{ env.A | int }}",
        "x{{ var.list }}",
        "x{{ var.none }}",
        "{{ var.none | string }}",
    ],
)
def test_all_else_is_refused(text):
    """Whatever is not a name with dots, a constant or a listed filter draws a TemplateError, quickly."""
    with pytest.raises(TemplateError) as caught:
        render(text, Names())

    assert not isinstance(caught.value, UndefinedError)
    assert "\n" not in str(caught.value)


def test_each_filter_of_the_grammar_can_be_evaluated():
    """`default` is evaluated apart, since it catches an error."""
    assert {*FILTERS, "default"} == set(ARITIES)


def test_a_text_without_marks_needs_no_jinja(write, minimal):
    """A recipe without templates does not pay for importing Jinja2."""
    import subprocess
    import sys

    code = "import sys, arrowload.models.loader; sys.exit('jinja2' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
