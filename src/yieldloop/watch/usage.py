"""What a process does just now, as rows of a table: from its snapshot, its blocks and the last seconds of its recording.

What lives here: the arithmetic of `yieldloop top`. What may not: a terminal, and asking the process. Documents come in as JSON has
them, so that all of it happens in the process that looks, not in the one that is looked at.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from yieldloop.watch import spans, stacks, tree

__all__ = ("Row", "Share", "rows", "shares")


@dataclasses.dataclass(slots=True)
class Share:
    """What one task has taken and waited for in the time that was looked at."""

    ran_ns: int = 0
    steps: int = 0
    delay_ns: int = 0  # ready but not run, all together
    worst_delay_ns: int = 0


@dataclasses.dataclass(slots=True)
class Row:
    """One task, as the table shows it."""

    loop: int
    id: int
    name: str
    state: str
    since_ns: int | None  # how long it has been in that state
    cpu: float | None  # share of one processor, 0 to 1; None without a recording
    steps: int
    delay_ns: int | None  # the longest time in which it was ready and did not run
    waits_for: str
    at: str  # where it stands: the innermost line that is the program's own
    task: dict[str, Any]  # as the snapshot has it


def shares(recording: dict[str, Any] | None, window_ns: int) -> tuple[dict[int, Share], int]:
    """By task: its `Share` of the last *window_ns* of *recording*; and how much of that time the recording has."""
    found: dict[int, Share] = {}
    span_ns = 0
    for loop in spans.loops(recording) if recording is not None else ():
        begin = max(loop.begin, loop.end - window_ns)
        span_ns = max(span_ns, loop.end - begin)
        for span in loop.tasks:
            if span.end <= begin or span.state == "parked":
                continue
            share = found.setdefault(span.subject, Share())
            length = span.end - max(span.begin, begin)
            if span.state == "running":
                share.ran_ns += length
                share.steps += 1
            else:
                share.delay_ns += length
                share.worst_delay_ns = max(share.worst_delay_ns, length)
    return found, span_ns


def rows(snapshot: dict[str, Any], recording: dict[str, Any] | None, window_ns: int) -> list[Row]:
    """Every task of *snapshot* as a row."""
    found, span_ns = shares(recording, window_ns)
    made = []
    for loop in snapshot["loops"]:
        for task in loop["tasks"]:
            share = found.get(task["id"]) or Share()
            since = task["since_ns"]
            made.append(
                Row(
                    loop["id"],
                    task["id"],
                    task["name"],
                    task["state"],
                    None if since is None else max(0, snapshot["taken_ns"] - since),
                    share.ran_ns / span_ns if span_ns else None,
                    share.steps,
                    share.worst_delay_ns if span_ns else None,
                    waits_for(task["end"]),
                    place(task["chain"]),
                    task,
                )
            )
    return made


def waits_for(end: dict[str, Any] | None) -> str:
    """What a task waits for, in a few words."""
    if end is None:
        return ""
    text = end["label"] if end["label"].startswith(end["kind"]) else f"{end['kind']} {end['label']}"
    if end.get("peer"):
        text += f" {end['peer']}"
    if end.get("holders"):
        text += f", held by {', '.join(map(str, end['holders']))}"
    elif end.get("tasks"):
        text += f" {', '.join(map(str, end['tasks'][:5]))}"
    return text


def place(chain: list[dict[str, Any]]) -> str:
    """The innermost place of *chain* that is not a library's, as ``file:line``; else its innermost."""
    known = [{"file": frame["file"], "line": frame["line"]} for frame in chain if frame.get("file")]
    site = stacks.site_in(known)
    return "" if site is None else f"{tree.short(site['file'])}:{site['line']}"


KEYS: dict[str, Any] = {
    "cpu": lambda row: -(row.cpu or 0),
    "waiting": lambda row: -(row.since_ns or 0) if row.state == "parked" else 1,
    "delay": lambda row: -(row.delay_ns or 0),
    "id": lambda row: row.id,
}
"""The orders in which rows can be shown: what takes most first."""
