"""A snapshot: every task of a loop, where it stands, and what it waits for, from any thread, while the loop runs or is stuck.

What lives here: `take`, and the plain data that it returns. What may not: how a chain is walked (`chains`), what its end is
(`ends`), how it is printed (`tree`).

Nothing is stopped for it. A task may end while its neighbours are read: each is true of a moment of its own. Whoever ends
meanwhile is left out; a set that changes its size is read again.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import operator
import os
import platform
import selectors
import sys
import threading
import time
import types
import weakref
from asyncio import tasks as _stock
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import yieldloop
from yieldloop.engine.recording import loop_number
from yieldloop.engine.tasks import Task
from yieldloop.loop import registry
from yieldloop.watch import lost
from yieldloop.watch.chains import Frame, is_new, stack_of, walk
from yieldloop.watch.ends import Ends
from yieldloop.watch.facts import MOST_NAMED, End, armed_sides, function_name, is_task_type, of_transport, place_of
from yieldloop.watch.graph import cycles_of
from yieldloop.watch.holders import HELD, Holders, acquires, attributes_of, known_by
from yieldloop.watch.jobs import Work

__all__ = ("Doing", "End", "Fd", "Frame", "LoopView", "Site", "Snapshot", "TaskView", "take")

TRIES = 20  # readings of a set that another thread changes
FORMAT = 1
FEW_FUTURES, FEW_TASKS = 1000, 10_000  # up to so many it is told who knows a future


@dataclass(slots=True, frozen=True)
class Site:
    """Where a task was made."""

    file: str
    line: int
    function: str

    def as_json(self) -> dict[str, Any]:
        """As a dictionary of plain values."""
        return {"file": self.file, "line": self.line, "function": self.function}

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


@dataclass(slots=True)
class TaskView:
    """A task at one moment. Times are in ns of `time.monotonic_ns`; None where they are not known (stock tasks)."""

    id: int  # our tasks' numbers count from 1 in the process; the standard library's tasks get negative ones
    name: str
    state: str  # running | ready | parked | new
    since_ns: int | None  # when it entered that state
    made_ns: int | None
    site: Site | None
    chain: tuple[Frame, ...]  # outermost first
    end: End | None  # of a parked task
    cancelled: int = 0  # how often it was asked to end by cancel(), not taken back; it has not ended
    until_ns: int | None = None  # when a time-out ends its wait, by the loop's clock

    def as_json(self, shared: dict[int, Any] | None = None) -> dict[str, Any]:
        """As a dictionary of plain values. With *shared*, tasks that have a chain, an end or a site in common share its values."""
        shared = {} if shared is None else shared
        site, end = self.site, self.end
        chain = shared.get(id(self.chain))
        if chain is None:
            chain = shared[id(self.chain)] = [frame.as_json() for frame in self.chain]
        told_site = told_end = None
        if site is not None and (told_site := shared.get(id(site))) is None:
            told_site = shared[id(site)] = site.as_json()
        if end is not None and (told_end := shared.get(id(end))) is None:
            told_end = shared[id(end)] = end.as_json()
        return {
            "id": self.id, "name": self.name, "state": self.state, "since_ns": self.since_ns, "made_ns": self.made_ns,
            "site": told_site, "chain": chain, "end": told_end, "cancelled": self.cancelled, "until_ns": self.until_ns,
        }  # fmt: skip


@dataclass(slots=True)
class Fd:
    """A side of a descriptor that the loop watches."""

    fd: int
    direction: str  # read | write
    peer: str | None
    local: str | None

    def as_json(self) -> dict[str, Any]:
        """As a dictionary of plain values."""
        return {"fd": self.fd, "direction": self.direction, "peer": self.peer, "local": self.local}


@dataclass(slots=True)
class Doing:
    """What the loop's thread does."""

    kind: str  # task | callback | poll | idle (the loop does not run)
    task: int | None
    label: str
    since_ns: int | None
    stack: tuple[Frame, ...]  # outermost first, without the loop's own frames

    def as_json(self) -> dict[str, Any]:
        """As a dictionary of plain values."""
        stack = [frame.as_json() for frame in self.stack]
        return {"kind": self.kind, "task": self.task, "label": self.label, "since_ns": self.since_ns, "stack": stack}


@dataclass(slots=True)
class LoopView:
    """A loop at one moment."""

    id: int
    name: str
    thread: str | None  # the name of the thread that runs it
    doing: Doing
    ready: int | None  # None of a loop that does not show it (uvloop): nor are its timers and descriptors known
    timers: int | None
    fds: list[Fd]
    tasks: list[TaskView]
    cycles: list[list[int]]  # tasks that wait for each other in a circle
    lost: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """As a dictionary of plain values."""
        shared: dict[int, Any] = {}
        return {
            "id": self.id, "name": self.name, "thread": self.thread, "doing": self.doing.as_json(),
            "ready": self.ready, "timers": self.timers, "fds": [fd.as_json() for fd in self.fds],
            "tasks": [task.as_json(shared) for task in self.tasks], "cycles": self.cycles, "lost": self.lost,
        }  # fmt: skip


