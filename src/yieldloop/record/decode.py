"""What records mean: from the bytes of a file to events with their times, tasks and things.

What lives here: the reverse of ``engine._record``, where the format is written. What may not: files, and what is done with events.
"""

from __future__ import annotations

import struct
from typing import Any

from yieldloop.record.places import chain_of, wait_at

__all__ = ["Decoder"]

PAIR = struct.Struct("<QQ")
TICKS = (1 << 43) - 1  # a record's own tick is folded to so many bits
LABEL = (1 << 21) - 1
HALF = 1 << 42

(CREATED, STEPPED, TURN, PARKED, PARKED_TASK, WOKEN, WOKEN_TASK, DONE, CALLBACK, TIMER, POLL, POLLED, FD, THREAD, MARK, OVER, FACTS,
 MADE, NAMED, OFFSET, UNNAMED, WAITED) = range(1, 23)  # fmt: skip
STEP_ENDS = frozenset({TURN, PARKED, PARKED_TASK, DONE, OVER})
PARKS = frozenset({TURN, PARKED, PARKED_TASK})
BOUNDS = STEP_ENDS | {CALLBACK, TIMER, POLL, POLLED, MARK}


class Decoder:
    """One loop of a recording: *head* is its part of the file's head, *records* the bytes of its chunks one after the other."""

    def __init__(self, head: dict[str, Any], labels: dict[str, Any], records: memoryview, taken_ns: int) -> None:
        self.head = head
        self.labels = labels
        self.since = taken_ns - head["age"] if head["age"] else 0
        self.events: list[list[Any]] = []
        self.tasks: dict[str, Any] = {}
        self.things: dict[str, Any] = {}
        self.names: dict[int, str] = {int(number): name for number, name in head["names"].items()}
        self.unfinished: dict[int, int] = {}  # steps that said when they begin: task -> place in events
        self.futures: dict[int, list[Any]] = {}  # address -> [thing, it was told to wake]
        self.by_label: dict[int, int] = {}
        self.parked: dict[int, list[Any]] = {}  # task -> the event in which it parked last
        self.stood: dict[int, int] = {}  # id of such an event -> label of the place where the task stood
        self.settled: list[int] = []  # things that woke tasks since the last bound
        self.bound = 0  # the place in events at which the entry that is over next began
        self.bound_ns: int | None = None
        self.offset = 0
        for number, facts in head["tasks"].items():
            self.tasks[number] = self.facts_of(*facts)
        for record in self.timed(records):
            self.take(*record)
        self.end()

    # --- times ---------------------------------------------------------------------------------------------------------

    def timed(self, records: memoryview) -> Any:
        """(ns, kind, subject, thing) of every record that is young enough, in order."""
        chunks = self.head["chunks"]
        ends = [*chunks[1:], self.head["until"]]
        place, last, before = 0, 0, None
        for chunk, end in zip(chunks, ends, strict=True):
            cells = records[place : place + chunk["bytes"]]
            place += chunk["bytes"]
            if chunk["offset"] != before:
                yield last, OFFSET, 0, chunk["offset"]
            first, zero = chunk["tick"], chunk["ns"]
            rate = (end["ns"] - zero) / (end["tick"] - first) if end["tick"] > first else 1.0
            found = []
            for low, high in PAIR.iter_unpack(cells):
                tick = ((low >> 21) - first) & TICKS
                found.append((0 if tick >= HALF else tick, low & 63, low >> 6 & 0x7FFF | high >> 43 << 15, high & TICKS))
                if found[-1][1] == OFFSET:
                    before = found[-1][3]
            before = before if any(kind == OFFSET for _, kind, _, _ in found) else chunk["offset"]
            for tick, (_, kind, subject, thing) in zip(_spread([tick for tick, _, _, _ in found]), found, strict=True):
                last = max(last, zero + int(tick * rate))
                yield last, kind, subject, thing

    # --- events --------------------------------------------------------------------------------------------------------

    def take(self, ns: int, kind: int, subject: int, thing: int) -> None:
        if kind == OFFSET:
            self.offset = thing
        elif kind == WAITED:
            self.waited(subject, thing)
        elif kind in (FACTS, MADE, NAMED, UNNAMED):
            self.learn(kind, subject, thing)
        elif ns >= self.since:
            if kind in STEP_ENDS:
                self.step_ends(ns, kind, subject, thing)
            else:
                self.other(ns, kind, subject, thing)
        elif kind == CREATED:
            self.created(ns, subject, thing)
        elif kind in BOUNDS:
            self.bound_ns = ns

    def add(self, ns: int, event: str, subject: int, thing: int) -> None:
        self.events.append([ns, event, subject, thing])

    def begins(self, event: str, subject: int, ns: int) -> None:
        """What ends at *ns* began where what was before it ended: its event belongs there, before all that it did."""
        self.events.insert(self.bound, [ns if self.bound_ns is None else self.bound_ns, event, subject, 0])

    def ends(self, ns: int) -> None:
        self.bound = len(self.events)
        self.bound_ns = ns

    def step_ends(self, ns: int, kind: int, task: int, thing: int) -> None:
        inner = self.unfinished.pop(task, None)
        if inner is None:
            self.begins("task_stepped", task, ns)
        if kind == TURN:
            self.add(ns, "task_parked", task, 0)
        elif kind == PARKED:
            self.add(ns, "task_parked", task, self.future(thing, False))
        elif kind == PARKED_TASK:
            self.add(ns, "task_parked", task, self.task_thing(thing))
        elif kind == DONE:
            self.add(ns, "task_done", task, 0)
            self.task(task)["outcome"] = ("result", "exception", "cancelled")[min(thing, 2)]
        if kind in PARKS:
            self.parked[task] = self.events[-1]
        if inner is None:
            self.settled_by("", "future", task)
            self.ends(ns)

    def waited(self, task: int, label: int) -> None:
        """Task *task* stood at the place *label* when it parked last: so it is known what it waited for."""
        event = self.parked.get(task)
        if event is None:
            return
        self.stood[id(event)] = label
        wait = wait_at(chain_of(self.labels, label))
        thing = self.things.get(str(event[3]), {})
        if wait is not None and thing.get("kind") != "task":
            thing.update(kind=wait[0], label=wait[1], wait=True)

    def places(self) -> tuple[dict[str, int], dict[str, Any]]:
        """Where tasks stood: by the index of the event in which they parked, the label of a place; and those places by label."""
        stood = {str(index): self.stood[id(event)] for index, event in enumerate(self.events) if id(event) in self.stood}
        places: dict[str, Any] = {}
        for label in set(stood.values()):
            while (known := self.labels.get(str(label))) is not None and str(label) not in places:
                places[str(label)] = known
                label = known.get("under") or 0
        return stood, places

    def other(self, ns: int, kind: int, subject: int, thing: int) -> None:
        if kind == CREATED:
            self.created(ns, subject, thing)
            self.add(ns, "task_created", subject, 0)
        elif kind == STEPPED:
            self.unfinished[subject] = len(self.events)
            self.add(ns, "task_stepped", subject, 0)
        elif kind == WOKEN:
            self.add(ns, "task_woken", subject, self.future(thing, True))
            self.settled.append(self.events[-1][3])
        elif kind == WOKEN_TASK:
            self.add(ns, "task_woken", subject, self.task_thing(thing))
        elif kind == CALLBACK:
            what = self.labelled("callback", subject)
            self.begins("callback_begun", what, ns)
            self.add(ns, "callback_done", what, 0)
            self.settled_by_callback(self.things[str(what)])
        elif kind == TIMER:
            self.add(ns, "timer_fired", self.labelled("callback", subject), 0)
        elif kind == POLL:
            self.add(ns, "poll_begun", -1 if thing == 0 else (thing - 1) * 1000, 0)
        elif kind == POLLED:
            self.add(ns, "poll_done", thing, 0)
        elif kind == FD:
            self.add(ns, "fd_ready", subject, thing)
        elif kind == THREAD:
            self.add(ns, "handed_to_thread", self.labelled("callback", subject), 0)
        if kind in BOUNDS:
            self.ends(ns)

    def end(self) -> None:
        """What ran at the end of the recording has no record: it is still running. And by now the tasks' names are known."""
        for thing in self.things.values():
            if "set_by" in thing:
                by = f"set by {self.task(thing['set_by'])['name']}"
                thing["label"] = f"{thing['label']}, {by}" if "wait" in thing else by
            elif thing["kind"] == "task":
                thing["label"] = self.task(thing["task"])["name"]
        doing = self.head["doing"]
        if doing is None or doing["began_ns"] < self.since:
            return
        if self.bound_ns is None or doing["began_ns"] >= self.bound_ns - 1000:  # else it is over since
            if doing["task"] is not None:
                if doing["task"] not in self.unfinished:
                    self.begins("task_stepped", doing["task"], doing["began_ns"])
            else:
                self.begins("callback_begun", self.labelled("callback", doing["label"]), doing["began_ns"])

    # --- tasks and things ----------------------------------------------------------------------------------------------

    def task(self, number: int) -> dict[str, Any]:
        """What is known of task *number*, to be filled."""
        found: dict[str, Any] = self.tasks.setdefault(
            str(number), {"name": f"task {number}", "coro": None, "site": None, "made_ns": None}
        )
        return found

    def facts_of(self, name: str, coro: str, file: str | None, line: int | None, function: str | None, made: int) -> dict[str, Any]:
        site = None if file is None else {"file": file, "line": line, "function": function}
        return {"name": name, "coro": coro, "site": site, "made_ns": made}

    def created(self, ns: int, number: int, labels: int) -> None:
        self.learn(FACTS, number, labels)
        task = self.task(number)
        task["made_ns"] = ns
        if task["name"] == f"task {number}":
            task["name"] = f"Task-{number - self.offset}"

    def learn(self, kind: int, number: int, thing: int) -> None:
        task = self.task(number)
        if kind == FACTS:
            code, site = self.labels.get(str(thing & LABEL)), self.labels.get(str(thing >> 21 & LABEL))
            if code is not None:
                task["coro"] = code["name"]
                task["begins"] = {"file": code.get("file"), "line": code.get("line")}
            if site is not None:
                task["site"] = {"file": site.get("file"), "line": site.get("line"), "function": site["name"]}
        elif kind == MADE:
            task["made_ns"] = thing << 10
        elif kind == NAMED:
            task["name"] = self.names.get(thing, task["name"])
        else:
            task["name"] = f"Task-{thing}"

    def thing(self, kind: str, label: str, **more: Any) -> int:
        number = len(self.things) + 1
        self.things[str(number)] = {"kind": kind, "label": label, **more}
        return number

    def future(self, address: int, woken: bool) -> int:
        """The thing at *address*: once it has woken somebody it is done, so whoever parks there afterwards waits for another."""
        known = self.futures.get(address)
        if known is None or (known[1] and not woken):
            known = self.futures[address] = [self.thing("future", "future"), False]
        known[1] = woken
        return known[0]  # type: ignore[no-any-return]

    def settled_by_callback(self, what: dict[str, Any]) -> None:
        """The callback that woke tells what was waited for, where it is one of ours."""
        place = what.get("module") or what.get("file") or ""
        is_sleep = what["label"] == "_settle" and place.endswith(("engine.sleeping", "sleeping.py"))
        if is_sleep or what["label"] == "_set_result_unless_cancelled":  # the latter is the standard library's sleep
            self.settled_by("sleep", "timer")
        elif what["label"] == "Job":
            self.settled_by("a job in a thread", "thread")
        elif place.startswith("yieldloop.transports"):
            self.settled_by(f"a descriptor ({what['label']})", "fd")
        else:
            self.settled_by(f"set by {what['label']}", "future")

    def settled_by(self, label: str, kind: str, task: int | None = None) -> None:
        for number in self.settled:
            thing = self.things[str(number)]
            if "wait" not in thing:
                thing.update(kind=kind, label=label)
            if task is not None:
                thing["set_by"] = task
        self.settled.clear()

    def task_thing(self, number: int) -> int:
        known = self.by_label.get(-number)
        if known is None:
            known = self.by_label[-number] = self.thing("task", self.task(number)["name"], task=number)
        return known

    def labelled(self, kind: str, label: int) -> int:
        known = self.by_label.get(label)
        if known is None:
            meaning = self.labels.get(str(label)) or {"name": "unknown"}
            more = {key: meaning[key] for key in ("file", "line", "module") if key in meaning}
            known = self.by_label[label] = self.thing(kind, meaning["name"], **more)
        return known


def _spread(ticks: list[int]) -> list[float]:
    """Records that share one look at the clock lie evenly between it and the next."""
    found: list[float] = list(ticks)
    begin = 0
    for place in range(1, len(ticks) + 1):
        if place == len(ticks) or ticks[place] != ticks[begin]:
            if place - begin > 1 and place < len(ticks):
                step = (ticks[place] - ticks[begin]) / (place - begin)
                for i in range(begin + 1, place):
                    found[i] = ticks[begin] + step * (i - begin)
            begin = place
    return found
