"""One JSON line a run → a Markdown table a job → plots: `python -m bench.report [DIR]` makes the latter two anew."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from bench.check import RIGHT
from bench.environments import TOOLS, interpreter
from bench.jobs import JOBS

RESULTS = Path(__file__).parent / "results"
LINES = "runs.jsonl"
TABLES = "results.md"
Run = dict[str, Any]

_HOW_TO_READ = (
    "Medians, with the least and the greatest. Ratios are medians of the ratios within a round, and hold where times do"
    " not: the machine is shared. Every result is checked, value by value.\n"
)
_NONE = "\u2013"
_TO = "\u2013"

_PATH = re.compile(r"(?<![\w/.:])(?:file://)?/(?:[\w.@+~-]+/)+")


def scrubbed(text: str) -> str:
    """A text without absolute paths: of `/a/b/c.csv`, `…/c.csv` is left."""
    return _PATH.sub("…/", text)


def machine() -> dict[str, Any]:
    """What the runs ran on."""
    models = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        # What follows the numbers names the maker, not the kernel.
        "kernel": platform.release().partition("-")[0],
    }


def commit() -> str:
    """The commit that is measured, with `+` when files differ from it."""
    root = Path(__file__).parents[1]
    # Results that are being written change no code.
    changed = ["git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results"]
    asked = [["git", "rev-parse", "--short=12", "HEAD"], changed]
    said = [subprocess.run(a, cwd=root, capture_output=True, text=True, check=False).stdout.strip() for a in asked]
    return (said[0] or "unknown") + ("+" if said[1] else "")


class Results:
    """The lines of a folder of results; those of jobs that are run again make way.

    Args:
        folder: Made when it is not there.
        jobs: The jobs of this invocation.
    """

    def __init__(self, folder: Path, jobs: list[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        kept = [run for run in read(folder) if run["job"] not in jobs]
        (folder / LINES).write_text("".join(_line(run) for run in kept))

    def add(self, run: Run) -> None:
        """Write one line, at once."""
        with (self.folder / LINES).open("a") as file:
            file.write(_line(run))


def _line(run: Run) -> str:
    return json.dumps(run, ensure_ascii=False) + "\n"


def read(folder: Path) -> list[Run]:
    """The runs in a folder of results."""
    file = folder / LINES
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def render(folder: Path) -> None:
    """Write the tables and the plots."""
    runs = read(folder)
    (folder / TABLES).write_text(markdown(runs))
    if any(run["wall_s"] is not None for run in runs):
        subprocess.run([*interpreter("report"), TOOLS / "report" / "run.py", folder], check=True)


def markdown(runs: list[Run]) -> str:
    """A table for each job, the tools in the order of their time."""
    parts = ["# Results\n", *_preface(runs)]
    for name in JOBS:
        of_job = [run for run in runs if run["job"] == name]
        if of_job:
            parts.append(_job_table(name, of_job))
    return "\n".join(parts)


def _preface(runs: list[Run]) -> list[str]:
    if not runs:
        return ["No runs."]
    machines = {json.dumps(run["machine"], sort_keys=True): run["machine"] for run in runs}
    lines = [f"{m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB, Linux {m['kernel']}." for m in machines.values()]
    versions = {tool: run["versions"] for run in runs for tool in [run["tool"]]}
    named = "; ".join(
        f"{tool}: {', '.join(f'{name} {number}' for name, number in of_tool.items())}"
        for tool, of_tool in sorted(versions.items())
        if of_tool
    )
    commits = ", ".join(sorted({run["commit"] for run in runs}))
    days = sorted(run["at"][:10] for run in runs)
    return [
        *lines,
        f"Commit {commits}; {days[0]} to {days[-1]}.",
        _HOW_TO_READ,
        f"Versions: {named}.\n",
    ]


def _job_table(name: str, runs: list[Run]) -> str:
    by_tool: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_tool[run["tool"]].append(run)
    rows = max((run["rows_read"] for run in runs), default=0)
    head = [
        f"## {name}\n",
        f"{JOBS[name].about}; {rows:,} rows.\n" if rows else f"{JOBS[name].about}.\n",
        "| tool | n | wall s | ÷ arrowload | ÷ psql | client CPU s | server CPU s | peak MiB | verdict |",
        "|---|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    ordered = sorted(by_tool, key=lambda tool: _order(by_tool[tool]))
    return "\n".join([*head, *(_row(tool, by_tool) for tool in ordered)]) + "\n"


def _order(runs: list[Run]) -> tuple[bool, float]:
    times = timed(runs)
    return (not times, median(times) if times else 0.0)


def timed(runs: list[Run]) -> list[float]:
    """Wall seconds of the runs that ended well."""
    return [run["wall_s"] for run in runs if run["wall_s"] is not None]


def _row(tool: str, by_tool: dict[str, list[Run]]) -> str:
    runs = by_tool[tool]
    verdict = worst_verdict(runs).replace("|", "\\|").replace("\n", " ")
    times = timed(runs)
    if not times:
        return f"| {tool} | {len(runs)} |{f' {_NONE} |' * 6} {verdict} |"
    done = [run for run in runs if run["wall_s"] is not None]
    cells = [
        tool,
        str(len(times)),
        f"{median(times):.2f} ({min(times):.2f}{_TO}{max(times):.2f})",
        _ratio(runs, by_tool.get("arrowload", [])),
        _ratio(runs, by_tool.get("psql", [])),
        *(f"{median(run[key] for run in done):.2f}" for key in ("client_cpu_s", "server_cpu_s")),
        f"{median(run['peak_mib'] for run in done):.0f}",
        f"**{verdict}**" if verdict.startswith("WRONG") else verdict,
    ]
    return f"| {' | '.join(cells)} |"


def _ratio(runs: list[Run], others: list[Run]) -> str:
    """The median of the ratios within a round."""
    base = {run["run"]: run["wall_s"] for run in others if run["wall_s"]}
    ratios = [run["wall_s"] / base[run["run"]] for run in runs if run["wall_s"] and run["run"] in base]
    return f"{median(ratios):.2f}" if ratios else _NONE


def worst_verdict(runs: list[Run]) -> str:
    """The verdict of a run that is not right, when there is one; and in how many."""
    bad = [run["verdict"] for run in runs if run["verdict"] != RIGHT]
    if not bad:
        return RIGHT
    return bad[0] if len(bad) == len(runs) else f"{bad[0]} ({len(bad)} of {len(runs)} runs)"


if __name__ == "__main__":
    render(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS)
