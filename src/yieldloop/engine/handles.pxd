cimport cython

from yieldloop.engine cimport _inline
from yieldloop.engine._contexts cimport Contexts
from yieldloop.engine._heap cimport DueTimer
from yieldloop.engine._leaf cimport program_stack
from yieldloop.engine.core cimport Core


cdef class Handle(DueTimer):
    cdef public object _callback
    cdef public tuple _args
    cdef object _ctx
    cdef Contexts _lender
    cdef public object _loop
    cdef public object _source_traceback
    cdef str _repr
    cdef object __weakref__

    @cython.locals(lender=Contexts)
    cdef int run(self) except -1
    cpdef object get_context(self)
    cpdef object cancel(self)
    cdef int _let_go(self) except -1


cdef class ThreadsafeHandle(Handle):
    cdef bint _running
    cdef object _waiting

    @cython.locals(lender=Contexts, args=tuple)
    cdef int run(self) except -1
    cpdef object cancel(self)
    cdef object _wait_for_end(self)
    cdef object _tell_waiting(self)


cdef class TimerHandle(Handle):
    cdef double _due
    cdef object _given

    @cython.locals(core=Core)
    cpdef object cancel(self)
