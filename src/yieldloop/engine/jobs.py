"""A job: a function that a thread calls, and the future of a loop that gets what comes of it.

What lives here: the way there and back. What may not: threads (``loop/pool.py``). A job is an entry of the ready queue itself: the
thread that has worked puts it there, so the way back needs no handle, no callback and no future of another kind in between.
"""

from __future__ import annotations

from concurrent.futures import CancelledError as ThreadCancelledError
from typing import Any

from yieldloop.engine import _inline
from yieldloop.engine._leaf import Entry, skip_globals
from yieldloop.errors import CancelledError

skip_globals(globals())


class Job(Entry):
    """``function(*args)``, to be called in a thread by `work`; `waiter` is the future of *loop* that gets the result."""

    __slots__ = (
        "__weakref__",
        "_args",
        "_dropped",  # cancelled by the pool
        "_error",
        "_loop",
        "_result",
        "began",  # the tick at which a thread began with it; 0 if none has
        "begun",  # by a thread, or never to be: cancelled
        "function",
        "waiter",
    )

    def __init__(self, loop: Any, function: Any, args: Any) -> None:
        self._loop = loop
        self.function = function
        self._args = args
        self._result: Any = None
        self._error: Any = None
        self.begun = False
        self.began = 0
        self.waiter = loop.create_future()
        self._dropped = False

    def work(self) -> None:
        """Call the function, in the thread where this is called, and hand what comes of it to the loop."""
        if not self.begun and not self.waiter.done():
            self.begun = True
            self.began = _inline.ticks()
            try:
                self._result = self.function(*self._args)
            except BaseException as exc:
                self._error = exc
            self._args = None
            self._go_back()

    def _go_back(self) -> None:
        loop = self._loop
        if not loop._closed:  # else nobody is left to be told
            loop._ready.push(self)
            if loop._asleep:
                loop._asleep = False
                loop._poller.wake()

    def run(self) -> None:
        """In the loop's thread: settle the future."""
        waiter = self.waiter
        error, self._error = self._error, None
        result, self._result = self._result, None
        if waiter.done():
            pass  # cancelled meanwhile
        elif self._dropped:
            waiter.cancel()
        elif error is None:
            waiter.set_result(result)
        elif type(error) is ThreadCancelledError:  # another class than a coroutine's
            waiter.set_exception(CancelledError(*error.args).with_traceback(error.__traceback__))
        else:
            waiter.set_exception(error)

    @property
    def running(self) -> bool:
        """True from when a thread has begun with it."""
        return self.begun and not self._dropped

    # What a pool's `shutdown(cancel_futures=True)` asks of the entries in its queue.

    @property
    def future(self) -> Any:
        return self

    def cancel(self) -> bool:
        """From any thread: True if no thread has begun with it, and none will. Its waiter is told by the loop."""
        if self.begun:
            return False
        self.begun = True
        self._dropped = True
        self._go_back()
        return True

    def __repr__(self) -> str:
        return f"<Job {self.function!r}>"
