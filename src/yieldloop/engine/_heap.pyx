# The compiled twin of _heap.py: a 4-ary heap of 24-byte slots. Each timer knows its place, so that disarming takes it out at once:
# its memory is warm and goes to the next timer. (Marking it and sweeping later, as the interpreted twin does, made arming among a
# million timers ten times as dear as among a thousand, for the cache misses of what lay dead.)
cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.ref cimport Py_DECREF, Py_INCREF

FOREVER = -1


cdef class DueTimer(Entry):
    pass


cdef inline bint _before(Slot *a, Slot *b) noexcept:
    return a.when < b.when or (a.when == b.when and a.order < b.order)


@cython.final
cdef class TimerHeap:
    def __cinit__(self):
        self._slots = NULL
        self._capacity = self._size = 0
        self._order = 0

    def __dealloc__(self):
        self.clear()
        PyMem_Free(self._slots)

    cpdef int push(self, long long when, DueTimer timer) except -1:
        cdef Slot slot
        cdef Slot *grown
        cdef Py_ssize_t capacity
        if self._size == self._capacity:
            capacity = 32 if self._capacity == 0 else self._capacity + (self._capacity >> 1)
            grown = <Slot *>PyMem_Realloc(self._slots, capacity * sizeof(Slot))
            if grown == NULL:
                raise MemoryError()
            self._slots = grown
            self._capacity = capacity
        Py_INCREF(timer)
        slot.when = when
        slot.order = self._order
        slot.timer = <PyObject *>timer
        self._order += 1
        self._size += 1
        self._up(self._size - 1, slot)
        return 0

    cpdef long long first(self) except? -2:
        return self._slots[0].when if self._size else -1

    cpdef DueTimer pop_due(self, long long now):
        cdef DueTimer timer
        if not self._size or self._slots[0].when > now:
            return None
        timer = <DueTimer>self._slots[0].timer
        self._remove(0)
        Py_DECREF(timer)
        return timer

    cpdef int disarm(self, DueTimer timer) except -1:
        cdef Py_ssize_t i = timer._place
        if i < 0 or i >= self._size or self._slots[i].timer != <PyObject *>timer:
            return 0
        self._remove(i)
        Py_DECREF(timer)
        return 0

    cdef void _remove(self, Py_ssize_t i) noexcept:
        """Take slot *i* out; the reference in it goes to the caller."""
        cdef Slot last
        cdef Slot *smaller
        (<DueTimer>self._slots[i].timer)._place = -1
        self._size -= 1
        if i < self._size:
            last = self._slots[self._size]
            if i and _before(&last, &self._slots[(i - 1) >> 2]):
                self._up(i, last)
            else:
                self._down(i, last)
        if self._capacity > 64 and self._size < self._capacity >> 2:
            smaller = <Slot *>PyMem_Realloc(self._slots, (self._capacity >> 1) * sizeof(Slot))
            if smaller != NULL:
                self._slots = smaller
                self._capacity >>= 1

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
        (<DueTimer>slot.timer)._place = i

    def clear(self):
        cdef Slot *slots = self._slots
        cdef Py_ssize_t i, size = self._size
        self._slots = NULL
        self._capacity = self._size = 0
        for i in range(size):
            (<DueTimer>slots[i].timer)._place = -1
            Py_DECREF(<object>slots[i].timer)
        PyMem_Free(slots)

    def __len__(self):
        return self._size

    def __iter__(self):
        cdef Py_ssize_t i
        return iter([<object>self._slots[i].timer for i in range(self._size)])

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
        stop = visit(heap._slots[i].timer, arg)
        if stop:
            return stop
    return 0


cdef int _clear(PyObject *self) noexcept:
    (<TimerHeap>self).clear()
    return 0

(<PyTypeObject *>TimerHeap).tp_traverse = _traverse
(<PyTypeObject *>TimerHeap).tp_clear = _clear
