"""What the threads of pools do, and what waits for one of them: the loop's own jobs, and those of any `ThreadPoolExecutor`.

What lives here: looking at pools, their queues and their threads' stacks. What may not: which task waits for which job (`ends`,
`snapshot`). Nothing is noted for it while a program runs, but for when a thread of the loop's own pool began with a job.
"""

from __future__ import annotations

import concurrent.futures.thread as _pools
import gc
import queue as _queue
import sys
import threading
from dataclasses import dataclass
from typing import Any

from yieldloop.aio.leftovers import pools_of
from yieldloop.engine._marks import ticks_to_ns
from yieldloop.engine.jobs import Job
from yieldloop.loop.pool import function_of, item_of
from yieldloop.watch.facts import function_name


@dataclass(slots=True)
class Work:
    """A job of a pool: what is called, by which thread (None: it waits for one), and for whom."""

    function: str
    thread: str | None
    since_ns: int | None  # when the thread began with it; known of the loop's own pool
    task: int | None  # the number of a task that waits for the result
    future: int  # the id of the future that gets the result
    line: int  # the id of the queue that it came through: a pool's

    def as_json(self) -> dict[str, Any]:
        """As a dictionary of plain values."""
        return {"function": self.function, "thread": self.thread, "since_ns": self.since_ns, "task": self.task}


class Jobs:
    """The jobs of every pool at one moment; of the pools of *loop* also its own."""

    def __init__(self, loop: Any) -> None:
        self._crews: dict[int, set[int]] = {}  # by id of a queue: the threads that take from it
        self.by_future: dict[int, Work] = {}  # by id of the future that gets the result
        lines: dict[int, Any] = {}
        for thread, line in list(getattr(_pools, "_threads_queues", {}).items()):
            lines[id(line)] = line
            self._crews.setdefault(id(line), set()).add(thread.ident)
        for pool in pools_of(loop):
            line = getattr(pool, "_work_queue", None)
            if line is not None:
                lines[id(line)] = line
                self._crews.setdefault(id(line), set()).update(thread.ident for thread in list(pool._threads))
        for key, line in lines.items():
            for item in _items_of(line):
                self._add(item, None, None, key)
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        lines_of = {ident: key for key, idents in self._crews.items() for ident in idents}
        for ident, innermost in sys._current_frames().items():
            item = item_of(innermost)
            if item is not None:
                self._add(item, ident, names.get(ident, f"thread {ident}"), lines_of.get(ident, 0))
        self._busy: dict[int, list[Work]] = {}
        for work in self.by_future.values():
            if work.thread is not None:
                self._busy.setdefault(work.line, []).append(work)
        for crew in self._busy.values():
            crew.sort(key=lambda work: work.thread or "")

    def _add(self, item: Any, ident: int | None, thread: str | None, line: int) -> None:
        ours = isinstance(item, Job)
        if not ours and not isinstance(item, _pools._WorkItem):
            return
        future = id(item.waiter if ours else item.future)
        since = ticks_to_ns(item.began) if ours and item.began and ident is not None else None
        self.by_future[future] = Work(function_name(function_of(item)), thread, since, None, future, line)

    def of(self, future: Any) -> Work | None:
        """The job that settles *future*."""
        return self.by_future.get(id(future))

    def busy(self, line: int) -> list[Work]:
        """What the threads work on that take from queue *line*. The same list for all who ask."""
        return self._busy.setdefault(line, [])

    def crew(self, line: int) -> int:
        """How many threads take from queue *line*."""
        return len(self._crews.get(line, ()))

    def running(self) -> list[Work]:
        """What threads of pools work on."""
        return [work for work in self.by_future.values() if work.thread is not None]


def _items_of(line: Any) -> list[Any]:
    """What is in a pool's queue, without taking it out."""
    if isinstance(line, _queue.Queue):
        return list(line.queue)
    items: list[Any] = []
    if isinstance(line, _queue.SimpleQueue):
        for held in gc.get_referents(line):  # the items, or up to Python 3.12 a list of them
            items += held if isinstance(held, list) else [held]
    return items
