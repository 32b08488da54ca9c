"""Recordings that never happened, for tests of what reads recordings: a simulated loop writes one of any size.

What lives here: a recording document made by rule and seed. What may not: the real recorder.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from typing import Any

US = 1_000

KINDS = (
    ("timer", "sleep until its deadline"),
    ("fd", "readable fd 7 from 127.0.0.1:8080"),
    ("lock", "Lock 'accounts'"),
    ("queue", "Queue 'jobs' get"),
    ("thread", "job resolve_name in the pool"),
    ("future", "Future"),
)


class _Simulation:
    def __init__(self, tasks: int, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = 1_000_000_000
        self.events: list[list[Any]] = []
        self.ready: deque[int] = deque()
        self.waiting: list[tuple[int, int, int]] = []
        self.tasks: dict[str, Any] = {}
        self.things: dict[str, Any] = {}
        self.limit = tasks
        self.last: dict[int, tuple[str, int, int]] = {}

    def add(self, kind: str, subject: int = 0, thing: int = 0) -> None:
        self.events.append([self.now, kind, subject, thing])

    def thing(self, kind: str, label: str) -> int:
        number = len(self.things) + 1
        self.things[str(number)] = {"kind": kind, "label": label}
        return number

    def create(self) -> None:
        number = len(self.tasks) + 1
        role = self.chance.choice(("fetch", "serve", "worker", "heartbeat"))
        self.tasks[str(number)] = {
            "name": f"{role}-{number}",
            "coro": f"{role}.<locals>.run" if role == "worker" else role,
            "site": {"file": "/srv/app/main.py", "line": 10 + number % 90, "function": "main"},
            "made_ns": self.now,
        }
        self.add("task_created", number)
        self.ready.append(number)

    def step(self, number: int) -> None:
        self.add("task_stepped", number)
        long = self.chance.random() < 0.0005
        self.now += self.chance.randrange(150_000, 300_000) * US if long else int(self.chance.lognormvariate(3, 1) * US)
        if len(self.tasks) < self.limit and self.chance.random() < 0.3:
            self.create()
        if self.chance.random() < 0.005 and len(self.tasks) > 5:
            self.add("task_done", number)
            return
        kind, label = KINDS[number % len(KINDS)]
        thing = self.thing(kind, f"{label} #{number}")
        self.add("task_parked", number, thing)
        self.last[number] = (kind, thing, self.now)
        heapq.heappush(self.waiting, (self.now + int(self.chance.expovariate(1 / 20_000)) * US, number, thing))

    def turn(self) -> None:
        self.now += self.chance.randrange(1, 4) * US
        if not self.ready:
            self.add("poll_begun")
            if self.waiting:
                self.now = max(self.now, self.waiting[0][0])
            self.now += 2 * US
            self.add("poll_done")
        while self.waiting and self.waiting[0][0] <= self.now:
            _, number, thing = heapq.heappop(self.waiting)
            if self.things[str(thing)]["kind"] == "timer":
                self.add("timer_fired", thing)
            self.add("task_woken", number, thing)
            self.ready.append(number)
        for _ in range(len(self.ready)):
            self.now += self.chance.randrange(200, 900)
            self.step(self.ready.popleft())


def synthetic(events: int = 1_000, tasks: int = 12, seed: int = 1) -> dict[str, Any]:
    """A recording document of about so many *events* of at most so many *tasks*, with two blocks and a snapshot of its end."""
    world = _Simulation(tasks, seed)
    world.create()
    while len(world.events) < events and (world.ready or world.waiting):
        world.turn()
        if len(world.tasks) < 3:
            world.create()
    process = {"pid": 4242, "argv": ["app.py", "--port", "8080"], "python": "3.13.0", "yieldloop": "0.1.0", "speed": "compiled"}
    return {
        "format": 1,
        "process": process,
        "wall_ns": 1_700_000_000_000_000_000,
        "loops": [
            {
                "id": 1,
                "name": "loop 1",
                "thread": "MainThread",
                "events": world.events,
                "tasks": world.tasks,
                "things": world.things,
                "lost": 17,
            }
        ],
        "blocks": _blocks(world),
        "snapshot": {"format": 1, "taken_ns": world.now, "process": process, "loops": [_snapshot(world)]},
    }


def _blocks(world: _Simulation) -> list[dict[str, Any]]:
    place = {"file": "/srv/app/store.py", "line": 31, "function": "load"}
    caller = {"file": "/srv/app/main.py", "line": 18, "function": "fetch"}
    middle = world.events[len(world.events) // 2][0]
    block = {"loop": 1, "began_ns": middle, "ns": 214_000 * US, "task": 1, "label": world.tasks["1"]["name"], "count": 3}
    return [
        {**block, "file": place["file"], "line": 31, "stack": [caller, place], "worst_ns": 301_000 * US},
        {**block, "task": None, "label": "callback on_tick", "file": "tick.py", "line": 7, "stack": [], "worst_ns": 9_000_000},
    ]


def _snapshot(world: _Simulation) -> dict[str, Any]:
    done = {subject for _, kind, subject, _ in world.events if kind == "task_done"}
    alive = [int(number) for number in world.tasks if int(number) not in done]
    tasks = []
    for number in alive:
        kind, thing, since = world.last.get(number, ("future", 0, world.now))
        facts = world.tasks[str(number)]
        tasks.append(
            {
                "id": number,
                "name": facts["name"],
                "state": "ready" if number in world.ready else "parked",
                "since_ns": since,
                "made_ns": facts["made_ns"],
                "site": facts["site"],
                "chain": [
                    {"kind": "coroutine", "name": facts["coro"], "file": "/srv/app/main.py", "line": 20 + number},
                    {"kind": "coroutine", "name": "Store.load", "file": "/srv/app/store.py", "line": 44},
                    {"kind": "async generator", "name": "rows", "file": "/srv/app/store.py", "line": 61},
                ],
                "end": {"kind": kind, "label": world.things[str(thing)]["label"] if thing else "Future"},
            }
        )
    cycle = [task for task in tasks if task["state"] == "parked"][:2]
    for task, other in zip(cycle, reversed(cycle), strict=True):
        task["end"] = {"kind": "lock", "label": f"Lock of {other['name']}", "holders": [other["id"]], "waiters": [task["id"]]}
    return {
        "id": 1,
        "name": "loop 1",
        "thread": "MainThread",
        "doing": {"kind": "poll", "task": None, "label": "poll", "since_ns": world.now, "stack": []},
        "ready": len(world.ready),
        "timers": 2,
        "fds": [{"fd": 7, "direction": "read", "peer": "127.0.0.1:8080", "local": "127.0.0.1:51000"}],
        "tasks": tasks,
        "cycles": [[task["id"] for task in cycle]] if len(cycle) == 2 else [],
        "lost": {},
    }
