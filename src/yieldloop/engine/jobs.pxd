from yieldloop.engine cimport _inline
from yieldloop.engine._leaf cimport Entry
from yieldloop.engine.loop cimport LoopCore


cdef class Job(Entry):
    cdef LoopCore _loop
    cdef bint _dropped
    cdef readonly object function
    cdef tuple _args
    cdef object _result
    cdef object _error
    cdef readonly bint begun
    cdef readonly long long began
    cdef readonly object waiter
    cdef object __weakref__

    cpdef int work(self) except -1
    cdef int _go_back(self) except -1
