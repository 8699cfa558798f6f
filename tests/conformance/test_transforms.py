"""Every built-in step keeps the promises of a transform."""

from __future__ import annotations

import datetime as dt
import sys
from decimal import Decimal
from importlib.metadata import entry_points
from typing import ClassVar

import msgspec
import pyarrow as pa
import pytest

from arrowload.core.registry import transforms
from arrowload.testing.transforms import TransformConformance
from arrowload.transforms.registry import get_transform

LENGTH = 23


class StepConformance(TransformConformance):
    """The suite for a step that is registered under `type`, with the keys `config`."""

    type: ClassVar[str]
    config: ClassVar[dict[str, object]]

    @pytest.fixture
    def step(self):
        config = transforms.lookup(self.type).config
        return get_transform(self.type, msgspec.convert({"type": self.type, **self.config}, config))

    @pytest.fixture
    def batch(self):
        """Rows with every null pattern that a step may meet, from a slice, so that offsets count."""
        n = range(LENGTH + 2)
        columns = {
            "number": pa.array([None if i % 7 == 3 else i - 9 for i in n], pa.int64()),
            "text": pa.array([None if i % 4 == 1 else f"{i}.{i % 10}0" for i in n]),
            "amount": pa.array([None if i % 5 == 2 else Decimal(i) / 4 for i in n], pa.decimal128(10, 2)),
            "day": pa.array([f"{i % 28 + 1}.02.2024" for i in n]),
            "moment": pa.array([None if i == 6 else dt.datetime(2024, 1, 1, i % 24) for i in n], pa.timestamp("us")),
        }
        return pa.record_batch(columns).slice(1, LENGTH)


class TestRenameColumns(StepConformance):
    type = "rename_columns"
    config: ClassVar = {"mapping": {"number": "text", "text": "number", "day": "tag"}}
    changes = frozenset({"number", "text", "tag"})  # they change places
    makes_nulls = frozenset({"number", "text"})


class TestSelect(StepConformance):
    type = "select"
    config: ClassVar = {"columns": ["day", "bystander_uuid", "number"]}
    keeps_others = False


class TestDrop(StepConformance):
    type = "drop"
    config: ClassVar = {"columns": ["day", "number"]}


class TestAddColumn(StepConformance):
    type = "add_column"
    config: ClassVar = {"name": "loaded", "value": "2024-02-03", "data_type": "date"}
    changes = frozenset({"loaded"})


class TestCast(StepConformance):
    type = "cast"
    config: ClassVar = {
        "columns": {
            "number": "decimal(12,1)",
            "text": "float64",
            "day": {"type": "date", "format": "%d.%m.%Y"},
            "moment": {"type": "timestamptz", "zone": "Europe/Berlin"},
        }
    }
    changes = frozenset({"number", "text", "day", "moment"})


class TestFilter(StepConformance):
    type = "filter"
    config: ClassVar = {"where": "number % 3 = 0 and (amount > 1.5 or text is null)"}


class TestDerive(StepConformance):
    type = "derive"
    config: ClassVar = {
        "columns": {
            "number": "number * 2 - 1",
            "label": "upper(text) || '-' || day",
            "gross": "round(amount * 1.19, 2)",
            "size": "case when number > 0 then 'big' when number <= 0 then 'small' end",
        }
    }
    changes = frozenset({"number", "label", "gross", "size"})


def test_every_registered_step_is_in_the_suite():
    """A step that comes with arrowload cannot be left out here."""
    here = [value for value in vars(sys.modules[__name__]).values() if isinstance(value, type)]

    covered = {suite.type for suite in here if issubclass(suite, StepConformance) and suite is not StepConformance}

    assert covered == {entry.name for entry in entry_points(group=transforms.group)}


def test_every_registered_step_has_a_config_with_descriptions():
    """The schema for editors describes each key of each step."""
    for name in transforms.names():
        schema = msgspec.json.schema(transforms.lookup(name).config)
        keys = (
            next(iter(schema["$defs"].values()))
            if "$ref" not in schema
            else schema["$defs"][schema["$ref"].rpartition("/")[2]]
        )
        assert all("description" in key for field, key in keys["properties"].items() if field != "type"), name
