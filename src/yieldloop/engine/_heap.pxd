from yieldloop.engine._leaf cimport Entry

cdef extern from *:
    ctypedef struct PyObject:
        pass

ctypedef struct Slot:
    long long when
    unsigned long long order
    int number                 # of the timer in the register; in the line, NOBODY once it has been disarmed


cdef class DueTimer(Entry):
    cdef public bint _cancelled
    cdef int _number           # in the register of the heap that holds it; -1 once it has left


cdef class TimerHeap:
    cdef object _collected       # never set: an object field makes the type one that the collector visits
    cdef Slot *_line             # from _head to _sorted by deadline, from there to _tail as they came
    cdef Slot *_heap
    cdef Py_ssize_t _line_room
    cdef Py_ssize_t _head
    cdef Py_ssize_t _sorted
    cdef Py_ssize_t _tail
    cdef Py_ssize_t _marked      # slots between _head and _tail whose timer has been disarmed
    cdef Py_ssize_t _heap_room
    cdef Py_ssize_t _size        # of the heap
    cdef PyObject **_timers      # the register: by number, an armed timer, or NULL if the number is free
    cdef int *_places            # by number: the index in the heap, or ~ the index in the line; else the next free number
    cdef int _free               # the first free number, or -1
    cdef Py_ssize_t _capacity    # of both
    cdef Py_ssize_t _numbers     # given out so far, free ones included
    cdef Py_ssize_t _armed
    cdef unsigned long long _order

    cdef inline Py_ssize_t size(self) noexcept:
        return self._armed

    cpdef int push(self, long long when, DueTimer timer) except -1
    cpdef long long first(self) except? -2
    cpdef DueTimer pop_due(self, long long now)
    cpdef int disarm(self, DueTimer timer) except -1
    cdef DueTimer _release(self, int number)
    cdef Slot *_next(self) except? NULL
    cdef int _sort_in(self) except -1
    cdef int _merge(self, Py_ssize_t newcomers) except -1
    cdef int _lengthen(self) except -1
    cdef void _sweep(self) noexcept
    cdef DueTimer _remove(self, Py_ssize_t place)
    cdef void _up(self, Py_ssize_t i, Slot slot) noexcept
    cdef void _down(self, Py_ssize_t i, Slot slot) noexcept
    cdef void _put(self, Py_ssize_t i, Slot slot) noexcept
    cdef int _enlarge(self) except -1
    cdef void _drop(self) noexcept
    cdef void _blank(self) noexcept
