"""Future: a place for a result that is not there yet, and the list of who wants it.

What lives here: the states of a future and the way from "it is done" to "those who wait are ready to run". What may not: how a
waiter runs (`tasks`), and threads (`aio.threads` ties a future to one of `concurrent.futures`).

    PENDING ── set_result, set_exception ──▶ FINISHED
       └────── cancel ────────────────────▶ CANCELLED

Both ends are final. A future is settled once, and from then on everything that asks for it is answered at once.

Who is to be told is kept as entries of the ready queue, so that telling them is a push: the waiting task itself, or a handle with
the done-callback, made when it was added. The first one stands in ``_first`` (mostly it is the only one), the others in ``_later``
in their order. A handle is given its argument only when it is pushed: before that, future and handle would hold each other.
"""

from __future__ import annotations

import asyncio
import reprlib
import sys
import types
from asyncio import CancelledError, InvalidStateError
from asyncio import base_futures as _base_futures
from asyncio.events import AbstractEventLoop as _AbstractEventLoop
from typing import Any

from yieldloop.engine import _inline
from yieldloop.engine._leaf import Promise, new_iter, program_stack, skip_globals
from yieldloop.engine.core import Core
from yieldloop.engine.handles import Handle
from yieldloop.engine.running import current_loop

PENDING = "PENDING"
CANCELLED = "CANCELLED"
FINISHED = "FINISHED"
ONCE = sys.version_info >= (3, 15)  # from then on a second __init__() is an error; before, it was a fresh start

skip_globals(globals())


class Waiter(Promise):
    """Something that a future can wake without a callback: a task, or one who counts (`engine.gathering`)."""

    __slots__ = (
        "_core",  # the loop's state if the loop is ours, else None
    )

    def as_callback(self) -> Any:
        """The waiter in the standard library's form: what would be the done-callback, and its context."""
        raise NotImplementedError("a waiter says what stands in a list of callbacks for it")

    def awaiting(self) -> Any:
        """The task that waits, or None if nobody does any more."""
        raise NotImplementedError("a waiter says who waits")


