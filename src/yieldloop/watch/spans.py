"""A recording's events as spans: what each task was doing from when to when, and what the loop's thread did.

What lives here: the one pass over a recording document's events that its exports share. What may not: any format of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from yieldloop.record.places import chain_of

__all__ = ["Loop", "Span", "loops"]


@dataclass(slots=True, frozen=True)
class Span:
    """From *begin* to *end* (nanoseconds of the process's monotonic clock) *subject* was in *state*.

    A task's states are ``ready``, ``running`` and ``parked``; a thread's are ``step``, ``callback`` and ``poll``. *subject* is a
    task's number, or the id of the thing that was called. *thing* is what a task was parked on or was woken by, or 0. *place* is
    where it stood when it parked, if that was recorded, or 0.
    """

    subject: int
    state: str
    begin: int
    end: int
    thing: int = 0
    place: int = 0


@dataclass(slots=True, frozen=True)
class Loop:
    """One loop of a recording: *tasks* has the spans of all its tasks in order of their ends, *thread* those of its thread.

    No two spans of the thread overlap: where a step ran within a callback, the callback has the time before and after it.

    *wakings* are (when, which task), for those that happened while a step or a callback ran.
    """

    document: dict[str, Any]
    begin: int
    end: int
    tasks: list[Span]
    thread: list[Span]
    wakings: list[tuple[int, int]]

    def task_name(self, number: int) -> str:
        """The name of task *number*."""
        facts = self.document["tasks"].get(str(number))
        return str(facts["name"]) if facts else f"task {number}"

    def coroutine(self, number: int) -> str:
        """The name of the coroutine that task *number* drives: the same for all tasks that do the same work."""
        facts = self.document["tasks"].get(str(number))
        return str(facts["coro"]) if facts and facts.get("coro") else self.task_name(number)

    def chain(self, span: Span) -> list[dict[str, Any]]:
        """The await chain of *span*'s task in that span, outermost first; empty if it was not recorded."""
        return chain_of(self.document.get("places", {}), span.place) if span.place else []

    def thing(self, number: int) -> dict[str, Any]:
        """What is known of thing *number*: kind and label at least."""
        found: dict[str, Any] = self.document["things"].get(str(number)) or {"kind": "unknown", "label": f"thing {number}"}
        return found


def loops(document: dict[str, Any]) -> Iterator[Loop]:
    """The loops of a recording *document*, each read once from its first event to its last."""
    for loop in document["loops"]:
        yield _Reader(loop).read()


_ENTERS = {"task_created": "ready", "task_stepped": "running", "task_done": ""}


class _Reader:
    """Follows the events of one loop. `doing` is each task's (state, since when, thing, place)."""

    def __init__(self, document: dict[str, Any]) -> None:
        events = document["events"]
        self.loop = Loop(document, events[0][0] if events else 0, events[-1][0] if events else 0, [], [], [])
        self.doing: dict[int, tuple[str, int, int, int]] = {}
        self.stack: list[tuple[str, int]] = []
        """What the thread is in, outermost first: a step may run within a callback or another step."""
        self.since = self.loop.begin
        """Since when the innermost of them has run."""

    def read(self) -> Loop:
        stood = self.loop.document.get("stood", {})
        for index, (when, kind, subject, thing) in enumerate(self.loop.document["events"]):
            if kind == "task_parked":
                self.enter(subject, "parked" if thing else "ready", when, thing, stood.get(str(index), 0))
            elif kind == "task_woken":
                if self.doing.get(subject, ("",))[0] != "running":
                    self.enter(subject, "ready", when, thing)
                if self.stack and self.stack[-1][0] != "poll":
                    self.loop.wakings.append((when, subject))
            elif kind in _ENTERS:
                self.enter(subject, _ENTERS[kind], when, 0)
            elif kind in ("callback_begun", "poll_begun"):
                self.begin(kind.partition("_")[0], subject if kind == "callback_begun" else 0, when)
            elif kind in ("callback_done", "poll_done"):
                self.end(kind.partition("_")[0], when)
        for task in list(self.doing):
            self.enter(task, "", self.loop.end, 0)
        while self.stack:
            self.end(self.stack[-1][0], self.loop.end)
        return self.loop

    def enter(self, task: int, state: str, when: int, thing: int, place: int = 0) -> None:
        before = self.doing.pop(task, None)
        if before is not None:
            self.loop.tasks.append(Span(task, before[0], before[1], when, *before[2:]))
            if before[0] == "running":
                self.end("step", when)
        if state:
            self.doing[task] = (state, when, thing, place)
            if state == "running":
                self.begin("step", task, when)

    def begin(self, state: str, subject: int, when: int) -> None:
        self.spend(when)
        self.stack.append((state, subject))

    def end(self, state: str, when: int) -> None:
        self.spend(when)
        if self.stack and self.stack[-1][0] == state:  # else its begin fell out of the ring
            self.stack.pop()

    def spend(self, when: int) -> None:
        """The time until now was the innermost's own."""
        if self.stack and when > self.since:
            state, subject = self.stack[-1]
            self.loop.thread.append(Span(subject, state, self.since, when))
        self.since = when
