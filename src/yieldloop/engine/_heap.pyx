# The compiled twin of _heap.py, in three parts. What is armed goes to the end of a line, which costs a store and no comparison; most
# timers are disarmed before anybody asks for the time, and the one armed last, by taking the end back. When the loop looks, those
# that have come since it last did are put in order: few of them into a 4-ary heap; many, as a storm arms them, by counting
# digits, and then merged with what stands sorted at the line's front. So a storm is never sifted, the next in line are known
# before their turn, and no look costs more than a few times what arming has cost since the last one.
#
# Each timer's place is known, so that disarming takes it out at once: its memory is warm and goes to the next timer. (Marking it and
# sweeping later, as the interpreted twin does, made arming among a million timers ten times as dear as among a thousand, for the
# cache misses of what lay dead.) From the line goes the timer; its slot is marked, and swept once more than half of them are. The
# places stand in an array of their own, by the timer's number, and not in the timers: sifting moves half a dozen slots and would
# touch as many objects all over the memory.
cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.string cimport memset

from yieldloop.engine._inline cimport yl_prefetch

FOREVER = NOWHERE = -1
cdef enum:
    KEPT = 1024          # slots that an empty heap keeps
    MOST = 1 << 29       # armed timers, so that numbers and places fit into ints, with the gaps in the line
    FEW = 64             # marked slots that are not worth a sweep
    STORM = 256          # newcomers that are worth counting
    SOON = 8             # timers ahead of their turn whose memory is asked for
    NOBODY = -1          # the number of a marked slot


cdef class DueTimer(Entry):
    pass


cdef inline bint _before(Slot *a, Slot *b) noexcept:
    return a.when < b.when or (a.when == b.when and a.order < b.order)


