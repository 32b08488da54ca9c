"""A snapshot as text for people: a tree of who waits for whom.

What lives here: words and indentation. What may not: looking at anything but the snapshot.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from yieldloop.watch.chains import Frame

if TYPE_CHECKING:
    from yieldloop.watch.facts import End
    from yieldloop.watch.jobs import Work
    from yieldloop.watch.snapshot import Doing, LoopView, Snapshot, TaskView

ALIKE = 3  # tasks that stand at one place and wait for one kind of thing are told once, with their number, from that many on
STEP = "  "


def of_snapshot(shot: Snapshot, most: int) -> str:
    """The whole snapshot; at most *most* tasks of each loop are told in full."""
    facts = shot.process
    title = " ".join(str(part) for part in facts["argv"]) or "python"
    lines = [f"process {facts['pid']}: {title} (Python {facts['python']}, yieldloop {facts['yieldloop']} {facts['speed']})"]
    for loop in shot.loops:
        lines.append("")
        lines.extend(of_loop(loop, shot.taken_ns, most))
    if not shot.loops:
        lines.append("no event loop")
    return "\n".join(lines)


def of_loop(loop: LoopView, now: int, most: int = 200) -> list[str]:
    """One loop: what it does, its circles, its tasks, and what was lost."""
    lines = [f"loop {loop.name}{'' if loop.thread is None else ' in thread ' + loop.thread}: {_doing(loop.doing, now)}"]
    states: dict[str, int] = {}
    for task in loop.tasks:
        states[task.state] = states.get(task.state, 0) + 1
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    counts = [f"{count_of(len(loop.tasks), 'task')}{f' ({told})' if told else ''}"]
    if loop.ready is not None and loop.timers is not None:
        sides = count_of(len(loop.fds), "descriptor side")
        counts += [f"{loop.ready} ready to run", count_of(loop.timers, "timer"), f"{sides} armed"]
    lines.append(", ".join(counts))
    for frame in loop.doing.stack if loop.doing.kind in ("task", "callback") else ():
        lines.append(f"{STEP}{_frame(frame)}")
    lines += _Tree(loop, now, most).lines()
    lines += _lost(loop.lost)
    return lines


def of_tasks(loop: LoopView, now: int, most: int = 200) -> list[str]:
    """The circles and the tasks of one loop."""
    return _Tree(loop, now, most).lines()


def count_of(number: int, what: str) -> str:
    """``1 task``, ``2 tasks``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def duration(ns: int | None) -> str:
    """A time as people say it."""
    if ns is None:
        return "?"
    seconds = max(ns, 0) / 1e9
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def short(file: str | None) -> str:
    """A path, without the part that leads to the current directory."""
    if file is None:
        return "?"
    here = os.getcwd() + os.sep
    return file.removeprefix(here)


def _frame(frame: Frame) -> str:
    return f"{frame.name}()" + (f"  {short(frame.file)}:{frame.line}" if frame.file is not None else "")


def _doing(doing: Doing, now: int) -> str:
    since = f" for {duration(now - doing.since_ns)}" if doing.since_ns is not None else ""
    if doing.kind == "task":
        return f"runs task {doing.task} {doing.label!r}{since}"
    if doing.kind == "callback":
        return f"runs the callback {doing.label}{since}"
    return f"{doing.label}{since}"


