"""What tells one who waits that many have ended: the future of gather(), and the members of a task group.

What lives here: counting. What may not: what the end of a member means beyond that (`aio.waiting`, `aio.taskgroups` say it), and
``await``.

A done-callback for each of a thousand children is a handle, a context and a turn of the queue, to count down by one. Both classes
are waiters instead: a child that ends tells them on the spot. They do nothing then but count, which nobody can see; as soon
as an end has a meaning (the last one, or a failure) a handle takes the place in the queue that the child's callback would have had
there, and acts in its turn. So the order of everything that can be seen is the standard library's.

Children that are not plain futures and tasks of a loop of ours (subclasses, stock ones) get a done-callback.
"""

from __future__ import annotations

import types
from typing import Any

from yieldloop.engine import _inline
from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.futures import Future, Waiter
from yieldloop.engine.handles import Handle
from yieldloop.engine.loop import LoopCore
from yieldloop.engine.tasks import Task
from yieldloop.errors import CancelledError

PENDING = "PENDING"
CANCELLED = "CANCELLED"
FINISHED = "FINISHED"
_CoroutineType = types.CoroutineType

skip_globals(globals())


def tells_directly(child: Any, core: Any) -> bool:
    """True if *child* is pending and tells a waiter of *core* on the spot."""
    if core is None or not (type(child) is Task or type(child) is Future):
        return False
    future = child
    return future._core is core and future._state is PENDING


def push_call(core: Any, callback: Any, child: Any) -> None:
    """``callback(child)`` in the next turn, in a context that nobody looks at."""
    handle = Handle.__new__(Handle)
    handle._loop = core
    handle._callback = callback
    handle._args = (child,)
    handle._cancelled = False
    if _inline.born_bare():
        handle._repr = None
        handle._source_traceback = None
    handle._ctx = core._contexts.snapshot()
    handle._lender = core._lender
    core._ready.push(handle)


class _GatheringFuture(Future):
    """The future that gather() returns: it counts its children and cancels them when it is cancelled itself."""

    __slots__ = (
        "_awaiting_task",  # who called gather(), for call graphs; None when it is over
        "_cancel_requested",  # and so gather() ends in a cancellation, return_exceptions or not
        "_children",  # in the order of the arguments, one of which may stand there twice
        "_left",  # children that are not done yet
        "_return_exceptions",
        "_some_failed",
    )

    def __init__(self, children: list[Any], different: int, return_exceptions: bool, task: Any, *, loop: Any) -> None:
        Future.__init__(self, loop=loop)
        self._children = children
        self._left = different
        self._return_exceptions = return_exceptions
        self._some_failed = False
        self._cancel_requested = False
        self._awaiting_task = task

    def follow(self, children: Any) -> None:
        """Be told when each of *children*, which are all different, is done."""
        done = []
        for child in children:
            if tells_directly(child, self._core):
                future = child
                future.add_waiter(self)
            elif child.done():  # before, or by an eager first step
                done.append(child)
            else:
                child.add_done_callback(self.child_done)
        for child in done:  # at once: a gather() of what is all done is done itself
            self.child_done(child)

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the children. As with a task, this future is done when they are. False if no child could be cancelled."""
        if self.done():
            return False
        some = False
        for child in self._children:
            if child.cancel(msg=msg):
                some = True
        if some:
            self._cancel_requested = True
        return some

    def as_callback(self) -> Any:
        return self.child_done, _inline.copy_context()

    def awaiting(self) -> Any:
        return self._awaiting_task

    def woken_by(self, future: Any) -> None:
        child = future
        if self._left > 1 and child._state is FINISHED and child._exception is None:
            self._left -= 1
        else:
            push_call(self._core, self.child_done, future)

    def child_done(self, child: Any) -> None:
        """The done-callback of a child."""
        self._left -= 1
        if self.done():
            if not child.cancelled():
                child.exception()  # nobody can ask for it through us any more: do not report it
            return
        if child.cancelled():
            if not self._return_exceptions:
                self._fail(child._make_cancelled_error())
                return
            self._some_failed = True
        else:
            exc = child.exception()
            if exc is not None:
                if not self._return_exceptions:
                    self._fail(exc)
                    return
                self._some_failed = True
        if self._left <= 0:
            self._complete()

    def _fail(self, exc: BaseException) -> None:
        self._awaiting_task = None  # the children run on, and nobody waits for them (cpython issue 157213)
        self.set_exception(exc)

    def _complete(self) -> None:
        self._awaiting_task = None
        if self._cancel_requested:
            self.set_exception(self._children[-1]._make_cancelled_error())
        elif self._some_failed:
            self.set_result([_outcome(child) for child in self._children])
        else:
            self.set_result([child.result() for child in self._children])


def _outcome(child: Any) -> Any:
    """The child's result, or its exception as a value."""
    if child.cancelled():
        message = child._cancel_message
        return CancelledError("" if message is None else message)
    exc = child.exception()
    return child.result() if exc is None else exc


