"""What a load into DuckDB leaves behind when it cannot begin."""

from __future__ import annotations

from contextlib import closing

import pyarrow as pa
import pytest
from msgspec.structs import replace

from arrowload.connectors.duckdb import DuckDBDestinationConfig
from arrowload.connectors.registry import get_destination
from arrowload.core.exceptions import ConnectorError
from arrowload.models.units import ResourcePath
from arrowload.testing.loading import Pipeline

ROWS = pa.table({"id": pa.array([1], pa.int32())})


def test_a_load_that_cannot_begin_leaves_no_transaction_open(tmp_path, monkeypatch):
    """The next attempt, on the same connection, is none within the last one."""
    config = DuckDBDestinationConfig(type="duckdb", path=ResourcePath(tmp_path / "a.duckdb"), table="t")
    with closing(get_destination("duckdb", config, None)) as destination:
        pipeline, planned = Pipeline(lambda: destination), destination.target
        broken = {"ddl": ("ALTER TABLE altered_meanwhile ADD COLUMN extra INT",)}
        monkeypatch.setattr(destination, "target", lambda *a, **k: replace(planned(*a, **k), **broken))
        pipeline.fence()
        with pytest.raises(ConnectorError, match="altered_meanwhile"):
            pipeline.stage(ROWS)

        monkeypatch.undo()
        pipeline.fence()
        assert pipeline.finish(pipeline.stage(ROWS)).rows_staged == 1
