"""Pipelines: what they fuse, what passes by, what plug-ins may do, and how failures are told."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from arrowload.core.exceptions import RecipeError, TransformError
from arrowload.testing.transforms import TransformConformance
from arrowload.transforms.base import RowError, Transformed
from arrowload.transforms.pipeline import TransformPipeline
from arrowload.transforms.stages import ColumnStage

BATCH = pa.record_batch({"a": [1, None, 3, 4], "s": ["w", "x", None, "z"], "b": [10, 20, 30, 40]})


class Doubled:
    """A plug-in on Polars frames with nothing but `compile`."""

    def compile(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(pl.col("a") * 2, pl.lit("new").alias("made")).filter(pl.col("b") > 10)


class Reversed:
    """A kernel with nothing but `output_schema` and `apply`."""

    def output_schema(self, schema: pa.Schema) -> pa.Schema:
        return schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        index = batch.schema.get_field_index("s")
        return batch.set_column(index, batch.schema.field(index), pc.utf8_reverse(batch.column(index)))


class EverySecond(Reversed):
    """A kernel that drops rows and says which it kept."""

    def apply(self, batch: pa.RecordBatch) -> Transformed:
        kept = pa.array(range(0, batch.num_rows, 2), pa.int64())
        return Transformed(batch.take(kept), kept)


class NoNulls(Reversed):
    """A kernel that cannot handle a null."""

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for row, value in enumerate(batch.column("s").to_pylist()):
            if value is None:
                raise RowError(row=row, column="s", value=value, reason="is NULL, which is not allowed")
        return batch


class TestLazyPlugin(TransformConformance):
    """A plug-in with `compile` alone keeps the promises of a transform."""

    changes = frozenset({"a", "made"})

    @pytest.fixture
    def step(self):
        return Doubled()

    @pytest.fixture
    def batch(self):
        return BATCH


class TestKernelPlugin(TransformConformance):
    """A kernel that drops rows keeps the promises of a transform, except that it depends on how rows are cut."""

    @pytest.fixture
    def step(self):
        return EverySecond()

    @pytest.fixture
    def batch(self):
        return BATCH

    def test_rows_do_not_depend_on_how_they_are_cut(self, bound, rows):
        """The suite notices: this kernel keeps other rows when they come one at a time."""
        with pytest.raises(AssertionError):
            super().test_rows_do_not_depend_on_how_they_are_cut(bound, rows, 1)


def test_an_empty_pipeline_hands_the_batch_back():
    """No step, no cost: the very same batch, and a schema that may be anything."""
    bound = TransformPipeline([]).bind(BATCH.schema)

    assert bound.apply(BATCH) == (BATCH, None)
    assert bound.apply(BATCH).batch is BATCH
    assert bound.output_schema is BATCH.schema
    assert bound.description == ()


def test_neighbouring_steps_are_one_query(pipeline):
    """All that stands between two kernels is one query over the columns that it reads; the plan says so."""
    bound = pipeline(
        {"type": "filter", "where": "a > 0"},
        {"type": "rename_columns", "mapping": {"a": "n"}},
        {"type": "add_column", "name": "k", "value": 2},
        {"type": "derive", "columns": {"m": "n * k"}},
        {"type": "drop", "columns": ["s"]},
        {"type": "cast", "columns": {"m": "string"}},
        {"type": "filter", "where": "m <> '6'"},
    ).bind(BATCH.schema)

    assert bound.description == (
        "1. filter: a > 0",
        "2. rename_columns: `a` → `n`",
        "3. add_column: `k` = 2",
        "4. derive: `m` = n * k",
        "5. drop: `s`",
        "6. cast: `m` to string",
        "7. filter: m <> '6'",
        "steps 1 to 5: one Polars query over `a`; 2 columns pass by it",
        "step 7: one Polars query over `m`; 4 columns pass by it",
    )
    made = bound.apply(BATCH)
    assert made.batch.to_pydict() == {"n": [1, 4], "b": [10, 40], "k": [2, 2], "m": ["2", "8"]}
    assert made.kept.to_pylist() == [0, 3]


def test_columns_that_no_step_reads_keep_their_buffers(pipeline):
    """They do not enter Polars and are not copied when no row is dropped."""
    made = pipeline({"type": "derive", "columns": {"m": "b + 1"}}).bind(BATCH.schema).apply(BATCH).batch

    for name in ("a", "s", "b"):
        addresses = [buffer and buffer.address for buffer in made.column(name).buffers()]
        assert addresses == [buffer and buffer.address for buffer in BATCH.column(name).buffers()]


def test_columns_that_change_places_inside_a_query(pipeline):
    """An expression reads the columns under the names that they have at its step."""
    made = (
        pipeline(
            {"type": "filter", "where": "a > 0"},
            {"type": "rename_columns", "mapping": {"a": "b", "b": "a"}},
            {"type": "derive", "columns": {"m": "a - b"}},
        )
        .bind(BATCH.schema)
        .apply(BATCH)
    )

    assert made.batch.to_pydict() == {"b": [1, 3, 4], "s": ["w", None, "z"], "a": [10, 30, 40], "m": [9, 27, 36]}


@pytest.mark.parametrize("name", ["^a.*$", "*", "with space", 'quo"te', "ünïcode", "a.b", "select"])
def test_odd_column_names_are_names(pipeline, name):
    """A name is never taken for a pattern."""
    batch = pa.record_batch({"a": [1, 2], name: [3, 4]})
    quoted = '"' + name.replace('"', '""') + '"'
    steps = [{"type": "derive", "columns": {name: "a * 10"}}, {"type": "rename_columns", "mapping": {name: "out"}}]

    assert pipeline(*steps).bind(batch.schema).apply(batch).batch.to_pydict() == {"a": [1, 2], "out": [10, 20]}
    if not name.startswith("^") and name != "*":
        read = pipeline({"type": "filter", "where": f"{quoted} > 3"}).bind(batch.schema).apply(batch)
        assert read.batch.column(name).to_pylist() == [4]


def test_recipes_without_expressions_do_not_import_polars():
    """Renames, casts and constants are Arrow work; importing Polars would cost a fifth of a second."""
    code = """
