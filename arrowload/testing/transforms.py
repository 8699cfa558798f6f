"""What every transform step promises, as tests; subclass `TransformConformance` in a test module of your own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
import pytest

from arrowload.transforms.pipeline import TransformPipeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrowload.transforms.base import Transform, Transformed
    from arrowload.transforms.pipeline import BoundPipeline


class TransformConformance:
    """The suite.

    A subclass gives the fixtures `step` and `batch`: a step, and rows that it can handle, among them some with nulls
    and, for a step that drops rows, some that it drops and some that it keeps. The suite puts columns beside those
    rows which the step knows nothing of.

    Attributes:
        changes: Output columns whose values the step makes or changes; all others must come out as they went in.
        makes_nulls: Of these, the ones in which there may be nulls where the input column of that name had none.
        keeps_others: Columns that the step knows nothing of come out; False for a step such as `select`.
    """

    changes: ClassVar[frozenset[str]] = frozenset()
    makes_nulls: ClassVar[frozenset[str]] = frozenset()
    keeps_others: ClassVar[bool] = True

    @pytest.fixture
    def step(self) -> Transform:
        """The step under test."""
        raise NotImplementedError

    @pytest.fixture
    def batch(self) -> pa.RecordBatch:
        """Rows that the step can handle."""
        raise NotImplementedError

    @pytest.fixture
    def rows(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows with columns of types that Polars lacks beside them."""
        return beside(batch, bystanders(batch.num_rows))

    @pytest.fixture
    def bound(self, step: Transform, rows: pa.RecordBatch) -> BoundPipeline:
        """A pipeline of the step alone, for these rows."""
        return TransformPipeline([step]).bind(rows.schema)

    def test_output_has_the_schema_that_was_planned(self, bound: BoundPipeline, rows: pa.RecordBatch) -> None:
        """Names, order, types, nullability and metadata are known before the first row."""
        made = bound.apply(rows).batch

        assert made.schema.equals(bound.output_schema, check_metadata=True)
        made.validate(full=True)
        for field, column in zip(made.schema, made.columns, strict=True):
            assert field.nullable or column.null_count == 0

    def test_no_rows_give_no_rows(self, bound: BoundPipeline, rows: pa.RecordBatch) -> None:
        """An empty batch comes out empty, in the planned schema."""
        made = bound.apply(rows.slice(0, 0)).batch

        assert made.num_rows == 0
        assert made.schema.equals(bound.output_schema, check_metadata=True)

    @pytest.mark.parametrize("size", [1, 2, 3, 7])
    def test_rows_do_not_depend_on_how_they_are_cut(
        self, bound: BoundPipeline, rows: pa.RecordBatch, size: int
    ) -> None:
        """Any cut into batches gives the same rows in the same order."""
        whole = bound.apply(rows).batch
        cuts = [rows.slice(at, size) for at in range(0, rows.num_rows, size)]

        parts = [bound.apply(cut, first_row=at * size).batch for at, cut in enumerate(cuts)]

        assert same_values(pa.Table.from_batches(parts), pa.Table.from_batches([whole]))

    def test_kept_rows_are_named(self, bound: BoundPipeline, rows: pa.RecordBatch) -> None:
        """What remains is as many rows as the row numbers say, each from inside the batch and in order."""
        made = bound.apply(rows)
        numbers = kept_numbers(made, rows.num_rows)

        assert len(numbers) == made.batch.num_rows
        assert numbers == sorted(set(numbers))
        assert all(0 <= number < rows.num_rows for number in numbers)

    def test_other_columns_pass_unchanged(self, bound: BoundPipeline, rows: pa.RecordBatch) -> None:
        """A column that the step does not change keeps field, metadata and values, extension types included."""
        made = bound.apply(rows)
        expected = rows.take(pa.array(kept_numbers(made, rows.num_rows), pa.int64()))
        same = [name for name in made.batch.schema.names if name not in self.changes and name in rows.schema.names]

        for name in same:
            assert made.batch.schema.field(name).equals(rows.schema.field(name), check_metadata=True)
            assert same_values(made.batch.select([name]), expected.select([name]))
        if self.keeps_others:
            assert set(bystanders(0).schema.names) <= set(same)

    def test_no_value_becomes_null_by_stealth(self, bound: BoundPipeline, rows: pa.RecordBatch) -> None:
        """Where a row had a value it has one still, unless the step says that it makes nulls."""
        made = bound.apply(rows)
        numbers = kept_numbers(made, rows.num_rows)

        for name in set(made.batch.schema.names) & set(rows.schema.names) - self.makes_nulls:
            before = rows.column(name).is_null().to_pylist()
            after = made.batch.column(name).is_null().to_pylist()
            assert not [number for number, null in zip(numbers, after, strict=True) if null and not before[number]]

    def test_nothing_that_can_be_handled_is_refused(self, bound: BoundPipeline, rows: pa.RecordBatch) -> None:
        """Where bad rows are put aside, good ones come out as they would without."""
        refused: list[tuple[int, object]] = []

        made = bound.apply(rows, refuse=lambda place, error: refused.append((place, error)))

        assert not refused
        assert same_values(made.batch, bound.apply(rows).batch)

    def test_the_input_is_left_alone(self, bound: BoundPipeline, rows: pa.RecordBatch) -> None:
        """The batch that went in has the same values afterwards."""
        before = repr_values(rows)

        bound.apply(rows)

        assert repr_values(rows) == before

    def test_several_threads_may_use_it(self, bound: BoundPipeline, rows: pa.RecordBatch) -> None:
        """One bound pipeline gives the same rows to every thread."""
        expected = bound.apply(rows).batch

        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda _: bound.apply(rows).batch, range(16)))

        assert all(same_values(batch, expected) for batch in made)


