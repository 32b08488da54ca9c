"""Task: drives a coroutine, one step at a time, from one wait to the next.

What lives here: everything between "a coroutine was given" and "the future that stands for it is done". What may not: the queue
(`core`), the order of steps (`engine.loop`), and everything that is written with ``await``.

A task is at any time one of

    ready    it stands in the ready queue and will be stepped in its turn
    running  the one being stepped; `current_task()` gives it
    parked   ``_fut_waiter`` is the future it waits for, which knows it in turn
    done     its future has a result, an exception, or is cancelled

One step resumes the coroutine once. It ends in a yield (of a future: park; of None: back into the queue; of anything else:
the error says so, in the coroutine, where it can be fixed) or in the coroutine's end. The ready queue holds the task itself,
so a step needs no handle and no callback.

A pending task of ours is held by its loop (``Core._tasks``): it cannot be lost by being forgotten.
"""

from __future__ import annotations

import asyncio
import reprlib
import types
from asyncio import CancelledError, InvalidStateError
from asyncio import base_events as _base_events
from asyncio import base_tasks as _base_tasks
from asyncio import runners as _runners
from asyncio import taskgroups as _taskgroups
from asyncio import tasks as _stock
from contextvars import Context
from traceback import FrameSummary, StackSummary
from typing import Any

from yieldloop.engine import _inline, _record
from yieldloop.engine._contexts import Contexts
from yieldloop.engine._leaf import (
    Outcome,
    enter_current,
    iter_send,
    iter_throw,
    line_at,
    program_code,
    program_lasti,
    run_in_context,
    skip_globals,
    swap_current,
)
from yieldloop.engine._marks import next_number, next_unnamed, ticks_to_ns
from yieldloop.engine.core import Core
from yieldloop.engine.coroutines import bad_yield_text, iscoroutine, why_no_coroutine
from yieldloop.engine.futures import ONCE, Future
from yieldloop.engine.running import current_loop

PENDING = "PENDING"
CANCELLED = "CANCELLED"
FINISHED = "FINISHED"
# Where a task stood costs some µs to record: once in so many ticks (about a ms), and after a rest so often in a row.
WHERE = 2_000_000
MOST_WHERES = 1000
_CoroutineType = types.CoroutineType

# A task's creation site is where the program asked for it, not where the library's own code passed the wish on.
for _module in (globals(), vars(_stock), vars(_taskgroups), vars(_runners), vars(_base_events)):
    skip_globals(_module)