@dataclass(slots=True)
class Snapshot:
    """Loops of this process at one moment. ``str()`` is `text`."""

    taken_ns: int
    process: dict[str, Any]
    loops: list[LoopView] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As plain values, ready for `json.dumps`: format 1."""
        with _no_collection:
            loops = [loop.as_json() for loop in self.loops]
        return {"format": FORMAT, "taken_ns": self.taken_ns, "process": self.process, "loops": loops}

    def text(self, most: int = 200) -> str:
        """As a tree for people: who waits for whom, at most *most* tasks of each loop in full."""
        from yieldloop.watch import tree

        return tree.of_snapshot(self, most)

    def __str__(self) -> str:
        return self.text()


def take(loop: Any = None, thread: int | None = None) -> Snapshot:
    """A snapshot of *loop*, or of every open loop of ours in this process. From any thread; raises nothing for what it finds.

    A loop of the standard library can be given too: what it does not show is None. *thread* is the identity of the thread that runs
    *loop*, for a loop that does not tell.
    """
    loops = [loop] if loop is not None else [each for each in _again(lambda: list(registry._loops)) if not each.is_closed()]
    shot = Snapshot(time.monotonic_ns(), process_facts())
    with _no_collection:
        for each in loops:
            shot.loops.append(_Look(each, thread).view())
    return shot


class _Without:
    """Keeps the garbage collector from looking through a program of 100,000 tasks because we note something about each: while it
    looks, no thread runs, the loop's neither.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._stopped = False

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._stopped = gc.isenabled()
                gc.disable()

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users and self._stopped:
                gc.enable()


_no_collection = _Without()


def process_facts() -> dict[str, Any]:
    """Which process this is."""
    return {
        "pid": os.getpid(),
        "argv": list(getattr(sys, "argv", [])),
        "python": platform.python_version(),
        "yieldloop": yieldloop.__version__,
        "speed": "compiled" if yieldloop.compiled() else "interpreted",
    }


def _again(read: Any) -> Any:
    """What *read* returns, though other threads change what it reads; [] if they do so without end."""
    for _ in range(TRIES):
        try:
            return read()
        except RuntimeError:  # changed size during iteration
            continue
    return []


# --- numbers -----------------------------------------------------------------------------------------------------------

_numbering = threading.Lock()
_foreign: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()  # stock tasks: their numbers
_serial = itertools.count(1)


def number_of(task: Any) -> int:
    """The number by which *task* is called: its own, or for a task of the standard library a negative one."""
    own = getattr(task, "_number", None) if issubclass(type(task), Task) else None
    if own is not None:
        return int(own)
    with _numbering:
        number = _foreign.get(task)
        if number is None:
            number = _foreign[task] = -next(_serial)
        return number


_number = operator.attrgetter("_number")


# --- looking -----------------------------------------------------------------------------------------------------------


def tasks_of(loop: Any) -> list[Any]:
    """The tasks of *loop* that are not done: ours, and those of the standard library that run on it."""
    own = getattr(loop, "_tasks", None)
    if type(own) is not set:
        return [task for task in _again(lambda: asyncio.all_tasks(loop)) if not task.done()]
    found = _again(lambda: list(own))
    found.sort(key=_number)  # as they were made, so that what belongs to them is met in the order in which it lies in memory
    if sys.version_info >= (3, 14):
        return found + [task for task in _again(lambda: asyncio.all_tasks(loop)) if not issubclass(type(task), Task)]
    for task in _stock_tasks():
        if not issubclass(type(task), Task) and task._loop is loop and not task.done():
            found.append(task)
    return found  # type: ignore[no-any-return]


def _stock_tasks() -> Iterable[Any]:
    stock: Any = _stock
    register = stock._scheduled_tasks if hasattr(stock, "_scheduled_tasks") else stock._all_tasks
    found = {id(task): task for ref in _again(lambda: list(set.copy(register.data))) if (task := ref()) is not None}
    for task in _again(lambda: list(getattr(stock, "_eager_tasks", ()))):
        found[id(task)] = task
    return list(found.values())


