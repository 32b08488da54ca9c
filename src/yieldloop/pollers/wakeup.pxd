from yieldloop.engine._leaf cimport ring, unring


cdef class Wakeup:
    cdef readonly int read_fd
    cdef readonly int write_fd
    cdef bint _pending
    cdef readonly Py_ssize_t writes

    cpdef object wake(self)
    cpdef int drain(self) except -1
    cpdef int close(self) except -1
