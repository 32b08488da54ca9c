"""Lock, Event, Condition, Semaphore, BoundedSemaphore, Barrier.

What lives here: the primitives by which tasks of one loop wait for each other. What may not: threads (none of this is
thread-safe), timeouts (`timeouts.timeout()` works around any of it).

Rule 1: who waits is a future in ``_waiters``, oldest first, and its own task takes it out again, however the wait ended.
Rule 2: a wake-up is a debt. Whoever was woken and then does not take what it was woken for (because it was cancelled) must
        wake the next one. Every lost wake-up in asyncio's history (cpython issues 90155, 111693, 112202) broke this rule.
Rule 3: nobody overtakes. A newcomer that finds others waiting queues up, even if what it wants is free at this moment.
"""

from __future__ import annotations

import collections
import enum
import sys
import types
from asyncio import tasks as _stock
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Literal, TypeVar

from yieldloop.aio._bound import LoopBound, _get_running_loop
from yieldloop.errors import BrokenBarrierError, CancelledError, InvalidStateError

__all__ = ("Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "Semaphore")

_T = TypeVar("_T")


class _Running(dict[Any, Any]):
    """The running task by its loop, where Python has no such dictionary (from 3.14 on)."""

    def __missing__(self, loop: Any) -> Any:
        return None if loop is None else _stock.current_task(loop)


_running: dict[Any, Any] = getattr(_stock, "_current_tasks", None) if sys.version_info < (3, 14) else _Running()  # type: ignore[assignment]


def _with_state(obj: object, plain: str, state: str, waiters: Any) -> str:
    """``<module.Class object at 0x… [state, waiters:n]>``: the form that the standard library gave these reprs."""
    if waiters:
        state = f"{state}, waiters:{len(waiters)}"
    return f"<{plain[1:-1]} [{state}]>"


class _AsyncWith:
    """``async with x:`` for everything that has acquire() and release()."""

    async def __aenter__(self) -> None:
        await self.acquire()  # type: ignore[attr-defined]

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.release()  # type: ignore[attr-defined]


@types.coroutine
def _no_steps() -> Generator[None, None, None]:
    """Awaiting what this returns gives None at once."""
    yield from ()


# Ended already, so that it can be awaited any number of times, and nothing is made for it: a generator, other than a coroutine,
# answers as often as it is asked that it is over.
_NOTHING = _no_steps()
next(_NOTHING, None)


class Lock(_AsyncWith, LoopBound):
    """Mutual exclusion between tasks: locked or unlocked, owned by no task in particular, granted in FIFO order.

    ``async with lock:`` holds it for a block. The lock is not reentrant.
    """

    _waiters: collections.deque[Any] | None  # None until somebody had to wait
    _locked: bool  # a woken waiter has not set it yet: then it is False while the queue is not empty
    _holder: int  # the number of the task that called acquire(), 0 if unknown: for `watch`, which sees an `async with` by itself

    def __init__(self) -> None:
        self._waiters = None
        self._locked = False
        self._holder = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # `async with` below neither calls acquire() nor release(). A subclass with its own ones wants to be asked.
        super().__init_subclass__(**kwargs)
        if cls.acquire is not Lock.acquire and cls.__aenter__ is Lock.__aenter__:
            cls.__aenter__ = _AsyncWith.__aenter__  # type: ignore[method-assign]
        if cls.release is not Lock.release and cls.__aexit__ is Lock.__aexit__:
            cls.__aexit__ = _AsyncWith.__aexit__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return _with_state(self, super().__repr__(), "locked" if self._locked else "unlocked", self._waiters)

    # Plain functions that return something to await: with a free lock there is nothing to wait for, so no coroutine is made.

    def __aenter__(self) -> Any:
        if self._locked or self._waiters:
            return self._wait()
        self._locked = True
        return _NOTHING

    def __aexit__(self, exc_type: Any, exc: Any, tb: Any) -> Any:
        if not self._locked:
            self.release()  # says what is wrong
        self._locked = False
        waiters = self._waiters
        if waiters:
            try:
                waiters[0].set_result(True)
            except InvalidStateError:  # it is on its way already; rarer than a call to done() would be dear
                pass
        return _NOTHING

    def locked(self) -> bool:
        """True if the lock is held."""
        return self._locked

    async def acquire(self) -> Literal[True]:
        """Take the lock, waiting for one's turn. Returns True. A cancellation point only if it has to wait."""
        if self._locked or self._waiters:
            await self._wait()
        else:
            self._locked = True
        try:
            self._holder = _running[_get_running_loop()]._number  # a number: a lock must not keep a task alive
        except (AttributeError, KeyError):  # a task of the standard library; none at all
            self._holder = 0
        return True

    async def _wait(self) -> None:
        """Stand in the queue until it is our turn, and take the lock."""
        waiters = self._waiters
        if waiters is None:
            waiters = self._waiters = collections.deque()
        elif not self._locked and waiters[0].cancelled() and all(w.cancelled() for w in waiters):
            self._locked = True  # all are on their way out
            return
        loop = _get_running_loop()
        turn = (loop if loop is self._loop else self._get_loop()).create_future()
        waiters.append(turn)
        try:
            await turn
        except BaseException as exc:
            self._step_out(turn, exc)
            raise
        waiters.remove(turn)  # we are the first: O(1)
        self._locked = True

    def _step_out(self, turn: Any, exc: BaseException) -> None:
        """The wait of *turn* ended in an error. Perhaps it was our turn already: pass it on."""
        self._waiters.remove(turn)  # type: ignore[union-attr]
        if not self._locked and isinstance(exc, CancelledError):
            self._wake_up_first()

    def release(self) -> None:
        """Give the lock back and wake the first waiter. RuntimeError if it is not held."""
        if not self._locked:
            raise RuntimeError("Lock is not acquired.")
        self._locked = False
        self._holder = 0
        if self._waiters:
            first = self._waiters[0]
            if not first.done():  # else it is on its way already
                first.set_result(True)

    def _wake_up_first(self) -> None:
        if self._waiters:
            first = self._waiters[0]
            if not first.done():  # else it is on its way already
                first.set_result(True)


class Event(LoopBound):
    """A flag that tasks can wait for. False at first; `set` wakes all who wait, `clear` makes later ones wait again."""

    _value: bool
    _waiters: collections.deque[Any]

    def __init__(self) -> None:
        self._waiters = collections.deque()
        self._value = False

    def __repr__(self) -> str:
        return _with_state(self, super().__repr__(), "set" if self._value else "unset", self._waiters)

    def is_set(self) -> bool:
        """True if the flag is up."""
        return self._value

    def set(self) -> None:
        """Raise the flag and wake everybody who waits for it."""
        if not self._value:
            self._value = True
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(True)

    def clear(self) -> None:
        """Take the flag down."""
        self._value = False

    async def wait(self) -> Literal[True]:
        """Wait until the flag is up; at once if it is. Returns True. A cancellation point only if it has to wait."""
        if self._value:
            return True
        waiter = self._get_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)
        return True