class _Look:
    """One loop being looked at."""

    def __init__(self, loop: Any, thread: int | None = None) -> None:
        self._loop = loop
        self._thread_id = getattr(loop, "_thread_id", None) or thread
        self._entry, self._began, self._current = self._what_runs()
        self._ends = Ends(loop, number_of)
        self._holders = Holders()
        self._sites: dict[int, Site] = {}
        self._ends_seen: list[End] = []  # each end that is a thing, once
        self._things: dict[int, End] = {}  # by id of a thing: the first end that is it
        self._lines: dict[int, list[int]] = {}  # by id of a thing for which several wait: who

    def _what_runs(self) -> tuple[Any, int | None, Any]:
        """(task or handle that runs, since when, current task)."""
        entry = began = None
        if hasattr(self._loop, "_doing"):
            entry, began, _ = self._loop._doing()
        current = entry if entry is not None and is_task_type(type(entry)) else None
        if sys.version_info < (3, 14):
            current = _stock._current_tasks.get(self._loop, current)  # type: ignore[attr-defined]
        elif current is None:
            try:
                current = asyncio.current_task(self._loop)
            except RuntimeError:
                pass
        if current is not None and current.done():
            current = None
        return entry, began, current

    def view(self) -> LoopView:
        tasks = tasks_of(self._loop)
        views = []
        for task in tasks:
            try:
                seen = self._task(task)
            except Exception as exc:  # it changed while it was read: the snapshot goes on
                end = End("unknown", f"{type(exc).__name__}: {exc}")
                seen = TaskView(number_of(task), "?", "parked", None, None, None, (), end)
            if seen is not None:
                views.append(seen)
        task = None  # from here on nothing but the list refers to the last one (`lost` counts)
        self._tell_holders()
        self._tell_who_knows(tasks)
        views.sort(key=operator.attrgetter("id"))
        found = LoopView(
            loop_number(self._loop),
            f"{type(self._loop).__name__}-{loop_number(self._loop)}",
            next((thread.name for thread in threading.enumerate() if thread.ident == self._thread_id), None),
            self._doing(),
            len(self._loop._ready) if hasattr(self._loop, "_ready") else None,
            self._count_timers(),
            self._fds(),
            views,
            self._cycles(views),
            lost.report(self._loop, tasks, views),
        )
        for end in self._ends_seen:
            end.thing = None  # the snapshot keeps nothing of the program alive
        return found

    def _cycles(self, views: list[TaskView]) -> list[list[int]]:
        """Among those alone who need somebody and are needed: there may be a hundred thousand who wait for one."""
        waiting = [view for view in views if view.end is not None and (view.end.tasks or view.end.holders)]
        ends: Any = {id(view.end): view.end for view in waiting}
        needed = {number for end in ends.values() for number in end.needs}
        return cycles_of({view.id: view.end.needs for view in waiting if view.id in needed and view.end is not None})

    def _task(self, task: Any) -> TaskView | None:
        if task.done():
            return None
        ours = type(task) is Task
        number = task._number if ours else number_of(task)
        coro = task.get_coro()
        future = getattr(task, "_fut_waiter", None)
        end = until = None
        if task is self._current:
            state = "running"
            chain = stack_of(self._innermost(), getattr(coro, "cr_frame", None))
        else:
            place, passed, last = walk(coro)
            chain = place.chain
            if future is None:
                state = "new" if is_new(coro) else "ready"
            elif future.done():
                state = "ready"
            else:
                state = "parked"
                end = self._ends.of(future, place, passed, last)
                thing = end.thing
                if thing is not None:
                    line = self._lines.get(id(thing))
                    if line is not None:
                        line.append(number)
                    else:
                        first = self._things.setdefault(id(thing), end)
                        if first.waiting:
                            self._lines[id(thing)] = [*first.waiters, number]
                    if not end.waiting:
                        end.waiting, end.waiters = 1, (number,)
                        self._ends_seen.append(end)
                until = self._ends.limit_of(place, passed)
            if place.withs:
                other = self._holders.look(number, place, passed, None if end is None else end.thing)
                if end is not None and other is not None and (until is None or other < until):
                    until = other
        if ours:
            made = task._made_ns
            since = task._since()  # by a coarser clock
            since = made if since < made else since
            return TaskView(number, task.get_name(), state, since, made, self._site_of(task), chain, end, task.cancelling(), until)
        since = task._since() if hasattr(task, "_since") else None
        made = getattr(task, "_made_ns", None)
        cancelled = task.cancelling() if hasattr(task, "cancelling") else 0
        return TaskView(number, task.get_name(), state, since, made, self._site_of(task), chain, end, cancelled, until)

    def _site_of(self, task: Any) -> Site | None:
        if issubclass(type(task), Task):
            key = id(task._site_code) + task._site_lasti  # an address inside of it, as in `chains.walk`
            site = self._sites.get(key)
            if site is None and (noted := task._site()) is not None:
                code, line = noted
                site = self._sites[key] = Site(code.co_filename, line, code.co_name)
            return site
        trace = getattr(task, "_source_traceback", None)
        if trace:
            return Site(trace[-1].filename, trace[-1].lineno or 0, trace[-1].name)
        made = getattr(task, "created_at", None)
        return None if made is None else Site(made.filename, made.lineno, made.name)

    def _tell_holders(self) -> None:
        """Now that all tasks are known: who holds what they wait for, and who else waits."""
        for line in self._lines.values():
            line.sort()
        for end in self._ends_seen:
            crowd = self._lines.get(id(end.thing))
            if crowd is not None:
                end.waiting, end.waiters = len(crowd), tuple(crowd[:MOST_NAMED])
            if end.kind in HELD:
                end.holders = self._holders.of(end.thing)
            elif end.threads:
                end.holders = self._who_waits_for(end.threads)

    def _line(self, thing: int) -> Sequence[int]:
        """Who waits for the thing with this id."""
        return self._lines.get(thing) or (self._things[thing].waiters if thing in self._things else ())

    def _who_waits_for(self, threads: tuple[Work, ...]) -> tuple[int, ...]:
        """The tasks that wait for what *threads* work on; each of those is told its task."""
        for work in threads:
            work.task = min(self._line(work.future), default=None)
        return tuple(sorted({work.task for work in threads if work.task is not None}))

    def _tell_who_knows(self, tasks: list[Any]) -> None:
        """Whoever has a future in a variable may be the one that will set it; and whoever knows a lock that nobody is known to
        hold, and calls ``acquire``, may hold it. Said of few things and tasks only.
        """
        if len(tasks) > FEW_TASKS:
            return
        wanted = {id(end.thing): end for end in self._ends_seen if end.kind == "future"}
        locks = {id(end.thing): end for end in self._ends_seen if end.kind in ("lock", "semaphore") and not end.holders}
        wanted |= locks
        if not 0 < len(wanted) <= FEW_FUTURES:
            return
        wait = {id(end.thing): set(self._line(id(end.thing))) for end in wanted.values()}
        for task in tasks:
            number = number_of(task)
            for generator in walk(task.get_coro())[1] if task is not self._current else ():
                known = known_by(generator)
                if locks and acquires(generator):
                    known += attributes_of(known)
                else:
                    known = [part for part in known if id(part) not in locks]
                for part in known:
                    end = wanted.get(id(part))
                    if end is not None and number not in end.known_to and number not in wait[id(part)]:
                        end.known_to += (number,)

    def _innermost(self) -> types.FrameType | None:
        return None if self._thread_id is None else sys._current_frames().get(self._thread_id)

    def _doing(self) -> Doing:
        if self._thread_id is None:
            return Doing("idle", None, "the loop does not run", None, ())
        stack = _without_loop(stack_of(self._innermost()))
        if self._current is not None:
            label = self._current.get_name()
            return Doing("task", number_of(self._current), label, self._began, stack)
        if self._entry is None:
            foreign = not hasattr(self._loop, "_doing")
            if foreign and not hasattr(self._loop, "_ready"):
                return Doing("poll", None, "waits in the poll, or runs a callback: that cannot be seen", None, stack)
            if foreign and stack and stack[-1].file != selectors.__file__:
                return Doing("callback", None, f"{stack[0].name}()", None, stack)
            return Doing("poll", None, "waits in the poll", self._began, stack)
        callback = getattr(self._entry, "_callback", None)
        label = function_name(callback) if callback is not None else place_of(self._entry)
        return Doing("callback", None, label, self._began, stack)

    def _count_timers(self) -> int | None:
        heap = getattr(self._loop, "_heap", None)
        if heap is None:
            return len(self._loop._scheduled) if hasattr(self._loop, "_scheduled") else None
        return len(heap) - getattr(heap, "_dead", 0)

    def _fds(self) -> list[Fd]:
        found = []
        table = getattr(self._loop, "_transports", {})
        for fd, direction, _ in armed_sides(self._loop):
            try:
                _, peer, local = of_transport(table.get(fd))
            except Exception:  # it is being closed
                peer = local = None
            found.append(Fd(fd, direction, peer, local))
        return found


_BASE = os.path.dirname(os.path.abspath(yieldloop.__file__))
_STOCK = os.path.dirname(os.path.abspath(asyncio.__file__))
_LOOPS = (os.path.join(_BASE, "loop", ""), os.path.join(_BASE, "engine", ""), os.path.join(_BASE, "aio", "runners.py"))


def _without_loop(stack: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """*stack* from the first frame that the loop called."""
    last = -1
    for i, frame in enumerate(stack):
        file = frame.file or ""
        if file.startswith(_LOOPS) or file in (os.path.join(_STOCK, "events.py"), os.path.join(_STOCK, "base_events.py")):
            last = i
        elif last >= 0:
            break
    return stack[last + 1 :]
