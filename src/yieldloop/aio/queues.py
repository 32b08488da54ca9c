"""Queue, PriorityQueue, LifoQueue.

What lives here: handing items from task to task, with room for `maxsize` of them. What may not: threads.

A getter that finds the queue empty, and a putter that finds it full, leaves a future in ``_getters`` or ``_putters`` and is woken
to *look again*; nothing is handed over with the wake-up, so a cancelled task never carries an item away. The debt of rule 2 in
`locks` holds here as well: woken and cancelled means waking the next one.

For subclasses, ``_init``, ``_put`` and ``_get`` decide how items are kept, in ``_queue`` or elsewhere; ``qsize``, ``empty`` and
``full`` may be overridden together with them.
"""

from __future__ import annotations

import collections
import heapq
from asyncio import events as _events
from collections.abc import Callable
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from yieldloop.aio._bound import LoopBound
from yieldloop.aio.locks import Event
from yieldloop.errors import QueueEmpty, QueueFull, QueueShutDown

__all__ = ("LifoQueue", "PriorityQueue", "Queue", "QueueEmpty", "QueueFull", "QueueShutDown")

_T = TypeVar("_T")
_get_running_loop = _events._get_running_loop
_OVERRIDABLE = ("qsize", "empty", "full", "put_nowait", "get_nowait")  # what put() and get() spell out for speed

if TYPE_CHECKING:

    class _Base(LoopBound, Generic[_T]): ...

else:

    class _Base(LoopBound):
        def __class_getitem__(cls, item):
            return _Base if cls is _Base else GenericAlias(cls, item)


