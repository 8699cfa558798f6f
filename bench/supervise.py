"""Runs one command and writes what its process tree took: `python -S -E supervise.py OUT.json TIMEOUT_S COMMAND…`.

A process of its own, started afresh, so that nothing of the harness is in the figures: as subreaper it is the parent
of whatever a tool leaves behind, and `RUSAGE_CHILDREN` at the end holds every descendant that was waited for.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_TICK_S = 0.01
_SAMPLE_S = 0.05
# The kernel walks the page tables for PSS, holding a lock of the process: a large process is looked at less often.
_SAMPLING_SHARE = 0.02
_LEFT_OVER_S = 2.0


class PeakMemory:
    """The greater of two peaks, in bytes: the tree's summed PSS as sampled, and the main process's own VmHWM."""

    def __init__(self, main: int) -> None:
        self.bytes = 0
        self._main = main
        self._next_sample = 0.0

    def look(self) -> None:
        """The high-water mark at each call, PSS when it is due."""
        self.bytes = max(self.bytes, _kib(f"/proc/{self._main}/status", "VmHWM:") * 1024)
        begun = time.monotonic()
        if begun < self._next_sample:
            return
        pss = sum(_kib(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in descendants(os.getpid()))
        self.bytes = max(self.bytes, pss * 1024)
        done = time.monotonic()
        self._next_sample = begun + max(_SAMPLE_S, (done - begun) / _SAMPLING_SHARE)


def descendants(pid: int) -> list[int]:
    """All processes below `pid`."""
    found: list[int] = []
    for task in _names(f"/proc/{pid}/task"):
        for child in _text(f"/proc/{pid}/task/{task}/children").split():
            found += [int(child), *descendants(int(child))]
    return found


def _kib(file: str, key: str) -> int:
    for line in _text(file).splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    return 0


def _text(file: str) -> str:
    # A process may end between two looks.
    with contextlib.suppress(OSError):
        return Path(file).read_text()
    return ""


def _names(folder: str) -> list[str]:
    with contextlib.suppress(OSError):
        return os.listdir(folder)  # noqa: PTH208 - names are all that is needed, many times a second
    return []


def supervise(command: list[str], timeout_s: float) -> dict[str, float | int | bool]:
    """Run `command` to its end, and to that of what it started.

    Returns:
        `wall_s` until the main process ended, `client_cpu_s`, `peak_bytes`, `exit_code` and `timed_out`.
    """
    _become_subreaper()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    started = time.monotonic()
    main = os.posix_spawn(command[0], command, os.environ, setsigmask=[])
    memory = PeakMemory(main)
    wall_s, exit_code, timed_out = 0.0, None, False
    while True:
        signal.sigtimedwait({signal.SIGCHLD}, _TICK_S)
        now = time.monotonic() - started
        ended = _reap()
        if main in ended:
            wall_s, exit_code = now, os.waitstatus_to_exitcode(ended[main])
        if exit_code is not None and not descendants(os.getpid()):
            break
        timed_out = timed_out or (exit_code is None and now > timeout_s)
        if timed_out or (exit_code is not None and now - wall_s > _LEFT_OVER_S):
            _kill_all()
        memory.look()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": wall_s,
        "client_cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_bytes": memory.bytes,
        "exit_code": exit_code,
        "timed_out": timed_out,
    }


def _become_subreaper() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def _reap() -> dict[int, int]:
    """The wait status of every child that has ended since."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def _kill_all() -> None:
    for pid in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    try:
        figures = supervise(sys.argv[3:], float(sys.argv[2]))
    finally:
        _kill_all()
    Path(sys.argv[1]).write_text(json.dumps(figures))
