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
    worst_delay_ns: int = 0  # the longest time in which it was ready and did not run


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


def shares(recording: dict[str, Any], since_ns: int, until_ns: int) -> tuple[dict[int, Share], int]:
    """By task: its `Share` of the time from *since_ns* to *until_ns*; and how much of that time *recording* has."""
    found: dict[int, Share] = {}
    begins: list[int] = []
    for loop in spans.loops(recording):
        begins.append(max(loop.begin, since_ns))
        for span in loop.tasks:
            if span.end <= since_ns or span.state == "parked":
                continue
            share = found.setdefault(span.subject, Share())
            length = span.end - max(span.begin, since_ns)
            if span.state == "running":
                share.ran_ns += length
                share.steps += 1
            else:
                share.worst_delay_ns = max(share.worst_delay_ns, length)
    return found, max(0, until_ns - min(begins, default=until_ns))


def rows(snapshot: dict[str, Any], recording: dict[str, Any], window_ns: int) -> list[Row]:
    """Every task of *snapshot* as a row; *recording* tells of its last *window_ns*, or of less."""
    now = snapshot["taken_ns"]
    found, span_ns = shares(recording, now - window_ns, now)
    tasks = [(loop["id"], task) for loop in snapshot["loops"] for task in loop["tasks"]]
    return [_row(loop, task, found.get(task["id"], Share()), now, span_ns) for loop, task in tasks]


def _row(loop: int, task: dict[str, Any], share: Share, now: int, span_ns: int) -> Row:
    age = None if task["since_ns"] is None else max(0, now - task["since_ns"])
    ran, delay = share.ran_ns, share.worst_delay_ns
    if task["state"] == "running" and age is not None:  # this step is no record yet
        ran = max(ran, min(age, span_ns))
    if task["state"] == "ready" and age is not None:
        delay = max(delay, age)
    return Row(
        loop,
        task["id"],
        task["name"],
        task["state"],
        age,
        min(1.0, ran / span_ns) if span_ns else None,
        share.steps,
        delay if span_ns else None,
        waits_for(task["end"]),
        place(task["chain"]),
        task,
    )


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
