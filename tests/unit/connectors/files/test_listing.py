"""Which files a run reads."""

from __future__ import annotations

import datetime as dt
import os
import time

import pytest

from arrowload.connectors.files import listing
from arrowload.connectors.files.listing import choose_files, list_files, partition, pinned
from arrowload.connectors.parquet import ParquetSourceConfig
from arrowload.connectors.parquet.source import ParquetSource
from arrowload.core.exceptions import RecipeError, StateError, TransientConnectorError
from arrowload.core.state import State
from arrowload.io.files import NoFilesError
from arrowload.models.source_config import CursorIncremental, ModifiedIncremental
from arrowload.models.units import Duration, ResourcePath, ResourcePaths

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND


class Folder:
    """Files with chosen times, and a recipe's memory of them."""

    def __init__(self, path, lag=None):
        self.path = path
        self.incremental = ModifiedIncremental(lag=lag)
        self.state = State()

    def put(self, name, mtime_ns, text="x"):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, ns=(mtime_ns, mtime_ns))

    def run(self):
        """The files of one run that commits, and its window."""
        chosen = choose_files(list_files([str(self.path)], [".csv"]), self.incremental, self.state)
        self.state = State.from_json(chosen.state.to_json())
        self.window = chosen.window
        return [file.key for file in chosen.files]

    def remembered(self):
        return sorted(self.state.watermarks["modified"]["files"])


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "in")


def test_each_file_is_loaded_once(folder):
    """The second run of nothing new is empty and forgets nothing."""
    folder.put("a.csv", T0)
    folder.put("sub/b.csv", T0 + 5)
    assert folder.run() == ["a.csv", "sub/b.csv"]
    before = folder.state
    assert folder.run() == []
    assert folder.window.empty
    assert folder.state == before


@pytest.mark.fault(61)
def test_two_files_of_one_second(folder):
    """A file that arrives later with a time in the second of the last one, even an older one, is loaded once."""
    folder.put("a.csv", T0 + 500)
    assert folder.run() == ["a.csv"]
    folder.put("b.csv", T0 + 500)
    folder.put("c.csv", T0)
    assert folder.run() == ["c.csv", "b.csv"]
    assert folder.run() == []


@pytest.mark.fault(62)
def test_a_file_with_an_older_time_is_found(folder):
    """Copied with its time kept, or moved here: what counts is that it was not there."""
    folder.put("a.csv", T0)
    folder.run()
    folder.put("late.csv", T0 - 10**6 * SECOND)
    assert folder.run() == ["late.csv"]
    assert folder.run() == []


@pytest.mark.fault(62)
def test_once_files_are_forgotten_one_as_old_is_taken_for_loaded(tmp_path, monkeypatch):
    """Unless it is within the lag, whose files are remembered however many there are."""
    monkeypatch.setattr(listing, "_REMEMBERED", 3)
    folder = Folder(tmp_path / "in", Duration(seconds=60))
    for i in range(10):
        folder.put(f"{i}.csv", T0 + 20 * i * SECOND)
    folder.run()
    assert folder.remembered() == ["6.csv", "7.csv", "8.csv", "9.csv"]
    folder.put("late.csv", T0 + 121 * SECOND)
    folder.put("too_late.csv", T0 + 119 * SECOND)
    assert folder.run() == ["late.csv"]
    assert folder.run() == []


def test_a_changed_file_is_loaded_again(folder):
    """Another time or another size makes a file new, whether or not the state still remembers it."""
    folder.put("a.csv", T0)
    folder.put("b.csv", T0 + 10 * SECOND)
    folder.run()
    folder.put("b.csv", T0 + 10 * SECOND, "longer")
    folder.put("a.csv", T0 + 20 * SECOND)
    assert folder.run() == ["b.csv", "a.csv"]
    assert folder.run() == []