def start(args: Any, loop: Any, ensure_future: Any) -> tuple[dict[Any, Any], Any]:
    """The child of each different one of *args*, coroutines started as tasks; and the loop (that of the first, if not given)."""
    futures: dict[Any, Any] = {}
    core = None
    if isinstance(loop, LoopCore):
        core = loop
        if not core._makes_tasks_itself():
            core = None
    first = None
    for arg in args:
        if arg in futures:
            continue
        if type(arg) is _CoroutineType and core is not None:
            child = core._new_task_like(first, arg)
            first = child
        elif type(arg) is _CoroutineType and loop is not None:
            child = loop.create_task(arg)
        else:
            child = ensure_future(arg, loop=loop)
            if loop is None:
                loop = child.get_loop() if hasattr(child, "get_loop") else child._loop
        if child is not arg:
            child._log_destroy_pending = False  # nobody else has it: its end is reported through us
        futures[arg] = child
    return futures, loop


class Crew(Waiter):
    """The compiled half of a task group: its members, and how one joins and leaves. `aio.taskgroups` has the rest.

    A subclass says what the end of a member means (`_on_task_done`), whom the group belongs to (`_parent_task`), how a member is
    made with keywords (`_start`), and why there can be no more (`_refuse`).
    """

    __slots__ = (
        "__weakref__",
        "_aborting",  # everything in the group is to end
        "_entered",
        "_exiting",
        "_loop",
        "_tasks",  # the members that are not done
    )

    def __init__(self) -> None:
        self._core: Any = None
        self._loop: Any = None
        self._tasks: set[Any] = set()
        self._entered = False
        self._exiting = False
        self._aborting = False

    def create_task(self, coro: Any, **kwargs: Any) -> Any:
        """Start *coro* as a task of the group. Keywords as for `create_task`.

        RuntimeError (and *coro* is closed) if the block has not been entered, is over, or is being cancelled.
        """
        if not self._entered or self._aborting or (self._exiting and not self._tasks):
            self._refuse(coro)  # type: ignore[attr-defined]  # the subclass has it
        if kwargs:
            task = self._start(coro, kwargs)  # type: ignore[attr-defined]  # the subclass has it
            self._join(task)
        else:
            task = self._enroll(coro)
        if self._aborting and not task.done():  # its eager first step cancelled the group
            task.cancel()
        try:
            return task
        finally:
            del task  # interpreted, a failed eager task's traceback holds this frame

    def _enroll(self, coro: Any) -> Any:
        """Start *coro* as a member."""
        core = self._core
        if core is None:
            task = self._loop.create_task(coro)
        elif core._makes_tasks_itself():
            task = core._new_task_like(None, coro)
        else:
            task = core.create_task(coro)
        self._join(task)
        return task

    def _bind(self, loop: Any) -> None:
        self._loop = loop
        self._core = loop if isinstance(loop, LoopCore) else None

    def _join(self, task: Any) -> None:
        self._tasks.add(task)
        if tells_directly(task, self._core):
            future = task
            future.add_waiter(self)
        else:
            task.add_done_callback(self._on_task_done)  # type: ignore[attr-defined]  # the subclass has it

    def woken_by(self, future: Any) -> None:
        member = future
        if len(self._tasks) > 1 and (member._exception is None or member._state is CANCELLED):
            self._tasks.discard(member)
        else:
            push_call(self._core, self._on_task_done, future)  # type: ignore[attr-defined]  # the subclass has it

    def as_callback(self) -> Any:
        return self._on_task_done, _inline.copy_context()  # type: ignore[attr-defined]

    def awaiting(self) -> Any:
        return self._parent_task  # type: ignore[attr-defined]  # the subclass has it

    @property
    def _awaiting_task(self) -> Any:  # for call graphs, where a done-callback stands for the group
        return self.awaiting()
