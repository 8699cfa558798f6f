"""A small load into a folder or a prefix, step by step, as the engine would do it."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import textwrap

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from arrowload.connectors.base import LedgerEntry, Load
from arrowload.connectors.files.destination import FileDestination
from arrowload.connectors.parquet.destination import ParquetFormat
from arrowload.io.aws import AwsAccess

SEEN = pa.table({"row_hash": pa.array([b"h" * 16], pa.binary(16)), "n": pa.array([2], pa.int64())})


class Dataset:
    """A folder under test; every call uses a destination of its own, as another process would."""

    def __init__(self, folder, access=AwsAccess()):  # noqa: B008 - frozen
        self.folder = folder
        self.access = access

    def destination(self, target_bytes=1):
        parquet = ParquetFormat()
        parquet.chunk_bytes = 1  # every batch is written at once, and so counts for `target_bytes`
        return FileDestination(str(self.folder), parquet, target_bytes, scratch=None, access=self.access)

    def begin(self, seq, table, *, mode="append", epoch=1, pipeline="p1", destination=None):
        destination = destination or self.destination()
        load = Load(
            load_id=f"{pipeline}-load{seq}", pipeline_id=pipeline, recipe=f"recipe-{pipeline}", generation=0, seq=seq,
            epoch=epoch, write_mode=mode, merge_keys=(), schema=table.schema,
        )  # fmt: skip
        writer = destination.begin(load)
        writer.stage(pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=2)))
        return writer

    def entry(self, seq, *, mode="append", epoch=1, pipeline="p1", rows=0):
        return LedgerEntry(
            pipeline_id=pipeline, generation=0, seq=seq, load_id=f"{pipeline}-load{seq}", epoch=epoch,
            recipe=f"recipe-{pipeline}", target="t", write_mode=mode, lower=None, upper=None, state="{}",
            schema_fingerprint="f", rows_read=rows, rows_written=rows, rows_filtered=0, rows_rejected=0,
            rows_deduplicated=0, content_hash="0", engine_version="0",
            committed_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        )  # fmt: skip

    def load(self, seq, values, **options):
        """One whole load of a column `n`; the destination's epoch is installed when it is not yet."""
        table = pa.table({"n": pa.array(values, pa.int64())})
        head = self.destination().head("", options.get("pipeline", "p1"))
        if head is None or head.epoch < options.get("epoch", 1):
            self.fence(options.get("epoch", 1), options.get("pipeline", "p1"))
        writer = self.begin(seq, table, **options)
        sealed = writer.seal()
        writer.finalize(self.entry(seq, **options, rows=sealed.rows_staged), SEEN)
        return sealed

    def fence(self, epoch, pipeline="p1"):
        return self.destination().fence(pipeline, f"recipe-{pipeline}", epoch, "test")

    def glob(self):
        """What a reader sees who knows nothing of the log."""
        return sorted(n for path in self.folder.glob("*.parquet") for n in pq.read_table(path)["n"].to_pylist())

    def live(self):
        """What a reader sees who reads through arrowload."""
        from arrowload.connectors.parquet import ParquetSourceConfig
        from arrowload.connectors.parquet.source import ParquetSource
        from arrowload.core.state import State
        from arrowload.io.files import NoFilesError
        from arrowload.models.units import ResourcePath, ResourcePaths

        path = ResourcePaths([ResourcePath(self.folder)])
        try:
            with ParquetSource(ParquetSourceConfig(type="parquet", path=path, aws=self.access)).snapshot(
                State()
            ) as snapshot:
                splits = snapshot.splits(1)
                tables = [snapshot.read_split(split, batch_size=100).read_all() for split in splits]
        except NoFilesError:
            return []
        return sorted(n for table in tables for n in table["n"].to_pylist())

    def staged(self):
        return sorted(path.name for path in (self.folder / "_arrowload" / "staging").iterdir())

    def run(self, code, failpoints=""):
        """Run `code` in another process, where `dataset` is this one; returns its exit code and stderr."""
        script = (
            "import importlib.util as u\n"
            f"spec = u.spec_from_file_location('helpers', {__file__!r}); helpers = u.module_from_spec(spec)\n"
            "spec.loader.exec_module(helpers)\n"
            f"from pathlib import Path\ndataset = helpers.Dataset(Path({str(self.folder)!r}))\n"
        ) + textwrap.dedent(code)
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "ARROWLOAD_FAILPOINTS": failpoints},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, done.stderr


class S3Dataset(Dataset):
    """A prefix under test."""

    def __init__(self, moto):
        self.bucket = moto.make_bucket()
        super().__init__(f"s3://{self.bucket}/out", moto.access)
        self.client = moto.client("s3")

    def keys(self, prefix="out/"):
        listed = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", ())
        return [item["Key"].removeprefix("out/") for item in listed]

    def glob(self):
        parts = [key for key in self.keys() if not key.startswith("_arrowload/")]
        bodies = [self.client.get_object(Bucket=self.bucket, Key=f"out/{key}")["Body"].read() for key in parts]
        return sorted(n for body in bodies for n in pq.read_table(pa.BufferReader(body))["n"].to_pylist())

    def staged(self):
        return [key.removeprefix("_arrowload/staging/") for key in self.keys("out/_arrowload/staging/")]

    def uploads(self):
        found = self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ())
        return [item["Key"] for item in found]


@pytest.fixture
def dataset(tmp_path):
    return Dataset(tmp_path / "out")
