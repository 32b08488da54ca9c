"""Recordings for other tools: a Chrome trace (Perfetto reads it), collapsed stacks, speedscope.

What lives here: one function a format, from a recording document to the text of a file. What may not: reading recordings, and
formats that have no other reader than the page.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from yieldloop.watch.spans import Loop, Span, loops

__all__ = ["FORMATS", "chrome_trace", "collapsed", "speedscope"]


def chrome_trace(document: dict[str, Any]) -> str:
    """The recording in the Trace Event Format: each loop is a process whose threads are the loop's own lane, and its tasks.

    Times are microseconds since the recording's first event. An arrow leads from the step that woke a task to its next step.
    """
    found = list(loops(document))
    zero = min((loop.begin for loop in found if loop.thread or loop.tasks), default=0)
    events: list[dict[str, Any]] = []
    for place, loop in enumerate(found):
        # Threads are told apart by their number alone, in all processes: each loop has its own range of them.
        events += _TraceOfLoop(loop, document, zero, document["process"]["pid"] + place, place * 1_000_000_000).events()
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ns", "otherData": document["process"]}, ensure_ascii=False)


class _TraceOfLoop:
    """One loop's events for the trace. Thread *base* + 1 is the loop, + 2 its blocks, + 10 + n its task n."""

    def __init__(self, loop: Loop, document: dict[str, Any], zero: int, process: int, base: int) -> None:
        self.loop, self.document, self.zero, self.process, self.base = loop, document, zero, process, base

    def events(self) -> list[dict[str, Any]]:
        program = " ".join(document_argv(self.document))
        events = [
            self.about("process_name", 1, f"{program} · {self.loop.document['name'] or 'loop'}"),
            self.about("thread_name", 1, "loop"),
        ]
        events += [self.of_thread(span) for span in self.loop.thread]
        tasks = sorted({span.subject for span in self.loop.tasks})
        events += [self.about("thread_name", 10 + task, self.loop.task_name(task)) for task in tasks]
        events += [self.of_task(span) for span in self.loop.tasks]
        events += self.ready_counts()
        events += self.arrows()
        blocks = [block for block in self.document["blocks"] if block["loop"] == self.loop.document["id"]]
        if blocks:
            events.append(self.about("thread_name", 2, "blocks"))
            events += [self.of_block(block) for block in blocks]
        return events

    def about(self, kind: str, thread: int, name: str) -> dict[str, Any]:
        return {"ph": "M", "name": kind, "pid": self.process, "tid": self.base + thread, "args": {"name": name}}

    def event(self, phase: str, name: str, thread: int, when: int, **more: Any) -> dict[str, Any]:
        time = (when - self.zero) / 1000
        return {"ph": phase, "name": name, "cat": "yieldloop", "pid": self.process, "tid": self.base + thread, "ts": time, **more}

    def slice(self, name: str, thread: int, span: Span, **facts: Any) -> dict[str, Any]:
        return self.event("X", name, thread, span.begin, dur=(span.end - span.begin) / 1000, args=facts)

    def of_thread(self, span: Span) -> dict[str, Any]:
        if span.state == "step":
            return self.slice(self.loop.task_name(span.subject), 1, span, kind="step", coroutine=self.loop.coroutine(span.subject))
        name = "poll" if span.state == "poll" else str(self.loop.thing(span.subject)["label"])
        return self.slice(name, 1, span, kind=span.state)

    def of_task(self, span: Span) -> dict[str, Any]:
        if span.state == "parked":
            thing = self.loop.thing(span.thing)
            chain = {"chain": _frames(self.loop.chain(span))} if span.place else {}
            return self.slice(str(thing["label"]), 10 + span.subject, span, state="parked", on=thing["kind"], **chain)
        woken = {"woken by": self.loop.thing(span.thing)["label"]} if span.thing else {}
        return self.slice(span.state, 10 + span.subject, span, state=span.state, **woken)

    def of_block(self, block: dict[str, Any]) -> dict[str, Any]:
        stack = [f"{frame['file']}:{frame['line']} {frame['function']}" for frame in block["stack"]]
        facts = {"place": f"{block['file']}:{block['line']}", "count": block["count"], "stack": stack}
        return self.event("X", block["label"], 2, block["began_ns"], dur=block["ns"] / 1000, args=facts)

    def ready_counts(self) -> list[dict[str, Any]]:
        changes: Counter[int] = Counter()
        for span in self.loop.tasks:
            if span.state == "ready":
                changes[span.begin] += 1
                changes[span.end] -= 1
        length = 0
        counts = []
        for when, change in sorted(changes.items()):
            length += change
            if change:
                counts.append(self.event("C", "ready tasks", 1, when, args={"tasks": length}))
        return counts

    def arrows(self) -> list[dict[str, Any]]:
        steps: dict[int, list[int]] = {}
        for span in reversed(self.loop.thread):
            if span.state == "step":
                steps.setdefault(span.subject, []).append(span.begin)
        arrows = []
        for number, (when, task) in enumerate(self.loop.wakings, self.base + 1):
            following = steps.get(task, [])
            while following and following[-1] < when:
                following.pop()
            if following:
                arrows.append(self.event("s", "wakes", 1, when, id=number))
                arrows.append(self.event("f", "wakes", 1, following[-1], id=number, bp="e"))
        return arrows


def document_argv(document: dict[str, Any]) -> list[str]:
    """The command line of the process that was recorded."""
    return [str(word) for word in document["process"].get("argv") or ["yieldloop"]]


def _frames(links: list[dict[str, Any]]) -> list[str]:
    """The links of an await chain, each by its name and, if it has code, its line."""
    return [f"{link['name']} ({link['file']}:{link['line']})" if link.get("file") else str(link["name"]) for link in links]


