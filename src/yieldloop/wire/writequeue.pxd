# C types of writequeue.py; the attributes stand in the order of __slots__.
cimport cython

cdef class WriteQueue:
    cdef object pieces
    cdef readonly Py_ssize_t size
    cdef Py_ssize_t offset
    cdef bint open

    @cython.locals(length=Py_ssize_t)
    cpdef Py_ssize_t append(self, object data) except -1
    cdef _join(self, object piece)
    @cython.locals(length=Py_ssize_t)
    cpdef consume(self, Py_ssize_t n)
    cpdef clear(self)

cpdef object stable(object data)