class Condition(_AsyncWith, LoopBound):
    """A lock, and a place to wait for news about what it guards.

    Hold the lock to look, to change and to `notify`; `wait` gives it back while it waits. *lock* may be shared between several
    conditions; by default each has its own.
    """

    _waiters: collections.deque[Any]

    def __init__(self, lock: Lock | None = None) -> None:
        if lock is None:
            lock = Lock()
        self._lock = lock
        self.locked = lock.locked
        self.acquire = lock.acquire
        self.release = lock.release
        self._waiters = collections.deque()

    def __repr__(self) -> str:
        return _with_state(self, super().__repr__(), "locked" if self.locked() else "unlocked", self._waiters)

    async def wait(self) -> Literal[True]:
        """Give the lock back, wait for a notification, take the lock again. Returns True. A cancellation point.

        RuntimeError if the lock is not held. The lock is held again however the wait ends, cancellation included. It may
        return without a notification of its own, so look again at what you wait for (or use `wait_for`).
        """
        if not self.locked():
            raise RuntimeError("cannot wait on un-acquired lock")
        waiter = self._get_loop().create_future()
        self.release()
        try:
            try:
                self._waiters.append(waiter)
                try:
                    await waiter
                finally:
                    self._waiters.remove(waiter)
            finally:
                await self._take_back()
        except BaseException:
            # Rule 2. We may have been notified and then cancelled, here or while waiting for the lock, and cannot tell the
            # notifier any more. One notification too many is allowed by the contract; one too few is a hang.
            self._notify(1)
            raise
        return True

    async def _take_back(self) -> None:
        """Take the lock, whatever happens meanwhile; the latest cancellation is raised afterwards, as the object it was."""
        cancelled: CancelledError | None = None
        while True:
            try:
                await self.acquire()
                break
            except CancelledError as exc:
                cancelled = exc
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                cancelled = None  # the traceback holds this frame: no cycle, please

    async def wait_for(self, predicate: Callable[[], _T]) -> _T:
        """Wait until ``predicate()`` is true, asking after each notification; returns its value."""
        result = predicate()
        while not result:
            await self.wait()
            result = predicate()
        return result

    def notify(self, n: int = 1) -> None:
        """Wake up to *n* waiters. They run on when they get the lock, so release it. RuntimeError if it is not held."""
        if not self.locked():
            raise RuntimeError("cannot notify on un-acquired lock")
        self._notify(n)

    def _notify(self, n: int) -> None:
        if n <= 0:
            return
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(False)
                n -= 1
                if not n:
                    return

    def notify_all(self) -> None:
        """Wake all waiters. RuntimeError if the lock is not held."""
        self.notify(len(self._waiters))


