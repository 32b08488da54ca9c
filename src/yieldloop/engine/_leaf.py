"""The C leaves of the engine, in Python.

What lives here: the few things that the engine needs from the interpreter itself, which C can say more cheaply: resume a
generator once, enter a context, read the clock, tell the standard library which task runs. ``_leaf.pyx`` is the compiled twin
with the same names; nothing above this file knows which of the two it uses.

Rule for the editor: a change here is a change there, and ``tests/test_twins.py`` compares their faces.
"""

from __future__ import annotations

import asyncio.tasks as _stock
import contextvars
import errno
import os
import sys
import time
import warnings
from asyncio import format_helpers
from types import CodeType, MemberDescriptorType
from typing import TYPE_CHECKING, Any

PENDING = sys.intern("PENDING")
FINISHED = sys.intern("FINISHED")


class Entry:
    """What the ready queue holds: something to be run once, in its turn.

    ``run`` is called by the iteration, and by nothing else. ``step`` is the part of it that runs inside a context, for the
    entries that have one (``run_in_context`` calls it). ``after`` is what is left to do when all that was ready has run: for
    those that asked for it by ``Core._call_after``. ``woken_by`` is called when a future is done, for those that wait for it
    without being a callback (``futures.Waiter``).
    """

    __slots__ = ()

    def run(self) -> None:
        raise NotImplementedError("an entry of the ready queue says what run() does")

    def step(self) -> None:
        raise NotImplementedError("an entry that runs in a context says what step() does")

    def after(self) -> None:
        raise NotImplementedError("an entry that asks to be called after another one says what after() does")

    def woken_by(self, future: Any) -> None:
        raise NotImplementedError("an entry that waits for a future says what a wake-up does")


class Outcome:
    """How a generator ended: it returned ``value``, or it raised ``error`` (which is None if it returned)."""

    __slots__ = ("error", "value")

    def __init__(self, value: Any, error: BaseException | None) -> None:
        self.value = value
        self.error = error


def returned(value: Any) -> Outcome:
    """The end of what returned *value*."""
    return Outcome(value, None)


class Attributed:
    """Something on which programs may set attributes. Compiled, it has no dictionary before one does."""

    __slots__ = ("__dict__",)


class AttributedEntry(Entry):
    """An entry that is `Attributed` as well."""

    __slots__ = ("__dict__",)


class Promise(AttributedEntry):
    """The part of a Future that its iterator reads (in C, in the compiled twin)."""

    __slots__ = (
        "_asyncio_future_blocking",  # True from the yield until the task has taken the future: tells `yield from` from `yield`
        "_exception",
        "_exception_tb",
        "_log_tb",  # an exception is set that nobody has asked for yet
        "_result",
        "_state",  # 'PENDING' | 'CANCELLED' | 'FINISHED'
    )

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """In C a field that nobody has set is None; so it is here: a subclass that forgot ``super().__init__()`` is told."""
            if isinstance(getattr(type(self), name, None), MemberDescriptorType):
                return None
            return object.__getattribute__(self, name)  # raises what was raised before, about the name that was asked for


def iter_send(coro: Any, value: Any) -> Any:
    """Resume *coro* once with *value*. Returns what it yields, or an `Outcome` if it ended. Raises nothing of its own."""
    try:
        return coro.send(value)
    except StopIteration as stop:
        return Outcome(stop.value, None)
    except BaseException as exc:
        return Outcome(None, _without_this_frame(exc))


def iter_throw(coro: Any, exc: BaseException) -> Any:
    """As `iter_send`, but *exc* is raised where *coro* stands."""
    try:
        return coro.throw(exc)
    except StopIteration as stop:
        return Outcome(stop.value, None)
    except BaseException as raised:
        return Outcome(None, _without_this_frame(raised))
    finally:
        del exc  # its traceback holds our frame by the program's: as in `run_in_context`


def _without_this_frame(exc: BaseException) -> BaseException:
    # The reader of a traceback wants the program's frames; the compiled twin adds none either.
    if exc.__traceback__ is not None:
        exc.__traceback__ = exc.__traceback__.tb_next
    return exc


def run_in_context(context: contextvars.Context, entry: Entry) -> None:
    """``entry.step()`` inside *context*. RuntimeError if the context is entered already."""
    context.run(entry.step)
    del entry  # a traceback holds our frame by the program's: it shall not hold the task by ours


