cimport cython

from yieldloop.engine._heap cimport DueTimer, TimerHeap
from yieldloop.engine cimport _inline
from yieldloop.engine._leaf cimport Entry, current_on, has_own, leave_current, program_stack
from yieldloop.engine cimport _record
from yieldloop.engine._record cimport Recorder
from yieldloop.engine._ring cimport ReadyQueue
from yieldloop.engine.core cimport Core
from yieldloop.engine.futures cimport Future
from yieldloop.engine.handles cimport Handle, ThreadsafeHandle, TimerHandle
from yieldloop.engine.polling cimport Poller
from yieldloop.engine.tasks cimport Task

cdef long long FOREVER
cdef long long LONGEST_POLL
cdef double NEVER
cdef Py_ssize_t MOST_SPARE


cdef class LoopCore(Core):
    cdef object _clock
    cdef ReadyQueue _spare
    cdef ReadyQueue _spare_threadsafe
    cdef object _time
    cdef bint _own_clock
    cdef unsigned long _plain_version
    cdef public double slow_callback_duration
    cdef public object _task_factory

    @cython.locals(task=Task)
    cdef Task _new_task(self, object coro, object name, object context, bint eager_start)
    @cython.locals(task=Task)
    cdef Task _new_task_like(self, Task sibling, object coro)
    @cython.locals(version=cython.ulong)
    cdef bint _makes_tasks_itself(self) except -1
    @cython.locals(future=Future)
    cdef Future _new_future(self)
    @cython.locals(seconds=double)
    cdef TimerHandle _later(self, object delay, object callback, tuple args, object context)
    @cython.locals(handle=Handle)
    cdef Handle _make_handle(self, object callback, tuple args, object context)
    @cython.locals(handle=ThreadsafeHandle)
    cdef ThreadsafeHandle _make_threadsafe_handle(self, object callback, tuple args, object context)
    @cython.locals(timer=TimerHandle)
    cdef TimerHandle _arm(self, double when, object callback, tuple args, object context)
    cdef long long _now_ns(self) except? -2
    @cython.locals(timeout=cython.longlong, first=cython.longlong, count=Py_ssize_t, now=cython.longlong, timers=TimerHeap, timer=TimerHandle, poller=Poller)
    cdef int _iterate(self) except -1
    cdef int _keep_context(self, Entry entry) except -1
    @cython.locals(entry=Entry, ready=ReadyQueue, is_task=bint, is_handle=bint)
    cdef int _run_ready(self, Py_ssize_t count) except -1
    @cython.locals(ready=ReadyQueue)
    cdef int _run_ready_watched(self, Py_ssize_t count) except -1
    cdef int _run_watched(self, Entry entry) except -1
    @cython.locals(recorder=Recorder, task=Task, handle=Handle)
    cdef int _note_end(self, Entry entry) except -1
    @cython.locals(after=ReadyQueue, entry=Entry)
    cdef int _run_after(self) except -1
    cdef int _leave(self) except -1
    @cython.locals(store=ReadyQueue)
    cdef int _recycle(self, Handle handle) except -1
    cdef int _poll(self, long long timeout) except -1


@cython.locals(ns=cython.longlong)
cdef long long _due_ns(double when, bint own_clock) noexcept
