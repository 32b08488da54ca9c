cimport cython

from yieldloop.engine._inline cimport yl_prefetch
from yieldloop.engine._leaf cimport Entry
from cpython.ref cimport Py_DECREF, Py_INCREF

cdef extern from *:
    ctypedef struct PyObject:
        pass

cdef enum:
    SOON = 4  # entries ahead of its turn whose memory is asked for: after a storm they have left the cache


@cython.final
cdef class ReadyQueue:
    cdef object _collected     # never set: an object field makes the type one that the collector visits
    cdef PyObject **_slots
    cdef Py_ssize_t _head      # index of the oldest entry
    cdef Py_ssize_t _size      # entries held
    cdef Py_ssize_t _mask      # capacity - 1; the capacity is a power of two

    cdef inline Py_ssize_t size(self) noexcept:
        return self._size

    cdef inline int push(self, object entry) except -1:  # an Entry, on the word of the caller
        if self._size > self._mask:
            self._grow()
        Py_INCREF(entry)
        self._slots[(self._head + self._size) & self._mask] = <PyObject *>entry
        self._size += 1
        return 0

    cdef inline Entry pop(self):
        cdef Entry entry
        if not self._size:
            raise IndexError("pop from an empty ready queue")
        entry = <Entry>self._slots[self._head]
        self._head = (self._head + 1) & self._mask
        self._size -= 1
        yl_prefetch(self._slots[(self._head + SOON) & self._mask])
        Py_DECREF(entry)
        return entry

    cdef inline Entry pop_last(self):
        cdef Entry entry
        if not self._size:
            raise IndexError("pop from an empty ready queue")
        self._size -= 1
        entry = <Entry>self._slots[(self._head + self._size) & self._mask]
        Py_DECREF(entry)
        return entry

    cdef int _grow(self) except -1
    cdef void _drop(self) noexcept
    cdef list _list(self)
