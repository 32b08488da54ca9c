# C types of writequeue.py; the attributes stand in the order of __slots__.
cimport cython

from yieldloop.wire._bytes cimport glue

cdef Py_ssize_t AT_ONCE


@cython.final
cdef class WriteQueue:
    cdef object first
    cdef object more
    cdef readonly Py_ssize_t size

    @cython.locals(length=Py_ssize_t, whole=bytes)
    cpdef Py_ssize_t append(self, object data) except -1
    cpdef object lone(self)
    @cython.locals(shown=list, total=Py_ssize_t)
    cpdef list front(self, Py_ssize_t most, Py_ssize_t enough)
    @cython.locals(run=list, total=Py_ssize_t, length=Py_ssize_t, small=Py_ssize_t, together=Py_ssize_t, joined=Py_ssize_t)
    cdef _join(self)
    @cython.locals(length=Py_ssize_t)
    cpdef consume(self, Py_ssize_t n)
    cpdef clear(self)

cpdef object stable(object data)
