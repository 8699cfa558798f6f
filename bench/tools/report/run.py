"""Plots of a folder of results, as SVG: rows/s, peak memory, and where the CPU time goes."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

import matplotlib as mpl

mpl.use("svg")
# The same results give the same file.
mpl.rcParams.update(
    {
        "svg.hashsalt": "bench",
        "svg.fonttype": "none",
        "font.size": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)

import matplotlib.pyplot as plt  # noqa: E402 - the back end is chosen before

OURS, LIMIT, OTHER, WRONG, SERVER = "#1b6ca8", "#8a8a8a", "#9cc5de", "#d9822b", "#c9c9c9"


def medians(folder: Path) -> dict[str, dict[str, dict]]:
    """Job → tool → median of each figure; only runs that ended well."""
    runs = [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]
    grouped: dict[str, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if run["wall_s"] is not None:
            grouped[run["job"]][run["tool"]].append(run)
    return {job: {tool: figures(of_tool) for tool, of_tool in tools.items()} for job, tools in grouped.items() if tools}


def figures(runs: list[dict]) -> dict:
    keys = ("wall_s", "client_cpu_s", "server_cpu_s", "peak_mib", "rows_read")
    return {key: median(run[key] for run in runs) for key in keys} | {
        "right": all(run["verdict"] == "right" for run in runs)
    }


def colour(tool: str, of_tool: dict) -> str:
    if not of_tool["right"]:
        return WRONG
    return {"arrowload": OURS, "psql": LIMIT}.get(tool, OTHER)


def grid(data: dict[str, dict[str, dict]], title: str):
    """A figure with a place for each job, as high as it has tools."""
    heights = [len(tools) * 0.22 + 0.7 for tools in data.values()]
    figure, axes = plt.subplots(
        len(data), 1, figsize=(8, sum(heights) + 0.8), height_ratios=heights, squeeze=False, layout="constrained"
    )
    figure.suptitle(title)
    return figure, [row[0] for row in axes]


def bars(folder: Path, data: dict, name: str, *, unit: str, value) -> None:
    """One bar a tool, the fastest tool at the top; `name` is that of the file and, with blanks, the title."""
    figure, axes = grid(data, f"{name.replace('_', ' ').capitalize()}; hatched: values are wrong")
    for axis, (job, tools) in zip(axes, data.items(), strict=True):
        order = sorted(tools, key=lambda tool: tools[tool]["wall_s"], reverse=True)
        drawn = axis.barh(order, [value(tools[t]) for t in order], color=[colour(t, tools[t]) for t in order])
        for bar, tool in zip(drawn, order, strict=True):
            if not tools[tool]["right"]:
                bar.set_hatch("////")
        axis.bar_label(drawn, fmt="{:,.0f}", padding=3)
        axis.margins(x=0.12)
        axis.set_title(job, loc="left", fontweight="bold")
        axis.set_xlabel(unit)
    save(figure, folder, name)


def stacked(folder: Path, data: dict) -> None:
    """CPU seconds of client and server, one upon the other."""
    figure, axes = grid(data, "CPU seconds: client (colour), server (grey); hatched: values are wrong")
    for axis, (job, tools) in zip(axes, data.items(), strict=True):
        order = sorted(tools, key=lambda tool: tools[tool]["wall_s"], reverse=True)
        client = [tools[tool]["client_cpu_s"] for tool in order]
        server = [tools[tool]["server_cpu_s"] for tool in order]
        drawn = axis.barh(order, client, color=[colour(t, tools[t]) for t in order])
        for bar, tool in zip(drawn, order, strict=True):
            if not tools[tool]["right"]:
                bar.set_hatch("////")
        top = axis.barh(order, server, left=client, color=SERVER)
        axis.bar_label(top, labels=[f"{c:.1f} + {s:.1f}" for c, s in zip(client, server, strict=True)], padding=3)
        axis.margins(x=0.12)
        axis.set_title(job, loc="left", fontweight="bold")
        axis.set_xlabel("s")
    save(figure, folder, "cpu")


def save(figure, folder: Path, name: str) -> None:
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    folder = Path(sys.argv[1])
    data = medians(folder)
    moving = {job: tools for job, tools in data.items() if next(iter(tools.values()))["rows_read"] > 10}
    if moving:
        bars(folder, moving, "rows_per_second", unit="rows/s", value=lambda of: of["rows_read"] / of["wall_s"])
    bars(folder, data, "peak_memory", unit="MiB", value=lambda of: of["peak_mib"])
    stacked(folder, data)


main()
