"""A copy of the log's first entries: read instead of them, and never believed against them."""

from __future__ import annotations

import msgspec
import pytest

from arrowload.connectors.files import checkpoint, log
from arrowload.connectors.files.storage import CHECKPOINT, entry_name, open_storage
from tests.unit.connectors.files.conftest import Dataset, S3Dataset

pytestmark = pytest.mark.usefixtures("often")


@pytest.fixture
def often(monkeypatch):
    """A checkpoint after every fourth entry: the fence's, and three loads'."""
    monkeypatch.setattr(log, "ENTRIES_BETWEEN", 4)


@pytest.fixture(params=["folder", "S3"])
def kept(request, tmp_path):
    """A dataset in each kind of storage."""
    return Dataset(tmp_path / "out") if request.param == "folder" else S3Dataset(request.getfixturevalue("moto"))


def storage_of(dataset):
    return open_storage(str(dataset.folder), dataset.access)


def load(dataset, seqs):
    for seq in seqs:
        dataset.load(seq, [seq])
        dataset.destination().sweep("p1", 1)


def overwrite(storage, name, data):
    storage.write("_arrowload/staging/other", data)
    storage.move("_arrowload/staging/other", name)


def log_of(dataset):
    found = log.DatasetLog(storage_of(dataset)).refresh()
    return found.number, found.loads, found.live, found.dead, found.fence("p1")


def test_a_long_log_is_read_from_its_copy(kept, monkeypatch):
    """Entries that a checkpoint holds are not asked for, but for the last; all are known as before."""
    load(kept, range(1, 11))
    with monkeypatch.context() as without:
        without.setattr(log, "read_log", lambda storage: (0, storage.entries(0)))
        every_entry = log_of(kept)
    asked = []
    storage = storage_of(kept)
    real = type(storage).entries
    monkeypatch.setattr(type(storage), "entries", lambda self, after: asked.append(after) or real(self, after))

    assert log_of(kept) == every_entry
    assert asked == [7]
    assert every_entry[0] == 11
    assert kept.live() == list(range(1, 11))


def test_nobody_copies_a_log_that_is_short(kept):
    """Before so many entries there is no checkpoint; a draft of one stays nowhere."""
    load(kept, [1, 2])
    assert storage_of(kept).read(CHECKPOINT) is None

    load(kept, [3])

    copied, _ = checkpoint.read_log(storage_of(kept))
    assert copied == 4
    assert kept.staged() == []


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-5], lambda data: data.replace(b'"seq":1', b'"seq":9'), bytes.upper]
)
def test_a_damaged_copy_is_passed_over(kept, damage):
    """Cut short or altered, it is as if there were none; the next that is due takes its place."""
    load(kept, [1, 2, 3, 4])
    storage = storage_of(kept)
    overwrite(storage, CHECKPOINT, damage(storage.read(CHECKPOINT)))

    assert kept.live() == [1, 2, 3, 4]

    load(kept, [5])
    copied, _ = checkpoint.read_log(storage)
    assert copied == 6


def test_an_entry_is_copied_whatever_its_form(kept):
    """Somebody has laid it out over several lines: it is one entry still, in the log and in its copy."""
    load(kept, [1, 2])
    storage = storage_of(kept)
    overwrite(storage, entry_name(2), msgspec.json.format(storage.read(entry_name(2)), indent=2))

    load(kept, [3, 4, 5])

    copied, _ = checkpoint.read_log(storage)
    assert copied == 4
    assert kept.live() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("entries", [0, 2, 4])
def test_a_log_that_was_restored_is_believed(kept, entries):
    """A checkpoint that knows of entries that the log does not have any more, or has otherwise, is passed over."""
    load(kept, [1, 2, 3, 4])
    storage = storage_of(kept)
    storage.remove_files([entry_name(number) for number in range(entries + 1, 6)])
    if entries:
        overwrite(storage, entry_name(entries), storage.read(entry_name(entries - 1)))

    number, *_ = log_of(kept)

    assert number == entries
