"""Fixtures of the command line: called in this process where that shows enough, in one of its own where it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from arrowload.cli.main import invoke

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SNAPSHOTS = Path(__file__).parents[2] / "snapshots" / "cli"

PLUGIN = '''
import itertools, time
from arrowload.core.batch import DictBatch

def endless(config, connection=None):
    """Never ends."""
    return Endless()

def broken(config, connection=None):
    """Raises."""
    return Broken()

class Endless:
    def read_batches(self, state):
        for number in itertools.count():
            yield DictBatch(["id"], [[number]])
            time.sleep(0.05)

class Broken:
    def read_batches(self, state):
        yield DictBatch(["id"], [[1]])
        raise KeyError("a plug-in's own defect")
'''
ENTRY_POINTS = """
[arrowload.sources]
endless = arrowload_test_plugin:endless
broken = arrowload_test_plugin:broken
needy = arrowload_test_absent
"""


class Result(NamedTuple):
    """What a call of the command line gave."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A narrow world: its own folder, 80 columns, no colour."""
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TERMINAL_WIDTH", "ARROWLOAD_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Calls the command line in this process."""

    def called(*arguments: str) -> Result:
        capsys.readouterr()
        code = invoke(arguments)
        return Result(code, *capsys.readouterr())

    return called


@pytest.fixture
def project(call: Callable[..., Result], tmp_path: Path) -> Path:
    """What `arrowload init` makes."""
    assert call("init", "shop").code == 0
    return tmp_path / "shop"


@pytest.fixture
def plugin_environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which a plug-in is installed: sources `endless`, `broken`, and one that lacks a package."""
    site = tmp_path / "site"
    metadata = site / "arrowload_test_plugin-0.1.dist-info"
    metadata.mkdir(parents=True)
    (site / "arrowload_test_plugin.py").write_text(PLUGIN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: arrowload-test-plugin\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))}


def command(*arguments: str) -> list[str]:
    """The command line as a process of its own."""
    return [sys.executable, "-c", "from arrowload.cli.start import main; main()", *arguments]


@pytest.fixture
def spawn() -> Callable[..., Result]:
    """Calls the command line in a process of its own."""

    def spawned(*arguments: str, env: dict[str, str] | None = None) -> Result:
        done = subprocess.run(command(*arguments), env=env, capture_output=True, text=True, check=False, timeout=120)
        return Result(done.returncode, done.stdout, done.stderr)

    return spawned


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the command line in a process of its own, which does not outlive the test."""
    with ExitStack() as stack:

        def started(*arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                command(*arguments), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield started


@pytest.fixture
def snapshot() -> Callable[[str, str], None]:
    """Compares a text with the golden one; `ARROWLOAD_UPDATE_SNAPSHOTS=1` writes it down instead."""

    def compared(name: str, text: str) -> None:
        golden = SNAPSHOTS / name
        text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
        if os.environ.get("ARROWLOAD_UPDATE_SNAPSHOTS"):
            golden.write_text(text)
        assert text == golden.read_text()

    return compared
