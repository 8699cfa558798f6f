"""The built-in steps: what each does, and how each refuses what it cannot do."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import msgspec
import pyarrow as pa
import pytest

from arrowload.core.exceptions import RecipeError, TransformError
from arrowload.core.registry import transforms
from arrowload.transforms.rename_columns import RenameColumnsConfig

BATCH = pa.record_batch(
    {"id": [1, 2, 3], "name": ["Ann", None, "Cid"], "price": ["1.50", "2.25", None]},
)


def test_rename_lets_columns_change_places(pipeline):
    """All names of a mapping are given at once; order and buffers stay."""
    made = pipeline({"type": "rename_columns", "mapping": {"id": "name", "name": "id"}}).bind(BATCH.schema).apply(BATCH)

    assert made.batch.schema.names == ["name", "id", "price"]
    assert made.batch.column("name").buffers()[1].address == BATCH.column("id").buffers()[1].address
    assert made.kept is None


def test_select_keeps_and_orders(pipeline):
    """Columns come out in the order in which they are named."""
    made = pipeline({"type": "select", "columns": ["price", "id"]}).bind(BATCH.schema).apply(BATCH)

    assert made.batch.to_pydict() == {"price": ["1.50", "2.25", None], "id": [1, 2, 3]}


def test_drop_leaves_out(pipeline):
    """The others keep their order."""
    assert pipeline({"type": "drop", "columns": ["name"]}).bind(BATCH.schema).output_schema.names == ["id", "price"]


@pytest.mark.parametrize(
    ("value", "data_type", "expected", "arrow"),
    [
        ("crm", None, "crm", pa.string()),
        (7, None, 7, pa.int64()),
        (True, None, True, pa.bool_()),
        (0.5, None, 0.5, pa.float64()),
        (None, "int", None, pa.int64()),
        ("2024-02-03", "date", dt.date(2024, 2, 3), pa.date32()),
        ("12.50", "decimal(5,2)", Decimal("12.50"), pa.decimal128(5, 2)),
        ("[1]", "json", "[1]", pa.json_()),
    ],
)
def test_add_column_holds_one_value(pipeline, value, data_type, expected, arrow):
    """The type follows from the value unless it is given; the column is nullable only when its value is null."""
    step = {"type": "add_column", "name": "source", "value": value, "data_type": data_type}

    made = pipeline(step).bind(BATCH.schema).apply(BATCH).batch

    assert made.schema.field("source") == pa.field("source", arrow, nullable=expected is None)
    assert made.column("source").to_pylist() == [expected] * 3


def test_cast_is_checked(pipeline):
    """What fits arrives in the new type; field metadata about the old type is left out, nullability stays."""
    schema = pa.schema([pa.field("price", pa.string(), nullable=False, metadata={"POSTGRESQL:type": "text"})])
    batch = pa.RecordBatch.from_arrays([pa.array(["1.50"])], schema=schema)

    made = pipeline({"type": "cast", "columns": {"price": "decimal(10,2)"}}).bind(schema).apply(batch).batch

    assert made.schema.field("price").equals(
        pa.field("price", pa.decimal128(10, 2), nullable=False), check_metadata=True
    )
    assert made.column(0).to_pylist() == [Decimal("1.50")]


def test_cast_names_column_value_and_row(pipeline):
    """Rows count from the first of the load, also behind a filter."""
    bound = pipeline(
        {"type": "filter", "where": "id > 1"},
        {"type": "cast", "columns": {"name": "int"}},
    ).bind(BATCH.schema)

    with pytest.raises(TransformError) as caught:
        bound.apply(BATCH, first_row=1000)

    assert caught.value.message == "step 2 (`cast`): column `name`: `Cid` in row 1002 is no int64"
    assert caught.value.context == {"step": 2, "type": "cast", "column": "name", "row": 1002, "value": "Cid"}


def test_cast_with_options(pipeline):
    """A column may say its format, its zone and that digits may be rounded."""
    batch = pa.record_batch({"at": ["03.02.2024 10:00"], "x": [1.005]})
    step = {
        "type": "cast",
        "columns": {
            "at": {"type": "timestamptz", "format": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"},
            "x": {"type": "decimal(4,2)", "round": True},
        },
    }

    made = pipeline(step).bind(batch.schema).apply(batch).batch

    assert made.to_pylist() == [{"at": dt.datetime(2024, 2, 3, 9, tzinfo=dt.UTC), "x": Decimal("1.01")}]


def test_filter_drops_false_and_null(pipeline):
    """As in SQL, a row stays only when the condition is true."""
    made = pipeline({"type": "filter", "where": "name <> 'Cid'"}).bind(BATCH.schema).apply(BATCH)

    assert made.batch.to_pydict() == {"id": [1], "name": ["Ann"], "price": ["1.50"]}
    assert made.kept.to_pylist() == [0]


def test_derive_replaces_in_place_and_appends(pipeline):
    """All expressions of a step see the columns as they come in; a new column comes last."""
    step = {"type": "derive", "columns": {"id": "id * 10", "twice": "id * 2"}}

    made = pipeline(step).bind(BATCH.schema).apply(BATCH).batch

    assert made.schema.names == ["id", "name", "price", "twice"]
    assert made.column("id").to_pylist() == [10, 20, 30]
    assert made.column("twice").to_pylist() == [2, 4, 6]


@pytest.mark.parametrize(
    ("step", "message", "hint"),
    [
        ({"type": "rename_columns", "mapping": {"nme": "x"}}, "there is no column `nme`", "did you mean `name`?"),
        ({"type": "rename_columns", "mapping": {"id": "name"}}, "two columns would be called `name`", None),
        ({"type": "rename_columns", "mapping": {"id": ""}}, "a column cannot be called ``", None),
        ({"type": "select", "columns": ["id", "id"]}, "two columns would be called `id`", None),
        ({"type": "select", "columns": ["nam"]}, "there is no column `nam`", "did you mean `name`?"),
        ({"type": "drop", "columns": ["id", "name", "price"]}, "no column would be left", None),
        ({"type": "drop", "columns": ["zzz"]}, "there is no column `zzz`", "the columns here are: id, name, price"),
        ({"type": "cast", "columns": {"pric": "int"}}, "there is no column `pric`", "did you mean `price`?"),
        ({"type": "cast", "columns": {"id": "date"}}, "column `id`: int64 cannot be cast to date", None),
        (
            {"type": "cast", "columns": {"id": {"type": "int8", "format": "%Y"}}},
            "column `id`: int64 cannot be cast to int8",
            None,
        ),
        ({"type": "add_column", "name": "id", "value": 1}, "there is a column `id` already", None),
        ({"type": "filter", "where": "nam = 'x'"}, "there is no column `nam`", "did you mean `name`?"),
        ({"type": "filter", "where": "name"}, "`name` gives string, not true or false", None),
        ({"type": "derive", "columns": {"x": "idd + 1"}}, "there is no column `idd`", "did you mean `id`?"),
        (
            {"type": "derive", "columns": {"x": "null"}},
            "column `x` would be of type null, which Arrow columns cannot hold",
            None,
        ),
        ({"type": "derive", "columns": {"_arrowload_row": "1"}}, "a column cannot be called `_arrowload_row`", None),
    ],
)
def test_a_wrong_step_is_refused_before_any_row(pipeline, step, message, hint):
    """The error names the step, its place in the recipe, what is wrong and the nearest name."""
    made = pipeline({"type": "rename_columns", "mapping": {"id": "id"}}, step)

    with pytest.raises(RecipeError) as caught:
        made.bind(BATCH.schema)

    assert caught.value.message == f"step 2 (`{step['type']}`): {message}"
    assert caught.value.context["path"] == "$.transform.steps[1]"
    assert hint is None or caught.value.hint == hint


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"type": "cast", "columns": {"a": "strng"}}, "column `a`: `strng` is no type"),
        ({"type": "cast", "columns": {"a": {"type": "date", "zone": "Mars"}}}, "column `a`: `Mars` is no time zone"),
        ({"type": "add_column", "name": "a", "value": "x", "data_type": "int"}, "`x` is no value for column `a`"),
        ({"type": "add_column", "name": "a", "value": None}, "column `a` has no value and no type"),
        (
            {"type": "add_column", "name": "a", "value": 1, "data_type": "date"},
            "column `a`: int64 cannot be cast to date",
        ),
    ],
)
def test_a_step_that_is_wrong_in_itself_is_refused_without_a_schema(pipeline, step, message):
    """What no schema could mend is found when the recipe is loaded."""
    with pytest.raises(RecipeError) as caught:
        pipeline(step)

    assert caught.value.message == f"step 1 (`{step['type']}`): {message}"


@pytest.mark.parametrize("name", ["add_column", "cast", "derive", "drop", "filter", "rename_columns", "select"])
def test_unknown_keys_are_refused(name):
    """A step's Struct knows its keys and no others."""
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"type": name, "wheer": 1}, transforms.lookup(name).config)


def test_an_empty_mapping_is_refused():
    """A step that could do nothing is a mistake."""
    with pytest.raises(msgspec.ValidationError, match="length"):
        msgspec.convert({"type": "rename_columns", "mapping": {}}, RenameColumnsConfig)
