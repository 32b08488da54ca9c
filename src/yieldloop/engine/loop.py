"""The iteration, and what puts work in front of it: `call_soon`, `call_at`, `create_task`.

What lives here: time and order. What may not: file descriptors (the poller knows them), and anything written with ``await``.

One iteration is always the same four sections: how long may we sleep; ask the poller; which timers are due; run what was ready
when the running began. What becomes ready meanwhile waits for the next iteration, so that no callback can starve the poller.

Rule for the editor: asyncio's order is a promise that programs lean on. An entry takes its place in the queue at the moment at
which the standard library's loop would have given it one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from asyncio import base_events as _base_events
from collections.abc import Iterator
from typing import Any

from yieldloop.engine import _inline, _record
from yieldloop.engine._leaf import current_on, has_own, leave_current, program_stack, skip_globals
from yieldloop.engine._ring import ReadyQueue
from yieldloop.engine.core import Core, logger
from yieldloop.engine.coroutines import iscoroutine, iscoroutinefunction
from yieldloop.engine.futures import Future
from yieldloop.engine.handles import Handle, ThreadsafeHandle, TimerHandle
from yieldloop.engine.tasks import Task

FOREVER = -1  # a time-out that does not end, and the first deadline of no timers
LONGEST_POLL = 24 * 3600 * 10**9  # ns; longer sleeps are cut, since kernels take no more (and nobody is hurt by one more turn)
MOST_SPARE = 1024  # handles kept for reuse: about 100 KiB, and more than most programs have waiting at once
NEVER = 9.2e9  # s; a deadline that far (292 years of uptime) does not fit into the integer clock and means "never"

skip_globals(globals())

_StockFuture = asyncio.Future


class LoopCore(Core):
    """The compiled half of the loop. ``loop.EventLoop`` adds what is not worth compiling, and everything with ``await``."""

    __slots__ = (
        "_clock",  # a Clock port, or None for the machine's monotonic clock
        "_spare",  # handles that have run and that nobody keeps, to be used again
        "_spare_threadsafe",  # the same of call_soon_threadsafe
        "_own_clock",  # False if `time()` is not ours: deadlines then follow it, whatever it says
        "_plain_version",  # of the loop's type when its create_task was found to be ours
        "_task_factory",
        "_time",  # what `loop.time` is
        "slow_callback_duration",  # s; in debug mode a step or callback that takes longer is logged
    )

    def __init__(self, poller: Any, clock: Any = None) -> None:
        Core.__init__(self, poller)
        self._spare = ReadyQueue()
        self._spare_threadsafe = ReadyQueue()
        self._clock = clock
        self._time = time.monotonic if clock is None else clock.time
        self._own_clock = clock is None and not _overrides_time(type(self))
        self._task_factory: Any = None
        self._plain_version = 0
        self.slow_callback_duration = 0.1

    # --- the clock -----------------------------------------------------------------------------------------------------

    @property
    def time(self) -> Any:
        """``loop.time()``: seconds by the loop's clock, a float that never goes back.

        A subclass may override it and a tool may replace it on one loop: timers then follow the new clock.
        """
        return self._time

    @time.setter
    def time(self, function: Any) -> None:
        if not callable(function):
            raise TypeError(f"loop.time is called for the time: it cannot be {function!r}")
        self._time = function
        self._own_clock = False

    @time.deleter
    def time(self) -> None:
        self._time = time.monotonic if self._clock is None else self._clock.time
        self._own_clock = self._clock is None and not _overrides_time(type(self))

    def _look_at_clock(self) -> None:
        """Called when a run begins: the loop's class may have been exchanged since."""
        self._look_in = 0
        if self._recorder is not None:
            self._tick = self._recorder.note(_record.MARK, 0, 0)
        if self._own_clock and _overrides_time(type(self)):
            self._own_clock = False

    def _now_ns(self) -> int:
        if self._own_clock:
            return _inline.monotonic_ns()
        return int(self.time() * 1e9)

    # --- putting work in front of the iteration -------------------------------------------------------------------------

    def _make_handle(self, callback: Any, args: Any, context: Any) -> Any:
        if self._spare.size():
            handle = self._spare.pop_last()
        else:
            handle = Handle.__new__(Handle)
            handle._loop = self
            handle._cancelled = False
            if _inline.born_bare():
                handle._repr = None
                handle._source_traceback = None
            _inline.hide(handle)
        handle._callback = callback
        handle._args = args
        if context is None:
            handle._ctx = self._contexts.snapshot()
            handle._lender = self._lender
        else:
            handle._ctx = context
            handle._lender = None
        if self._debug:
            handle._source_traceback = program_stack()
        return handle

    def _make_threadsafe_handle(self, callback: Any, args: Any, context: Any) -> Any:
        if self._spare_threadsafe.size():
            handle = self._spare_threadsafe.pop_last()
        else:
            handle = ThreadsafeHandle.__new__(ThreadsafeHandle)
            handle._loop = self
            handle._cancelled = False
            handle._running = False
            if _inline.born_bare():
                handle._repr = None
                handle._source_traceback = None
                handle._waiting = None
            _inline.hide(handle)
        handle._callback = callback
        handle._args = args
        if context is None:
            handle._ctx = self._contexts.snapshot()
            handle._lender = self._lender
        else:
            handle._ctx = context
            handle._lender = None
        if self._debug:
            handle._source_traceback = program_stack()
        return handle

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        """Call ``callback(*args)`` in the next iteration, in *context* (default: a copy of the caller's). Not thread-safe."""
        if self._closed or self._debug or not _inline.is_callable(callback):
            self._check(callback, "call_soon", True)
        handle = self._make_handle(callback, args, context)
        self._ready.push(handle)
        return handle

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:
        """As `call_soon`, from any thread and from signal handlers. Wakes the loop if it sleeps, by one write a sleep."""
        if self._closed or self._debug or not _inline.is_callable(callback):
            self._check(callback, "call_soon_threadsafe", False)
        handle = self._make_threadsafe_handle(callback, args, context)
        self._ready.push(handle)
        if self._asleep:
            self._asleep = False  # whoever comes next before the loop wakes has nothing to do
            self._poller.wake()
        return handle

    def _call_from_signal(self, handle: Any) -> None:
        """Put *handle* into the queue, from a signal handler."""
        self._ready.push(handle)
        if self._asleep:
            self._asleep = False
            self._poller.wake()

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        """Call ``callback(*args)`` *delay* seconds from now, never early. A delay that is not above 0 means: soon.

        ValueError for NaN, TypeError for what is no number.
        """
        if delay is None:
            raise TypeError("delay must not be None")
        if self._closed or self._debug or not _inline.is_callable(callback):
            self._check(callback, "call_later", True)
        if not self._own_clock:  # a clock of its own often comes with timers of its own
            return self.call_at(self.time() + delay, callback, *args, context=context)
        return self._later(delay, callback, args, context)

    def _later(self, delay: Any, callback: Any, args: Any, context: Any) -> Any:
        if type(delay) is float:
            seconds = delay
            return self._arm(_inline.monotonic_ns() / 1e9 + seconds, callback, args, context)
        return self._arm(_inline.monotonic_ns() / 1e9 + delay, callback, args, context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        """Call ``callback(*args)`` when the loop's clock shows *when* (s), never early. Errors as `call_later`."""
        if when is None:
            raise TypeError("when cannot be None")
        if self._closed or self._debug or not _inline.is_callable(callback):
            self._check(callback, "call_at", True)
        timer = self._arm(when, callback, args, context)
        if type(when) is not float:
            timer._given = when
        return timer

    def _arm(self, when: float, callback: Any, args: Any, context: Any) -> Any:
        if when != when:
            raise ValueError(f"a deadline of {when!r} s never comes: compute the delay from numbers that are not NaN")
        timer = TimerHandle.__new__(TimerHandle)
        timer._callback = callback
        timer._args = args
        timer._loop = self
        if context is None:
            timer._ctx = self._contexts.snapshot()
            timer._lender = self._lender
        else:
            timer._ctx = context
            timer._lender = None
        timer._cancelled = False
        if _inline.born_bare():
            timer._repr = None
            timer._source_traceback = None
            timer._given = None
        if self._debug:
            timer._source_traceback = program_stack()
        timer._due = when
        # Rounded up past the float's own error by our clock, so that `loop.time() >= when` holds in the callback. A foreign
        # clock is cut by the same rule when it is read, so equal floats compare equal.
        self._heap.push(_due_ns(when, self._own_clock), timer)
        return timer

    def create_future(self) -> Any:
        """A `Future` bound to this loop; while a task that is not ours runs (`asyncio.Task` called by name, as aiohttp does), one
        of the standard library's, since its tasks wait for any other by a longer way.
        """
        if not self._entered and self._in_entry:
            task = current_on(self)
            if task is not None and not isinstance(task, Task):
                return _StockFuture(loop=self)  # type: ignore[arg-type]
        return self._new_future()

    def _new_future(self) -> Any:
        future = Future.__new__(Future)
        if _inline.born_bare():
            future._blank()
        future._core = self
        future._open(self)
        return future

    def _new_task(self, coro: Any, name: Any, context: Any, eager_start: bool) -> Any:
        """A `Task` of ours, whatever the task factory says."""
        task = Task.__new__(Task)
        if _inline.born_bare():
            task._blank()
        task._core = self
        task._mark_site()
        task._begin(coro, self, name, context, eager_start)
        return task

    def _new_task_like(self, sibling: Any, coro: Any) -> Any:
        """A plain task, created where *sibling* was (None: where the program stands now)."""
        if self._closed:
            self._check_closed()
        task = Task.__new__(Task)
        if _inline.born_bare():
            task._blank()
        task._core = self
        if sibling is None:
            task._mark_site()
        else:
            task._site_code = sibling._site_code
            task._site_lasti = sibling._site_lasti
        task._begin(coro, self, None, None, False)
        return task

    def _makes_tasks_itself(self) -> bool:
        """True if `create_task` is ours and no factory is set, so that nobody minds if it is not called."""
        if self._task_factory is not None:
            return False
        version = _inline.type_version(self)
        if version == 0 or version != self._plain_version:
            if type(self).create_task is not LoopCore.create_task:
                return False
            self._plain_version = _inline.type_version(self)  # that look has given it one
        return not has_own(self, "create_task")

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None, eager_start: Any = None) -> Any:
        """Run *coro* as a task: by the task factory if one is set, else as a `Task`.

        Signature of Python 3.14. A factory gets the keywords that the running Python's own loop would pass.
        """
        if self._closed:
            self._check_closed()
        if self._task_factory is None:
            return self._new_task(coro, name, context, bool(eager_start))
        return self._task_by_factory(coro, name, context, eager_start)  # type: ignore[attr-defined]  # level 5 has it

    def _drop_everything(self) -> None:
        """The loop is being closed: what was scheduled is dropped."""
        self._ready.clear()
        self._after.clear()
        self._heap.clear()
        self._spare.clear()
        self._spare_threadsafe.clear()
        self._contexts.clear()

    # --- the iteration -------------------------------------------------------------------------------------------------

    def _iterate_until_stopped(self) -> None:
        """Iterations without end, but for `stop`."""
        try:
            while True:
                self._iterate()
                if self._stopping:
                    break
        finally:  # also when SystemExit or KeyboardInterrupt left a task's step
            if self._entered:
                self._leave()
            self._contexts.clear()

    def _iterate_once(self) -> None:
        if self._in_entry:
            raise RuntimeError(
                "an iteration was asked for by a callback or a task that runs in one: the contexts, the current task and the count "
                "of what is ready are the outer one's; return to the loop, or await what is waited for"
            )
        try:
            self._iterate()
        finally:
            if self._entered:
                self._leave()

    def _iterate(self) -> None:
        ready = self._ready
        timers = self._heap
        poller = self._poller

        self._iteration += 1
        self._look_in -= 1
        if self._look_in <= 0:
            self._look_at_ticks()

        # 1. How long may we sleep? Not at all if something is ready; else until the first deadline.
        timeout = 0
        if not ready.size() and not self._stopping:
            first = timers.first()
            if first == FOREVER:
                timeout = FOREVER
                if self._patience is not None and not poller.interest:
                    timeout = self._patience.next_sleep(self._iteration)
            else:
                timeout = first - self._now_ns()
                timeout = 0 if timeout < 0 else timeout if timeout < LONGEST_POLL else LONGEST_POLL

        # 2. Ask the poller, which pushes what became ready. With nothing armed and no time to wait there is nothing to ask.
        if timeout == 0 and not poller.interest:
            _inline.check_signals()
        else:
            if self._entered:
                self._leave()
            self._poll(timeout)

        # 3. Timers that are due take their place behind what the poller found.
        if timers.size():
            now = self._now_ns()
            timer = timers.pop_due(now)
            while timer is not None:
                ready.push(timer)
                if self._recorder is not None:
                    self._tick = self._recorder.note(_record.TIMER, _record.label_call(timer._callback), 0)
                if self._probe is not None:
                    self.emit("timer_fired", timer)
                timer = timers.pop_due(now)

        # 4. Run what is ready now; what becomes ready meanwhile is for the next iteration.
        count = ready.size()
        if self._debug or self._probe is not None:
            self._run_ready_watched(count)
        else:
            self._run_ready(count)

    def _poll(self, timeout: Any) -> None:
        if self._probe is not None:
            self.emit("poll_begun", timeout)
        if timeout != 0:
            # From here on another thread has to wake us. It pushes first and looks at the flag then; we set the flag first
            # and look at the queue then: one of the two sees the other.
            self._asleep = True
            if self._ready.size():
                timeout = 0
            self._tick = _inline.ticks()
        if self._recorder is not None:
            self._tick = self._recorder.note(_record.POLL, 0, 0 if timeout < 0 else timeout // 1000 + 1)
        try:
            self._poller.poll(timeout)
        finally:
            self._asleep = False
            if self._recorder is None:
                self._tick = _inline.ticks()
            else:
                self._tick = self._recorder.note(_record.POLLED, 0, self._ready.size())
            if self._on_awake is not None:
                self._tell_awake()
        if self._probe is not None:
            self.emit("poll_done", len(self._ready))

    def _run_ready(self, count: int) -> None:
        """Run *count* entries: the only place where callbacks are called and tasks are stepped."""
        ready = self._ready
        entry = None
        self._in_entry = True
        try:
            while count > 0:
                try:
                    while count > 0:
                        count -= 1
                        entry = ready.pop()
                        is_task = type(entry) is Task
                        is_handle = False
                        if not is_task:
                            is_handle = type(entry) is Handle or type(entry) is TimerHandle or type(entry) is ThreadsafeHandle
                            if self._entered:
                                self._leave()
                            if not is_handle and self._contexts.inside:
                                self._contexts.leave()
                        self._running_entry = _inline.borrowed(entry)
                        entry.run()
                        if self._after_due and self._held_long():
                            self._contexts.leave()
                            self._run_after()
                            if self._recorder is not None and is_task:
                                self._tick = self._recorder.note(_record.MARK, 0, 0)
                        self._running_entry = _inline.nobody()  # before the entry is let go
                        if is_task:
                            continue
                        if self._recorder is not None:
                            self._note_end(entry)
                        if is_handle and type(entry) is not TimerHandle:  # which is neither hidden nor used again
                            if _inline.sole_owner(entry):
                                self._recycle(entry)
                            else:
                                _inline.show(entry)
                except BaseException as exc:
                    self._keep_context(entry)
                    if isinstance(exc, (SystemExit, KeyboardInterrupt)):
                        raise
                    _inline.show(entry)
                    self._entry_failed(entry, exc)
                    if self._recorder is not None:
                        self._note_end(entry)
                    self._running_entry = _inline.nobody()
        finally:
            self._in_entry = False
            self._running_entry = _inline.nobody()
            self._contexts.leave()
            entry = None  # interpreted, a traceback may hold this frame
            self._contexts.forget()
            if self._after_due:
                self._run_after()  # SystemExit and KeyboardInterrupt end the run, but not what was begun

    def _run_ready_watched(self, count: int) -> None:
        """The same with a probe told, or with debug mode's clock on every entry."""
        ready = self._ready
        if self._entered:  # by the last entry of `_run_ready`, if this mode has just begun
            self._leave()
        try:
            while count > 0 and ready.size():
                count -= 1
                self._run_watched(ready.pop())
                if self._after_due and self._held_long():
                    self._run_after()
        finally:
            if self._after_due:
                self._run_after()

    def _run_watched(self, entry: Any) -> None:
        _inline.show(entry)
        is_task = type(entry) is Task
        failed = False
        began = time.monotonic()
        self._in_entry = True
        if not is_task:
            self.emit("callback_begun", entry)
        self._running_entry = _inline.borrowed(entry)
        try:
            entry.run()
            self._contexts.leave()
        except BaseException as exc:
            self._keep_context(entry)
            if isinstance(exc, (SystemExit, KeyboardInterrupt)):
                raise
            failed = True
            self._entry_failed(entry, exc)
        finally:
            if self._entered:
                self._leave()
            if self._recorder is not None and (failed or not is_task):
                self._note_end(entry)
            self._running_entry = _inline.nobody()
            self._in_entry = False
            self._contexts.forget()
            if not is_task:
                self.emit("callback_done", entry)
        if self._debug and time.monotonic() - began >= self.slow_callback_duration:
            logger.warning("Executing %s took %.3f seconds", _describe(entry), time.monotonic() - began)

    def _keep_context(self, entry: Any) -> None:
        """*entry* has failed: the context that it was lent is its own, and its error is told in it."""
        if self._contexts.inside:
            if isinstance(entry, (Task, Handle)):
                entry.get_context()
            self._contexts.drop()

    def _note_end(self, entry: Any) -> None:
        """Record that *entry* is over. A task's step has said so already, unless it ended by an error."""
        recorder: Any = self._recorder
        if type(entry) is Task:
            task = entry
            self._tick = recorder.note(_record.MARK if task.done() else _record.OVER, task._number, 0)
        elif type(entry) is Handle or type(entry) is TimerHandle or type(entry) is ThreadsafeHandle:
            handle = entry
            if not handle._cancelled:
                self._tick = recorder.quick(_record.CALLBACK, _record.label_call(handle._callback), 0)
        else:
            self._tick = recorder.quick(_record.CALLBACK, _record.label_type(entry), 0)

    def _run_after(self) -> None:
        """What was put off to the end of the iteration (`Core._call_after`)."""
        self._after_due = False  # first: what is asked for meanwhile, by whomever, is seen here or raises it again
        after = self._after
        entry = None
        while after.size():
            try:
                while after.size():
                    entry = after.pop()
                    entry.after()
            except (SystemExit, KeyboardInterrupt):
                self._after_due = True  # for the rest
                raise
            except BaseException as exc:
                self._entry_failed(entry, exc)

    def _leave_before_fork(self) -> None:
        """The thread that runs this loop is about to fork: what was put off is done once, by the parent."""
        if self._after_due:
            self._run_after()

    def _recycle(self, handle: Any) -> None:
        """*handle* has run and nobody keeps it: the next `call_soon` may have it."""
        store = self._spare if type(handle) is Handle else self._spare_threadsafe
        if not handle._cancelled and handle._loop is self and store.size() < MOST_SPARE:
            handle._callback = None
            handle._args = None
            handle._ctx = None
            if self._debug:
                handle._source_traceback = None
            _inline.hide(handle)
            store.push(handle)

    def _leave(self) -> None:
        self._entered = False
        leave_current(self)

    def _entry_failed(self, entry: Any, exc: BaseException) -> None:
        if isinstance(entry, Task):
            entry.fail(exc)
        elif isinstance(entry, Handle):
            entry._report(exc)
        else:
            self.call_exception_handler(  # type: ignore[attr-defined]  # level 5 has it
                {"message": f"Exception in {entry!r}", "exception": exc, "handle": entry}
            )

    # --- checks --------------------------------------------------------------------------------------------------------

    def _check(self, callback: Any, method: str, in_thread: bool) -> None:
        """The slow path of every ``call_*``: raise the error that applies, if one does."""
        self._check_closed()
        if self._debug:
            if in_thread:
                self._check_thread()
            if iscoroutine(callback) or iscoroutinefunction(callback):
                raise TypeError(
                    f"coroutines cannot be used with {method}(): it calls and does not await; use create_task({callback!r})"
                )
        if not callable(callback):
            raise TypeError(f"a callable object was expected by {method}(), got {callback!r}")

    def _check_closed(self) -> None:
        if self._closed:
            raise RuntimeError("Event loop is closed")

    def _check_thread(self) -> None:
        if self._thread_id is not None and self._thread_id != threading.get_ident():
            raise RuntimeError(
                "Non-thread-safe operation invoked on an event loop other than the current one: "
                "from another thread use call_soon_threadsafe() or run_coroutine_threadsafe()"
            )

    def get_debug(self) -> bool:
        """True in debug mode."""
        return self._debug

    def _scheduled_timers(self) -> Iterator[Any]:
        return (timer for timer in self._heap if not timer._cancelled)


def _overrides_time(cls: Any) -> bool:
    """True if *cls* says itself what time it is."""
    return cls.time is not LoopCore.time


def _due_ns(when: float, own_clock: bool) -> int:
    if when >= NEVER:
        return int(NEVER * 1e9)
    if when <= -NEVER:
        return int(-NEVER * 1e9)
    ns = int(when * 1e9) + 2 if own_clock else int(when * 1e9)
    return ns if ns != FOREVER else FOREVER - 1


def _describe(entry: Any) -> str:
    if not isinstance(entry, Handle):  # a task, or an entry that the poller pushed
        return repr(entry)
    return _base_events._format_handle(entry)  # type: ignore[attr-defined,no-any-return]