@cython.final
cdef class TimerHeap:
    def __cinit__(self):
        self._blank()
        self._order = 0

    cdef void _blank(self) noexcept:
        self._line = self._heap = NULL
        self._timers = NULL
        self._places = NULL
        self._line_room = self._heap_room = self._capacity = 0
        self._head = self._sorted = self._tail = self._marked = 0
        self._size = self._numbers = self._armed = 0
        self._free = -1

    def __dealloc__(self):
        self.clear()

    cpdef int push(self, long long when, DueTimer timer) except -1:
        cdef Slot *slot
        cdef int number
        if self._tail == self._line_room:
            self._lengthen()
        if self._free < 0 and self._numbers == self._capacity:
            self._enlarge()
        number = self._free
        if number >= 0:
            self._free = self._places[number]
        else:
            number = <int>self._numbers
            self._numbers += 1
        Py_INCREF(timer)
        self._timers[number] = <PyObject *>timer
        timer._number = number
        slot = &self._line[self._tail]
        slot.when = when
        slot.order = self._order
        slot.number = number
        self._places[number] = <int>~self._tail
        self._order += 1
        self._tail += 1
        self._armed += 1
        return 0

    cpdef long long first(self) except? -2:
        cdef Slot *slot = self._next()
        return FOREVER if slot == NULL else slot.when

    cpdef DueTimer pop_due(self, long long now):
        cdef Slot *slot = self._next()
        if slot == NULL or slot.when > now:
            return None
        if slot == self._heap:
            return self._remove(0)
        self._head += 1
        if self._head + 2 * SOON <= self._sorted:
            yl_prefetch(&self._timers[slot[2 * SOON].number])
            if slot[SOON].number != NOBODY:
                yl_prefetch(self._timers[slot[SOON].number])
        return self._release(slot.number)

    cpdef int disarm(self, DueTimer timer) except -1:
        cdef int number = timer._number
        cdef Py_ssize_t place
        if not 0 <= number < self._numbers or self._timers[number] != <PyObject *>timer:
            return 0
        if self._places[number] >= 0:
            self._remove(self._places[number])
            return 0
        place = ~self._places[number]
        if place + 1 == self._tail:
            self._tail = place
            if self._sorted > place:
                self._sorted = place
        else:
            self._line[place].number = NOBODY
            self._marked += 1
            if self._marked > FEW and 2 * self._marked > self._tail - self._head:
                self._sweep()
        self._release(number)
        return 0

    cdef DueTimer _release(self, int number):
        """Strike timer *number* off the register. Its slot is gone already."""
        cdef DueTimer timer = <DueTimer>self._timers[number]
        Py_DECREF(timer)
        timer._number = -1
        self._timers[number] = NULL
        self._places[number] = self._free
        self._free = number
        self._armed -= 1
        if self._armed == 0:
            self._head = self._sorted = self._tail = self._marked = 0
            if self._capacity > KEPT:  # the last of many: give the memory back
                self._drop()
        return timer

    # --- the line ------------------------------------------------------------------------------------------------------

    cdef Slot *_next(self) except? NULL:
        """The slot whose turn is next, or NULL."""
        if self._sorted < self._tail:
            self._sort_in()
        while self._head < self._sorted and self._line[self._head].number == NOBODY:
            self._head += 1
            self._marked -= 1
        if self._head == self._sorted or self._size and _before(self._heap, &self._line[self._head]):
            return self._heap if self._size else NULL
        return &self._line[self._head]

    cdef int _sort_in(self) except -1:
        """Give the newcomers their places."""
        cdef Py_ssize_t i, newcomers = self._tail - self._sorted
        if newcomers >= STORM and newcomers >= (self._sorted - self._head) >> 2:
            self._merge(newcomers)
            return 0
        if self._heap_room - self._size < newcomers:
            _resize(&self._heap, &self._heap_room, _more(self._size + newcomers))
        for i in range(self._sorted, self._tail):
            if self._line[i].number == NOBODY:
                self._marked -= 1
            else:
                self._size += 1
                self._up(self._size - 1, self._line[i])
        self._tail = self._sorted
        if self._head == self._sorted:
            self._head = self._sorted = self._tail = 0
        return 0

    cdef int _merge(self, Py_ssize_t newcomers) except -1:
        """Sort the newcomers, then merge them with those before them, from the end: equal ones stay in the order of arming."""
        cdef Slot *line = self._line
        cdef Slot *new = <Slot *>PyMem_Malloc(newcomers * sizeof(Slot))
        cdef Py_ssize_t i, to, count = 0
        cdef long long low = 0, high = 0
        cdef bint in_order = True
        if new == NULL:
            raise MemoryError()
        for i in range(self._sorted, self._tail):
            if line[i].number == NOBODY:
                self._marked -= 1
                continue
            if count == 0:
                low = high = line[i].when
            elif line[i].when >= high:
                high = line[i].when
            else:
                in_order = False
                if line[i].when < low:
                    low = line[i].when
            new[count] = line[i]
            count += 1
        if not in_order:
            _sort(new, &line[self._sorted], count, low, <unsigned long long>high - <unsigned long long>low)
        i = self._sorted
        to = self._sorted = self._tail = i + count
        while count:
            to -= 1
            if i > self._head and line[i - 1].when > new[count - 1].when:
                i -= 1
                line[to] = line[i]
            else:
                count -= 1
                line[to] = new[count]
            if line[to].number != NOBODY:
                self._places[line[to].number] = <int>~to
        PyMem_Free(new)
        return 0

    cdef int _lengthen(self) except -1:
        """Make room at the line's end."""
        if 2 * (self._head + self._marked) > self._line_room:
            self._sweep()
        else:
            _resize(&self._line, &self._line_room, _more(self._line_room))
        return 0

    cdef void _sweep(self) noexcept:
        """Close the gaps in the line, and the one before its head."""
        cdef Py_ssize_t i, to = 0, end = 0
        for i in range(self._head, self._tail):
            if i == self._sorted:
                end = to
            if self._line[i].number != NOBODY:
                self._line[to] = self._line[i]
                self._places[self._line[to].number] = <int>~to
                to += 1
        self._sorted = end if self._sorted < self._tail else to
        self._head = self._marked = 0
        self._tail = to

    # --- the heap ------------------------------------------------------------------------------------------------------

    cdef DueTimer _remove(self, Py_ssize_t place):
        """Take the timer of slot *place* out."""
        cdef int number = self._heap[place].number
        cdef Slot last
        self._size -= 1
        if place < self._size:
            last = self._heap[self._size]
            if place and _before(&last, &self._heap[(place - 1) >> 2]):
                self._up(place, last)
            else:
                self._down(place, last)
        return self._release(number)

    cdef void _up(self, Py_ssize_t i, Slot slot) noexcept:
        cdef Py_ssize_t parent
        while i:
            parent = (i - 1) >> 2
            if not _before(&slot, &self._heap[parent]):
                break
            self._put(i, self._heap[parent])
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
                if _before(&self._heap[child], &self._heap[best]):
                    best = child
                child += 1
            if not _before(&self._heap[best], &slot):
                break
            self._put(i, self._heap[best])
            i = best
        self._put(i, slot)

    cdef void _put(self, Py_ssize_t i, Slot slot) noexcept:
        self._heap[i] = slot
        self._places[slot.number] = <int>i

    # --- the register --------------------------------------------------------------------------------------------------

    cdef int _enlarge(self) except -1:
        """Make room for more numbers."""
        cdef Py_ssize_t capacity = _more(self._capacity)
        cdef void *timers
        cdef void *places
        if capacity > MOST:
            raise MemoryError(f"{MOST} timers are armed already: the numbers of a heap end there")
        timers = PyMem_Realloc(self._timers, capacity * sizeof(PyObject *))
        if timers != NULL:
            self._timers = <PyObject **>timers
        places = PyMem_Realloc(self._places, capacity * sizeof(int))
        if places != NULL:
            self._places = <int *>places
        if timers == NULL or places == NULL:
            raise MemoryError()
        self._capacity = capacity
        return 0

    cdef void _drop(self) noexcept:
        PyMem_Free(self._line)
        PyMem_Free(self._heap)
        PyMem_Free(self._timers)
        PyMem_Free(self._places)
        self._blank()

    def clear(self):
        cdef PyObject **timers = self._timers
        cdef Py_ssize_t i, numbers = self._numbers
        self._timers = NULL
        self._drop()
        for i in range(numbers):
            if timers[i] != NULL:
                (<DueTimer>timers[i])._number = -1
                Py_DECREF(<object>timers[i])
        PyMem_Free(timers)

    def __len__(self):
        return self._armed

    def __iter__(self):
        cdef Py_ssize_t i
        return iter([<object>self._timers[i] for i in range(self._numbers) if self._timers[i] != NULL])

    def __repr__(self):
        return f"<TimerHeap {self._armed} armed>"


