"""Handles: a callback that waits for its turn, and one that waits for its time first.

What lives here: what `call_soon` and `call_at` return. What may not: the order in which they run (`_ring`, `_heap`), and what
happens when a callback raises beyond telling the loop (`core`).
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from asyncio import events as _events
from asyncio import format_helpers as _format
from typing import Any

from yieldloop.engine import _inline
from yieldloop.engine._contexts import Contexts
from yieldloop.engine._heap import NOWHERE, DueTimer
from yieldloop.engine._leaf import program_stack, skip_globals

skip_globals(globals())


_HIDES_ARGUMENTS = "debug" in inspect.signature(_format._format_callback_source).parameters  # Python 3.13 and later


def _describe_callback(callback: Any, args: Any, debug: Any) -> str:
    """A callback as the running Python's asyncio prints it: its arguments may be secrets, so later ones show them in debug only."""
    if _HIDES_ARGUMENTS:
        return _format._format_callback_source(callback, args, debug=bool(debug))  # type: ignore[call-arg]
    return _format._format_callback_source(callback, args)


class Handle(DueTimer):
    """A callback in the ready queue, or about to be. Made by the loop, never by a program."""

    __slots__ = (
        "__weakref__",
        "_args",
        "_callback",  # None once cancelled
        "_ctx",  # the context to call it in, or with a _lender the snapshot of it
        "_lender",  # the Contexts that lends a copy of _ctx to call it in; None if _ctx is its own
        "_loop",
        "_repr",  # what repr() said before the cancellation dropped the callback; in debug mode only
        "_source_traceback",  # where it was made; in debug mode only
    )

    def __init__(self, callback: Any, args: Any, loop: Any, context: Any = None) -> None:
        self._callback = callback
        self._args = args
        self._loop = loop
        self._ctx = _inline.copy_context() if context is None else context
        self._lender: Contexts | None = None
        self._cancelled = False
        self._repr: Any = None
        self._source_traceback: Any = None
        if loop.get_debug():
            self._source_traceback = program_stack()

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance(handle, asyncio.Handle) holds
        return asyncio.Handle

    def cancel(self) -> None:
        """Do not call the callback. Releases it at once; no effect on one that has begun."""
        if not self._cancelled:
            self._let_go()
            _inline.show(self)

    def _let_go(self) -> None:
        self._cancelled = True
        if self._source_traceback is not None:  # made in debug mode, in which it says more of itself
            self._repr = self._describe()
        self._callback = None
        self._args = None

    def cancelled(self) -> bool:
        """True if `cancel` was called."""
        return self._cancelled

    def get_context(self) -> Any:
        """The `contextvars.Context` that the callback is called in."""
        if self._lender is not None:  # from now on its own, since somebody else knows it
            lent = self._lender.lent_to(self)
            self._ctx = self._ctx.copy() if lent is None else lent
            self._lender = None
        return self._ctx

    @property
    def _context(self) -> Any:
        return self.get_context()

    def run(self) -> None:
        lender = self._lender
        if self._cancelled:
            pass
        elif lender is None:
            _inline.call_in_context(self._ctx, self._callback, self._args)
        else:
            lender.enter(self._ctx, self)
            _inline.call(self._callback, self._args)  # if it raises, its report is made in this context too
            if not lender.is_unchanged(self._ctx):
                self.get_context()
                lender.drop()
        del self  # a traceback that outlives the callback holds this frame: not what the callback held as well

    def _run(self) -> None:
        """Call the callback now; what it raises goes to the loop's exception handler."""
        try:
            _inline.call_in_context(self.get_context(), self._callback, self._args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report(exc)

    def _report(self, exc: BaseException) -> None:
        callback = _describe_callback(self._callback, self._args, self._loop.get_debug())
        context = {"message": f"Exception in callback {callback}", "exception": exc, "handle": self}
        if self._source_traceback:
            context["source_traceback"] = self._source_traceback
        self._loop.call_exception_handler(context)

    def _repr_info(self) -> list[str]:
        info = [type(self).__name__]
        if self._cancelled:
            info.append("cancelled")
        if self._callback is not None:
            info.append(_describe_callback(self._callback, self._args, self._loop.get_debug()))
        if self._source_traceback:
            frame = self._source_traceback[-1]
            info.append(f"created at {frame[0]}:{frame[1]}")
        return info

    def _describe(self) -> str:
        return f"<{' '.join(self._repr_info())}>"

    def __repr__(self) -> str:
        return self._repr if self._repr is not None else self._describe()


_ThreadsafeFace = getattr(_events, "_ThreadSafeHandle", asyncio.Handle)  # Python 3.14 has a class of that name
_registering = threading.Lock()  # held for a few instructions, by those who wait for a callback and by its end


class ThreadsafeHandle(Handle):
    """What `call_soon_threadsafe` returns. Asked or cancelled in another thread while its callback runs, it waits for the end.

    So whoever has cancelled knows: either the callback never begins, or it is over. No lock is made before somebody waits:
    the one who waits leaves a lock and looks at ``_running`` then, the end clears ``_running`` and looks for locks then.
    """

    __slots__ = (
        "_running",  # True from before the last look at _cancelled until the callback is over
        "_waiting",  # the locks of those who wait for that, or None
    )

    def __init__(self, callback: Any, args: Any, loop: Any, context: Any = None) -> None:
        Handle.__init__(self, callback, args, loop, context)
        self._running = False
        self._waiting: Any = None

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return _ThreadsafeFace

    def run(self) -> None:
        self._running = True
        callback = self._callback  # before the look at _cancelled: cancel() sets that first and lets go of these then
        args = self._args
        lender = self._lender
        try:
            if self._cancelled:
                pass
            elif lender is None:
                _inline.call_in_context(self._ctx, callback, args)
            else:
                lender.enter(self._ctx, self)
                _inline.call(callback, args)
                if not lender.is_unchanged(self._ctx):
                    self.get_context()
                    lender.drop()
        finally:
            self._running = False
            if self._waiting is not None:
                self._tell_waiting()
            del callback, args, self  # as in Handle.run

    def cancel(self) -> None:
        """As `Handle.cancel`; from another thread, returns when a callback that has begun is over."""
        self._wait_for_end()
        Handle.cancel(self)
        self._wait_for_end()  # it may have begun between the two

    def cancelled(self) -> bool:
        """True if `cancel` was called. From another thread, answers when a callback that has begun is over."""
        self._wait_for_end()
        return self._cancelled

    def _wait_for_end(self) -> None:
        if not self._running or self._loop._thread_id == threading.get_ident():
            return
        over = threading.Lock()
        over.acquire()
        with _registering:
            self._waiting = [over] if self._waiting is None else [*self._waiting, over]
        if self._running:
            over.acquire()  # released by the end

    def _tell_waiting(self) -> None:
        with _registering:
            waiting = self._waiting
            self._waiting = None
        for over in waiting:
            over.release()


class TimerHandle(Handle):
    """A callback that becomes ready at a time of the loop's clock. Ordered and compared by that time."""

    __slots__ = (
        "_due",  # the deadline in s by the loop's clock
        "_given",  # the deadline as it was given if that was no float, else None
    )

    def __init__(self, when: float, callback: Any, args: Any, loop: Any, context: Any = None) -> None:
        if when is None:
            raise TypeError("when must be a time in seconds by the loop's clock, not None")
        Handle.__init__(self, callback, args, loop, context)
        self._due = when
        self._given = None if type(when) is float else when
        self._number = NOWHERE

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return asyncio.TimerHandle

    def when(self) -> float:
        """The deadline in seconds by the loop's clock."""
        return self._when  # type: ignore[no-any-return]

    @property
    def _when(self) -> Any:
        return self._due if self._given is None else self._given

    def cancel(self) -> None:
        """Disarm. O(1); the callback and its arguments are released at once."""
        if not self._cancelled:
            self._let_go()
            if self._number >= 0:
                core = self._loop
                core._heap.disarm(self)

    def _repr_info(self) -> list[str]:
        info = Handle._repr_info(self)
        info.insert(2 if self._cancelled else 1, f"when={self._when}")
        return info

    def __hash__(self) -> int:
        return hash(self._when)

    def __lt__(self, other: Any) -> Any:
        return self._when < other._when if isinstance(other, TimerHandle) else NotImplemented

    def __le__(self, other: Any) -> Any:
        return self._when <= other._when if isinstance(other, TimerHandle) else NotImplemented

    def __gt__(self, other: Any) -> Any:
        return self._when > other._when if isinstance(other, TimerHandle) else NotImplemented

    def __ge__(self, other: Any) -> Any:
        return self._when >= other._when if isinstance(other, TimerHandle) else NotImplemented

    def __eq__(self, other: Any) -> Any:
        if isinstance(other, TimerHandle):
            return (
                self._when == other._when
                and self._callback == other._callback
                and self._args == other._args
                and self._cancelled == other._cancelled
            )
        return NotImplemented
