"""The dataset destination: atomic, fenced, and whole again after any crash."""

from __future__ import annotations

import base64
import errno
import signal

import pyarrow as pa
import pytest

from arrowload.core import failpoint
from arrowload.core.exceptions import (
    BusyError,
    CredentialsError,
    DataError,
    OutcomeUnknownError,
    RecipeError,
    StateError,
    TransientConnectorError,
)

# A schema message whose one column has a byte in its name that is no UTF-8.
NAME_OF_NO_UTF_8 = base64.b64encode(
    pa.schema([("name", pa.int8())]).serialize().to_pybytes().replace(b"name", b"n\xffme")
)
BEFORE_COMMIT = ["finalize.applied", "finalize.ledger", "finalize.fenced"]
AFTER_COMMIT = ["finalize.published", "finalize.renamed", "finalize.renamed@2"]


def arm(monkeypatch, site, action):
    monkeypatch.setattr(failpoint, "_armed", {site: (action, 0.0, 1)})
    monkeypatch.setattr(failpoint, "_passes", {})


def test_append_adds_and_replace_takes_the_place_of_all(dataset):
    """Rows of an append join those that are there; after a replace only its own are left, on disk too."""
    dataset.load(1, [1, 2, 3])
    dataset.load(2, [4])
    assert dataset.glob() == dataset.live() == [1, 2, 3, 4]

    dataset.load(3, [9], mode="replace")

    assert dataset.glob() == dataset.live() == [9]


def test_nothing_is_seen_before_finalize(dataset):
    """Staged and sealed rows are seen neither by a glob nor through the log."""
    dataset.load(1, [1])
    writer = dataset.begin(2, pa.table({"n": [2]}))
    writer.seal()

    assert dataset.glob() == dataset.live() == [1]


def test_sealed_counts_rows_and_names_parts(dataset):
    """`seal` counts what is in the parts; their names follow from the load, their sizes from the disk."""
    dataset.fence(1)
    sealed = dataset.begin(1, pa.table({"n": [1, 2, 3]})).seal()

    files = sealed.detail["files"]
    assert sealed.rows_staged == 3
    assert [file["name"] for file in files] == ["p1-load1-0000.parquet", "p1-load1-0001.parquet"]
    assert sorted(file["rows"] for file in files) == [1, 2]
    assert all(len(file["sha256"]) == 64 and file["bytes"] > 0 for file in files)


@pytest.mark.parametrize("mode", ["append", "replace"])
@pytest.mark.parametrize("site", BEFORE_COMMIT + AFTER_COMMIT)
def test_a_kill_leaves_old_or_new_and_the_next_fence_finishes(dataset, site, mode):
    """Killed at any step of finalize, a reader sees the old rows or the new; the next fence makes the folder whole."""
    dataset.load(1, [1, 2, 3])
    site, _, at = site.partition("@")
    code, _ = dataset.run(
        f"dataset.load(2, [4, 5, 6], mode={mode!r})", failpoints=f"{site}=kill9" + (f"@{at}" if at else "")
    )
    assert code == -signal.SIGKILL
    new = [1, 2, 3, 4, 5, 6] if mode == "append" else [4, 5, 6]
    expected = [1, 2, 3] if site in BEFORE_COMMIT else new
    assert dataset.live() == expected

    head = dataset.fence(2)

    assert dataset.live() == dataset.glob() == expected
    assert head.last.seq == (1 if site in BEFORE_COMMIT else 2)
    if site in BEFORE_COMMIT:
        dataset.load(2, [4, 5, 6], mode=mode, epoch=2)
    dataset.destination().sweep("p1", 2)
    assert dataset.live() == dataset.glob() == new
    assert dataset.staged() == []


def test_the_first_load_of_all_is_recovered_too(dataset):
    """A kill right after the first commit into a folder that was not there: the next fence brings the parts out."""
    dataset.run("dataset.load(1, [1, 2, 3])", failpoints="finalize.published=kill9")
    assert dataset.glob() == []

    dataset.fence(2)

    assert dataset.glob() == dataset.live() == [1, 2, 3]


def test_a_zombie_cannot_commit(dataset):
    """A run that was paused before its commit finds the successor's fence and commits nothing."""
    dataset.fence(1)
    zombie = dataset.begin(1, pa.table({"n": [666]}))
    zombie.seal()
    dataset.fence(2)
    dataset.load(1, [1], epoch=2)

    with pytest.raises(BusyError):
        zombie.finalize(dataset.entry(1), None)
    assert dataset.glob() == dataset.live() == [1]


