"""A dataset in S3: commits whose answers are lost, uploads that nobody ends, objects that are not ours."""

from __future__ import annotations

import time

import botocore.exceptions
import pyarrow as pa
import pytest

from arrowload.connectors.files.s3_storage import S3Storage
from arrowload.connectors.parquet import create_parquet_destination
from arrowload.connectors.parquet.config import ParquetDestinationConfig
from arrowload.core.exceptions import (
    BusyError,
    ConnectorError,
    CredentialsError,
    DataError,
    OutcomeUnknownError,
    RecipeError,
    TransientConnectorError,
)
from arrowload.io import s3
from arrowload.io.s3 import S3Prefix
from arrowload.models.units import ResourcePath
from tests.moto_server import KEY
from tests.unit.connectors.files.conftest import S3Dataset

LOG = "/_arrowload/log/"


class Line:
    """The line to the store, which can be made to lose what is sent or what is answered."""

    def __init__(self, client):
        self._session = client._endpoint.http_session
        self._real = self._session.send
        self._session.send = self._send
        self.lost = []  # requests that did not arrive
        self.loses_request = self.loses_answer = lambda request: False

    def _send(self, request):
        if self.loses_request(request):
            self.lost.append(request)
            raise botocore.exceptions.ReadTimeoutError(endpoint_url=request.url)
        answer = self._real(request)
        if self.loses_answer(request):
            answer.raw.close()
            raise botocore.exceptions.ReadTimeoutError(endpoint_url=request.url)
        return answer

    def heal(self):
        self.loses_request = self.loses_answer = lambda request: False

    def deliver_late(self):
        """What was sent arrives after all; how it is answered."""
        self.lost[0].body.seek(0)
        return self._real(self.lost[0]).status_code

    def cut(self):
        self._session.send = self._real


@pytest.fixture
def dataset(moto):
    return S3Dataset(moto)