class Queue(_Base[_T]):
    """First in, first out. *maxsize* items fit, or any number if it is 0 or less; then `put` never waits."""

    _custom = False  # a subclass has its own of what is _OVERRIDABLE: then it is asked

    def __init__(self, maxsize: int = 0) -> None:
        self._maxsize = maxsize
        self._getters: collections.deque[Any] = collections.deque()
        self._putters: collections.deque[Any] = collections.deque()
        self._unfinished_tasks = 0  # items put and not yet reported by task_done()
        self._finished = Event()  # up while _unfinished_tasks is 0
        self._finished.set()
        self._init(maxsize)
        self._is_shutdown = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._custom = any(getattr(cls, name) is not getattr(Queue, name) for name in _OVERRIDABLE)

    # --- how items are kept: for subclasses -----------------------------------------------------------------------------

    def _init(self, maxsize: int) -> None:
        self._queue: Any = collections.deque()

    def _get(self) -> _T:
        return self._queue.popleft()  # type: ignore[no-any-return]

    def _put(self, item: _T) -> None:
        self._queue.append(item)

    # --- asking ---------------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} {self._format()}>"

    def __str__(self) -> str:
        return f"<{type(self).__name__} {self._format()}>"

    def _format(self) -> str:
        parts = [f"maxsize={self._maxsize!r}"]
        if getattr(self, "_queue", None):
            parts.append(f"_queue={list(self._queue)!r}")
        if self._getters:
            parts.append(f"_getters[{len(self._getters)}]")
        if self._putters:
            parts.append(f"_putters[{len(self._putters)}]")
        if self._unfinished_tasks:
            parts.append(f"tasks={self._unfinished_tasks}")
        if self._is_shutdown:
            parts.append("shutdown")
        return " ".join(parts)

    def qsize(self) -> int:
        """How many items are in the queue."""
        return len(self._queue)

    @property
    def maxsize(self) -> int:
        """How many items fit; no limit if it is 0 or less."""
        return self._maxsize

    def empty(self) -> bool:
        """True if there is no item."""
        return not self._queue

    def full(self) -> bool:
        """True if no further item fits."""
        return 0 < self._maxsize <= self.qsize()

    # --- putting --------------------------------------------------------------------------------------------------------

    async def put(self, item: _T) -> None:
        """Add *item*, waiting while the queue is full. QueueShutDown if it is shut down, also meanwhile.

        A cancellation point only if it has to wait.
        """
        if self._custom:
            while self.full():
                if self._is_shutdown:
                    raise QueueShutDown
                await self._wait_in(self._putters, self.full)
            return self.put_nowait(item)
        # The same, spelled out: each call saved here is a tenth of what an item costs.
        while 0 < self._maxsize <= len(self._queue):
            if self._is_shutdown:
                raise QueueShutDown
            loop = _get_running_loop()
            turn = (loop if loop is self._loop else self._get_loop()).create_future()
            self._putters.append(turn)
            try:
                await turn
            except BaseException:
                self._step_out(self._putters, turn, self.full)
                raise
        if self._is_shutdown:
            raise QueueShutDown
        self._put(item)
        if not self._unfinished_tasks:
            self._finished.clear()
        self._unfinished_tasks += 1
        if self._getters:
            self._wakeup_next(self._getters)

    def put_nowait(self, item: _T) -> None:
        """Add *item* now. QueueFull if it does not fit, QueueShutDown if the queue is shut down."""
        if self._is_shutdown:
            raise QueueShutDown
        if (self._maxsize > 0 or self._custom) and self.full():
            raise QueueFull
        self._put(item)
        if not self._unfinished_tasks:
            self._finished.clear()
        self._unfinished_tasks += 1
        if self._getters:
            self._wakeup_next(self._getters)

    # --- getting --------------------------------------------------------------------------------------------------------

    async def get(self) -> _T:
        """Remove and return an item, waiting while there is none. QueueShutDown if there will never be one.

        A cancellation point only if it has to wait; a cancelled get() has taken nothing.
        """
        if self._custom:
            while self.empty():
                if self._is_shutdown:
                    raise QueueShutDown
                await self._wait_in(self._getters, self.empty)
            return self.get_nowait()
        while not self._queue:
            if self._is_shutdown:
                raise QueueShutDown
            loop = _get_running_loop()
            turn = (loop if loop is self._loop else self._get_loop()).create_future()
            self._getters.append(turn)
            try:
                await turn
            except BaseException:
                self._step_out(self._getters, turn, self.empty)
                raise
        item = self._get()
        if self._putters:
            self._wakeup_next(self._putters)
        return item

    def get_nowait(self) -> _T:
        """Remove and return an item now. QueueEmpty if there is none, QueueShutDown if there will never be one."""
        if not self._queue if not self._custom else self.empty():
            if self._is_shutdown:
                raise QueueShutDown
            raise QueueEmpty
        item = self._get()
        if self._putters:
            self._wakeup_next(self._putters)
        return item

    # --- waiting --------------------------------------------------------------------------------------------------------

    async def _wait_in(self, line: collections.deque[Any], still: Callable[[], bool]) -> None:
        """Stand in *line* until woken."""
        turn = self._get_loop().create_future()
        line.append(turn)
        try:
            await turn
        except BaseException:
            self._step_out(line, turn, still)
            raise

    def _step_out(self, line: collections.deque[Any], turn: Any, still: Callable[[], bool]) -> None:
        """The wait of *turn* ended in an error. If it was woken before, and ``still()`` has become false, wake the next one."""
        turn.cancel()  # if it was not a cancellation that woke us
        try:
            line.remove(turn)
        except ValueError:
            pass  # whoever woke us took it out
        if not turn.cancelled() and not still():
            self._wakeup_next(line)

    def _wakeup_next(self, waiters: collections.deque[Any]) -> None:
        while waiters:
            waiter = waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    # --- finishing ------------------------------------------------------------------------------------------------------

    def task_done(self) -> None:
        """Say that an item got from the queue is dealt with. ValueError if it is said more often than items were put."""
        if self._unfinished_tasks <= 0:
            raise ValueError("task_done() called too many times")
        self._unfinished_tasks -= 1
        if not self._unfinished_tasks:
            self._finished.set()

    async def join(self) -> None:
        """Wait until `task_done` was called for every item that was put."""
        if self._unfinished_tasks > 0:
            await self._finished.wait()

    def shutdown(self, immediate: bool = False) -> None:
        """Take no more items. `put` raises QueueShutDown from now on, `get` when the queue is empty.

        With *immediate*, the items that are left are thrown away and count as done. Whoever waits in put() or get() is woken
        and gets QueueShutDown; if nothing is left to be done, join() returns.
        """
        self._is_shutdown = True
        if immediate:
            while not self.empty():
                self._get()
                if self._unfinished_tasks > 0:
                    self._unfinished_tasks -= 1
            if not self._unfinished_tasks:
                self._finished.set()
        for line in (self._getters, self._putters):
            while line:
                waiter = line.popleft()
                if not waiter.done():
                    waiter.set_result(None)


class PriorityQueue(Queue[_T]):
    """The smallest item first. Usually (number, data) pairs; items that compare equal come in no particular order."""

    def _init(self, maxsize: int) -> None:
        self._queue = []

    def _put(self, item: _T) -> None:
        heapq.heappush(self._queue, item)

    def _get(self) -> _T:
        return heapq.heappop(self._queue)  # type: ignore[no-any-return]


class LifoQueue(Queue[_T]):
    """Last in, first out."""

    def _init(self, maxsize: int) -> None:
        self._queue = []

    def _put(self, item: _T) -> None:
        self._queue.append(item)

    def _get(self) -> _T:
        return self._queue.pop()  # type: ignore[no-any-return]
