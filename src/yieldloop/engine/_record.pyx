# The compiled twin of _record.py, where the format and its reasons are written. A chunk is made when it is needed; if there is no
# memory for one, the newest is begun again: a recorder says nothing, and never raises.
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc

from yieldloop.engine cimport _inline
from yieldloop.engine._marks cimport Reading, read_both

from types import AsyncGeneratorType, CoroutineType, GeneratorType

import contextvars
import functools
import gc

from yieldloop.engine._leaf import FutureIter, Turn

cdef enum:
    CHUNK_CELLS = 2 * 4096
    LABELS = 8192
    SLOTS = 4 * LABELS
    LAST_LABEL = (1 << 21) - 1
    NAMES = 16384
    MOST_LINKS = 64


cdef class Recorder:
    def __init__(self, limit, age, bint chains=False):
        if limit < CHUNK_CELLS * 8 or age < 0:
            raise ValueError(f"a recorder holds at least {CHUNK_CELLS * 8} bytes and no negative age: got {limit!r} bytes, {age!r} ns")
        if self._ring != NULL:
            raise RuntimeError("this recorder is initialized already")
        self.limit = limit
        self.age = age
        self.chains = chains
        self._most = limit // (CHUNK_CELLS * 8)
        self._name_list = []
        self._room = 4
        self._ring = <Chunk *>PyMem_RawMalloc(self._room * sizeof(Chunk))
        if self._ring == NULL:
            raise MemoryError()
        self._turn()
        if self._size == 0:
            raise MemoryError()

    def __dealloc__(self):
        while self._size:
            PyMem_RawFree(self._drop())
        PyMem_RawFree(self._ring)

    cdef Cell *_drop(self) noexcept:
        """Forget the oldest chunk. Its memory is the caller's."""
        cdef Chunk *oldest = &self._ring[self._first]
        self.lost += oldest.used // 2
        self._first = (self._first + 1) % self._room
        self._size -= 1
        return oldest.cells

    cdef Chunk *_at(self, Py_ssize_t i) noexcept:
        return &self._ring[(self._first + i) % self._room]

    cdef bint _make_room(self) noexcept:
        cdef Chunk *ring
        cdef Py_ssize_t i
        if self._size < self._room:
            return True
        ring = <Chunk *>PyMem_RawMalloc(2 * self._room * sizeof(Chunk))
        if ring == NULL:
            return False
        for i in range(self._size):
            ring[i] = self._at(i)[0]
        PyMem_RawFree(self._ring)
        self._ring = ring
        self._first = 0
        self._room *= 2
        return True

    cdef void _turn(self) noexcept:
        cdef Reading now = read_both()
        cdef Chunk *newest
        cdef Cell *cells = NULL
        if self._size:
            newest = self._at(self._size - 1)
            newest.used = self._next - newest.cells
            if newest.used == 0:  # nothing but a long time has passed
                newest.tick = now.tick
                newest.ns = now.ns
                self._tick = now.tick
                return
        while self._size and (self._size >= self._most or (self.age and self._size > 1 and self._at(1).ns < now.ns - self.age)):
            PyMem_RawFree(cells)
            cells = self._drop()
        if cells == NULL and self._make_room():
            cells = <Cell *>PyMem_RawMalloc(CHUNK_CELLS * sizeof(Cell))
        if cells == NULL:
            if not self._size:
                return
            newest = self._at(self._size - 1)
            self.lost += newest.used // 2
            cells = newest.cells
            self._size -= 1
        self._size += 1
        self._number += 1
        newest = self._at(self._size - 1)
        newest.cells = cells
        newest.used = 0
        newest.tick = now.tick
        newest.ns = now.ns
        newest.offset = self._offset
        newest.number = self._number
        self._next = cells
        self._end = cells + CHUNK_CELLS
        self._tick = now.tick
        self._streak = 0
        self.oldest = self._at(0).tick

    cdef void note_offset(self, long long offset) noexcept:
        if offset != self._offset:
            self._offset = offset
            self.note(OFFSET, 0, offset)

    cdef int note_name(self, long long task, str name) except -1:
        if len(self._name_list) < NAMES:
            self._name_list.append(name)
        else:
            self._name_list[self._names % NAMES] = name
        self.note(NAMED, task, self._names)
        self._names += 1
        return 0

    def names(self):
        first = max(0, self._names - NAMES)
        return {number: self._name_list[number % NAMES] for number in range(first, self._names)}

    def numbers(self):
        cdef Py_ssize_t i
        return [self._at(i).number for i in range(self._size)]

    def chunk(self, long long number):
        cdef Chunk *found
        cdef Py_ssize_t i, used
        for i in range(self._size):
            found = self._at(i)
            if found.number == number:
                used = self._next - found.cells if i == self._size - 1 else found.used
                return found.tick, found.ns, found.offset, (<char *>found.cells)[:used * sizeof(Cell)]
        return None


# --- labels ----------------------------------------------------------------------------------------------------------------