class Future(Waiter):
    """An awaitable result. The same contract as `asyncio.Future`; not thread-safe.

    Source: the standard library's documentation of ``asyncio.Future``; PEP 3148 for the states.
    """

    __slots__ = (
        "__weakref__",
        "_awaited",  # futures and tasks that wait for this one through gather, wait, …: a set, or None
        "_cancel_message",
        "_cancelled_exc",  # the CancelledError that ended a task, given out once
        "_first",  # the first to tell: a Waiter, a Handle, or None; while it is None, so is _later
        "_later",  # those after it, in order: a list, or None
        "_loop",
        "_source_traceback",  # where it was made; in debug mode only
    )

    def __init__(self, *, loop: Any = None) -> None:
        if ONCE and self._loop is not None:
            raise RuntimeError(f"{self!r} is already initialized: make a new one for another result")
        self._blank()
        if loop is None:
            loop = current_loop()
        self._core: Any = loop if isinstance(loop, Core) else None
        self._open(loop)

    def _blank(self) -> None:
        """Nothing is known yet."""
        self._loop: Any = None
        self._core = None
        self._result = None
        self._exception: Any = None
        self._exception_tb = None
        self._asyncio_future_blocking = False
        self._log_tb = False
        self._first: Any = None
        self._later: Any = None
        self._cancel_message: Any = None
        self._cancelled_exc: Any = None
        self._awaited: Any = None
        self._source_traceback: Any = None

    def _open(self, loop: Any) -> None:
        """Pending on *loop*. `_core` is set already."""
        self._state = PENDING
        self._loop = loop
        if self._core._debug if self._core is not None else bool(loop.get_debug()):
            self._source_traceback = program_stack()

    def renew(self) -> bool:
        """Be pending again, for the only one who has it. False, and nothing else, if more is known of it than that it is done."""
        if self._state is not FINISHED or self._exception is not None or self._source_traceback is not None or self._core._debug:
            return False
        if _inline.has_attributes(self):  # a program's
            return False
        self._state = PENDING
        self._result = None
        self._asyncio_future_blocking = False
        self._awaited = None
        return True

    # --- identity ------------------------------------------------------------------------------------------------------

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance(future, asyncio.Future) holds
        return asyncio.Future

    @classmethod
    def __class_getitem__(cls, item: Any) -> types.GenericAlias:
        return types.GenericAlias(cls, item)

    def __repr__(self) -> str:
        return _describe(self)

    def get_loop(self) -> Any:
        """The loop this future is bound to."""
        self._check_made()
        return self._loop

    @property
    def _log_traceback(self) -> bool:
        return self._log_tb

    @_log_traceback.setter
    def _log_traceback(self, value: bool) -> None:
        if value:
            raise ValueError("_log_traceback can only be set to False")
        self._log_tb = False

    @property
    def _callbacks(self) -> list[Any] | None:
        """Who will be told, in the standard library's form: a list of (callback, context), or None if there is nobody."""
        return [_as_callback(entry) for entry in self._entries()] or None

    def _entries(self) -> list[Any]:
        """Who will be told, oldest first."""
        if self._first is None:
            return []
        return [self._first] if self._later is None else [self._first, *self._later]

    @property
    def _asyncio_awaited_by(self) -> Any:
        """The futures and tasks that wait for this one, or None: what call graphs are drawn from (Python 3.14)."""
        found = set(self._awaited or ())
        for entry in self._entries():
            if isinstance(entry, Waiter):
                task = entry.awaiting()
            else:  # a collector (of wait, shield) names the task that waits for what it collects
                task = getattr(getattr(entry._callback, "__self__", None), "_awaiting_task", None)
            if task is not None:
                found.add(task)
        return found or None

    # --- asking --------------------------------------------------------------------------------------------------------

    def cancelled(self) -> bool:
        """True if the future was cancelled."""
        return self._state is CANCELLED

    def done(self) -> bool:
        """True if the future has a result or an exception, or was cancelled."""
        return self._state is FINISHED or self._state is CANCELLED

    def result(self) -> Any:
        """The result. Raises the exception if that was set, CancelledError if cancelled, InvalidStateError while pending."""
        if self._state is FINISHED:
            self._log_tb = False
            if self._exception is not None:
                try:
                    raise self._exception.with_traceback(self._exception_tb)
                finally:
                    del self  # interpreted, the traceback holds this frame: not the future, and so itself, as well
            return self._result
        if self._state is CANCELLED:
            raise self._make_cancelled_error()
        raise InvalidStateError("Result is not ready.")

    def exception(self) -> Any:
        """The exception or None. Raises CancelledError if cancelled, InvalidStateError while pending."""
        if self._state is FINISHED:
            self._log_tb = False
            return self._exception
        if self._state is CANCELLED:
            raise self._make_cancelled_error()
        raise InvalidStateError("Exception is not set.")

    def _check_made(self) -> None:
        """A subclass that forgot ``super().__init__()`` is told so."""
        if self._loop is None:
            raise RuntimeError("Future object is not initialized.")

    def _make_cancelled_error(self) -> Any:
        if self._cancelled_exc is not None:
            exc = self._cancelled_exc
            self._cancelled_exc = None  # given out once: its traceback belongs to whoever raises it
            return exc
        if self._cancel_message is None:
            return CancelledError()
        return CancelledError(self._cancel_message)

    # --- settling ------------------------------------------------------------------------------------------------------

    def set_result(self, result: Any) -> None:
        """Finish with *result*. InvalidStateError if it is done already."""
        if self._state is not PENDING:
            self._check_made()
            raise InvalidStateError(f"{self._state}: {self!r}")
        self._result = result
        self._settle(FINISHED)

    def set_exception(self, exception: Any) -> None:
        """Finish with *exception*, an instance or a class. InvalidStateError if it is done already; TypeError otherwise.

        A StopIteration would end the coroutine that awaits instead of raising in it, so it is wrapped in a RuntimeError.
        """
        if self._state is not PENDING:
            self._check_made()
            raise InvalidStateError(f"{self._state}: {self!r}")
        if isinstance(exception, type):
            exception = exception()
        if isinstance(exception, StopIteration):
            wrapped = RuntimeError("StopIteration interacts badly with generators and cannot be raised into a Future")
            wrapped.__cause__ = exception
            wrapped.__context__ = exception
            exception = wrapped
        elif not isinstance(exception, BaseException):
            raise TypeError(f"set_exception() takes an exception, not {exception!r}")
        self._exception = exception
        self._exception_tb = exception.__traceback__
        self._settle(FINISHED)
        self._log_tb = True

    def cancel(self, msg: Any = None) -> bool:
        """Cancel. Returns False if it is done already. *msg* becomes the argument of the CancelledError."""
        self._check_made()
        self._log_tb = False
        if self._state is not PENDING:
            return False
        self._cancel_message = msg
        self._settle(CANCELLED)
        return True

    def _settle(self, state: Any) -> None:
        """Enter a final state and make ready who waits, oldest first."""
        self._state = state
        first = self._first
        if first is None:
            return
        later = self._later
        self._first = None
        self._later = None
        self._tell(first)
        if later is not None:
            for entry in later:
                self._tell(entry)

    def _tell(self, entry: Any) -> None:
        if type(entry) is not Handle:
            entry.woken_by(self)
        else:
            handle = entry
            core = self._core
            if core is None:
                self._loop.call_soon(handle._callback, self, context=handle.get_context())
                return
            if core._closed:
                self._loop._check_closed()
            handle._args = (self,)
            core._ready.push(handle)

    # --- waiting -------------------------------------------------------------------------------------------------------

    def add_done_callback(self, fn: Any, *, context: Any = None) -> None:
        """Call ``fn(self)`` by `call_soon` when the future is done (soon, if it is). *context* defaults to a copy of ours."""
        if self._loop is None:
            self._check_made()
        if self._state is not PENDING:
            self._loop.call_soon(fn, self, context=context)
            return
        self._add(self._make_handle(fn, context))

    def _make_handle(self, fn: Any, context: Any) -> Any:
        handle = Handle.__new__(Handle)
        handle._callback = fn
        handle._args = ()
        handle._loop = self._loop
        handle._lender = None
        if context is not None:
            handle._ctx = context
        elif self._core is None:
            handle._ctx = _inline.copy_context()
        else:
            handle._ctx = self._core._contexts.snapshot()
            handle._lender = self._core._lender
        handle._cancelled = False
        handle._repr = None
        handle._source_traceback = None
        return handle

    def _add(self, entry: Any) -> None:
        if self._first is None:
            self._first = entry
        elif self._later is None:
            self._later = [entry]
        else:
            self._later.append(entry)

    def add_waiter(self, waiter: Any) -> None:
        """Wake *waiter* when done: the task's way to wait, cheaper than a callback."""
        if self._state is not PENDING:
            waiter.woken_by(self)
        else:
            self._add(waiter)

    def drop_waiter(self, waiter: Any) -> None:
        """Do not wake *waiter*."""
        kept = [entry for entry in self._entries() if entry is not waiter]
        self._first = kept[0] if kept else None
        self._later = kept[1:] or None

    def remove_done_callback(self, fn: Any) -> int:
        """Remove every callback that equals *fn*; returns how many there were."""
        self._check_made()
        # Comparing may run the program's code, which may settle us or change the list: what is removed is found by identity.
        doomed = [entry for entry in self._entries() if _as_callback(entry)[0] == fn]
        if doomed:
            kept = [entry for entry in self._entries() if not any(entry is each for each in doomed)]
            self._first = kept[0] if kept else None
            self._later = kept[1:] or None
        return len(doomed)

    def __await__(self) -> Any:
        if self._loop is None:
            self._check_made()
        return new_iter(self)

    def __iter__(self) -> Any:  # `yield from future`, PEP 380
        if self._loop is None:
            self._check_made()
        return new_iter(self)

    def __del__(self) -> None:
        if not self._log_tb:
            return
        context = {
            "message": f"{type(self).__name__} exception was never retrieved",
            "exception": self._exception,
            "future": self,
        }
        if self._source_traceback:
            context["source_traceback"] = self._source_traceback
        self._loop.call_exception_handler(context)


