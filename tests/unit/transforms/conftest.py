"""Pipelines from steps as a recipe writes them."""

from __future__ import annotations

import msgspec
import pytest

from arrowload.core.registry import transforms
from arrowload.transforms.pipeline import TransformPipeline


@pytest.fixture
def pipeline():
    """Steps as mappings → the pipeline that a recipe with these steps has."""

    def make(*steps: dict[str, object]) -> TransformPipeline:
        configs = [msgspec.convert(step, transforms.lookup(step["type"]).config) for step in steps]
        return TransformPipeline.from_configs(configs)

    return make
