# The compiled twin of _heap.py: a 4-ary heap of 24-byte slots, so that arming touches about two cache lines whatever the
# number of timers (a new deadline rises one level on average) and comparing needs no Python object.
cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.ref cimport Py_DECREF, Py_INCREF

cdef Py_ssize_t FEW = 64
FOREVER = -1


cdef class DueTimer(Entry):
    pass


cdef inline bint _before(Slot *a, Slot *b) noexcept:
    return a.when < b.when or (a.when == b.when and a.order < b.order)


@cython.final
cdef class TimerHeap:
    def __cinit__(self):
        self._slots = NULL
        self._capacity = self._size = self._dead = 0
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
        cdef Slot slot
        while self._size:
            if not (<DueTimer>self._slots[0].timer)._cancelled:
                return self._slots[0].when
            slot = self._take()
            self._dead -= 1
            Py_DECREF(<object>slot.timer)
        return -1

    cpdef DueTimer pop_due(self, long long now):
        cdef Slot slot
        cdef DueTimer timer
        while self._size and self._slots[0].when <= now:
            slot = self._take()
            timer = <DueTimer>slot.timer
            Py_DECREF(timer)
            if timer._cancelled:
                self._dead -= 1
                continue
            return timer
        return None

    cpdef int note_cancelled(self) except -1:
        self._dead += 1
        if self._dead > FEW and self._dead * 2 > self._size:
            self._compact()
        return 0

    cdef int _compact(self) except -1:
        # No Python object is made or freed until the heap is in order again: either could run code that arms a timer.
        cdef Py_ssize_t i, kept = 0, dropped = 0, size = self._size
        cdef Slot *smaller
        cdef PyObject **dead = <PyObject **>PyMem_Malloc((self._dead + 1) * sizeof(PyObject *))
        if dead == NULL:
            raise MemoryError()
        for i in range(size):
            if (<DueTimer>self._slots[i].timer)._cancelled and dropped < self._dead:
                dead[dropped] = self._slots[i].timer
                dropped += 1
            else:
                self._slots[kept] = self._slots[i]
                kept += 1
        self._size = kept
        self._dead = 0
        i = (kept - 2) // 4 if kept > 1 else -1
        while i >= 0:
            self._down(i, self._slots[i])
            i -= 1
        if self._capacity > 4 * kept + 32:
            smaller = <Slot *>PyMem_Realloc(self._slots, (2 * kept + 32) * sizeof(Slot))
            if smaller != NULL:
                self._slots = smaller
                self._capacity = 2 * kept + 32
        for i in range(dropped):
            Py_DECREF(<object>dead[i])
        PyMem_Free(dead)
        return 0

    cdef void _up(self, Py_ssize_t i, Slot slot) noexcept:
        cdef Py_ssize_t parent
        while i:
            parent = (i - 1) >> 2
            if not _before(&slot, &self._slots[parent]):
                break
            self._slots[i] = self._slots[parent]
            i = parent
        self._slots[i] = slot

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
            self._slots[i] = self._slots[best]
            i = best
        self._slots[i] = slot

    cdef Slot _take(self) noexcept:
        cdef Slot top = self._slots[0]
        self._size -= 1
        if self._size:
            self._down(0, self._slots[self._size])
        return top

    def clear(self):
        cdef Slot *slots = self._slots
        cdef Py_ssize_t i, size = self._size
        self._slots = NULL
        self._capacity = self._size = self._dead = 0
        for i in range(size):
            Py_DECREF(<object>slots[i].timer)
        PyMem_Free(slots)

    def __len__(self):
        return self._size

    def __iter__(self):
        cdef Py_ssize_t i
        return iter([<object>self._slots[i].timer for i in range(self._size)])

    def __repr__(self):
        return f"<TimerHeap {self._size - self._dead} armed, {self._dead} disarmed but held>"


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
