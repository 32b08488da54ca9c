cimport cython

from yieldloop.engine cimport _inline
from yieldloop.engine._leaf cimport Entry, Promise, new_iter, program_stack
from yieldloop.engine.core cimport Core
from yieldloop.engine.handles cimport Handle


cdef class Waiter(Promise):
    cdef readonly Core _core


cdef class Future(Waiter):
    cdef public object _loop
    cdef Entry _first
    cdef list _later
    cdef public object _cancel_message
    cdef public object _cancelled_exc
    cdef public object _source_traceback
    cdef public object _awaited
    cdef object __weakref__

    cdef int _blank(self) except -1
    cdef int _open(self, object loop) except -1
    cdef bint renew(self) except -1
    @cython.locals(first=Entry)
    cdef object _settle(self, str state)
    @cython.locals(core=Core, handle=Handle)
    cdef object _tell(self, Entry entry)
    @cython.locals(handle=Handle)
    cdef Handle _make_handle(self, object fn, object context)
    cdef int _add(self, Entry entry) except -1
    cdef int add_waiter(self, Waiter waiter) except -1
    cdef int drop_waiter(self, Waiter waiter) except -1


cdef str PENDING
cdef str CANCELLED
cdef str FINISHED
cpdef bint isfuture(object obj)
@cython.locals(ours=Future)
cpdef object settle(object future)
@cython.locals(ours=Future)
cpdef bint succeeded(object future) except -1
@cython.locals(ours=Future)
cpdef object block(object future)
