"""What goes to stderr, on a console and for machines."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
from typing import TYPE_CHECKING

from arrowload.cli import output
from arrowload.cli.failures import Failure
from arrowload.cli.output import ConsoleOutput, JsonOutput
from arrowload.cli.progress import LineProgress
from arrowload.core.secret import Secret
from arrowload.engine.events import Recovered, Retrying, RowsMoved, StepStarted, Warned

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

FAILURE = Failure(kind="DataError", message="no", exit_code=65, hint="yes", context={"row": 1}, traceback="Trace\nback")


def test_console_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """Two lines; with `--debug` the traceback before them."""
    ConsoleOutput().failed(FAILURE, debug=False)
    assert capsys.readouterr() == ("", "error: no\nhint: yes\n")

    ConsoleOutput().failed(FAILURE, debug=True)
    assert capsys.readouterr() == ("", "Trace\nback\nerror: no\nhint: yes\n")


def test_json_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """The same as one object."""
    JsonOutput().failed(FAILURE, debug=False)

    told = json.loads(capsys.readouterr().err)
    assert told.pop("time").endswith("Z")
    assert told == {
        "event": "Failed",
        "error": "DataError",
        "message": "no",
        "hint": "yes",
        "exit_code": 65,
        "context": {"row": 1},
    }


def test_secrets_are_masked_in_both(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever an event quotes."""
    secret = Secret("opens-the-vault").reveal()
    event = Warned(f"refused {secret}")

    ConsoleOutput().event(event)
    JsonOutput().event(event)

    err = capsys.readouterr().err
    assert "warning: refused ***\n" in err
    assert json.loads(err.splitlines()[-1])["message"] == "refused ***"
    assert secret not in err


def test_lines_while_rows_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line every five seconds at the most, and one for each thing worth knowing."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    written: list[str] = []
    progress = LineProgress(written.append)

    progress.event(StepStarted("stage"))
    for second in range(12):
        now[0] = 100.0 + second
        progress.event(RowsMoved(1000 * second, 900 * second, 1024 * second))
    progress.event(Retrying(2, 0.25, "the connection was cut"))
    progress.event(Recovered("a-load"))

    assert written == [
        "5,000 rows read, 4,500 staged, 5.0 KiB, 1,000 rows/s, 1.0 KiB/s, 5.00 s",
        "10,000 rows read, 9,000 staged, 10.0 KiB, 1,000 rows/s, 1.0 KiB/s, 10 s",
        "attempt 2 begins in 0.2 s, after: the connection was cut",
        "an earlier run had committed load a-load; the state is brought forward",
    ]


def test_json_events_of_a_run(call: Callable, project: Path) -> None:
    """Each line is an object; the last carries the report; stdout stays empty."""
    result = call("run", "shop/recipe.yaml", "--log-format", "json")
    events = [json.loads(line) for line in result.err.splitlines()]
    names = [event["event"] for event in events]

    assert (result.code, result.out) == (0, "")
    assert all(list(event)[:2] == ["time", "event"] for event in events)
    assert names[-1] == "Finished"
    assert names.index("WindowPlanned") < names.index("RowsMoved") < names.index("Committed")
    assert events[names.index("WindowPlanned")]["write_mode"] == "merge"
    assert events[-1]["report"]["rows_written"] == 41


def test_rows_moved_is_told_once_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    """A fast load does not drown its log."""
    log = JsonOutput()

    for count in range(1000):
        log.event(RowsMoved(count, count, count))

    assert 1 <= len(capsys.readouterr().err.splitlines()) <= 3


def test_nobody_watches(project: Path, tmp_path: Path) -> None:
    """A load does not fail because its stderr is gone."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    code = "from arrowload.cli.start import main; main()"

    done = subprocess.run([sys.executable, "-c", code, "run", "shop/recipe.yaml"], stderr=write_end, check=False)
    os.close(write_end)

    assert done.returncode == 0
    assert (project / "shop.duckdb").exists()


def test_on_a_terminal(project: Path) -> None:
    """A line follows the steps and is gone at the end; the cursor is given back; NO_COLOR is heeded."""
    screen = _on_terminal("run", "shop/recipe.yaml")
    last = screen.rpartition("\x1b[2K")[2]

    assert "moving rows" in screen
    assert screen.index("\x1b[?25l") < screen.rindex("\x1b[?25h")
    assert last.replace("\r\n", "\n").startswith("orders: committed\n  rows      48 read, 41 written")
    assert not re.search(r"\x1b\[[\d;]*m", screen)


def test_a_table_on_a_terminal(project: Path) -> None:
    """`preview` shows a table that fits."""
    rows = _on_terminal("preview", "shop/recipe.yaml", "-n", "1").splitlines()

    assert rows[0].split()[:2] == ["order_id", "ordered_at"]
    assert max(map(len, rows)) <= 80


def _on_terminal(*arguments: str) -> str:
    """All that the command writes to a terminal of 80 columns."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    code = "from arrowload.cli.start import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    written = bytearray()
    while select.select([ours], [], [], 60)[0]:
        try:
            written += os.read(ours, 65_536)
        except OSError:  # Linux's way to say that the other end is closed
            break
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return written.decode()


def test_write_line_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even without a stderr."""
    monkeypatch.setattr(sys, "stderr", None)

    output.write_line("unheard")