def call_in_context(context: contextvars.Context, callback: Any, args: tuple[Any, ...]) -> Any:
    """``callback(*args)`` inside *context*."""
    try:
        return context.run(callback, *args)
    finally:
        del callback, args  # as in `run_in_context`


copy_context = contextvars.copy_context
monotonic_ns = time.monotonic_ns
is_callable = callable


def has_own(obj: Any, name: str) -> bool:
    """True if *name* was set on *obj* itself. Compiled, an object that has no dictionary yet is given none for the question."""
    return name in getattr(obj, "__dict__", ())


def sole_owner(obj: Any) -> bool:
    """True if nobody but the caller refers to *obj*, so that it can be used again. Interpreted code cannot know: False."""
    return False


def ring(fd: int) -> int:
    """Write one byte into the non-blocking pipe *fd*. Returns 0, or the number of the error. Never blocks."""
    try:
        os.write(fd, b"\0")
    except OSError as exc:
        return exc.errno or errno.EIO
    return 0


def unring(fd: int) -> bytes:
    """Read what `ring` (one byte a poll) and signals (one each) have written into *fd*. What is more is read in the next poll.
    Returns the signals' numbers.
    """
    try:
        return os.read(fd, 512).replace(b"\0", b"")
    except (BlockingIOError, InterruptedError):
        return b""


# --- the standard library's register of running tasks ------------------------------------------------------------------

# Up to 3.13 it is a dictionary from loop to task; from 3.14 on it is in the thread's state, behind a C function.
# `asyncio.current_task()` reads it, so a library sees our task as the current one.
if sys.version_info < (3, 14):
    _current: dict[Any, Any] = _stock._current_tasks  # type: ignore[attr-defined]

    def current_on(loop: Any) -> Any:
        """The task that runs on *loop* now, whoever made it, or None."""
        return _current.get(loop)

    def enter_current(loop: Any, task: Any) -> None:
        """*task* is what runs on *loop* now (whatever ran before)."""
        _current[loop] = task

    def leave_current(loop: Any) -> None:
        """No task runs on *loop* now."""
        _current.pop(loop, None)

    def swap_current(loop: Any, task: Any) -> Any:
        """*task* (or nothing: None) runs on *loop* now; returns what did."""
        previous = _current.get(loop)
        if task is None:
            _current.pop(loop, None)
        else:
            _current[loop] = task
        return previous
else:
    _swap = _stock._swap_current_task  # type: ignore[attr-defined]

    def current_on(loop: Any) -> Any:
        """The task that runs on *loop* now, whoever made it, or None."""
        return _stock.current_task(loop)

    def enter_current(loop: Any, task: Any) -> None:
        """*task* is what runs on *loop* now (whatever ran before)."""
        _swap(loop, task)

    def leave_current(loop: Any) -> None:
        """No task runs on *loop* now."""
        _swap(loop, None)

    def swap_current(loop: Any, task: Any) -> Any:
        """*task* (or nothing: None) runs on *loop* now; returns what did."""
        return _swap(loop, task)


def check_signals() -> None:
    """Give Python a chance to run signal handlers. Interpreted code does that by itself between two instructions."""


# --- where a task was created ------------------------------------------------------------------------------------------


_skipped: set[int] = set()  # of id(a module's globals): its frames are not where a program made something


def skip_globals(namespace: dict[str, Any]) -> None:
    """Frames of the module whose globals are *namespace* are passed over when a creation site is looked for."""
    _skipped.add(id(namespace))


def _program_frame() -> Any:
    frame: Any = sys._getframe(1)
    while frame is not None and id(frame.f_globals) in _skipped:
        frame = frame.f_back
    return frame


_lasti = -1


def program_code() -> CodeType | None:
    """The code object of the innermost Python frame that is the program's; `program_lasti` then tells where in it."""
    global _lasti
    frame = _program_frame()
    _lasti = -1 if frame is None else frame.f_lasti
    return None if frame is None else frame.f_code


def program_lasti() -> int:
    """The instruction at which the frame stood that `program_code` has just found (-1: it found none)."""
    return _lasti


def line_at(code: CodeType, lasti: int) -> int:
    """The line of *code* that instruction *lasti* belongs to (its first line, if that cannot be told)."""
    for start, end, line in code.co_lines():
        if start <= lasti < end and line is not None:
            return line
    return code.co_firstlineno


def program_stack() -> Any:
    """The stack above and with that frame, oldest first, as a `traceback.StackSummary`. Slow: for debug mode."""
    return format_helpers.extract_stack(_program_frame())