cdef Py_ssize_t _more(Py_ssize_t room) noexcept:
    return room + (room >> 1) + 32


cdef int _resize(Slot **slots, Py_ssize_t *room, Py_ssize_t wanted) except -1:
    cdef void *found = PyMem_Realloc(slots[0], wanted * sizeof(Slot))
    if found == NULL:
        raise MemoryError()
    slots[0] = <Slot *>found
    room[0] = wanted
    return 0


cdef void _sort(Slot *slots, Slot *other, Py_ssize_t size, long long low, unsigned long long spread) noexcept:
    """Sort by deadline, digit by digit from the last, to and fro between two arrays. Equal ones stay in their order."""
    cdef Py_ssize_t starts[256]
    cdef Py_ssize_t i, start, count
    cdef unsigned long long mask
    cdef int bits = 1, passes, width, shift, turn
    while bits < 64 and spread >> bits:
        bits += 1
    passes = 2 * ((bits + 15) // 16)  # an even number of digits, of 8 bits at most
    width = (bits + passes - 1) // passes
    mask = (<unsigned long long>1 << width) - 1
    for turn in range(passes):
        shift = turn * width
        memset(starts, 0, sizeof(starts))
        for i in range(size):
            starts[<unsigned long long>(slots[i].when - low) >> shift & mask] += 1
        start = 0
        for i in range(<Py_ssize_t>mask + 1):
            count = starts[i]
            starts[i] = start
            start += count
        for i in range(size):
            count = <Py_ssize_t>(<unsigned long long>(slots[i].when - low) >> shift & mask)
            other[starts[count]] = slots[i]
            starts[count] += 1
        slots, other = other, slots


cdef extern from *:
    ctypedef int (*visitproc)(PyObject *, void *) noexcept
    ctypedef int (*traverseproc)(PyObject *, visitproc, void *) noexcept
    ctypedef int (*inquiry)(PyObject *) noexcept
    ctypedef struct PyTypeObject:
        traverseproc tp_traverse
        inquiry tp_clear


# The references in the register are the heap's own: the collector is shown them, so that a loop dropped with timers is freed.
cdef int _traverse(PyObject *self, visitproc visit, void *arg) noexcept:
    cdef TimerHeap heap = <TimerHeap>self
    cdef Py_ssize_t i
    cdef int stop
    for i in range(heap._numbers):
        if heap._timers[i] != NULL:
            stop = visit(heap._timers[i], arg)
            if stop:
                return stop
    return 0


cdef int _clear(PyObject *self) noexcept:
    (<TimerHeap>self).clear()
    return 0

(<PyTypeObject *>TimerHeap).tp_traverse = _traverse
(<PyTypeObject *>TimerHeap).tp_clear = _clear