class Semaphore(_AsyncWith, LoopBound):
    """A number of permits, granted in FIFO order. ValueError if *value* is negative.

    A waiter that is woken owns its permit from then on: `release` takes it out of the count on the waiter's behalf.
    """

    _value: int  # permits that nobody owns
    _waiters: collections.deque[Any] | None

    def __init__(self, value: int = 1) -> None:
        if value < 0:
            raise ValueError(f"Semaphore initial value must be >= 0, not {value!r}")
        self._waiters = None
        self._value = value

    def __repr__(self) -> str:
        state = "locked" if self.locked() else f"unlocked, value:{self._value}"
        return _with_state(self, super().__repr__(), state, self._waiters)

    def locked(self) -> bool:
        """True if `acquire` would have to wait: no permit is free, or others are first."""
        return self._value == 0 or any(not w.cancelled() for w in self._waiters or ())

    async def acquire(self) -> Literal[True]:
        """Take a permit, waiting for one's turn. Returns True. A cancellation point only if it has to wait."""
        waiters = self._waiters
        if not waiters:
            if self._value > 0:
                self._value -= 1
                return True
        elif not self.locked():
            self._value -= 1
            return True
        if waiters is None:
            waiters = self._waiters = collections.deque()
        turn = self._get_loop().create_future()
        waiters.append(turn)
        try:
            try:
                await turn
            finally:
                waiters.remove(turn)
        except CancelledError:
            if turn.done() and not turn.cancelled():
                self._value += 1  # the permit that was ours already
            raise
        finally:
            # Newcomers queued up behind us although permits were free (rule 3); and ours may just have become free.
            while self._value > 0 and self._wake_up_next():
                pass
        return True

    def release(self) -> None:
        """Give a permit back and wake the first waiter. May be called more often than `acquire`: that adds permits."""
        self._value += 1
        if self._waiters:
            self._wake_up_next()

    def _wake_up_next(self) -> bool:
        """Hand a free permit to the first waiter that has none; False if there is no such waiter."""
        for waiter in self._waiters or ():
            if not waiter.done():
                self._value -= 1
                waiter.set_result(True)
                return True
        return False


