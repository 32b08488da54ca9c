cimport cython

from yieldloop.engine._leaf cimport check_signals
from yieldloop.pollers._epoll cimport EpollSet
from yieldloop.pollers.base cimport FdPoller

cdef int STALE
cdef int BORROWED
cdef long long QUIET
cdef long long QUIET_EACH


cdef class EpollPoller(FdPoller):
    cdef readonly EpollSet _set_of
    cdef bint _stale
    cdef readonly Py_ssize_t _rebuilds

    cpdef object _set(self, int fd, int old, int new)
    @cython.locals(found=cython.int, kernel=EpollSet)
    cpdef object poll(self, long long timeout)
    @cython.locals(quiet=cython.longlong, found=cython.int, kernel=EpollSet)
    cdef int _wait_audited(self, long long timeout) except -1
    @cython.locals(bell=cython.int, i=cython.int, fd=cython.int, mask=cython.int, kernel=EpollSet)
    cdef int _take(self, int found) except -1
    @cython.locals(fresh=EpollSet, fd=cython.int, armed=cython.int, mark=cython.int)
    cdef int _rebuild(self) except -1
    @cython.locals(dropped=Py_ssize_t, fd=cython.int, armed=cython.int)
    cpdef int audit(self) except -1
    cdef bint _renew(self, int fd, int armed) except -1