class Task(Future):
    """A coroutine that runs. The same contract as `asyncio.Task` of Python 3.14, on every Python.

    *coro* is a coroutine, or a PEP 380 generator made by a function marked with `coroutine`. With ``eager_start=True`` and the
    loop running, the first step is taken here and now. TypeError for anything else.
    """

    __slots__ = (
        "_asked",  # it is passing a request to cancel on, now
        "_changed",  # the tick at which it became ready, parked or done, whichever was last
        "_cancels",  # requests by cancel() not taken back by uncancel()
        "_coro",
        "_ctx",  # the contextvars.Context it runs in, or with a _lender the snapshot of it
        "_fut_waiter",  # what it waits for; stays set after the wake-up until the step begins
        "_given_name",  # a str, or None as long as nobody has asked for the name that the number makes
        "_log_destroy_pending",  # say so if it is destroyed while pending
        "_lender",  # the Contexts that lends a copy of _ctx for each step; None once the task has a context of its own
        "_made",  # the tick at which it was created
        "_must_cancel",  # the next step throws CancelledError
        "_next_error",  # the next step throws this: the answer to a bad yield
        "_number",  # which task of this process it is, from 1
        "_site_code",  # where it was created: a code object and the instruction in it
        "_site_lasti",
        "_unnamed",  # the number of its name, if none was given
    )

    def __init__(
        self, coro: Any, *, loop: Any = None, name: Any = None, context: Any = None, eager_start: bool = False
    ) -> None:
        if ONCE and self._loop is not None:
            raise RuntimeError(f"{self!r} is already initialized: make a new task for another coroutine")
        self._blank()
        if loop is None:
            loop = current_loop()
        self._core = loop if isinstance(loop, Core) else None
        self._mark_site()
        self._begin(coro, loop, name, context, eager_start)

    def _blank(self) -> None:
        Future._blank(self)
        self._fut_waiter: Any = None
        self._must_cancel = False
        self._asked = False
        self._cancels = 0
        self._next_error: Any = None
        self._site_code: Any = None
        self._site_lasti = -1
        self._number = 0
        self._unnamed = 0
        self._made = 0
        self._changed = 0
        self._lender: Contexts | None = None

    def _begin(self, coro: Any, loop: Any, name: Any, context: Any, eager_start: bool) -> None:
        self._open(loop)
        self._coro = coro
        self._log_destroy_pending = True
        self._number = next_number()
        self._made = self._core._tick if self._core is not None and self._core._thread_id is not None else _inline.ticks()
        self._changed = self._made
        if name is None:
            self._given_name = None
            self._unnamed = next_unnamed()
        else:
            self._given_name = str(name)
            self._unnamed = 0
        if context is not None and type(context) is not Context:
            self._log_destroy_pending = False
            raise TypeError(f"a contextvars.Context was expected, got {context!r}: make one by contextvars.copy_context()")
        if context is not None:
            self._ctx = context
        elif self._core is None:
            self._ctx = _inline.copy_context()
        else:
            self._ctx = self._core._contexts.snapshot()
            self._lender = self._core._lender
        if type(coro) is not _CoroutineType and not iscoroutine(coro):
            self._log_destroy_pending = False
            raise TypeError(f"a coroutine was expected, got {coro!r}{why_no_coroutine(coro)}")
        if self._core is not None:
            self._core._tasks.add(self)
            if self._core._watched:
                self._tell_created(self._core)
        else:
            _stock._register_task(self)  # type: ignore[arg-type]
        if eager_start and loop.is_running():
            self._start_now()
        else:
            self._make_ready(None)

    def _tell_created(self, core: Any) -> None:
        recorder = core._recorder
        if recorder is not None:
            if self._given_name is None:
                recorder.note_offset(self._number - self._unnamed)
            self._made = recorder.quick(_record.CREATED, self._number, self._facts())
            self._changed = self._made
            if self._given_name is not None:
                recorder.note_name(self._number, self._given_name)
        if core._probe is not None:
            core.emit("task_created", self)

    def _facts(self) -> int:
        """The labels of what it runs and of where it was created, in one number."""
        return _record.label_coro(self._coro) | _record.label_site(self._site_code, self._site_lasti) << 21

    def _mark_site(self) -> None:
        """It is created where the program stands now."""
        self._site_code = program_code()
        self._site_lasti = program_lasti()

    # --- identity ------------------------------------------------------------------------------------------------------

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance(task, asyncio.Task) holds
        return asyncio.Task

    def __repr__(self) -> str:
        return _describe(self)

    def get_coro(self) -> Any:
        """The coroutine (None for a task that started eagerly and ended in its first step)."""
        return self._coro

    def get_context(self) -> Any:
        """The `contextvars.Context` that the coroutine runs in."""
        if self._lender is not None:  # from now on its own, since somebody else knows it
            lent = self._lender.lent_to(self)
            self._ctx = self._ctx.copy() if lent is None else lent
            self._lender = None
        return self._ctx

    @property
    def _context(self) -> Any:
        return self.get_context()

    def get_name(self) -> str:
        """The name; ``Task-N`` if none was given."""
        if self._given_name is None:
            self._given_name = f"Task-{self._unnamed}"
        return self._given_name

    def set_name(self, value: Any) -> None:
        """Name the task ``str(value)``."""
        self._given_name = str(value)
        if self._core is not None and self._core._recorder is not None:
            self._core._recorder.note_name(self._number, self._given_name)

    @property
    def _name(self) -> str:
        return self.get_name()

    @_name.setter
    def _name(self, value: Any) -> None:
        self.set_name(value)

    def get_stack(self, *, limit: int | None = None) -> Any:
        """The frames of the coroutine: where it is parked, or the traceback's if it failed, at most *limit* of them."""
        return _base_tasks._task_get_stack(self, limit)  # type: ignore[arg-type]

    def print_stack(self, *, limit: int | None = None, file: Any = None) -> None:
        """Print what `get_stack` gives, like a traceback, to *file* (default: standard error)."""
        _base_tasks._task_print_stack(self, limit, file)  # type: ignore[arg-type]

    @property
    def created_at(self) -> Any:
        """Where the task was created: a `traceback.FrameSummary`, or None if no Python code did it."""
        site = self._site()
        if site is None:
            return None
        code, line = site
        return FrameSummary(code.co_filename, line, code.co_name, lookup_line=False)

    def _site(self) -> Any:
        """The same in short: (code object, line), or None. Looks nothing up and formats nothing."""
        code = self._site_code
        return None if code is None else (code, line_at(code, self._site_lasti))

    @property
    def _made_ns(self) -> int:
        """When it was created, by `time.monotonic_ns`. As exact as `Core._doing`."""
        return ticks_to_ns(self._made)

    def _since(self) -> int:
        """When its state changed last (it began to run, parked, became ready, was done), by `time.monotonic_ns`."""
        core = self._core
        if core is not None and _inline.lent(core._running_entry) is self:
            return ticks_to_ns(core._tick)
        return ticks_to_ns(self._changed)

    # --- settling is the coroutine's ------------------------------------------------------------------------------------

    def set_result(self, result: Any) -> None:
        raise RuntimeError("Task does not support set_result operation")

    def set_exception(self, exception: Any) -> None:
        raise RuntimeError("Task does not support set_exception operation")

    def cancel(self, msg: Any = None) -> bool:
        """Ask the coroutine to end: CancelledError is raised where it stands, at its next step.

        Returns False if the task is done. The coroutine may refuse by catching it; each request counts in `cancelling`.
        """
        self._check_made()
        self._log_tb = False
        if self._state is not PENDING:
            return False
        if self._asked:  # by ourselves: we wait for each other in a circle
            self._leave_circle(msg)
            return True
        waited = self._fut_waiter
        if type(waited) is Task:
            self._cancel_chain(msg)
            return True
        self._cancels += 1
        if waited is not None:
            self._asked = True
            try:
                if waited.cancel(msg=msg):
                    return True  # the future wakes us, cancelled
            finally:
                self._asked = False
        self._must_cancel = True
        self._cancel_message = msg
        return True

    def _cancel_chain(self, msg: Any) -> None:
        """Pass the request on to the end of a chain of tasks that wait for one another. A loop, since chains can be long."""
        task = self
        chain = []
        while True:
            task._log_tb = False
            task._cancels += 1
            task._asked = True
            chain.append(task)
            waited = task._fut_waiter
            if type(waited) is not Task:
                break
            following = waited
            if following._asked or following._state is not PENDING:
                break
            task = following
        try:
            if waited is None or not waited.cancel(msg=msg):
                task._must_cancel = True
                task._cancel_message = msg
        finally:
            for task in chain:
                task._asked = False

    def _leave_circle(self, msg: Any) -> None:
        """The request to cancel has come back to us, so nobody of the circle will ever wake us: wait no more."""
        waited = self._fut_waiter
        if isinstance(waited, Future):
            future = waited
            future.drop_waiter(self)
        else:
            waited.remove_done_callback(self.wakeup)
        self._fut_waiter = None
        self._must_cancel = True
        self._cancel_message = msg
        self._make_ready(None)

    def cancelling(self) -> int:
        """The number of requests to cancel that were not taken back."""
        return self._cancels

    def uncancel(self) -> int:
        """Take one request to cancel back; returns how many remain. At none left, a request not yet delivered is dropped."""
        if self._cancels > 0:
            self._cancels -= 1
            if self._cancels == 0:
                self._must_cancel = False
        return self._cancels

    @property
    def _num_cancels_requested(self) -> int:
        return self._cancels

    # --- running -------------------------------------------------------------------------------------------------------

    def _make_ready(self, by: Any) -> None:
        core = self._core
        if core is not None:
            self._changed = core._tick
            core._ready.push(self)
        else:
            self._changed = _inline.ticks()
            self._loop.call_soon(self._run_on_other_loop, context=self._ctx)

    def run(self) -> None:
        core = self._core
        enter_current(core, self)
        core._entered = True
        if core._probe is not None:
            core.emit("task_stepped", self)
        self._step_inside()
        del self  # interpreted, the traceback of the coroutine's error holds this frame: not the task as well

    def _step_inside(self) -> None:
        """A step in its own turn, inside the task's context."""
        lender = self._lender
        if lender is None:
            run_in_context(self._ctx, self)
        else:
            lender.enter(self._ctx, self)
            self.step()  # if that raises, the context stays the task's own
            if not lender.is_unchanged(self._ctx):
                self.get_context()
                lender.drop()
        del self

    def _step_nested(self) -> None:
        """A step within another entry's turn, inside the task's context: what is lent is lent already."""
        lender = self._lender
        if lender is None:
            run_in_context(self._ctx, self)
        else:
            snapshot = self._ctx
            own = lender.copy(snapshot)
            self._ctx = own
            self._lender = None
            run_in_context(own, self)
            if lender.unchanged(own, snapshot):
                self._ctx = snapshot
                self._lender = lender

    def _run_on_other_loop(self) -> None:
        """A step on a loop that is not ours: it calls, inside our context, what it takes for a callback."""
        previous = swap_current(self._loop, self)
        try:
            self.step()
        finally:
            swap_current(self._loop, previous)

    def _start_now(self) -> None:
        """The first step, taken by whoever creates the task."""
        previous = swap_current(self._loop, self)
        try:
            if self._core is not None and self._core._watched:
                self._tell_stepped(self._core)
            self._step_nested()
        finally:
            swap_current(self._loop, previous)
        if self._state is not PENDING:
            self._coro = None

    def _tell_stepped(self, core: Any) -> None:
        """A step within another entry's turn begins. (One in its own turn began where the entry before it ended.)"""
        if core._recorder is not None:
            core._recorder.note(_record.STEPPED, self._number, 0)
        if core._probe is not None:
            core.emit("task_stepped", self)

    def step(self) -> None:
        """Resume the coroutine once. Runs inside the task's context, as the current task."""
        if self._state is not PENDING:
            self._let_go()
            raise InvalidStateError(f"step(): already done: {self!r}")
        error = None
        waited = self._fut_waiter
        if waited is not None:
            self._fut_waiter = None
            if type(waited) is not Future:
                error = self._error_of(waited)
            else:
                future = waited
                if future._exception is not None or future._state is not FINISHED:
                    error = self._error_of(waited)
        elif self._next_error is not None:
            error = self._next_error
            self._next_error = None
        if self._must_cancel:
            if not isinstance(error, CancelledError):
                error = self._make_cancelled_error()
            self._must_cancel = False
        waited = future = None  # type: ignore[assignment]  # whoever made it may have it for himself again
        if error is None:
            got = iter_send(self._coro, None)
        else:
            got = iter_throw(self._coro, error)
        if type(got) is Outcome:
            self._finish(got)
        else:
            self._park(got)
        del self, error, got  # as in run()

    def _error_of(self, waited: Any) -> Any:
        """What the future we waited for raises, to be thrown into the coroutine; None if it has a result."""
        try:
            waited.result()
        except BaseException as exc:
            return exc
        finally:
            del self, waited  # as in run()
        return None

    def wakeup(self, future: Any) -> None:
        """The wake-up as a done-callback, for futures that are not ours."""
        core = self._core
        if core is not None and core._watched:
            self._tell_woken(core, future)
            self._tell_stepped(core)
        previous = swap_current(self._loop, self)
        try:
            self.step()
        finally:
            swap_current(self._loop, previous)

    def as_callback(self) -> Any:
        return self.wakeup, self.get_context()

    def awaiting(self) -> Any:
        return self

    def woken_by(self, future: Any) -> None:
        core = self._core
        if core is None:
            self._changed = _inline.ticks()
            self._loop.call_soon(self._run_on_other_loop, context=self._ctx)
            return
        core._ready.push(self)
        if core._watched:
            self._tell_woken(core, future)
        else:
            self._changed = core._tick

    def _tell_woken(self, core: Any, by: Any) -> None:
        recorder = core._recorder
        if recorder is None:
            self._changed = core._tick
        else:
            if core._tick - self._changed > core._long_wait:
                self._tell_where(core)
            if type(by) is Task:
                other = by
                self._changed = recorder.quick(_record.WOKEN_TASK, self._number, other._number)
            else:
                self._changed = recorder.quick(_record.WOKEN, self._number, _inline.address(by))
        if core._probe is not None:
            core.emit("task_woken", self, by)

    def _tell_where(self, core: Any) -> None:
        """The task stands at the end of a long wait: record where; unless that is wanted of each wait, only so many a second."""
        tick = core._tick
        if core._long_wait >= 0:
            due = core._where_due
            if due > tick:
                return
            earliest = tick - MOST_WHERES * WHERE
            core._where_due = (due if due > earliest else earliest) + WHERE
        core._recorder.note(_record.WAITED, self._number, _record.label_chain(self._coro))

    def _park(self, yielded: Any) -> None:
        """The coroutine yielded: find out what it waits for."""
        core = self._core
        if type(yielded) is Future or type(yielded) is Task:
            self._park_on(yielded)
        elif yielded is None:
            self._make_ready(None)  # a bare yield: only the turn is given up
            if core is not None and core._watched:
                if core._recorder is not None:
                    core._tick = core._recorder.quick(_record.TURN, self._number, 0)
                    self._changed = core._tick
                    if core._long_wait < 0:
                        self._tell_where(core)
                if core._probe is not None:
                    core.emit("task_parked", self, None)
        else:
            self._park_on_foreign(yielded)

    def _park_on(self, future: Any) -> None:
        if not future._asyncio_future_blocking:
            self._refuse(f"yield was used instead of yield from in task {self!r} with {future!r}")
        elif future._loop is not self._loop:
            self._refuse(_other_loop_text(self, future))
        elif future is self:
            self._refuse(f"Task cannot await on itself: {self!r}")
        else:
            future._asyncio_future_blocking = False
            self._fut_waiter = future
            future.add_waiter(self)  # before a probe is told: one that ends the run leaves a task that can be woken
            if self._core is None:
                self._changed = _inline.ticks()
            elif self._core._watched:
                self._tell_parked(self._core, future)
            else:
                self._changed = self._core._tick
            if self._must_cancel and future.cancel(msg=self._cancel_message):
                self._must_cancel = False

    def _park_on_foreign(self, yielded: Any) -> None:
        """Anything but a plain future of ours: a subclass, a stock future, a look-alike, or a mistake."""
        blocking = getattr(yielded, "_asyncio_future_blocking", None)
        if blocking is None:
            self._refuse(bad_yield_text(self, yielded))
            return
        loop = yielded.get_loop() if hasattr(yielded, "get_loop") else getattr(yielded, "_loop", None)
        if loop is not self._loop:
            self._refuse(_other_loop_text(self, yielded))
        elif not blocking:
            self._refuse(f"yield was used instead of yield from in task {self!r} with {yielded!r}")
        elif yielded is self:
            self._refuse(f"Task cannot await on itself: {self!r}")
        else:
            yielded._asyncio_future_blocking = False
            yielded.add_done_callback(self.wakeup, context=self.get_context())
            self._fut_waiter = yielded
            if self._core is None:
                self._changed = _inline.ticks()
            else:
                self._tell_parked(self._core, yielded)
            if self._must_cancel and yielded.cancel(msg=self._cancel_message):
                self._must_cancel = False

    def _tell_parked(self, core: Any, on: Any) -> None:
        if core._recorder is not None:
            if type(on) is Task:
                other = on
                core._tick = core._recorder.note(_record.PARKED_TASK, self._number, other._number)
            else:
                core._tick = core._recorder.note(_record.PARKED, self._number, _inline.address(on))
        self._changed = core._tick
        if core._probe is not None:
            core.emit("task_parked", self, on)

    def _refuse(self, text: str) -> None:
        """Answer a bad yield in the coroutine, at its next step, where the traceback shows the line."""
        self._next_error = RuntimeError(text)
        self._make_ready(None)
        if self._core is not None and self._core._recorder is not None:
            self._core._tick = self._core._recorder.note(_record.OVER, self._number, 0)

    def _finish(self, outcome: Any) -> None:
        error = outcome.error
        if self._state is not PENDING:  # somebody settled it by Future's methods while it ran: what it brings is too late
            self._let_go()
            raise InvalidStateError(f"{self._state}: {self!r}") from error
        if error is None:
            if self._must_cancel:  # cancelled by itself after its last wait
                self._must_cancel = False
                self._settle(CANCELLED)
            else:
                self._result = outcome.value
                self._settle(FINISHED)
        elif isinstance(error, CancelledError):
            self._cancelled_exc = error  # for the one who awaits: with its traceback
            self._cancel_message = None
            self._settle(CANCELLED)
        else:
            self._exception = error
            self._exception_tb = error.__traceback__
            self._settle(FINISHED)
            self._log_tb = True
        core = self._core
        if core is not None:
            self._changed = core._tick
            core._tasks.discard(self)
            if core._watched:
                self._tell_done(core)
        else:
            _stock._unregister_task(self)  # type: ignore[arg-type]
        if error is not None and isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise error

    def _tell_done(self, core: Any) -> None:
        recorder = core._recorder
        if recorder is not None:
            if self._made < recorder.oldest:  # its creation is forgotten: say again what was said there
                recorder.note(_record.FACTS, self._number, self._facts())
                recorder.note(_record.MADE, self._number, ticks_to_ns(self._made) >> 10)
                if self._given_name is None:
                    recorder.note(_record.UNNAMED, self._number, self._unnamed)
                else:
                    recorder.note_name(self._number, self._given_name)
            how = 2 if self._state is CANCELLED else 0 if self._exception is None else 1
            core._tick = recorder.quick(_record.DONE, self._number, how)
            self._changed = core._tick
        if core._probe is not None:
            core.emit("task_done", self)

    def _let_go(self) -> None:
        """It was settled from outside, and will not be stepped again: its loop need not hold it."""
        if self._core is not None:
            self._core._tasks.discard(self)
        else:
            _stock._unregister_task(self)  # type: ignore[arg-type]

    def fail(self, error: BaseException) -> None:
        """End with *error*, which came from the machinery around the step (a context that cannot be entered)."""
        if self._state is PENDING:
            self._finish(Outcome(None, error))
            return
        context = {"message": f"Exception in a step of {self!r}", "exception": error, "task": self}
        self._loop.call_exception_handler(context)

    def __del__(self) -> None:
        if self._state is PENDING and self._log_destroy_pending:
            context = {"task": self, "message": "Task was destroyed but it is pending!"}
            if self._source_traceback:
                context["source_traceback"] = self._source_traceback
            self._loop.call_exception_handler(context)
        elif self._log_tb:
            context = {"message": "Task exception was never retrieved", "exception": self._exception, "future": self}
            site = self.created_at
            if self._source_traceback:
                context["source_traceback"] = self._source_traceback
            elif site is not None:
                context["source_traceback"] = StackSummary.from_list([site])
            self._loop.call_exception_handler(context)


@reprlib.recursive_repr()
def _describe(task: Any) -> str:
    return f"<{type(task).__name__} {' '.join(_base_tasks._task_repr_info(task))}>"


def _other_loop_text(task: Any, future: Any) -> str:
    return (
        f"Task {task!r} got Future {future!r} attached to a different loop: a future belongs to the loop that made it; "
        "make it inside the running loop, or hand the result over by run_coroutine_threadsafe() or wrap_future()"
    )


# --- registers ---------------------------------------------------------------------------------------------------------

current_task = _stock.current_task
all_tasks = _stock.all_tasks
