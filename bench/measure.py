"""Runs one command: wall time, CPU of client and of server apart, peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_SUPERVISOR = Path(__file__).with_name("supervise.py")


@dataclass(frozen=True)
class Measured:
    """What one run took, and what it said.

    Attributes:
        wall_s: From the start of the process to its end, by the monotonic clock.
        client_cpu_s: User and system time of the whole process tree.
        server_cpu_s: The same of all processes of the Postgres server meanwhile.
        peak_mib: Of the process tree: the greater of sampled PSS and the main process's VmHWM.
        exit_code: Negative: the signal that ended it.
        timed_out: It was ended for taking too long.
        stdout, stderr: All that it wrote.
    """

    wall_s: float
    client_cpu_s: float
    server_cpu_s: float
    peak_mib: float
    exit_code: int
    timed_out: bool
    stdout: str
    stderr: str

    @property
    def last_line(self) -> str:
        """The last line that it wrote, to stderr for choice."""
        for text in (self.stderr, self.stdout):
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            if lines:
                return lines[-1]
        return "it said nothing"


def measure(command: list[str], folder: Path, postmaster: int, timeout_s: float) -> Measured:
    """Run `command` in `folder/work`, with a home folder and an environment that are nobody's.

    Args:
        command: The first of it is a path.
        folder: Made anew for the run; `work`, `home` and `tmp` are made in it.
        postmaster: Process id of the Postgres server.
        timeout_s: It is ended when it takes longer.
    """
    for name in ("work", "home", "tmp"):
        (folder / name).mkdir()
    figures_file, stdout, stderr = folder / "figures.json", folder / "stdout", folder / "stderr"
    supervised = [sys.executable, "-S", "-E", str(_SUPERVISOR), str(figures_file), str(timeout_s), *command]
    server_before_s = server_cpu_s(postmaster)
    with stdout.open("wb") as out, stderr.open("wb") as err:
        subprocess.run(
            supervised,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=folder / "work",
            env=clean_environment(folder),
            check=False,
        )
    said = stderr.read_text(errors="replace")
    if not figures_file.exists():
        raise RuntimeError(f"the supervisor of {command} failed:\n{said}")
    figures = json.loads(figures_file.read_text())
    return Measured(
        wall_s=figures["wall_s"],
        client_cpu_s=figures["client_cpu_s"],
        server_cpu_s=server_cpu_s(postmaster) - server_before_s,
        peak_mib=figures["peak_bytes"] / 2**20,
        exit_code=figures["exit_code"],
        timed_out=figures["timed_out"],
        stdout=stdout.read_text(errors="replace"),
        stderr=said,
    )


def clean_environment(folder: Path) -> dict[str, str]:
    """What a tool sees: the way to its programs, an empty home, no setting of Python's (byte code is cached)."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "DO_NOT_TRACK": "1",
    }


def server_cpu_s(postmaster: int) -> float:
    """CPU seconds of the server so far: of its live processes, and of those that the postmaster has waited for."""
    ticks = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            stat = (folder / "stat").read_text()
        except OSError:
            continue  # it has ended since
        # Fields after the name, which may hold blanks: state, ppid, …, utime, stime, cutime, cstime as 12th to 15th.
        fields = stat[stat.rindex(")") + 2 :].split()
        if int(folder.name) == postmaster:
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == postmaster:
            ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")
