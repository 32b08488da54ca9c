from yieldloop.engine._leaf cimport Entry

cdef extern from *:
    ctypedef struct PyObject:
        pass


cdef class ReadyQueue:
    cdef object _collected     # never set: an object field makes the type one that the collector visits
    cdef PyObject **_slots
    cdef Py_ssize_t _head      # index of the oldest entry
    cdef Py_ssize_t _size      # entries held
    cdef Py_ssize_t _mask      # capacity - 1; the capacity is a power of two

    cpdef int push(self, Entry entry) except -1
    cpdef Entry pop(self)
    cdef int _grow(self) except -1
    cdef void _drop(self) noexcept
    cdef list _list(self)
