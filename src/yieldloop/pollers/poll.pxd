cimport cython

from yieldloop.engine._leaf cimport check_signals
from yieldloop.pollers.base cimport FdPoller

cdef int READ
cdef int WRITE
cdef int IN
cdef int OUT
cdef int NVAL


cdef class PollPoller(FdPoller):
    cdef object _object

    cpdef object _set(self, int fd, int old, int new)
    @cython.locals(bell=cython.int, fd=cython.int, flags=cython.int)
    cpdef object poll(self, long long timeout)
    cdef int _answer(self, int flags) except -1