def test_the_state_is_bounded(folder, monkeypatch):
    """Only the newest files are remembered by name, those of one second together."""
    monkeypatch.setattr(listing, "_REMEMBERED", 2)
    for i in range(50):
        folder.put(f"{i:02}.csv", T0 + i // 2 * 2 * SECOND)
    folder.run()
    assert folder.remembered() == ["48.csv", "49.csv"]
    assert folder.run() == []


def test_a_time_in_the_future_hides_nothing(folder):
    """A file dated years ahead is loaded once, and files of today after it are found."""
    folder.put("future.csv", time.time_ns() + 10**9 * SECOND)
    folder.put("now.csv", time.time_ns())
    assert folder.run() == ["now.csv", "future.csv"]
    assert folder.window.notes == ("`future.csv` has a modification time in the future",)
    folder.put("next.csv", time.time_ns())
    assert folder.run() == ["next.csv"]
    assert folder.run() == []


def test_the_window_says_its_bounds(folder):
    """Bounds are printed with all nine digits of the second."""
    folder.put("a.csv", T0 + 123)
    folder.run()
    assert (folder.window.lower, folder.window.upper) == (None, "2023-11-14T22:13:20.000000123Z")
    folder.run()
    assert (folder.window.lower, folder.window.upper) == (None, "2023-11-14T22:13:20.000000123Z")


def test_without_incremental_every_file_every_time(folder):
    """All files, in the order of their names, and nothing to remember."""
    folder.put("b.csv", T0)
    folder.put("a.csv", T0 + 1)
    chosen = choose_files(list_files([str(folder.path)], [".csv"]), None, State())
    assert [file.key for file in chosen.files] == ["a.csv", "b.csv"]
    assert chosen.state == State()


def test_a_long_list_is_cut_in_the_plan(folder):
    """A plan names the first files and counts the others."""
    for i in range(25):
        folder.put(f"{i:02}.csv", T0)
    folder.run()
    assert len(folder.window.statements) == 21
    assert folder.window.statements[-1] == "and 5 more"


def test_a_state_of_another_kind_is_refused():
    """A watermark that is not one of files is not overwritten."""
    with pytest.raises(StateError, match="not one of files"):
        choose_files([], ModifiedIncremental(), State(watermarks={"modified": dt.date(2024, 1, 1)}))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a.csv", ["a.csv"]),
        ("*.csv", ["[1].csv", "a.csv"]),
        ("[[]1].csv", ["[1].csv"]),
        ("[1].csv", ["[1].csv"]),
        ("**/*.csv", ["[1].csv", "a.csv", "sub/b.csv"]),
        ("", ["[1].csv", "a.csv", "sub/b.csv"]),
        ("sub", ["b.csv"]),
        ("c.txt", ["c.txt"]),
    ],
)
def test_patterns(folder, pattern, found):
    """A file, a folder and a glob; of a folder, only what has the ending and is not hidden; never `_arrowload`."""
    for name in ("a.csv", "sub/b.csv", "c.txt", ".hidden.csv", "_tmp/d.csv", "[1].csv"):
        folder.put(name, T0)
    folder.put("_arrowload/staging/e.csv", T0)
    files = list_files([str(folder.path / pattern)], [".csv"])
    assert [file.key for file in files if not file.key.startswith("_tmp")] == found


def test_a_list_of_paths_names_each_file_once(folder):
    """Overlapping paths do not read a file twice; keys start at what the paths share."""
    folder.put("x/a.csv", T0)
    folder.put("y/a.csv", T0)
    paths = [str(folder.path / "y"), str(folder.path / "x" / "*.csv"), str(folder.path / "x" / "a.csv")]
    assert [file.key for file in list_files(paths, [".csv"])] == ["y/a.csv", "x/a.csv"]


@pytest.mark.parametrize("pattern", ["none.csv", "*.none", "sub"])
def test_no_file(folder, pattern):
    """Nothing there is an error that names the pattern, and exits with 78."""
    (folder.path / "sub").mkdir(parents=True)
    with pytest.raises(NoFilesError, match=pattern.replace("*", r"\*")) as caught:
        list_files([str(folder.path / pattern)], [".csv"])
    assert caught.value.exit_code == 78
    assert caught.value.hint


def test_a_url_is_refused():
    """What is not on this machine is not read, and not silently taken for a folder named `gs:`."""
    with pytest.raises(RecipeError, match="not a local path"):
        list_files(["gs://bucket/a.csv"], [".csv"])


def test_a_cursor_is_refused(tmp_path):
    """Files have no cursor; the hint names the strategy that they have."""
    config = ParquetSourceConfig(
        type="parquet",
        path=ResourcePaths([ResourcePath(tmp_path)]),
        incremental=CursorIncremental(cursor_column="id"),
    )
    with pytest.raises(RecipeError, match="strategy: modified"):
        ParquetSource(config)


@pytest.mark.fault(60)
@pytest.mark.parametrize("change", ["grow", "touch", "replace", "remove"])
def test_a_file_that_changes_while_it_is_read(folder, change):
    """Whatever happens to a pinned file, before or during the reading, fails the load and says which file."""
    folder.put("a.csv", T0)
    (file,) = list_files([str(folder.path)], [".csv"])
    path = folder.path / "a.csv"

    def act():
        match change:
            case "grow":
                folder.put("a.csv", T0, "longer")
            case "touch":
                os.utime(path, ns=(T0 + 1, T0 + 1))
            case "replace":
                folder.put("b.csv", T0)
                (folder.path / "b.csv").rename(path)
            case "remove":
                path.unlink()

    with pytest.raises(TransientConnectorError, match=r"a\.csv.*changed"), pinned(file):
        act()
    with pytest.raises(TransientConnectorError, match="changed"), pinned(file):
        pytest.fail("the block must not run")


def test_an_error_of_a_file_that_changed_is_put_down_to_the_change(folder):
    """A file that is being written does not parse; that is no fault of the data."""
    folder.put("a.csv", T0)
    (file,) = list_files([str(folder.path)], [".csv"])

    def parse():
        folder.put("a.csv", T0, "")
        raise ValueError("does not parse")

    with pytest.raises(TransientConnectorError), pinned(file):
        parse()


@pytest.mark.parametrize("n", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("weights", [[], [5], [1, 1, 1, 1], [100, 1, 1, 1], [1, 1, 1, 100], [1] * 50])
def test_partition_covers_everything_once(weights, n):
    """Every item is in one run, in order; there are at most n, and none is empty."""
    runs = partition(weights, n)
    assert [i for run in runs for i in run] == list(range(len(weights)))
    assert len(runs) <= n
    assert n < len(weights) or len(runs) == len(weights)
    assert all(runs)


def test_partition_is_fair():
    """Equal items are dealt out equally."""
    assert [len(run) for run in partition([1] * 8, 4)] == [2, 2, 2, 2]