cdef extern from *:
    """
    /* What a coroutine or a generator runs: borrowed, since that holds it. */
    static PyObject *yl_code_of(PyObject *o) {
        PyObject *code = NULL;
        if (PyCoro_CheckExact(o) || PyGen_CheckExact(o)) {
    #if PY_VERSION_HEX >= 0x030C0000
            code = (PyObject *)PyGen_GetCode((PyGenObject *)o);
            Py_DECREF(code);
    #else
            code = (PyObject *)((PyGenObject *)o)->gi_code;
    #endif
        }
        return code;
    }
    static PyObject *yl_callee(PyObject *o) { return PyMethod_Check(o) ? PyMethod_GET_FUNCTION(o) : o; }
    static PyObject *yl_code_of_function(PyObject *o) { return PyFunction_Check(o) ? PyFunction_GET_CODE(o) : NULL; }
    static void *yl_definition(PyObject *o) { return PyCFunction_Check(o) ? (void *)((PyCFunctionObject *)o)->m_ml : NULL; }
    """
    ctypedef struct PyObject:
        pass
    PyObject *yl_code_of(PyObject *o) noexcept
    PyObject *yl_callee(PyObject *o) noexcept
    PyObject *yl_code_of_function(PyObject *o) noexcept
    void *yl_definition(PyObject *o) noexcept

cdef struct Slot:
    void *key
    long long where
    long long label

cdef Slot _slots[SLOTS]
cdef Py_ssize_t _taken = 0
cdef list _kept = []
cdef long long _last = 0
cdef void *_recent = NULL          # the code that was last asked for: a storm is of one callback
cdef long long _recent_label = 0
cdef object _partial = functools.partial
cdef object _Context = contextvars.Context


def _some_method(self):
    """Its type is that of every function which Cython made."""


cdef object _cython_function = type(_some_method)


cdef long long _label(void *key, long long where, object keep) noexcept:
    global _taken, _last, _kept, _recent
    cdef Cell i = ((<Cell>key >> 4) + <Cell>where * 31) * <Cell>0x9E3779B97F4A7C15 >> 49
    cdef Py_ssize_t at
    while _slots[i].key != NULL:
        if _slots[i].key == key and _slots[i].where == where:
            return _slots[i].label
        i = (i + 1) & (SLOTS - 1)
    if keep is None or _last >= LAST_LABEL:
        return 0
    if _taken >= LABELS:
        for at in range(SLOTS):
            _slots[at].key = NULL
        _taken = 0
        _recent = NULL
        _kept = _kept[-LABELS:]
        return _label(key, where, keep)
    _last += 1
    _taken += 1
    _slots[i].key = key
    _slots[i].where = where
    _slots[i].label = _last
    _kept.append((_last, keep, where))
    return _last


cpdef long long label_site(object code, long lasti) noexcept:
    return 0 if code is None else _label(<void *>code, lasti, code)


cpdef long long label_coro(object coro) noexcept:
    cdef PyObject *code = yl_code_of(<PyObject *>coro)
    if code != NULL:
        return _label(<void *>code, -1, <object>code)
    found = type(coro)
    return _label(<void *>found, -1, found)


cpdef long long label_call(object function) noexcept:
    cdef PyObject *callee
    cdef PyObject *code
    cdef void *definition
    global _recent, _recent_label
    callee = yl_callee(<PyObject *>function)
    code = yl_code_of_function(callee)
    if code != NULL:
        if code != _recent:
            _recent_label = _label(<void *>code, -1, <object>code)
            _recent = code
        return _recent_label
    if type(function) is _partial:
        run, args = function.func, function.args
        return label_call(args[0] if args and type(getattr(run, "__self__", None)) is _Context else run)
    definition = yl_definition(callee)
    if definition != NULL:
        return _label(definition, -1, None) or _label(definition, -1, (<object>callee).__qualname__)
    if type(<object>callee) is _cython_function:
        name = (<object>callee).__qualname__  # one string, however many closures are made of it
        return _label(<void *>name, -1, None) or _label(<void *>name, -1, ((<object>callee).__module__, name))
    return label_type(<object>callee)


cpdef long long label_type(object entry) noexcept:
    global _recent, _recent_label
    found = type(entry)
    if <void *>found != _recent:
        _recent_label = _label(<void *>found, -1, found)
        _recent = <void *>found
    return _recent_label


cdef object _Coroutine = CoroutineType
cdef object _Generator = GeneratorType
cdef object _AsyncGenerator = AsyncGeneratorType
cdef object _FutureIter = FutureIter
cdef object _Turn = Turn
LINK = 32
PLUMBING = frozenset({"coroutine_wrapper", "async_generator_asend", "async_generator_athrow", "anext_awaitable"})


cpdef long long label_chain(object coro) except? -1:
    cdef long long found = 0
    cdef long long lasti
    cdef int link
    for link in range(MOST_LINKS):
        kind = type(coro)
        if kind is _Coroutine:
            frame, following = coro.cr_frame, coro.cr_await
        elif kind is _Generator:
            frame, following = coro.gi_frame, coro.gi_yieldfrom
        elif kind is _AsyncGenerator:
            frame, following = coro.ag_frame, coro.ag_await
        elif kind.__name__ in PLUMBING and kind.__module__ == "builtins":
            coro = inner_of(coro)
            continue
        elif kind.__module__.startswith("yieldloop.") and kind is not _FutureIter:
            name = "sleep" if kind is _Turn else getattr(coro, "__name__", kind.__name__)
            return _label(<void *>name, (found + 1) << 32, (kind.__module__, name))
        else:
            break
        if frame is None:
            break
        code = frame.f_code
        lasti = frame.f_lasti
        found = _label(<void *>code, lasti | (found + 1) << 32, code)
        coro = following
    return found


def inner_of(awaitable):
    for found in gc.get_referents(awaitable):
        if type(found) in (_Coroutine, _Generator, _AsyncGenerator) or type(found).__name__ in PLUMBING:
            return found
    return None


def labels():
    return list(_kept)
