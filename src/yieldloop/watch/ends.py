"""What a parked task waits for: the end of its await chain, by name.

What lives here: from the future that a task is parked on, and the place where its chain ends, to a lock, a queue, a timer, a file
descriptor, a thread, a child process or other tasks. What may not: the chain (`chains`), who holds what (`holders`).

A wait in the standard library or in ours is known by its code (`waits`). Any other future is known by its class, by who is to be
told when it is done, and by the timers and descriptors that hold it.
"""

from __future__ import annotations

import concurrent.futures
import gc
import socket
import types
from asyncio import tasks as _tasks
from asyncio import trsock
from collections.abc import Callable, Iterable
from typing import Any

from yieldloop.aio import threads, waiting
from yieldloop.engine.futures import Future
from yieldloop.engine.gathering import _GatheringFuture
from yieldloop.engine.sleeping import Sleep
from yieldloop.engine.tasks import Task
from yieldloop.transports.intake import Intake, Reading
from yieldloop.transports.sockcalls import SockCall
from yieldloop.watch.chains import Place, is_future_type
from yieldloop.watch.facts import (
    BOUND,
    End,
    armed_sides,
    callbacks_of,
    is_task_type,
    ns_of,
    of_socket,
    of_transport,
    parts_of_handle,
    place_of,
    timers_of,
)
from yieldloop.watch.jobs import Jobs, Work
from yieldloop.watch.waits import LIMITS, PARTS, ROLES, THROUGH, TIMERS, WIDER

_GATHERS: Any = (_GatheringFuture, _tasks._GatheringFuture)  # type: ignore[attr-defined]


# --- waits that are known by their code --------------------------------------------------------------------------------


