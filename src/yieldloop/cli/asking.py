"""`yieldloop ps`, `tree`, `dump`, `metrics`: what another process of this user tells of its loops.

What lives here: questions asked over the process's socket and their printed answers. What may not: anything that changes the
process.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from yieldloop.watch import outside

__all__ = ["add_commands", "dump", "metrics", "ps", "top", "tree"]


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser of the command line. Each sets ``call``, which takes the options and gives the exit status."""
    listing = commands.add_parser("ps", help="list this user's processes that run a loop of yieldloop")
    listing.set_defaults(call=lambda options: ps())
    telling = commands.add_parser("tree", help="tell what each task of a process waits for, and who holds it")
    telling.add_argument("--json", action="store_true", help="the snapshot as a JSON document")
    telling.set_defaults(call=lambda options: tree(options.pid, options.json))
    watching = commands.add_parser("top", help="show a process live: tasks, their share of the processor, blocks, descriptors")
    watching.add_argument("--interval", metavar="S", type=float, default=1.0, help="seconds from one look to the next (default: 1)")
    watching.set_defaults(call=lambda options: top(options.pid, options.interval))
    dumping = commands.add_parser("dump", help="write what a process has recorded to a file")
    dumping.set_defaults(call=lambda options: dump(options.pid, options.file))
    counting = commands.add_parser("metrics", help="print the numbers of a process's loops as OpenMetrics text")
    counting.set_defaults(call=lambda options: metrics(options.pid))
    for parser in (telling, watching, dumping, counting):
        parser.add_argument("pid", metavar="PID", type=int, help="a process that `yieldloop ps` lists")
    dumping.add_argument("file", metavar="FILE")


def ps() -> int:
    """Print a table of this user's processes that can be asked."""
    print(process_table(outside.processes()))
    return 0


def process_table(processes: list[dict[str, Any]]) -> str:
    """One line a loop (a process without a running loop has one too), aligned."""
    from yieldloop.watch.tree import duration

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
            since = "-" if loop["since_ns"] is None else duration(process["now_ns"] - loop["since_ns"])
            counts = str(held["tasks"]), str(held.get("ready", "-")), str(process["blocks"])
            rows.append((*about, *counts, since, loop["doing"], command))
        if not process["loops"]:
            rows.append((*about, "-", "-", str(process["blocks"]), "-", "no loop runs", command))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return "\n".join("  ".join([f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)] + [row[-1]]) for row in rows)


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


def top(pid: int, interval: float) -> int:
    """Show process *pid* on the terminal until the user quits."""
    if not interval > 0:
        raise outside.OutsideError(f"--interval is a time in seconds above 0, not {interval!r}")
    try:
        from yieldloop.cli.top import show
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "rich"):
            raise
        raise outside.OutsideError("the screen needs Textual: pip install 'yieldloop[top]'; `yieldloop tree` does not") from None
    if not sys.stdout.isatty():
        raise outside.OutsideError("this is no terminal; `yieldloop tree` prints plain text")
    with outside.connect(pid) as process:
        show(pid, lambda: look(process, interval), interval)
    return 0


def look(process: outside.Process, seconds: float) -> dict[str, Any]:
    """What `yieldloop top` shows, asked once: snapshot, blocks, and the last *seconds* of the recording."""
    from yieldloop.cli.pages import document_in

    seen: dict[str, Any] = {name: process.ask(name) for name in ("snapshot", "blocks")}
    seen["recording"] = document_in(process.ask("recording", seconds=max(1.0, seconds)))
    return seen


def block_line(block: dict[str, Any]) -> str:
    """One line on a block, as the documents have it."""
    from yieldloop.watch.tree import duration, short

    went = "holds it now, for" if block["going_on"] else "at worst"
    ns = block["ns"] if block["going_on"] else block["worst_ns"]
    place = f"{short(block['file'])}:{block['line']}"
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
