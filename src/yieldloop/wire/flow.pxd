# C types of flow.py; the attributes stand in the order of __slots__.

cimport cython


@cython.final
cdef class Flow:
    cdef readonly Py_ssize_t high
    cdef readonly Py_ssize_t low
    cdef readonly bint paused

    cpdef bint grown(self, Py_ssize_t size) except -1
    cpdef bint shrunk(self, Py_ssize_t size) except -1
