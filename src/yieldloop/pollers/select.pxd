cimport cython

from yieldloop.engine._leaf cimport check_signals
from yieldloop.pollers.base cimport FdPoller

cdef int READ
cdef int WRITE
cdef int FD_SETSIZE


cdef class SelectPoller(FdPoller):
    cdef set _reading
    cdef set _writing

    cpdef object _set(self, int fd, int old, int new)
    cpdef object poll(self, long long timeout)
    @cython.locals(fd=cython.int)
    cdef int _take(self, list readable, set writable) except -1
    cdef int _drop_closed(self) except -1