import sys, pyarrow as pa
from arrowload.transforms.pipeline import TransformPipeline
from arrowload.transforms.cast import Cast, CastConfig
from arrowload.transforms.add_column import AddColumn, AddColumnConfig
from arrowload.transforms.rename_columns import RenameColumns, RenameColumnsConfig
steps = [
    RenameColumns(RenameColumnsConfig(type="rename_columns", mapping={"a": "b"})),
    AddColumn(AddColumnConfig(type="add_column", name="k", value=1)),
    Cast(CastConfig(type="cast", columns={"b": "int"})),
]
batch = pa.record_batch({"a": ["1"]})
assert TransformPipeline(steps).bind(batch.schema).apply(batch).batch.to_pydict() == {"b": [1], "k": [1]}
assert "polars" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_a_lazy_plugin_joins_its_neighbours():
    """A step with `compile` alone is fused; a filter in it reaches the columns that Polars never saw."""
    wide = pa.array([Decimal(n) for n in range(4)], pa.decimal256(60, 0))
    batch = BATCH.append_column("wide", wide)

    bound = TransformPipeline([Doubled()]).bind(batch.schema)

    made = bound.apply(batch)
    assert made.batch.to_pydict() == {
        "a": [None, 6, 8],
        "s": ["x", None, "z"],
        "b": [20, 30, 40],
        "wide": [1, 2, 3],
        "made": ["new"] * 3,
    }
    assert made.batch.schema == bound.output_schema
    assert made.kept.to_pylist() == [1, 2, 3]
    assert bound.description[-1] == "step 1: one Polars query over `a`, `s`, `b`; 1 columns pass by it"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.select("a"), "the step loses the column `_arrowload_row`"),
        (lambda frame: frame.with_columns(pl.col("zzz")), "step 1 (`Plugin`): the step cannot be compiled"),
    ],
)
def test_a_lazy_plugin_is_checked_before_any_row(change, message):
    """Losing the row numbers, or naming a column that is not there, is found when the pipeline is bound."""

    class Plugin:
        def compile(self, frame):
            return change(frame)

    with pytest.raises(RecipeError) as caught:
        TransformPipeline([Plugin()]).bind(BATCH.schema)

    assert message in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.sort("b", descending=True),
        lambda frame: pl.concat([frame, frame]),
    ],
)
def test_a_lazy_plugin_may_neither_reorder_nor_repeat(change):
    """Each row is read once and written at most once, in order."""

    class Plugin:
        def compile(self, frame):
            return change(frame)

    with pytest.raises(TransformError, match="repeats, reorders or invents rows"):
        TransformPipeline([Plugin()]).bind(BATCH.schema).apply(BATCH)


def test_a_kernel_that_drops_rows_says_which(pipeline):
    """Row numbers of several stages are put together, in terms of the batch that went in."""
    steps = [*(step.transform for step in pipeline({"type": "filter", "where": "b > 10"}).steps), EverySecond()]

    made = TransformPipeline(steps).bind(BATCH.schema).apply(BATCH)

    assert made.kept.to_pylist() == [1, 3]
    assert made.batch.column("b").to_pylist() == [20, 40]


class Shorter(Reversed):
    def apply(self, batch):
        return batch.slice(1)


class OtherType(Reversed):
    def apply(self, batch):
        return batch.set_column(0, "a", pc.cast(batch.column(0), pa.float64()))