skip_globals(globals())


# --- the engine's only yield -------------------------------------------------------------------------------------------


class FutureIter:
    """What ``await future`` drives: yields the future until it is done, then returns its result.

    It yields the future itself, because that is the one thing the task needs in order to know whom to ask for a wake-up.
    ``_asyncio_future_blocking`` says that the yield came from here: a bare ``yield future`` leaves it False.
    """

    __slots__ = ("_future",)

    def __init__(self, future: Any) -> None:
        self._future = future

    def __iter__(self) -> FutureIter:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        future = self._future
        if future is None:
            raise StopIteration
        if future._state is PENDING:
            if not future._asyncio_future_blocking:
                future._asyncio_future_blocking = True
                return future
            self._future = None
            raise RuntimeError("await wasn't used with future")
        self._future = None
        raise StopIteration(future.result())

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        self._future = None
        try:
            raise _as_exception(typ, val, tb)
        finally:
            del typ, val, tb  # as in `iter_throw`

    def close(self) -> None:
        self._future = None


new_iter = FutureIter


def _as_exception(typ: Any, val: Any, tb: Any) -> BaseException:
    """The three-argument form of ``throw``, which generators still accept, as one exception."""
    if (val is not None or tb is not None) and sys.version_info >= (3, 12):
        text = "the (type, exc, tb) signature of throw() is deprecated, use the single-arg signature instead."
        warnings.warn(text, DeprecationWarning, stacklevel=2)
    if isinstance(typ, BaseException):
        if val is not None:
            raise TypeError("instance exception may not have a separate value")
        exc = typ
    elif isinstance(typ, type) and issubclass(typ, BaseException):
        exc = val if isinstance(val, typ) else typ() if val is None else typ(*val) if isinstance(val, tuple) else typ(val)
    else:
        raise TypeError(f"exceptions must be classes or instances deriving from BaseException, not {type(typ).__name__}")
    if tb is not None:
        exc = exc.with_traceback(tb)
    return exc


# --- awaitables without a frame ------------------------------------------------------------------------------------------


class Steps:
    """An awaitable whose steps a method takes: ``advance`` returns what is to be yielded, or an `Outcome` at the end."""

    __slots__ = ()

    def advance(self) -> Any:
        raise NotImplementedError("an awaitable says what its next step does")

    def __await__(self) -> Any:
        return self

    def __iter__(self) -> Any:  # `yield from`, PEP 380
        return self

    def __next__(self) -> Any:
        got = self.advance()
        if type(got) is Outcome:
            raise StopIteration(got.value)
        return got

    def send(self, value: Any) -> Any:
        """Resume, as a generator's ``send``."""
        return self.__next__()


class Turn:
    """``sleep(0)``: gives up one turn. An awaitable that costs next to nothing, with a coroutine's methods."""

    __slots__ = ("_stage",)  # 0: new, 1: the turn is given up, 2: over

    def __init__(self) -> None:
        self._stage = 0

    def __await__(self) -> Turn:
        return self

    def __iter__(self) -> Turn:  # `yield from`, PEP 380
        return self

    def __next__(self) -> None:
        return self.send(None)

    def send(self, value: Any) -> None:
        """Resume, as a generator's ``send``."""
        if self._stage == 0:
            self._stage = 1
            return
        if self._stage == 1:
            self._stage = 2
            raise StopIteration
        raise RuntimeError("cannot reuse already awaited coroutine")

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        """Raise in the sleep, as a generator's ``throw``."""
        self._stage = 2
        try:
            raise _as_exception(typ, val, tb)
        finally:
            del typ, val, tb  # as in `iter_throw`

    def close(self) -> None:
        """End."""
        self._stage = 2

    def __getattr__(self, name: str) -> Any:  # what tools read of a coroutine
        return _turn_attribute(name)

    def __repr__(self) -> str:
        return "<sleep(0)>"

    def __del__(self) -> None:
        if self._stage == 0:
            self._stage = 2
            warnings.warn("coroutine 'sleep' was never awaited", RuntimeWarning, stacklevel=1)


new_turn = Turn


def _turn_attribute(name: str) -> Any:
    if name in ("__name__", "__qualname__"):
        return "sleep"
    if name in ("cr_await", "cr_frame"):
        return None
    if name == "cr_running":
        return False
    if name == "cr_code":
        return _turn_attribute.__code__
    raise AttributeError(f"a sleep has no attribute {name!r}")