def bystanders(rows: int) -> pa.RecordBatch:
    """Columns of types that Polars lacks or changes, with nulls and with metadata."""
    numbers = range(rows)
    uuids = pa.array([None if n % 5 == 4 else bytes([n % 256] * 16) for n in numbers], pa.binary(16))
    texts = pa.array([None if n % 3 == 2 else f"[{n}]" for n in numbers], pa.string())
    columns: dict[str, tuple[pa.Array, dict[str, str]]] = {
        "bystander_uuid": (pa.ExtensionArray.from_storage(pa.uuid(), uuids), {"from": "test"}),
        "bystander_json": (pa.ExtensionArray.from_storage(pa.json_(), texts), {}),
        "bystander_wide": (
            pa.array([n if n % 2 else None for n in numbers], pa.int64()).cast(pa.decimal256(60, 2)),
            {},
        ),
        "bystander_span": (pa.array([(n, n, n) for n in numbers], pa.month_day_nano_interval()), {}),
        "bystander_code": (pa.array([f"c{n % 3}" for n in numbers]).dictionary_encode(), {}),
        "bystander_large": (pa.array([f"t{n}" for n in numbers], pa.large_string()), {}),
    }
    fields = [pa.field(name, array.type, metadata=metadata or None) for name, (array, metadata) in columns.items()]
    return pa.RecordBatch.from_arrays([array for array, _ in columns.values()], schema=pa.schema(fields))


def beside(left: pa.RecordBatch, right: pa.RecordBatch) -> pa.RecordBatch:
    """The columns of both."""
    schema = pa.schema([*left.schema, *right.schema], metadata=left.schema.metadata)
    return pa.RecordBatch.from_arrays([*left.columns, *right.columns], schema=schema)


def kept_numbers(made: Transformed, rows: int) -> Sequence[int]:
    """The row numbers that remain, also when all do."""
    numbers: list[int] = list(range(rows)) if made.kept is None else made.kept.to_pylist()
    return numbers


def same_values(left: pa.Table | pa.RecordBatch, right: pa.Table | pa.RecordBatch) -> bool:
    """Equal schemas, lengths and values, a NaN being equal to another."""
    return bool(left.schema.equals(right.schema)) and repr_values(left) == repr_values(right)


def repr_values(data: pa.Table | pa.RecordBatch) -> list[Any]:
    """The columns as text of Python values."""
    return [[repr(value) for value in column.to_pylist()] for column in data.columns]