class Invents(Reversed):
    def apply(self, batch):
        return Transformed(batch, pa.array(range(1, batch.num_rows + 1), pa.int64()))


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (Shorter(), "step 1 (`Shorter`) gave 3 rows and says that it kept 4"),
        (
            OtherType(),
            "step 1 (`OtherType`) gave a: double, s: string, b: int64 in place of a: int64, s: string, b: int64",
        ),
        (Invents(), "step 1 (`Invents`) repeats, reorders or invents rows; it may only drop them"),
    ],
)
def test_a_kernel_that_breaks_its_promises_is_found_out(kernel, message):
    """Rows that vanish uncounted, another schema or rows that never were are errors."""
    with pytest.raises(TransformError) as caught:
        TransformPipeline([kernel]).bind(BATCH.schema).apply(BATCH)

    assert caught.value.message == message


def test_a_kernels_row_error_counts_from_the_load(pipeline):
    """The row is that of the load, though a filter came before."""
    steps = [*(step.transform for step in pipeline({"type": "filter", "where": "b > 10"}).steps), NoNulls()]

    with pytest.raises(TransformError) as caught:
        TransformPipeline(steps).bind(BATCH.schema).apply(BATCH, first_row=500)

    assert caught.value.context["row"] == 502
    assert caught.value.context["column"] == "s"


def test_what_a_plugin_throws_is_told_with_its_step():
    """An exception of any kind becomes one error that names the step and the rows, with its cause."""

    class Broken(Reversed):
        def apply(self, batch):
            raise KeyError("oops")

    with pytest.raises(TransformError) as caught:
        TransformPipeline([Broken()]).bind(BATCH.schema).apply(BATCH, first_row=8)

    assert caught.value.message == "step 1 (`Broken`) fails on 4 rows from row 8 on: KeyError: 'oops'"
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.fault(13)
def test_a_panic_in_rust_is_told_as_well():
    """Polars panics as a BaseException, which `except Exception` misses."""

    class Panics(Reversed):
        def apply(self, batch):
            pl.from_arrow(pa.table({"wide": pa.array([Decimal(1)], pa.decimal256(60, 0))}))
            return batch

    with pytest.raises(TransformError, match="PanicException"):
        TransformPipeline([Panics()]).bind(BATCH.schema).apply(BATCH)


def test_an_interrupt_passes():
    """Ctrl-C is not a failure of the step."""

    class Interrupted(Reversed):
        def apply(self, batch):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TransformPipeline([Interrupted()]).bind(BATCH.schema).apply(BATCH)


def test_what_is_no_step_is_refused():
    """An object with none of the protocols cannot be bound."""
    with pytest.raises(RecipeError, match="step 1 \\(`object`\\) is no transform"):
        TransformPipeline([object()]).bind(BATCH.schema)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (BATCH.select(["a", "b", "s"]), "column 2 was planned as `s` string and comes as `b` int64"),
        (BATCH.select(["a"]), "column 2 was planned as `s` string and comes as nothing"),
        (BATCH.append_column("new", pa.array([1] * 4)), "column `new` was not planned"),
    ],
)
def test_a_batch_of_another_schema_is_refused(pipeline, batch, message):
    """A source that changes its columns in the middle of a load is found out."""
    bound = pipeline({"type": "filter", "where": "a > 0"}).bind(BATCH.schema)

    with pytest.raises(TransformError) as caught:
        bound.apply(batch)

    assert caught.value.message == message


def test_two_columns_of_one_name_are_refused(pipeline):
    """A source with such columns needs another query before steps can work on it."""
    schema = pa.schema([("a", pa.int64()), ("a", pa.int64())])

    with pytest.raises(RecipeError, match="two columns would be called `a`"):
        pipeline({"type": "drop", "columns": ["a"]}).bind(schema)


def test_a_failing_row_deep_in_a_batch_is_found(pipeline):
    """Of 10 000 rows, the first that an expression cannot handle is named, with its values."""
    values = [str(n) for n in range(10_000)]
    values[7_777] = "boom"
    batch = pa.record_batch({"s": values})
    bound = pipeline(
        {"type": "filter", "where": "length(s) > 1"},
        {"type": "derive", "columns": {"n": "length(s)", "m": "cast(s as bigint)"}},
    ).bind(batch.schema)

    with pytest.raises(TransformError) as caught:
        bound.apply(batch, first_row=100)

    assert caught.value.context == {"step": 2, "type": "derive", "column": "m", "row": 7_877, "value": {"s": "boom"}}


def test_renames_alone_have_no_query(pipeline):
    """Schema work is one stage without Polars, however many steps it is."""
    bound = pipeline(
        {"type": "rename_columns", "mapping": {"a": "x"}},
        {"type": "drop", "columns": ["s"]},
        {"type": "add_column", "name": "k", "value": "v"},
    ).bind(BATCH.schema)

    (stage,) = bound._stages
    assert isinstance(stage, ColumnStage)
    assert stage.query is None


def test_schema_metadata_stays(pipeline):
    """What the source says about the whole table is kept, and what it says about untouched fields."""
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False, metadata={"f": "1"}), ("b", pa.int64())], {"t": "2"})
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], schema=schema)

    made = pipeline({"type": "filter", "where": "b > 1"}).bind(schema).apply(batch).batch

    assert made.schema.equals(schema, check_metadata=True)
