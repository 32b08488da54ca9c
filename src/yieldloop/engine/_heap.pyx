# The compiled twin of _heap.py: a 4-ary heap of 24-byte slots. Each timer's place is known, so that disarming takes it out at
# once: its memory is warm and goes to the next timer. (Marking it and sweeping later, as the interpreted twin does, made arming
# among a million timers ten times as dear as among a thousand, for the cache misses of what lay dead.) The places stand
# in an array of their own, by the timer's number, and not in the timers: sifting moves half a dozen slots and would touch as
# many objects all over the memory.
cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.ref cimport Py_DECREF, Py_INCREF

FOREVER = -1
cdef enum:
    KEPT = 1024          # slots that an empty heap keeps
    MOST = 1 << 30       # armed timers, so that a number fits into an int


cdef class DueTimer(Entry):
    pass


cdef inline bint _before(Slot *a, Slot *b) noexcept:
    return a.when < b.when or (a.when == b.when and a.order < b.order)


@cython.final
cdef class TimerHeap:
    def __cinit__(self):
        self._slots = NULL
        self._timers = NULL
        self._places = NULL
        self._capacity = self._numbers = self._size = 0
        self._free = -1
        self._order = 0

    def __dealloc__(self):
        self.clear()

    cpdef int push(self, long long when, DueTimer timer) except -1:
        cdef Slot slot
        cdef int number = self._free
        if number >= 0:
            self._free = self._places[number]
        else:
            if self._numbers == self._capacity:
                self._reserve(32 if self._capacity == 0 else self._capacity + (self._capacity >> 1))
            number = <int>self._numbers
            self._numbers += 1
        Py_INCREF(timer)
        self._timers[number] = <PyObject *>timer
        timer._number = number
        slot.when = when
        slot.order = self._order
        slot.number = number
        self._order += 1
        self._size += 1
        self._up(self._size - 1, slot)
        return 0

    cdef int _reserve(self, Py_ssize_t capacity) except -1:
        cdef void *slots
        cdef void *timers
        cdef void *places
        if capacity > MOST:
            raise MemoryError(f"{MOST} timers are armed already: the numbers of a heap end there")
        slots = PyMem_Realloc(self._slots, capacity * sizeof(Slot))
        if slots != NULL:
            self._slots = <Slot *>slots
        timers = PyMem_Realloc(self._timers, capacity * sizeof(PyObject *))
        if timers != NULL:
            self._timers = <PyObject **>timers
        places = PyMem_Realloc(self._places, capacity * sizeof(int))
        if places != NULL:
            self._places = <int *>places
        if slots == NULL or timers == NULL or places == NULL:
            raise MemoryError()
        self._capacity = capacity
        return 0

    cpdef long long first(self) except? -2:
        return self._slots[0].when if self._size else -1

    cpdef DueTimer pop_due(self, long long now):
        if not self._size or self._slots[0].when > now:
            return None
        return self._remove(0)

    cpdef int disarm(self, DueTimer timer) except -1:
        cdef int number = timer._number
        if 0 <= number < self._numbers and self._timers[number] == <PyObject *>timer:
            self._remove(self._places[number])
        return 0

    cdef DueTimer _remove(self, int place):
        """Take the timer of slot *place* out."""
        cdef int number = self._slots[place].number
        cdef DueTimer timer = <DueTimer>self._timers[number]
        cdef Slot last
        Py_DECREF(timer)
        self._timers[number] = NULL
        self._places[number] = self._free
        self._free = number
        self._size -= 1
        if place < self._size:
            last = self._slots[self._size]
            if place and _before(&last, &self._slots[(place - 1) >> 2]):
                self._up(place, last)
            else:
                self._down(place, last)
        elif self._size == 0 and self._capacity > KEPT:  # the last of many: give the memory back
            self._drop()
        return timer

    cdef void _up(self, Py_ssize_t i, Slot slot) noexcept:
        cdef Py_ssize_t parent
        while i:
            parent = (i - 1) >> 2
            if not _before(&slot, &self._slots[parent]):
                break
            self._put(i, self._slots[parent])
            i = parent
        self._put(i, slot)

    cdef void _down(self, Py_ssize_t i, Slot slot) noexcept:
        cdef Py_ssize_t child, best, last
        while True:
            child = 4 * i + 1
            if child >= self._size:
                break
            best = child
            last = child + 4 if child + 4 < self._size else self._size
            child += 1
            while child < last:
                if _before(&self._slots[child], &self._slots[best]):
                    best = child
                child += 1
            if not _before(&self._slots[best], &slot):
                break
            self._put(i, self._slots[best])
            i = best
        self._put(i, slot)

    cdef void _put(self, Py_ssize_t i, Slot slot) noexcept:
        self._slots[i] = slot
        self._places[slot.number] = <int>i

    cdef void _drop(self) noexcept:
        PyMem_Free(self._slots)
        PyMem_Free(self._timers)
        PyMem_Free(self._places)
        self._slots = NULL
        self._timers = NULL
        self._places = NULL
        self._capacity = self._numbers = self._size = 0
        self._free = -1

    def clear(self):
        cdef PyObject **timers = self._timers
        cdef Py_ssize_t i, numbers = self._numbers
        self._timers = NULL
        self._drop()
        for i in range(numbers):
            if timers[i] != NULL:
                Py_DECREF(<object>timers[i])
        PyMem_Free(timers)

    def __len__(self):
        return self._size

    def __iter__(self):
        cdef Py_ssize_t i
        return iter([<object>self._timers[self._slots[i].number] for i in range(self._size)])

    def __repr__(self):
        return f"<TimerHeap {self._size} armed>"


cdef extern from *:
    ctypedef int (*visitproc)(PyObject *, void *) noexcept
    ctypedef int (*traverseproc)(PyObject *, visitproc, void *) noexcept
    ctypedef int (*inquiry)(PyObject *) noexcept
    ctypedef struct PyTypeObject:
        traverseproc tp_traverse
        inquiry tp_clear


# The references in the slots are the heap's own: the collector is shown them, so that a loop dropped with timers is freed.
cdef int _traverse(PyObject *self, visitproc visit, void *arg) noexcept:
    cdef TimerHeap heap = <TimerHeap>self
    cdef Py_ssize_t i
    cdef int stop
    for i in range(heap._size):
        stop = visit(heap._timers[heap._slots[i].number], arg)
        if stop:
            return stop
    return 0


cdef int _clear(PyObject *self) noexcept:
    (<TimerHeap>self).clear()
    return 0

(<PyTypeObject *>TimerHeap).tp_traverse = _traverse
(<PyTypeObject *>TimerHeap).tp_clear = _clear