class Ends:
    """Finds ends on one loop, for one snapshot. *number* gives a task's number."""

    def __init__(self, loop: Any, number: Callable[[Any], int]) -> None:
        self.loop = loop
        self._number = number
        self._shared: dict[Callable[[Any], str], dict[int, End]] = {}  # by the label's function and the id of a thing
        self._plain: dict[int, tuple[Any, End]] = {}  # by id of a future that several are to be told of: it, and what it is
        self._sources: dict[int, Any] | None = None  # by id of a future: the job, timer or descriptor that will settle it
        self._jobs: Jobs | None = None

    def of(self, future: Any, place: Place, passed: list[Any], last: Any) -> End:
        """What a task waits for that is parked on *future*, and whose coroutine's `walk` has found the other three.

        Tasks that wait for one thing share one End.
        """
        if last is not None:
            end = self._of_awaitable(last)
            if end is not None:
                return end
        else:
            wait = place.wait
            if wait is None:
                wait = place.wait = _wait_at(place)
            if wait:
                role, link = wait
                return role(self, passed[link])  # type: ignore[no-any-return]
        return self.of_future(future)

    def shared(self, kind: str, thing: Any, label: Callable[[Any], str] = place_of) -> End:
        """The one End of all that wait for *thing* in a way that *label* tells; a kind of thing has labels of its own."""
        known = self._shared.get(label)
        if known is None:
            known = self._shared[label] = {}
        end = known.get(id(thing))
        if end is None:
            end = known[id(thing)] = End(kind, label(thing), thing=thing)
        return end

    def limit_of(self, place: Place, passed: list[Any]) -> int | None:
        """When `wait_for` or `wait` ends the wait of the task whose `walk` has found this (ns), if one of them is in its chain."""
        limits = place.limits
        if limits is None:
            limits = place.limits = tuple((i, LIMITS[id(code)]) for i, code in enumerate(place.codes) if id(code) in LIMITS)
        until = None
        for link, limit in limits:
            when = limit(passed[link])
            if when is not None and (until is None or when < until):
                until = when
        return None if until is None else ns_of(until)

    def _of_awaitable(self, awaitable: Any) -> End | None:
        kind = type(awaitable)
        if issubclass(kind, Sleep):
            for part in gc.get_referents(awaitable):
                if issubclass(type(part), TIMERS):
                    return End("timer", "sleep", when_ns=ns_of(part.when()))
        elif issubclass(kind, SockCall):
            name = awaitable.__name__
            for part in gc.get_referents(awaitable):
                if isinstance(part, (socket.socket, trsock.TransportSocket)):
                    fd, peer, local = of_socket(part)
                    return End("fd", name, fd=fd, peer=peer, local=local, direction=_SOCK_DIRECTIONS.get(name, "read"))
        elif issubclass(kind, Reading):
            for part in gc.get_referents(awaitable):
                if isinstance(part, Intake):
                    return self.stream(part.transport, "read", f"StreamReader.{awaitable.__name__}")
        return None

    def stream(self, transport: Any, direction: str, label: str) -> End:
        fd, peer, local = of_transport(transport)
        if fd is None and peer is None:
            label += ", not connected to a transport" if transport is None else f" of {place_of(transport)}"
        return End("fd", label, fd=fd, peer=peer, local=local, direction=direction)

    def numbers(self, futures: Iterable[Any]) -> tuple[int, ...]:
        """The numbers of those of *futures* that are tasks and not done."""
        return tuple([self._number(f) for f in futures if is_task_type(type(f)) and not f.done()])

    # --- any other future ----------------------------------------------------------------------------------------------

    def of_future(self, future: Any) -> End:
        kind = type(future)
        if kind is Future:
            return self._of_plain(future)
        if not is_future_type(kind):
            return End("future", place_of(future), thing=future)
        if is_task_type(kind):
            return End("task", "task", tasks=(self._number(future),), thing=future)
        if issubclass(kind, _GATHERS):
            left = [child for child in list(future._children) if is_future_type(type(child)) and not child.done()]
            return End("gather", f"gather, {len(left)} left", tasks=self.numbers(left), thing=future)
        return self._of_plain(future)

    def _of_plain(self, future: Any) -> End:
        entries = future._entries() if type(future) is Future else ()
        if len(entries) == 1 and type(entries[0]) is Task:  # nothing but the task that waits is to be told
            return self._by_source(future) or End("future", place_of(future), thing=future)
        known = self._plain.get(id(future))
        if known is not None:
            return known[1]
        ends = (self._by_callback(callback, future) for callback in callbacks_of(future))
        end = next(filter(None, ends), None) or self._by_source(future) or self.shared("future", future)
        if len(entries) > 1:
            self._plain[id(future)] = (future, end)
        return end

    def _by_source(self, future: Any) -> End | None:
        """The job, timer or descriptor that will settle *future*."""
        sources = self._sources
        if sources is None:
            sources = self._sources = self._find_sources()
        found = sources.get(id(future))
        if found is None:
            return None
        if type(found) is Work:
            return self._of_job(future)
        return End(found.kind, found.label, when_ns=found.when_ns, fd=found.fd, direction=found.direction, thing=future)

    def _by_callback(self, callback: Any, future: Any) -> End | None:
        """Some futures know those that settle them: to pass a cancellation on."""
        owner = getattr(callback, "__self__", None) if isinstance(callback, BOUND) else None
        if isinstance(owner, threads._Link):
            return self._of_source(owner.source)
        if isinstance(owner, waiting._Shield):
            return self._of_inner(owner.inner)
        if type(callback) is types.FunctionType and callback.__module__ in _LINKING:
            cells = dict(zip(callback.__code__.co_freevars, callback.__closure__ or (), strict=False))
            cell = cells.get(_LINKING[callback.__module__].get(callback.__name__, ""))
            if cell is not None:
                return self._of_source(cell.cell_contents)
        return None

    def _of_source(self, source: Any) -> End | None:
        if isinstance(source, concurrent.futures.Future):
            return self._of_job(source)
        return self._of_inner(source)

    def _of_inner(self, inner: Any) -> End:
        if is_task_type(type(inner)):
            return End("task", "shielded task", tasks=(self._number(inner),), thing=inner)
        return self.of_future(inner)

    def _of_job(self, job: Any) -> End:
        jobs = self.known_jobs()
        work = jobs.of(job)
        if work is None:
            return End("thread", "a job, is on its way back", thing=job)
        if work.thread is not None:
            return End("thread", f"{work.function}, runs in {work.thread}", function=work.function, thread=work.thread, thing=job)
        busy = jobs.busy(work.line)
        label = f"{work.function}, waits for a thread: {len(busy)} of {jobs.crew(work.line)} are busy"
        return End("thread", label, threads=tuple(busy), function=work.function, thing=job)

    def known_jobs(self) -> Jobs:
        """What pools do, looked at once."""
        if self._jobs is None:
            self._jobs = Jobs(self.loop)
        return self._jobs

    def _find_sources(self) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for fd, direction, handle in armed_sides(self.loop):
            for part in parts_of_handle(handle):
                if is_future_type(type(part)):
                    found[id(part)] = End("fd", f"fd {fd}", fd=fd, direction=direction)
        for timer in timers_of(self.loop):
            for part in parts_of_handle(timer):
                if is_future_type(type(part)):
                    found[id(part)] = End("timer", "a timer", when_ns=ns_of(timer.when()))
        return found | self.known_jobs().by_future  # those of the loop's own pool have no future but the one that is waited for


# By module and name: done-callbacks that pass a cancellation on, and the variable that says to whom.
_LINKING = {
    "asyncio.futures": {"_call_check_cancel": "source"},
    "asyncio.tasks": {"_outer_done_callback": "inner"},
    "yieldloop.loop.base": {"future_done": "job"},
}
_SOCK_DIRECTIONS = {
    "sock_sendall": "write",
    "sock_sendto": "write",
    "sock_accept": "accept",
    "sock_connect": "connect",
}


def _wait_at(place: Place) -> tuple[Any, ...]:
    """The role of the wait at *place*, and for which of the links with code it is asked; () if it is not known by its code.

    A queue's join() waits for an event of its own, a barrier for a condition: what the program sees is the wider one.
    """
    codes = place.codes
    role = ROLES.get(id(place.code))
    if role is None:
        return ()
    if id(place.code) in PARTS:
        at = len(codes) - 2
        while at >= 0 and id(codes[at]) in THROUGH:
            at -= 1
        if at >= 0 and id(codes[at]) in WIDER:
            return WIDER[id(codes[at])], at
    return role, len(codes) - 1
