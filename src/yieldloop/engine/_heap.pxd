from yieldloop.engine._leaf cimport Entry

cdef extern from *:
    ctypedef struct PyObject:
        pass

ctypedef struct Slot:
    long long when
    unsigned long long order
    PyObject *timer


cdef class DueTimer(Entry):
    cdef public bint _cancelled
    cdef Py_ssize_t _place     # its slot in the heap, while it is armed; checked against the slot, so it needs no initial value


cdef class TimerHeap:
    cdef object _collected     # never set: an object field makes the type one that the collector visits
    cdef Slot *_slots
    cdef Py_ssize_t _capacity
    cdef Py_ssize_t _size
    cdef unsigned long long _order

    cpdef int push(self, long long when, DueTimer timer) except -1
    cpdef long long first(self) except? -2
    cpdef DueTimer pop_due(self, long long now)
    cpdef int disarm(self, DueTimer timer) except -1
    cdef void _remove(self, Py_ssize_t i) noexcept
    cdef void _up(self, Py_ssize_t i, Slot slot) noexcept
    cdef void _down(self, Py_ssize_t i, Slot slot) noexcept
    cdef void _put(self, Py_ssize_t i, Slot slot) noexcept
