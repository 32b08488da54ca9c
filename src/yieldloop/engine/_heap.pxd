from yieldloop.engine._leaf cimport Entry

cdef extern from *:
    ctypedef struct PyObject:
        pass

ctypedef struct Slot:
    long long when
    unsigned long long order
    int number                 # of the timer in the register


cdef class DueTimer(Entry):
    cdef public bint _cancelled
    cdef int _number           # in the register of the heap, while it is armed; checked against it, so it needs no initial value


cdef class TimerHeap:
    cdef object _collected     # never set: an object field makes the type one that the collector visits
    cdef Slot *_slots          # the heap
    cdef PyObject **_timers    # the register: by number, an armed timer, or NULL if the number is free
    cdef int *_places          # by number: the slot of an armed timer, or the next free number
    cdef int _free             # the first free number, or -1
    cdef Py_ssize_t _capacity  # of all three
    cdef Py_ssize_t _numbers   # numbers given out so far, free ones included
    cdef Py_ssize_t _size
    cdef unsigned long long _order

    cdef inline Py_ssize_t size(self) noexcept:
        return self._size

    cpdef int push(self, long long when, DueTimer timer) except -1
    cpdef long long first(self) except? -2
    cpdef DueTimer pop_due(self, long long now)
    cpdef int disarm(self, DueTimer timer) except -1
    cdef int _reserve(self, Py_ssize_t capacity) except -1
    cdef DueTimer _remove(self, int place)
    cdef void _drop(self) noexcept
    cdef void _up(self, Py_ssize_t i, Slot slot) noexcept
    cdef void _down(self, Py_ssize_t i, Slot slot) noexcept
    cdef void _put(self, Py_ssize_t i, Slot slot) noexcept
