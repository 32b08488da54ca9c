cimport cython

from yieldloop.engine cimport _inline
from yieldloop.engine._contexts cimport Contexts
from yieldloop.engine._leaf cimport (
    Outcome,
    enter_current,
    iter_send,
    iter_throw,
    line_at,
    program_code,
    program_lasti,
    run_in_context,
    swap_current,
)
from yieldloop.engine._marks cimport next_number, next_unnamed, ticks_to_ns
from yieldloop.engine cimport _record
from yieldloop.engine._record cimport Recorder
from yieldloop.engine.core cimport Core
from yieldloop.engine.coroutines cimport iscoroutine
from yieldloop.engine.futures cimport Future, Waiter

cdef str PENDING
cdef str CANCELLED
cdef str FINISHED
cdef long long WHERE
cdef long long MOST_WHERES
cdef object _CoroutineType


cdef class Task(Future):
    cdef public object _coro
    cdef object _ctx
    cdef Contexts _lender
    cdef public object _fut_waiter
    cdef public bint _must_cancel
    cdef public bint _log_destroy_pending
    cdef bint _asked
    cdef int _cancels
    cdef object _given_name
    cdef long long _unnamed
    cdef readonly long long _number
    cdef long long _made
    cdef long long _changed
    cdef object _next_error
    cdef readonly object _site_code
    cdef readonly long _site_lasti

    cdef int _blank(self) except -1
    cdef int _mark_site(self) except -1
    cdef int _begin(self, object coro, object loop, object name, object context, bint eager_start) except -1
    @cython.locals(core=Core)
    cdef int _make_ready(self, object by) except -1
    @cython.locals(core=Core)
    cdef int run(self) except -1
    @cython.locals(lender=Contexts)
    cdef int _step_inside(self) except -1
    @cython.locals(lender=Contexts)
    cdef int _step_nested(self) except -1
    @cython.locals(future=Future)
    cdef int step(self) except -1
    @cython.locals(core=Core)
    cdef object woken_by(self, object future)
    cdef object _error_of(self, object waited)
    @cython.locals(core=Core)
    cdef int _park(self, object yielded) except -1
    cdef int _park_on(self, Future future) except -1
    @cython.locals(core=Core)
    cdef int _finish(self, Outcome outcome) except -1
    @cython.locals(recorder=Recorder)
    cdef int _tell_created(self, Core core) except -1
    cdef long long _facts(self) except -1
    cdef int _tell_stepped(self, Core core) except -1
    @cython.locals(recorder=Recorder, other=Task)
    cdef int _tell_woken(self, Core core, object by) except -1
    @cython.locals(tick=cython.longlong, due=cython.longlong, earliest=cython.longlong)
    cdef object _tell_where(self, Core core)
    @cython.locals(other=Task)
    cdef int _tell_parked(self, Core core, object on) except -1
    @cython.locals(recorder=Recorder)
    cdef int _tell_done(self, Core core) except -1
    cdef int _refuse(self, str text) except -1
    @cython.locals(task=Task, following=Task, chain=list)
    cdef int _cancel_chain(self, object msg) except -1
    @cython.locals(future=Future)
    cdef int _leave_circle(self, object msg) except -1
