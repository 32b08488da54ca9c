from yieldloop.engine._heap cimport DueTimer, TimerHeap
from yieldloop.engine._leaf cimport call_in_context, copy_context, program_stack


cdef class Handle(DueTimer):
    cdef public object _callback
    cdef public object _args
    cdef public object _context
    cdef public object _loop
    cdef public object _source_traceback
    cdef object _repr
    cdef object __weakref__

    cdef int run(self) except -1
    cpdef object cancel(self)


cdef class ThreadsafeHandle(Handle):
    cdef bint _running
    cdef object _waiting

    cpdef object cancel(self)
    cdef object _wait_for_end(self)
    cdef object _tell_waiting(self)


cdef class TimerHandle(Handle):
    cdef double _due
    cdef object _given
    cdef public bint _scheduled
    cdef TimerHeap _heap

    cpdef object cancel(self)