class _Tree:
    """The tasks of one loop as lines: each in full once, below the first that waits for it."""

    def __init__(self, loop: LoopView, now: int, most: int) -> None:
        self._by_id = {task.id: task for task in loop.tasks}
        self._cycles = loop.cycles
        self._in_cycle = {number for cycle in loop.cycles for number in cycle}
        self._now = now
        self._left = most
        self._shown: set[int] = set()
        ends = {id(task.end): task.end for task in loop.tasks if task.end is not None}
        self._needed = {number for end in ends.values() for number in end.needs}
        self._tasks = loop.tasks
        self._kinds: dict[int, int] = {}  # by id of an end: the number of its kind
        self._numbers: dict[tuple[Any, ...], int] = {}

    def lines(self) -> list[str]:
        lines = []
        for cycle in self._cycles:
            way = " → ".join(self._name(number) for number in [*cycle, cycle[0]])
            lines.append(f"a circle of {count_of(len(cycle), 'task')} that wait for each other: {way}")
        alike: dict[Any, list[TaskView]] = {}
        for task in self._tasks:
            if task.id not in self._needed:
                alike.setdefault(self._likeness(task), []).append(task)
        for group in alike.values():
            shown = group if len(group) < ALIKE else group[:1]
            for task in shown:
                lines += self._task(task, "")
            if len(group) > len(shown):
                lines.append(f"and {count_of(len(group) - 1, 'task')} more like it: same place, same kind of wait")
                self._shown.update(task.id for task in group)
        for task in self._tasks:  # what only circles lead to
            if task.id not in self._shown:
                lines += self._task(task, "")
        if self._left < 0:
            lines.append(f"({count_of(-self._left, 'task')} not shown)")
        return lines

    def _likeness(self, task: TaskView) -> Any:
        return id(task.site), id(task.chain), task.state, None if task.end is None else self._kind_of(task.end)

    def _kind_of(self, end: End) -> int:
        """The number of *end*'s kind of wait and of whom it needs. Those may be thousands, of which thousands wait."""
        found = self._kinds.get(id(end))
        if found is None:
            kind = (end.kind, *end.needs)
            found = self._kinds[id(end)] = self._numbers.setdefault(kind, len(self._numbers))
        return found

    def _name(self, number: int) -> str:
        task = self._by_id.get(number)
        return f"task {number}" if task is None else f"task {number} {task.name!r}"

    def _names(self, numbers: tuple[int, ...]) -> str:
        more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
        return ", ".join(self._name(number) for number in numbers[:5]) + more

    def _task(self, task: TaskView, indent: str) -> list[str]:
        self._shown.add(task.id)
        self._left -= 1
        if self._left < 0:
            return []
        since = f" for {duration(self._now - task.since_ns)}" if task.since_ns is not None else ""
        site = "" if task.site is None else f", made at {short(task.site.file)}:{task.site.line} in {task.site.function}"
        times = f"{task.cancelled} time{'' if task.cancelled == 1 else 's'}"
        cancelled = f", cancelled {times} and not done" if task.cancelled else ""
        lines = [f"{indent}{self._name(task.id)}: {task.state}{since}{cancelled}{site}"]
        inner = indent + STEP
        lines += [f"{inner}at {_frame(frame)}" for frame in task.chain]
        if task.end is None:
            return lines
        lines.append(f"{inner}waits for {self._end(task)}")
        lines += [f"{inner}{STEP}{self._work(work)}" for work in task.end.threads]
        for number in task.end.needs:
            other = self._by_id.get(number)
            if other is None:
                lines.append(f"{inner}{STEP}{self._name(number)}: has ended")
            elif number in self._shown:
                closes = "  ← here the circle closes" if number in self._in_cycle and task.id in self._in_cycle else ", see above"
                lines.append(f"{inner}{STEP}{self._name(number)}{closes}")
            elif len(indent) < 40 * len(STEP):
                lines += self._task(other, inner + STEP)
        return lines

    def _work(self, work: Work) -> str:
        since = "" if work.since_ns is None else f" for {duration(self._now - work.since_ns)}"
        return f"{work.thread} runs {work.function}{since}" + ("" if work.task is None else f", for {self._name(work.task)}")

    def _end(self, task: TaskView) -> str:
        end = task.end
        assert end is not None
        text = end.kind if end.label == end.kind else f"{end.kind}: {end.label}"
        if end.direction is not None:
            text += f", {end.direction}"
        if end.fd is not None and end.label != f"fd {end.fd}":
            text += f" fd {end.fd}"
        if end.local is not None:
            text += f", local {end.local}"
        if end.peer is not None:
            text += f", peer {end.peer}"
        if end.when_ns is not None:
            text += f", due in {duration(end.when_ns - self._now)}"
        if end.holders:
            text += f", held by {self._names(end.holders)}"
        if end.known_to:
            text += f", {'known to' if end.kind == 'future' else 'perhaps held by'} {self._names(end.known_to)}"
        if end.waiting > 1:
            text += f", {end.waiting:,} tasks wait for it"
        if task.until_ns is not None:
            text += f", time-out in {duration(task.until_ns - self._now)}"
        return text


def _lost(lost: dict[str, Any]) -> list[str]:
    lines = []
    for what, groups in lost.items():
        for group in groups if isinstance(groups, list) else ():
            where = f"{short(group['file'])}:{group['line']} in {group['function']}" if group.get("file") else "an unknown place"
            lines.append(f"{what}: {group['count']:,} × {where}")
    return lines
