cimport cython

from yieldloop.engine._leaf cimport FutureIter, Promise, copy_context, program_stack
from yieldloop.engine.core cimport Core


cdef class Waiter(Promise):
    cdef readonly Core _core

    cdef object woken_by(self, Future future)


cdef class Future(Waiter):
    cdef public object _loop
    cdef Waiter _waiter
    cdef list _later
    cdef public object _cancel_message
    cdef public object _cancelled_exc
    cdef public object _source_traceback
    cdef public object _awaited
    cdef dict __dict__
    cdef object __weakref__

    cdef int _open(self, object loop) except -1
    @cython.locals(waiter=Waiter)
    cdef int _settle(self, str state) except -1
    cdef int add_waiter(self, Waiter waiter) except -1


cdef str PENDING
cdef str CANCELLED
cdef str FINISHED
cpdef bint isfuture(object obj)