def test_a_zombie_paused_after_the_check_cannot_commit(dataset, monkeypatch):
    """The fence is an entry of the log: installed between the check and the link, it takes the zombie's number."""
    dataset.fence(1)
    zombie = dataset.begin(1, pa.table({"n": [666]}))
    zombie.seal()
    from arrowload.connectors.files import writer as module

    monkeypatch.setattr(module, "failpoint", lambda site: dataset.fence(2) if site == "finalize.fenced" else None)

    with pytest.raises(BusyError):
        zombie.finalize(dataset.entry(1), None)
    assert dataset.live() == []


def test_of_two_runs_that_race_one_commits(dataset):
    """Two processes with epochs of their own load the same window at once: it is loaded once."""
    code = """
        import sys, threading
        from arrowload.core.exceptions import BusyError
        results = []
        def run(epoch):
            try:
                dataset.load(1, [1, 2, 3], epoch=epoch)
                results.append("done")
            except BusyError:
                results.append("busy")
        threads = [threading.Thread(target=run, args=(epoch,)) for epoch in range(1, 7)]
        [t.start() for t in threads]; [t.join() for t in threads]
        assert "done" in results, results
    """
    returncode, stderr = dataset.run(code)
    assert returncode == 0, stderr
    assert dataset.glob() == dataset.live() == [1, 2, 3]


def test_an_epoch_that_is_not_higher_is_refused(dataset):
    """The same epoch twice, or a lower one, belongs to somebody else."""
    dataset.fence(3)
    for epoch in (3, 2):
        with pytest.raises(BusyError):
            dataset.fence(epoch)
    assert dataset.fence(4).epoch == 4


def test_the_same_load_commits_once(dataset):
    """A second attempt at a load whose first one did commit changes nothing."""
    dataset.fence(1)
    first = dataset.begin(1, pa.table({"n": [1]}))
    first.seal()
    first.finalize(dataset.entry(1), None)
    again = dataset.begin(1, pa.table({"n": [1]}))
    again.seal()
    again.finalize(dataset.entry(1), None)

    assert dataset.glob() == dataset.live() == [1]
    assert dataset.staged() == []


@pytest.mark.parametrize("site", AFTER_COMMIT[:2])
@pytest.mark.parametrize("action", ["err", "enospc", "lost"])
def test_an_error_after_the_commit_is_of_unknown_outcome(dataset, monkeypatch, site, action):
    """What fails after the link must not be taken for a load that failed; `find` knows it and `abort` spares it."""
    dataset.fence(1)
    writer = dataset.begin(1, pa.table({"n": [1, 2, 3]}))
    writer.seal()
    arm(monkeypatch, site, action)

    with pytest.raises(OutcomeUnknownError):
        writer.finalize(dataset.entry(1), None)

    writer.abort()
    assert dataset.destination().find("p1", "p1-load1").seq == 1
    dataset.destination().sweep("p1", 1)
    assert dataset.glob() == dataset.live() == [1, 2, 3]


@pytest.mark.parametrize("site", BEFORE_COMMIT)
def test_a_full_disk_before_the_commit_leaves_the_old_rows(dataset, monkeypatch, site):
    """No space at any step before the link: try later, and what was there is there."""
    dataset.load(1, [1])
    writer = dataset.begin(2, pa.table({"n": [2]}), mode="replace")
    writer.seal()
    arm(monkeypatch, site, "enospc")

    with pytest.raises(TransientConnectorError) as caught:
        writer.finalize(dataset.entry(2, mode="replace"), None)

    writer.abort()
    assert caught.value.context["errno"] == errno.ENOSPC
    assert dataset.glob() == dataset.live() == [1]
    assert dataset.staged() == []