class _Chains:
    """The await chains of one loop's tasks: through the tasks that wait for a task, down to its own frames where they are known."""

    def __init__(self, loop: Loop, snapshot: dict[str, Any] | None) -> None:
        self.loop = loop
        self.now: dict[int, tuple[list[str], str | None]] = {}
        """What the snapshot knows of each task: its frames, and what it is parked on, which the recording learns at the wake-up."""
        self.awaited_by: dict[int, Span] = {}
        """Who awaits each task, from when to when: the last that the recording knows, or the snapshot."""
        self.known: dict[int, list[str]] = {}
        """The frames of each place."""
        waits = {span.subject: span for span in loop.tasks if span.state == "parked"}  # of each task the last
        for span in loop.tasks:
            child = loop.thing(span.thing).get("task") if span.state == "parked" else None
            if child is not None:
                self.awaited_by[int(child)] = span
        for task in (task for taken in (snapshot or {"loops": []})["loops"] for task in taken["tasks"]):
            end = task.get("end") or {}
            self.now[task["id"]] = _frames(task["chain"]), end.get("label")
            for child in end.get("tasks", ()) if task["id"] in waits else ():
                self.awaited_by[child] = waits[task["id"]]

    def of(self, span: Span) -> tuple[str, ...]:
        """Whoever awaits the span's task, outermost first; the task; and what it was parked on."""
        chain, end = self.within(span)
        if end is not None and end != chain[-1]:
            chain = [*chain, end]
        seen = {span.subject}
        parent = self.awaited_by.get(span.subject)
        while parent is not None and parent.subject not in seen:
            seen.add(parent.subject)
            chain = self.within(parent)[0] + chain
            parent = self.awaited_by.get(parent.subject)
        return tuple(chain)

    def within(self, span: Span) -> tuple[list[str], str | None]:
        """The frames of the span's own task, or the name of its coroutine, and what it was parked on."""
        frames, end = [self.loop.coroutine(span.subject)], None
        if span.state == "parked":
            end = self.end(self.loop.thing(span.thing))
            if span.end == self.loop.end and self.now.get(span.subject, ([],))[0]:  # the snapshot was taken in this very span
                frames, of_now = self.now[span.subject]
                end = of_now or end
            elif span.place:
                if span.place not in self.known:
                    self.known[span.place] = _frames(self.loop.chain(span))
                frames = self.known[span.place]
        return frames, end

    def end(self, thing: dict[str, Any]) -> str:
        """What *thing* is, with tasks called by their coroutines: so waits for tasks that do the same work add up."""
        if thing["kind"] == "task" and "task" in thing:
            return f"task {self.loop.coroutine(thing['task'])}"
        label = str(thing["label"])
        if "set_by" in thing:
            label = label.removesuffix(self.loop.task_name(thing["set_by"])) + self.loop.coroutine(thing["set_by"])
        return label


def _stacks(document: dict[str, Any]) -> Counter[tuple[str, ...]]:
    """Nanoseconds by loop, state and await chain."""
    weights: Counter[tuple[str, ...]] = Counter()
    for loop in loops(document):
        chains = _Chains(loop, document.get("snapshot"))
        for span in loop.tasks:
            weights[(loop.document["name"] or "loop", span.state, *chains.of(span))] += span.end - span.begin
    return +weights


def collapsed(document: dict[str, Any]) -> str:
    """A line for each await chain, frames joined by ``;``, then a space and microseconds: what flame graph tools read."""
    lines = []
    for stack, ns in sorted(_stacks(document).items()):
        frames = (" ".join(frame.replace(";", ",").split()) for frame in stack)
        lines.append(f"{';'.join(frames)} {max(1, round(ns / 1000))}\n")
    return "".join(lines)


def speedscope(document: dict[str, Any]) -> str:
    """A speedscope file: a profile of what each loop's thread did in order of time, and one of all await chains by their time."""
    frames: dict[str, int] = {}

    def frame(name: str) -> int:
        return frames.setdefault(name, len(frames))

    profiles: list[dict[str, Any]] = []
    for loop in loops(document):
        events: list[dict[str, Any]] = []
        for span in loop.thread:
            if span.state == "step":
                names = [loop.coroutine(span.subject), loop.task_name(span.subject)]
            else:
                names = ["poll"] if span.state == "poll" else ["callback", str(loop.thing(span.subject)["label"])]
            numbers = [frame(name) for name in names]
            events += [{"type": "O", "frame": number, "at": span.begin - loop.begin} for number in numbers]
            events += [{"type": "C", "frame": number, "at": span.end - loop.begin} for number in reversed(numbers)]
        name = f"{loop.document['name'] or 'loop'}: what its thread did"
        length = loop.end - loop.begin
        profiles.append(_profile("evented", name, length, events=events))
    stacks = sorted(_stacks(document).items())
    samples = [[frame(name) for name in stack] for stack, _ in stacks]
    weights = [ns for _, ns in stacks]
    profiles.append(_profile("sampled", "await chains", sum(weights), samples=samples, weights=weights))
    return json.dumps(
        {
            "$schema": "https://www.speedscope.app/file-format-schema.json",
            "exporter": f"yieldloop {document['process']['yieldloop']}",
            "name": " ".join(document_argv(document)),
            "activeProfileIndex": 0,
            "shared": {"frames": [{"name": name} for name in frames]},
            "profiles": profiles,
        }
    )


def _profile(kind: str, name: str, length: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, "name": name, "unit": "nanoseconds", "startValue": 0, "endValue": length, **more}


FORMATS: dict[str, Callable[[dict[str, Any]], str]] = {
    "perfetto": chrome_trace,
    "chrome": chrome_trace,
    "collapsed": collapsed,
    "speedscope": speedscope,
}
"""The formats by name. Perfetto and Chrome read the same one."""