def _as_callback(entry: Any) -> tuple[Any, Any]:
    """An entry in the standard library's form, (callback, context)."""
    if isinstance(entry, Waiter):
        return entry.as_callback()  # type: ignore[no-any-return]
    return entry._callback, entry.get_context()


@reprlib.recursive_repr()
def _describe(future: Any) -> str:
    # The class's own name: `__class__` names the one that isinstance asks for.
    return f"<{type(future).__name__} {' '.join(_base_futures._future_repr_info(future))}>"


def isfuture(obj: Any) -> bool:
    """True for anything that follows the future protocol: its class has ``_asyncio_future_blocking``, and it is not None."""
    if isinstance(obj, Future):
        return True
    return hasattr(obj.__class__, "_asyncio_future_blocking") and obj._asyncio_future_blocking is not None


def settle(future: Any) -> None:
    """``future.set_result(None)``, whoever's future it is, unless it is done. Of one of ours, without looking for its methods."""
    if type(future) is Future:
        ours = future
        if ours._state is PENDING:
            ours._settle(FINISHED)
    elif not future.done():
        future.set_result(None)


def succeeded(future: Any) -> bool:
    """True if *future* is done and has a result; as `settle`."""
    if type(future) is Future:
        ours = future
        return ours._state is FINISHED and ours._exception is None
    return bool(future.done() and not future.cancelled() and future.exception() is None)


def block(future: Any) -> None:
    """*future* is about to be yielded to a task, by an await: what its ``__await__`` would say; as `settle`."""
    if type(future) is Future:
        ours = future
        ours._asyncio_future_blocking = True
    else:
        future._asyncio_future_blocking = True


def loop_of(future: Any) -> _AbstractEventLoop:
    """The loop of anything that follows the future protocol."""
    try:
        get_loop = future.get_loop
    except AttributeError:
        return future._loop  # type: ignore[no-any-return]
    return get_loop()  # type: ignore[no-any-return]