def test_a_full_disk_while_staging(dataset, monkeypatch):
    """No space for a part: try later, with the path of the part."""
    from arrowload.connectors.files.part import PartFile

    dataset.load(1, [1])
    monkeypatch.setattr(PartFile, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(TransientConnectorError, match="No space left"):
        dataset.begin(2, pa.table({"n": [2]}))
    assert dataset.live() == [1]


def test_an_error_of_the_stream_comes_out_as_it_is(dataset):
    """What the source raises is not taken for trouble with the disk."""
    dataset.fence(1)
    table = pa.table({"n": [1]})
    writer = dataset.begin(1, table)

    def rows():
        yield table.to_batches()[0]
        raise DataError("bad row")

    with pytest.raises(DataError, match="bad row"):
        writer.stage(pa.RecordBatchReader.from_batches(table.schema, rows()))
    writer.abort()
    assert dataset.staged() == []


def test_no_rows(dataset):
    """The first load and a replace of no rows leave one part with the columns; an append of none leaves nothing new."""
    dataset.load(1, [])
    assert [path.name for path in dataset.folder.glob("*.parquet")] == ["p1-load1-0000.parquet"]
    assert dataset.live() == []
    dataset.load(2, [1])
    dataset.load(3, [])
    assert len(list(dataset.folder.glob("*.parquet"))) == 2
    dataset.load(4, [], mode="replace")
    assert dataset.live() == dataset.glob() == []
    assert dataset.destination().target(pa.schema([("n", pa.int64())]), write_mode="append", merge_keys=()).exists


def test_seen_is_kept_until_it_is_replaced(dataset):
    """A load without `seen` keeps what the last one left; each pipeline has its own; files of old ones are swept."""
    assert dataset.destination().seen("p1").num_rows == 0
    dataset.load(1, [1])
    dataset.load(1, [1], pipeline="p2")
    writer = dataset.begin(2, pa.table({"n": [2]}))
    writer.seal()
    writer.finalize(dataset.entry(2), None)
    assert dataset.destination().seen("p1").to_pylist() == [{"row_hash": b"h" * 16, "n": 2}]

    dataset.load(3, [3])
    dataset.destination().sweep("p1", 1)

    names = sorted(path.name.partition("-")[0] for path in (dataset.folder / "_arrowload" / "seen").iterdir())
    assert names == ["p1.1.p1", "p2.1.p2"]


@pytest.mark.fault(34)
def test_sweep_leaves_other_pipelines_and_newer_epochs_alone(dataset):
    """Only staging of the pipeline's own older epochs is garbage."""
    dataset.fence(1)
    dataset.fence(1, "p2")
    dataset.begin(1, pa.table({"n": [1]}))
    dataset.begin(1, pa.table({"n": [1]}), pipeline="p2")
    dataset.fence(2)
    dataset.begin(1, pa.table({"n": [1]}), epoch=2, destination=dataset.destination())
    dataset.destination().sweep("p1", 2)

    assert [name.rpartition("-")[0] for name in dataset.staged()] == ["p1.2.p1-load1", "p2.1.p2-load1"]


@pytest.mark.fault(34)
def test_two_recipes_share_a_folder(dataset):
    """Appends of two recipes join; a replace by one takes the place of both; each has a head of its own."""
    dataset.load(1, [1])
    dataset.load(1, [2], pipeline="p2")
    assert dataset.live() == [1, 2]
    assert dataset.destination().head("recipe-p2", None).pipeline_id == "p2"
    assert dataset.destination().head("recipe-p1", "unknown").last.seq == 1
    assert dataset.destination().head("other", None) is None

    dataset.load(2, [3], mode="replace")

    assert dataset.glob() == dataset.live() == [3]
    assert dataset.destination().head("", "p2").last.seq == 1


def test_a_commit_of_another_recipe_that_changes_no_column_is_no_conflict(dataset):
    """The number is taken by another recipe: the load takes the next."""
    dataset.load(1, [0])
    dataset.fence(1, "p2")
    mine = dataset.begin(2, pa.table({"n": [1]}))
    mine.seal()
    dataset.load(1, [2], pipeline="p2")
    mine.finalize(dataset.entry(2), None)
    assert dataset.live() == dataset.glob() == [0, 1, 2]


def test_a_commit_of_another_recipe_that_changes_the_columns_is_one(dataset):
    """Two recipes make one dataset at once with different columns: the second has to plan again."""
    dataset.fence(1)
    dataset.fence(1, "p2")
    mine = dataset.begin(1, pa.table({"n": ["text"]}))
    mine.seal()
    dataset.load(1, [2], pipeline="p2")
    with pytest.raises(TransientConnectorError, match="changed the columns"):
        mine.finalize(dataset.entry(1), None)
    assert dataset.live() == [2]


def test_files_of_others_are_never_touched(dataset):
    """A replace removes what the log knows and nothing else."""
    dataset.folder.mkdir()
    (dataset.folder / "mine.txt").write_text("keep")
    dataset.load(1, [1])
    dataset.load(2, [2], mode="replace")
    assert (dataset.folder / "mine.txt").read_text() == "keep"


def test_a_path_that_is_a_file_is_refused(dataset):
    """The destination is a folder; the hint gives one."""
    dataset.folder.with_suffix(".parquet").write_text("")
    dataset.folder = dataset.folder.with_suffix(".parquet")
    with pytest.raises(RecipeError, match=r"is a file.*path: .*out`"):
        dataset.destination().target(pa.schema([("n", pa.int64())]), write_mode="append", merge_keys=())
    with pytest.raises(RecipeError):
        dataset.fence(1)


def test_merge_is_refused(dataset):
    """A folder of files has no merge; capabilities say so and `target` says what to do."""
    assert dataset.destination().capabilities().write_modes == {"append", "replace"}
    with pytest.raises(RecipeError, match="cannot merge"):
        dataset.destination().target(pa.schema([("n", pa.int64())]), write_mode="merge", merge_keys=["n"])


def test_target_changes_nothing(dataset):
    """Planning leaves no folder behind."""
    facts = dataset.destination().target(pa.schema([("n", pa.int64())]), write_mode="append", merge_keys=())
    assert not facts.exists
    assert facts.ddl
    assert dataset.destination().head("r", None) is None
    assert not dataset.folder.exists()


def test_columns_of_an_existing_dataset_bind_an_append(dataset):
    """Order and types are those that are there; new columns come last; what cannot be stored is refused."""
    dataset.load(1, [1])
    destination = dataset.destination()
    incoming = pa.schema([("new", pa.string()), ("n", pa.int16())])
    facts = destination.target(incoming, write_mode="append", merge_keys=())
    assert facts.schema == pa.schema([("n", pa.int64()), ("new", pa.string())])
    assert destination.target(incoming, write_mode="replace", merge_keys=()).schema == incoming
    with pytest.raises(RecipeError, match="column `n` is int64"):
        destination.target(pa.schema([("n", pa.string())]), write_mode="append", merge_keys=())
    with pytest.raises(RecipeError, match="come twice"):
        destination.target(pa.schema([("n", pa.int64()), ("n", pa.int64())]), write_mode="append", merge_keys=())


def test_a_committed_part_that_is_gone_or_cut_is_reported(dataset):
    """Reading through the log never passes over a part."""
    dataset.load(1, [1])
    part = dataset.folder / "p1-load1-0000.parquet"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(DataError, match="not as it was committed"):
        dataset.live()
    part.unlink()
    with pytest.raises(DataError, match="not as it was committed"):
        dataset.live()


def test_a_log_entry_that_cannot_be_read_stops_everything(dataset):
    """A damaged log is not taken for a short one."""
    dataset.load(1, [1])
    (dataset.folder / "_arrowload" / "log" / f"{2:020}.json").write_text("{")
    with pytest.raises(StateError, match="not an entry of a log"):
        dataset.destination().head("", "p1")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"owner"', b'"own\xff"'),
        (b"{", b'{"a":' * 100_000),
        (b'"schema":"/', b'"schema":"?'),
        (b'"schema":"/////', b'"schema":"/////8AAAA'),
        (b'"schema":"/////', b'"schema":"AAAA/////'),
        (b'"schema":"', b'"schema":"' + NAME_OF_NO_UTF_8 + b'","was":"'),
        (b'"name":"', b'"name":"../'),
        (b'"staging":"', b'"staging":"/'),
        (b'"seen":"', b'"seen":"../'),
    ],
)
def test_a_damaged_entry_of_the_log_stops_everything(dataset, old, new):
    """Bytes that are no UTF-8, endless nesting, a schema that is none, and names that lead out of the folder."""
    dataset.load(1, [1])
    log = dataset.folder / "_arrowload" / "log"
    entry = next(path for path in sorted(log.iterdir()) if old in path.read_bytes())
    entry.write_bytes(entry.read_bytes().replace(old, new, 1))

    with pytest.raises(StateError, match="not an entry of a log"):
        dataset.destination().head("", "p1")


def test_no_permission_is_an_error_of_credentials(dataset, monkeypatch):
    """What the operating system forbids is not worth trying again."""
    from arrowload.connectors.files import storage as module

    def forbid(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(module, "make_folder", forbid)
    with pytest.raises(CredentialsError, match="no permission"):
        dataset.fence(1)
