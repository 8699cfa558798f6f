"""Which process holds a lease, so that another one on the same machine can tell that it is gone."""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path

import msgspec

_BOOT: Path = Path("/proc/sys/kernel/random/boot_id")


class Holder(msgspec.Struct, frozen=True):
    """A process, by what no other process on its machine shares with it.

    Attributes:
        machine: Host name, boot and process namespace: within one of them a process id is unique.
        pid: The process id.
        started: When it began, as the kernel counts; empty where the kernel does not tell. Ids are given anew.
    """

    machine: str
    pid: int
    started: str

    def is_gone(self) -> bool:
        """Whether the process is known to have ended; of one on another machine nothing is known."""
        if self.machine != _machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return self.started != _started(self.pid)


def this_process() -> Holder:
    """The process that asks."""
    return Holder(_machine(), os.getpid(), _started(os.getpid()))


@functools.cache
def _machine() -> str:
    parts = [socket.gethostname()]
    if _BOOT.exists():
        # Containers of one machine may share a name and see processes of their own under the same ids.
        parts += [_BOOT.read_text().strip(), str(Path("/proc/self/ns/pid").readlink())]
    return "/".join(parts)


def _started(pid: int) -> str:
    """Field 22 of proc(5)'s stat; the name before it, in parentheses, may hold anything."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    # A process that has ended and was not waited for is still listed.
    return "" if fields[0] == "Z" else fields[19]
