"""Failpoints do nothing until a test arms one, and then exactly what it asks for, where it asks."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import arrowload
from arrowload.core import failpoint as module
from arrowload.core.exceptions import EngineError, OutcomeUnknownError, TransientConnectorError
from arrowload.core.failpoint import SITES, arm, failpoint

PACKAGE = Path(arrowload.__file__).parent


@pytest.fixture(autouse=True)
def _disarmed() -> object:
    """Nothing stays armed."""
    yield
    arm("")


def test_an_unarmed_failpoint_does_nothing() -> None:
    """Whatever its name."""
    for site in SITES:
        failpoint(site)


@pytest.mark.parametrize(
    ("action", "error"), [("err", TransientConnectorError), ("lost", OutcomeUnknownError), ("enospc", OSError)]
)
def test_an_armed_failpoint_fails_once(action: str, error: type[Exception]) -> None:
    """At its own site, and only at the pass that was named."""
    arm(f"seal.before={action}@2; head.after=delay(0.01)")

    failpoint("seal.before")
    failpoint("seal.after")
    with pytest.raises(error) as caught:
        failpoint("seal.before")
    failpoint("seal.before")

    if isinstance(caught.value, OSError):
        assert caught.value.errno == errno.ENOSPC


def test_a_delay_takes_its_time() -> None:
    """In seconds."""
    arm("seal.before=delay(0.05)")
    started = time.monotonic()

    failpoint("seal.before")

    assert time.monotonic() - started >= 0.05


@pytest.mark.parametrize(
    "text", ["nowhere.before=err", "seal.before=explode", "seal.before", "seal.before=err@x", "=err"]
)
def test_what_is_no_failpoint_is_refused(text: str) -> None:
    """A test that arms nothing would prove nothing."""
    with pytest.raises(EngineError, match=f"`{re.escape(text)}` is not a failpoint"):
        arm(text)


def _process(armed: str) -> subprocess.Popen[bytes]:
    code = "print('up', flush=True); failpoint('seal.before'); print('past')"
    code = f"from arrowload.core.failpoint import failpoint; {code}"
    environment = os.environ | {"ARROWLOAD_FAILPOINTS": armed}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)


def test_the_environment_arms_a_process_that_is_then_killed() -> None:
    """By SIGKILL: no `finally`, no `atexit`."""
    process = _process("seal.before=kill9")

    out, _ = process.communicate(timeout=30)

    assert process.returncode == -signal.SIGKILL
    assert out == b"up\n"


def test_a_hanging_process_waits_for_a_signal() -> None:
    """So that a test can let others go first."""
    process = _process("seal.before=hang")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_every_site_is_passed_somewhere_and_every_pass_is_a_site() -> None:
    """The protocol's steps by name in the engine, all others literally; the fault suite kills at each."""
    sources = {path: path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "failpoint.py"}
    literal = {site for text in sources.values() for site in re.findall(r'failpoint\("([\w.]+)"\)', text)}
    engine = sources[PACKAGE / "engine" / "engine.py"]
    steps = set(re.findall(r'(?:protocol)\.\w+: \("(\w+)"', engine))
    performed = {f"{step}.{moment}" for step in steps for moment in ("before", "after")}

    assert literal <= SITES
    assert literal | performed >= SITES
    assert {name.partition(".")[0] for name in module._PROTOCOL} - steps <= {"release"}
