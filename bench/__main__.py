"""Times whole loads: every tool the same job on the same data in turns, every result checked."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.check import RIGHT, Checker
from bench.environments import TOOLS, UNSAFE, compile_project, interpreter, known_tools, versions
from bench.jobs import JOBS
from bench.measure import measure
from bench.report import RESULTS, Results, Run, commit, machine, render, scrubbed
from bench.stage import SCRATCH, Stage

if TYPE_CHECKING:
    from bench.jobs import Job
    from bench.measure import Measured

_SLOW = 1.6
OURS = "arrowload"
LIMIT = "psql"


@dataclass
class Tool:
    """A tool in this invocation; `best_s` and `runs` are those of the job in hand."""

    name: str
    command: list[str]
    versions: dict[str, str]
    best_s: float | None = None
    runs: int = 0
    out: bool = field(default=False)

    def begin(self) -> None:
        """Forget the last job."""
        self.best_s, self.runs, self.out = None, 0, False


class Bench:
    """One invocation: its stage, its tools, and where its results go."""

    def __init__(self, stage: Stage, tools: list[Tool], results: Results, arguments: argparse.Namespace) -> None:
        self._stage = stage
        self._tools = tools
        self._results = results
        self._arguments = arguments
        self._checker = Checker(stage)
        self._constant = {"commit": commit(), "machine": machine()}
        self.all_right = True

    def warm_up(self) -> None:
        """Start each tool once, so that none is the first to read its own files."""
        job = JOBS["ten_rows"]
        self._stage.prepare(job)
        for tool in self._tools:
            self._measured(job, tool)

    def job(self, job: Job) -> None:
        """Rounds, in each of which every tool that is still in has its turn."""
        print(f"{job.name}: {job.about}", flush=True)
        self._stage.prepare(job)
        self._checker.prepare(job)
        for tool in self._tools:
            tool.begin()
        for turn in range(1, self._arguments.runs + 1):
            for tool in self._tools:
                if not tool.out and not self._slow(tool):
                    self._turn(job, tool, turn)

    def _slow(self, tool: Tool) -> bool:
        """Whether more of its runs say nothing new: it is far behind, or never ended well; not ours nor the limit."""
        if tool.runs < self._arguments.slow_runs or tool.name in {OURS, LIMIT}:
            return False
        best = min((other.best_s for other in self._tools if other.best_s is not None), default=None)
        return tool.best_s is None or best is None or tool.best_s > _SLOW * best

    def _turn(self, job: Job, tool: Tool, turn: int) -> None:
        measured = self._measured(job, tool)
        verdict, rows = self._checker.verdict(job, measured)
        verdict = scrubbed(verdict)
        ended_well = measured.exit_code == 0
        tool.runs += 1
        tool.out = verdict.startswith("cannot")
        if ended_well:
            tool.best_s = min(tool.best_s or measured.wall_s, measured.wall_s)
        if tool.name == OURS:
            self.all_right = self.all_right and (verdict == RIGHT or tool.out)
        run: Run = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            **self._constant,
            "versions": tool.versions,
            "job": job.name,
            "tool": tool.name,
            "run": turn,
            "wall_s": round(measured.wall_s, 3) if ended_well else None,
            "client_cpu_s": round(measured.client_cpu_s, 3) if ended_well else None,
            "server_cpu_s": round(measured.server_cpu_s, 3) if ended_well else None,
            "peak_mib": round(measured.peak_mib, 1) if ended_well else None,
            "rows": rows,
            "rows_read": self._stage.source_rows(job),
            "verdict": verdict,
        }
        self._results.add(run)
        print(_line(run), flush=True)

    def _measured(self, job: Job, tool: Tool) -> Measured:
        description = self._stage.fresh(job)
        command = [*tool.command, str(TOOLS / tool.name / "run.py"), job.name, str(description)]
        return measure(command, self._stage.run_folder, self._stage.postmaster, self._arguments.timeout)


def _line(run: Run) -> str:
    if run["wall_s"] is None:
        return f"  {run['tool']:<20} {run['verdict']}"
    return (
        f"  {run['tool']:<20} {run['wall_s']:8.2f} s wall {run['client_cpu_s']:8.2f} s client"
        f" {run['server_cpu_s']:8.2f} s server {run['peak_mib']:7.0f} MiB   {run['verdict']}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "jobs", nargs="*", metavar="JOB", help=f"of {', '.join(JOBS)}; all but memory_* when none is named"
    )
    parser.add_argument(
        "--tools", help=f"of {', '.join(known_tools())}, with commas between; all but the last when not given"
    )
    parser.add_argument("--runs", type=int, default=5, help="rounds a job (5)")
    parser.add_argument("--slow-runs", type=int, default=1, help=f"runs of a tool over {_SLOW:g} times the fastest (1)")
    parser.add_argument("--rows", type=int, help="of lineitem; the other tables keep their share (all, at scale 1)")
    parser.add_argument("--timeout", type=float, default=1200, help="seconds after which a run is ended (1200)")
    parser.add_argument("--results", type=Path, help="folder; bench/results, or with --rows bench/.scratch/results")
    arguments = parser.parse_args()
    arguments.jobs = arguments.jobs or [job.name for job in JOBS.values() if job.usual]
    arguments.tools = arguments.tools.split(",") if arguments.tools else [t for t in known_tools() if t != UNSAFE]
    arguments.results = arguments.results or (SCRATCH / "results" if arguments.rows else RESULTS)
    for kind, given, known in (("job", arguments.jobs, JOBS), ("tool", arguments.tools, known_tools())):
        unknown = [name for name in given if name not in known]
        if unknown:
            parser.error(f"there is no {kind} `{unknown[0]}`; there are {', '.join(known)}")
    return arguments


def main() -> None:
    """Run the jobs, write the results, and exit with 1 when one is not right."""
    arguments = _arguments()
    compile_project()
    commands = {name: interpreter(name) for name in arguments.tools}
    results = Results(arguments.results, arguments.jobs)
    with Stage(arguments.rows) as stage:
        tools = [Tool(name, command, versions(name, stage.server.bindir)) for name, command in commands.items()]
        bench = Bench(stage, tools, results, arguments)
        bench.warm_up()
        for name in arguments.jobs:
            bench.job(JOBS[name])
    render(arguments.results)
    sys.exit(not bench.all_right)


if __name__ == "__main__":
    main()
