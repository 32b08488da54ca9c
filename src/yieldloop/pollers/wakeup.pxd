cimport cython

from yieldloop.engine._leaf cimport ring, unring


cdef class Wakeup:
    cdef readonly int read_fd
    cdef readonly int write_fd
    cdef object _on_signals
    cdef bint _pending
    cdef readonly Py_ssize_t writes

    cpdef object wake(self)
    @cython.locals(signals=bytes)
    cpdef int drain(self) except -1
    cpdef object tell_signals(self, object callback)
    cpdef int close(self) except -1
