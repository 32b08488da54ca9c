"""The picture for the docs: speed against the base for each workload, and cost against N. Only this file knows matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

from harness import ratios
from harness.impls import BARE, BASE, IMPLEMENTATIONS
from harness.spec import Workload
from harness.terminal import available

#: Okabe and Ito's colours, which stay apart for colour-blind eyes; ours are the strong ones.
COLOURS = {
    "asyncio": "#999999",
    "uvloop": "#000000",
    "rloop": "#E69F00",
    "blazio": "#56B4E9",
    "zloop": "#CC79A7",
    "yieldloop-pure": "#F0E442",
    "yieldloop-loop": "#009E73",
    "yieldloop": "#D55E00",
    "c": "#0072B2",
}
ROW_INCHES = 0.30


def write(path: Path, works: list[Workload], names: list[str], report: dict[str, Any]) -> None:
    """Write the SVG. Text stays text, and the same results give the same bytes."""
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "yieldloop", "font.size": 8})
    running, _ = available(works, names, report["results"])
    bars = [w for w in works if w.group != "flatness" and _speeds(w, running, report)]
    flat = {kind: [w for w in works if w.name.startswith(kind + "_")] for kind in ("wake", "rearm")}
    flat = {kind: found for kind, found in flat.items() if len(found) > 1}
    height = max(3.0, len(bars) * ROW_INCHES * 1.6) + (2.6 if flat else 0)
    figure = pyplot.figure(figsize=(9, height), layout="constrained")
    grid = figure.add_gridspec(2 if flat else 1, max(len(flat), 1), height_ratios=[height - 2.6, 2.6] if flat else None)
    _dots(figure.add_subplot(grid[0, :]), bars, running, report)
    for column, (kind, found) in enumerate(flat.items()):
        _lines(figure.add_subplot(grid[1, column]), kind, found, running, report)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _speeds(work: Workload, running: list[str], report: dict[str, Any]) -> dict[str, ratios.Cell]:
    cells = {n: ratios.cell(report["results"][work.name], n) for n in running}
    return {n: c for n, c in cells.items() if c and c.speed is not None}


def _dots(axes: Any, bars: list[Workload], running: list[str], report: dict[str, Any]) -> None:
    """A row a workload, a dot an implementation, a line from its least to its greatest ratio, a tick for the aim."""
    for row, work in enumerate(bars):
        for place, (name, value) in enumerate(_speeds(work, running, report).items()):
            y = row + (place - len(running) / 2) * 0.08
            axes.plot([value.low, value.high], [y, y], color=COLOURS[name], linewidth=1)
            axes.plot(value.speed, y, "o", color=COLOURS[name], markersize=4)
        if work.target:
            axes.plot([work.target] * 2, [row - 0.4, row + 0.4], ":", color="#D55E00", linewidth=1)
    for name in running:
        axes.plot([], [], "o", color=COLOURS[name], label=IMPLEMENTATIONS[name].title)
    axes.axvline(1.0, color="black", linewidth=0.5)
    axes.set_xscale("log")
    axes.set_xticks([0.1, 0.2, 0.5, 1, 2, 3, 5, 10], labels=["0.1", "0.2", "0.5", "1", "2", "3", "5", "10"])
    axes.set_yticks(range(len(bars)), labels=[w.name for w in bars])
    axes.invert_yaxis()
    axes.set_xlabel(f"speed against {BASE} (right is faster); dotted: what yieldloop compiled aims at")
    axes.grid(axis="x", linewidth=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _lines(axes: Any, kind: str, found: list[Workload], running: list[str], report: dict[str, Any]) -> None:
    """Cost against N, both in powers of ten: a flat line is a flat cost."""
    for name in [n for n in running if n != BARE]:
        cells = [ratios.cell(report["results"][w.name], name) for w in found]
        points = [(float(w.name.partition("_")[2]), c.cost / 1e3) for w, c in zip(found, cells, strict=True) if c and c.cost]
        axes.plot(*zip(*points, strict=True), "o-", color=COLOURS[name], markersize=3) if points else None
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title({"wake": "wake one of N parked tasks", "rearm": "arm and disarm among N timers"}[kind])
    axes.set_xlabel("N")
    axes.set_ylabel("µs of CPU")
    axes.grid(linewidth=0.3)
