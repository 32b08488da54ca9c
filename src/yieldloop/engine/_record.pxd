cimport cython

from yieldloop.engine cimport _inline

cdef enum:
    CREATED = 1
    STEPPED = 2
    TURN = 3
    PARKED = 4
    PARKED_TASK = 5
    WOKEN = 6
    WOKEN_TASK = 7
    DONE = 8
    CALLBACK = 9
    TIMER = 10
    POLL = 11
    POLLED = 12
    FD = 13
    THREAD = 14
    MARK = 15
    OVER = 16
    FACTS = 17
    MADE = 18
    NAMED = 19
    OFFSET = 20
    UNNAMED = 21
    WAITED = 22

cdef enum:
    SHORT = 4096         # ticks; a step of about a µs
    FAR_BITS = 40        # ticks; longer than that, and a new chunk begins: the records' own ticks are folded to 43 bits

ctypedef unsigned long long Cell

cdef struct Chunk:
    Cell *cells
    Py_ssize_t used      # cells, once it is full
    long long tick
    long long ns
    long long offset
    long long number


@cython.final
cdef class Recorder:
    cdef Cell *_next     # where the next record goes
    cdef Cell *_end      # the end of the chunk
    cdef long long _tick # the last look at the clock
    cdef int _streak     # looks in a row that came soon after the one before
    cdef Chunk *_ring
    cdef Py_ssize_t _most
    cdef Py_ssize_t _room     # chunks that _ring has room for
    cdef Py_ssize_t _first    # index of the oldest
    cdef Py_ssize_t _size
    cdef long long _number
    cdef long long _offset
    cdef list _name_list
    cdef long long _names
    cdef readonly long long limit
    cdef readonly long long age
    cdef readonly bint chains
    cdef readonly long long lost
    cdef readonly long long oldest
    cdef object __weakref__

    cdef inline long long note(self, int kind, unsigned long long subject, unsigned long long thing) noexcept:
        cdef long long now = _inline.ticks()
        if now - self._tick < SHORT:
            if self._streak < 16:
                self._streak += 1
        else:
            self._streak = 0
            if now - self._tick >> FAR_BITS:
                self._turn()
                now = self._tick
        self._tick = now
        self._put(kind, subject, thing)
        return now

    cdef inline long long quick(self, int kind, unsigned long long subject, unsigned long long thing) noexcept:
        if self._streak >= 16:
            self._streak ^= 64
            if self._streak & 64:
                self._put(kind, subject, thing)
                return self._tick
        return self.note(kind, subject, thing)

    cdef inline void _put(self, int kind, unsigned long long subject, unsigned long long thing) noexcept:
        cdef Cell *cell = self._next
        cell[0] = <Cell>self._tick << 21 | (subject & 0x7FFF) << 6 | <Cell>kind
        cell[1] = (subject >> 15) << 43 | thing << 21 >> 21
        self._next = cell + 2
        if self._next == self._end:
            self._turn()

    cdef Cell *_drop(self) noexcept
    cdef Chunk *_at(self, Py_ssize_t i) noexcept
    cdef bint _make_room(self) noexcept
    cdef void _turn(self) noexcept
    cdef void note_offset(self, long long offset) noexcept
    cdef int note_name(self, long long task, str name) except -1


cpdef long long label_site(object code, long lasti) noexcept
cpdef long long label_coro(object coro) noexcept
cpdef long long label_call(object function) noexcept
cpdef long long label_type(object entry) noexcept
cpdef long long label_chain(object coro) except? -1