class BoundedSemaphore(Semaphore):
    """A semaphore that notices when it is released more often than it was acquired: `release` raises ValueError then."""

    def __init__(self, value: int = 1) -> None:
        self._bound_value = value
        super().__init__(value)

    def release(self) -> None:
        """Give a permit back. ValueError if that would make more permits than there were at first."""
        if self._value >= self._bound_value:
            raise ValueError("BoundedSemaphore released too many times")
        super().release()


class _BarrierState(enum.Enum):
    FILLING = "filling"  # tasks arrive
    DRAINING = "draining"  # all have arrived; they leave, and the next round's tasks wait before the door
    RESETTING = "resetting"  # reset() while tasks were inside: they leave with an error
    BROKEN = "broken"  # abort(): nobody can wait here until reset()


class Barrier(LoopBound):
    """A meeting point for *parties* tasks: each waits until all have come, then all go on. ValueError if *parties* < 1."""

    def __init__(self, parties: int) -> None:
        if parties < 1:
            raise ValueError(f"parties must be >= 1, not {parties!r}")
        self._cond = Condition()  # notified at each change of state
        self._parties = parties
        self._state = _BarrierState.FILLING
        self._count = 0  # tasks inside

    def __repr__(self) -> str:
        state = self._state.value
        if not self.broken:
            state += f", waiters:{self.n_waiting}/{self.parties}"
        return _with_state(self, super().__repr__(), state, None)

    async def __aenter__(self) -> int:
        return await self.wait()

    async def __aexit__(self, *args: object) -> None:
        pass

    async def wait(self) -> int:
        """Wait until all parties are here. Returns a number from 0 to parties-1, another one for each task.

        BrokenBarrierError if the barrier is or becomes broken, or is reset meanwhile. A cancellation point.
        """
        async with self._cond:
            await self._enter()
            try:
                index = self._count
                self._count += 1
                if index + 1 == self._parties:
                    self._state = _BarrierState.DRAINING
                    self._cond.notify_all()
                else:
                    await self._stay()
                return index
            finally:
                self._count -= 1
                self._exit()

    async def _enter(self) -> None:
        """Wait until those of the round before have left."""
        busy = (_BarrierState.DRAINING, _BarrierState.RESETTING)
        await self._cond.wait_for(lambda: self._state not in busy)
        if self._state is _BarrierState.BROKEN:
            raise BrokenBarrierError("Barrier aborted")

    async def _stay(self) -> None:
        """Wait for the others of this round."""
        await self._cond.wait_for(lambda: self._state is not _BarrierState.FILLING)
        if self._state in (_BarrierState.BROKEN, _BarrierState.RESETTING):
            raise BrokenBarrierError("Abort or reset of barrier")

    def _exit(self) -> None:
        """The last one out opens the door for the next round."""
        if self._count == 0:
            if self._state in (_BarrierState.RESETTING, _BarrierState.DRAINING):
                self._state = _BarrierState.FILLING
            self._cond.notify_all()

    async def reset(self) -> None:
        """Start anew: the tasks inside get BrokenBarrierError, and a broken barrier is whole again."""
        async with self._cond:
            if self._count > 0:
                self._state = _BarrierState.RESETTING
            else:
                self._state = _BarrierState.FILLING
            self._cond.notify_all()

    async def abort(self) -> None:
        """Break the barrier: the tasks inside, and all that come, get BrokenBarrierError, until `reset`."""
        async with self._cond:
            self._state = _BarrierState.BROKEN
            self._cond.notify_all()

    @property
    def parties(self) -> int:
        """How many tasks it takes."""
        return self._parties

    @property
    def n_waiting(self) -> int:
        """How many tasks wait inside."""
        return self._count if self._state is _BarrierState.FILLING else 0

    @property
    def broken(self) -> bool:
        """True after `abort` and until `reset`."""
        return self._state is _BarrierState.BROKEN
