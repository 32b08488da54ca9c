cimport cython

from yieldloop.engine cimport _inline
from yieldloop.engine.core cimport Core
from yieldloop.engine.futures cimport Future, Waiter
from yieldloop.engine.handles cimport Handle
from yieldloop.engine.loop cimport LoopCore
from yieldloop.engine.tasks cimport Task

cdef str PENDING
cdef str CANCELLED
cdef str FINISHED
cdef object _CoroutineType


@cython.locals(future=Future)
cdef bint tells_directly(object child, Core core) except -1
@cython.locals(handle=Handle)
cdef int push_call(Core core, object callback, object child) except -1


cdef class _GatheringFuture(Future):
    cdef public object _awaiting_task
    cdef bint _cancel_requested
    cdef readonly list _children
    cdef Py_ssize_t _left
    cdef bint _return_exceptions
    cdef bint _some_failed

    @cython.locals(future=Future)
    cpdef object follow(self, object children)
    cpdef object awaiting(self)
    @cython.locals(child=Future)
    cdef object woken_by(self, object future)
    cpdef object child_done(self, object child)
    cdef int _fail(self, object exc) except -1
    cdef int _complete(self) except -1


@cython.locals(core=LoopCore, first=Task)
cpdef tuple start(object args, object loop, object ensure_future)


cdef class Crew(Waiter):
    cdef public object _loop
    cdef public set _tasks
    cdef public bint _entered
    cdef public bint _exiting
    cdef public bint _aborting
    cdef object __weakref__

    @cython.locals(core=LoopCore)
    cpdef object _enroll(self, object coro)
    @cython.locals(future=Future)
    cpdef object _join(self, object task)
    @cython.locals(member=Future)
    cdef object woken_by(self, object future)
    cpdef object awaiting(self)
