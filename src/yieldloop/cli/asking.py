"""`yieldloop ps`, `tree`, `dump`, `metrics`: what another process of this user tells of its loops.

What lives here: questions asked over the process's socket and their printed answers. What may not: anything that changes the
process.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from yieldloop.watch import outside

__all__ = ["dump", "metrics", "ps", "tree"]


def ps() -> int:
    """Print a table of this user's processes that can be asked."""
    print(process_table(outside.processes()))
    return 0


def process_table(processes: list[dict[str, Any]]) -> str:
    """One line a loop (a process without a running loop has one too), aligned."""
    rows = [("PID", "PYTHON", "SPEED", "TASKS", "READY", "BLOCKS", "FOR", "DOING", "COMMAND")]
    for process in processes:
        pid = str(process["pid"])
        if "problem" in process:
            rows.append((pid, "-", "-", "-", "-", "-", "-", "-", process["problem"]))
            continue
        command = " ".join(process["argv"]) or "-"
        about = (pid, process["python"], process["speed"])
        for loop in process["loops"]:
            held = loop["statistics"]
            since = duration(process["now_ns"] - loop["since_ns"])
            rows.append((*about, str(held["tasks"]), str(held["ready"]), str(process["blocks"]), since, loop["doing"], command))
        if not process["loops"]:
            rows.append((*about, "-", "-", str(process["blocks"]), "-", "no loop runs", command))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return "\n".join("  ".join([f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)] + [row[-1]]) for row in rows)


def duration(ns: int) -> str:
    """A length of time for people: 3 digits at most, and a unit."""
    seconds = ns / 1e9
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{max(0, ns) / 1e3:.3g} µs"


def tree(pid: int, as_json: bool = False) -> int:
    """Print what each task of process *pid* waits for."""
    with outside.connect(pid) as process:
        if as_json:
            import json

            print(json.dumps(process.ask("snapshot"), indent=1))
        else:
            print(process.ask("tree"))
            blocks = process.ask("blocks")
    if not as_json and blocks:
        print("\nWhat has held the loop:")
        for block in blocks:
            print(f"  {block_line(block)}")
    return 0


def block_line(block: dict[str, Any]) -> str:
    """One line on a block, as the documents have it."""
    went = "holds it now, for" if block["going_on"] else "at worst"
    ns = block["ns"] if block["going_on"] else block["worst_ns"]
    place = f"{block['file']}:{block['line']}"
    return f"{block['kind']}  {block['label']}  at {place}  {block['count']}×, {went} {duration(ns)}"


def dump(pid: int, path: str) -> int:
    """Write the recording of process *pid* to *path*."""
    with outside.connect(pid) as process:
        data = process.ask("recording")
    new = f"{path}.{os.getpid()}.new"
    try:
        with open(new, "wb") as file:
            file.write(data)
        os.replace(new, path)
    except BaseException:
        if os.path.exists(new):
            os.unlink(new)
        raise
    print(f"{path}: {len(data):,} bytes; `yieldloop open {path}` shows it", file=sys.stderr)
    return 0


def metrics(pid: int) -> int:
    """Print the numbers of process *pid* as OpenMetrics text."""
    with outside.connect(pid) as process:
        sys.stdout.write(process.ask("metrics"))
    return 0