@pytest.fixture
def line(dataset, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    line = Line(s3.s3_client(dataset.access))
    yield line
    line.cut()


def writes_log(request):
    return request.method == "PUT" and LOG in request.url


def once(matches):
    """The first request that matches."""
    seen = []

    def first(request):
        if matches(request):
            seen.append(request)
        return matches(request) and len(seen) == 1

    return first


def test_append_and_replace(dataset):
    """As in a folder: for readers of the log, and for those who list the prefix."""
    dataset.load(1, [1, 2, 3])
    dataset.load(2, [4])
    assert dataset.glob() == dataset.live() == [1, 2, 3, 4]
    dataset.load(3, [9], mode="replace")
    assert dataset.glob() == dataset.live() == [9]
    assert dataset.staged() == []


def test_a_commit_whose_answer_is_lost_is_read_back(dataset, line):
    """The request that is tried again meets its own entry, and knows it for its own."""
    dataset.fence(1)
    line.loses_answer = once(writes_log)
    dataset.load(1, [1, 2])
    assert dataset.live() == dataset.glob() == [1, 2]
    assert len(dataset.keys("out/_arrowload/log/")) == 2


def test_no_answer_at_all_is_of_unknown_outcome(dataset, line):
    """Nothing is guessed, and nothing is dropped; once the store answers again the entry is found."""
    dataset.fence(1)
    writer = dataset.begin(1, pa.table({"n": [1]}))
    writer.seal()
    sent = []

    def after_the_put(request):
        sent.extend([request] if writes_log(request) else [])
        return bool(sent) and LOG in request.url

    line.loses_answer = after_the_put
    with pytest.raises(OutcomeUnknownError):
        writer.finalize(dataset.entry(1), None)
    writer.abort()
    line.heal()

    assert dataset.destination().find("p1", "p1-load1").seq == 1
    assert dataset.live() == [1]


@pytest.mark.parametrize("who", ["this run", "the next run"])
def test_a_commit_that_arrives_late_commits_nothing(dataset, line, who):
    """Once somebody was told that the load is not there, the request that is still under way finds its place taken."""
    dataset.load(1, [1])
    destination = dataset.destination()
    writer = dataset.begin(2, pa.table({"n": [2]}), destination=destination)
    writer.seal()
    line.loses_request = writes_log
    with pytest.raises(OutcomeUnknownError):
        writer.finalize(dataset.entry(2), None)
    line.heal()

    if who == "this run":
        assert destination.find("p1", "p1-load2") is None
        again = dataset.begin(2, pa.table({"n": [2]}), destination=destination)
        assert line.deliver_late() == 412
        again.seal()
        again.finalize(dataset.entry(2), None)
    else:
        dataset.fence(2)
        assert line.deliver_late() == 412
        dataset.load(2, [2], epoch=2)
    assert dataset.live() == dataset.glob() == [1, 2]


def test_a_zombie_cannot_commit(dataset):
    """A run that was paused before its commit meets the successor's fence."""
    dataset.fence(1)
    zombie = dataset.begin(1, pa.table({"n": [666]}))
    zombie.seal()
    dataset.fence(2)
    with pytest.raises(BusyError):
        zombie.finalize(dataset.entry(1), None)
    assert dataset.live() == []


def test_equal_fences_of_two_runs_differ(dataset, line):
    """A second run of the same epoch and owner does not take the first one's entry for its own."""
    dataset.fence(1)
    with pytest.raises(BusyError):
        dataset.fence(1)


def test_a_store_without_conditions_is_refused(dataset):
    """Before anything is written there that stays."""
    client = s3.s3_client(dataset.access)

    def forget(request, **_):
        del request.headers["If-None-Match"]

    client.meta.events.register("before-sign.s3.PutObject", forget)
    try:
        with pytest.raises(ConnectorError, match="wrote over an object"):
            dataset.fence(1)
    finally:
        client.meta.events.unregister("before-sign.s3.PutObject", forget)
    assert dataset.keys("out/") == []


@pytest.mark.fault(44)
def test_uploads_of_the_dead_are_swept_and_those_of_the_living_are_not(dataset, monkeypatch):
    """Parts and uploads of older epochs go; those of the epoch that is installed and of other recipes stay."""
    monkeypatch.setattr(s3, "_PIECE_BYTES", 5 * 1024**2)
    dataset.load(1, [1])
    dataset.fence(2)
    dataset.fence(1, "p2")
    prefix = S3Prefix(dataset.folder, dataset.access)
    for owner in ("p1.1.l-a", "p1.2.l-b", "p2.1.l-c"):
        upload = prefix.open_upload(f"_arrowload/staging/{owner}/0000.parquet")
        upload.write(memoryview(bytes(6 * 1024**2)))
        prefix.write(f"_arrowload/staging/{owner}/0001.parquet", b"x")

    dataset.destination().sweep("p1", 2)

    assert sorted(dataset.uploads()) == [f"out/_arrowload/staging/{o}/0000.parquet" for o in ("p1.2.l-b", "p2.1.l-c")]
    assert dataset.staged() == ["p1.2.l-b/0001.parquet", "p2.1.l-c/0001.parquet"]
    assert dataset.live() == [1]


def test_a_large_part_is_sent_in_pieces(dataset, monkeypatch):
    """And is whole; one that is given up leaves nothing."""
    monkeypatch.setattr(s3, "_PIECE_BYTES", 5 * 1024**2)
    prefix = S3Prefix(dataset.folder, dataset.access)
    data = bytes(range(256)) * 50_000
    upload = prefix.open_upload("big")
    for start in range(0, len(data), 1_000_000):
        upload.write(memoryview(data)[start : start + 1_000_000])
    upload.close()
    given_up = prefix.open_upload("given up")
    given_up.write(memoryview(data))
    assert dataset.uploads() == ["out/given up"]
    given_up.abandon()

    assert prefix.read("big") == data
    assert prefix.read("given up") is None
    assert dataset.uploads() == []


@pytest.mark.fault(44)
@pytest.mark.parametrize("lost", ["uploads", "uploadId=", "partNumber="])
def test_answers_to_an_upload_that_are_lost(dataset, line, monkeypatch, lost):
    """The upload is begun, sent or ended twice, and the object is whole and there once."""
    monkeypatch.setattr(s3, "_PIECE_BYTES", 5 * 1024**2)
    prefix = S3Prefix(dataset.folder, dataset.access)
    data = bytes(range(256)) * 50_000
    wanted = {"uploads": "?uploads", "uploadId=": "?uploadId=", "partNumber=": "partNumber=2"}[lost]
    line.loses_answer = once(lambda request: request.method in ("POST", "PUT") and wanted in request.url)
    upload = prefix.open_upload("big")
    upload.write(memoryview(data))
    upload.close()

    assert prefix.read("big") == data


@pytest.mark.fault(44)
def test_an_error_while_staging_ends_the_upload(dataset, monkeypatch):
    """The source fails in the middle of a part: the store is told to forget what it was sent."""
    monkeypatch.setattr(s3, "_PIECE_BYTES", 5 * 1024**2)
    dataset.fence(1)
    destination = dataset.destination(target_bytes=10**9)
    schema = pa.schema([("n", pa.binary())])

    import os

    from arrowload.connectors.base import Load

    load = Load(load_id="l", pipeline_id="p1", recipe="recipe-p1", generation=0, seq=1, epoch=1, write_mode="append",
                merge_keys=(), schema=schema)  # fmt: skip
    writer = destination.begin(load)

    def rows():
        for _ in range(4):
            yield pa.record_batch([pa.array([os.urandom(4 * 1024**2)], pa.binary())], schema)
        assert dataset.uploads()
        raise DataError("bad row")

    with pytest.raises(DataError, match="bad row"):
        writer.stage(pa.RecordBatchReader.from_batches(schema, rows()))
    writer.abort()
    assert dataset.uploads() == []
    assert dataset.staged() == []


def test_objects_of_others_are_never_touched(dataset):
    """A replace removes what the log knows and nothing else."""
    dataset.client.put_object(Bucket=dataset.bucket, Key="out/mine.txt", Body=b"keep")
    dataset.client.put_object(Bucket=dataset.bucket, Key="out2/p1-load1-0000.parquet", Body=b"keep")
    dataset.load(1, [1])
    dataset.load(2, [2], mode="replace")
    assert "mine.txt" in dataset.keys("out/")
    assert dataset.keys("out2/") == ["out2/p1-load1-0000.parquet"]


def test_a_long_log_is_read_whole(dataset):
    """More entries than are read at once, in order."""
    dataset.fence(1)
    destination = dataset.destination()
    for seq in range(1, 25):
        destination.amend(dataset.entry(seq), None)
    assert [entry.seq for entry in dataset.destination().entries("p1")] == list(range(1, 25))


def test_an_entry_that_is_missing_is_not_passed_over(dataset):
    """The entries behind a hole are not taken for the next ones."""
    for seq in range(1, 4):
        dataset.load(seq, [seq])
    dataset.client.delete_object(Bucket=dataset.bucket, Key=f"out{LOG}{3:020}.json")
    with pytest.raises(TransientConnectorError, match="missing in the log"):
        dataset.live()


@pytest.mark.fault(60)
def test_a_part_that_changes_while_it_is_read(dataset):
    """Every request names the content that was listed."""
    from arrowload.connectors.parquet import ParquetSourceConfig
    from arrowload.connectors.parquet.source import ParquetSource
    from arrowload.core.state import State
    from arrowload.models.units import ResourcePaths

    dataset.load(1, [1])
    (part,) = [key for key in dataset.keys("out/") if key.endswith(".parquet")]
    path = ResourcePaths([ResourcePath(f"{dataset.folder}/*.parquet")])
    source = ParquetSource(ParquetSourceConfig(type="parquet", path=path, aws=dataset.access))
    with source.snapshot(State()) as snapshot:
        splits = snapshot.splits(1)
        dataset.client.put_object(Bucket=dataset.bucket, Key=f"out/{part}", Body=b"other")
        with pytest.raises(TransientConnectorError, match="changed after it was listed"):
            snapshot.read_split(splits[0], batch_size=10).read_all()
    with pytest.raises(DataError, match="not as it was committed"):
        dataset.live()


def test_a_bucket_that_is_not_there(dataset):
    """Is told by name, with what to do."""
    dataset.folder = "s3://no-such-bucket-anywhere/out"
    with pytest.raises(ConnectorError, match="no-such-bucket-anywhere") as caught:
        dataset.fence(1)
    assert "make the bucket" in caught.value.hint


def test_what_is_forbidden_is_an_error_of_credentials_without_secrets(dataset):
    """A PUT that was refused has surely written nothing."""
    client = s3.s3_client(dataset.access)

    def refuse(params, **_):
        raise botocore.exceptions.ClientError(
            {
                "Error": {"Code": "AccessDenied", "Message": f"no, {KEY}"},
                "ResponseMetadata": {"HTTPStatusCode": 403, "RetryAttempts": 0},
            },
            "PutObject",
        )

    dataset.fence(1)
    client.meta.events.register("before-call.s3.PutObject", refuse)
    try:
        with pytest.raises(CredentialsError) as caught:
            dataset.fence(2)
    finally:
        client.meta.events.unregister("before-call.s3.PutObject", refuse)
    assert KEY not in f"{caught.value} {caught.value.context}"


def test_other_urls_are_refused():
    """When the destination is made; the hint says what is taken."""
    config = ParquetDestinationConfig(type="parquet", path=ResourcePath("gs://bucket/x"))
    with pytest.raises(RecipeError, match="neither a local path nor a URL of S3") as caught:
        create_parquet_destination(config)
    assert "s3://" in caught.value.hint
    with pytest.raises(RecipeError, match="names no bucket"):
        S3Storage("s3://", config.aws)


def test_scratch_lies_where_no_reader_looks_and_goes_whole(moto, dataset):
    """Below the dataset, so that credentials for its prefix are enough."""
    dataset.load(1, [1])
    config = ParquetDestinationConfig(type="parquet", path=ResourcePath(dataset.folder), aws=moto.access)
    own = create_parquet_destination(config)
    scratch_config = own.scratch("name", "/nowhere")
    assert scratch_config.path == f"{dataset.folder}/_arrowload/scratch/name"
    scratch = create_parquet_destination(scratch_config)
    scratch.fence("p9", "r", 1, "me")
    assert dataset.live() == dataset.glob() == [1]

    scratch.remove_scratch()
    own.remove_scratch()

    assert dataset.keys("out/_arrowload/scratch/") == []
    assert dataset.live() == [1]
