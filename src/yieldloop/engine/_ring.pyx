# The compiled twin of _ring.py: a ring of pointers that doubles when it is full and never shrinks below what it has seen
# in this iteration's order of magnitude. Its hot methods stand in the .pxd, to be compiled into their callers. Pushing from another thread is safe under the GIL: nothing here releases it.
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.ref cimport Py_DECREF

from yieldloop.engine._inline cimport show, yl_visit
from yieldloop.engine._leaf cimport Entry

cdef Py_ssize_t START = 64


cdef class ReadyQueue:
    def __cinit__(self):
        self._slots = <PyObject **>PyMem_Malloc(START * sizeof(PyObject *))
        if self._slots == NULL:
            raise MemoryError()
        self._mask = START - 1
        self._head = 0
        self._size = 0

    def __dealloc__(self):
        self._drop()
        PyMem_Free(self._slots)

    cdef void _drop(self) noexcept:
        cdef PyObject *entry
        while self._size:
            entry = self._slots[self._head]
            self._head = (self._head + 1) & self._mask
            self._size -= 1
            show(<object>entry)  # whoever else has it keeps it
            Py_DECREF(<object>entry)

    cdef int _grow(self) except -1:
        cdef Py_ssize_t capacity = self._mask + 1
        cdef PyObject **slots = <PyObject **>PyMem_Malloc(2 * capacity * sizeof(PyObject *))
        cdef Py_ssize_t i
        if slots == NULL:
            raise MemoryError()
        for i in range(self._size):
            slots[i] = self._slots[(self._head + i) & self._mask]
        PyMem_Free(self._slots)
        self._slots = slots
        self._head = 0
        self._mask = 2 * capacity - 1
        return 0

    def append(self, Entry entry not None):
        self.push(entry)

    def popleft(self):
        return self.pop()

    def clear(self):
        self._drop()

    def __len__(self):
        return self._size

    def __iter__(self):
        return iter(self._list())

    def __repr__(self):
        return f"<ReadyQueue {self._size} entries>"

    cdef list _list(self):
        cdef Py_ssize_t i
        return [<object>self._slots[(self._head + i) & self._mask] for i in range(self._size)]


cdef extern from *:
    ctypedef int (*visitproc)(PyObject *, void *) noexcept
    ctypedef int (*traverseproc)(PyObject *, visitproc, void *) noexcept
    ctypedef int (*inquiry)(PyObject *) noexcept
    ctypedef struct PyTypeObject:
        traverseproc tp_traverse
        inquiry tp_clear


# The references in the ring are its own: the collector is shown them, so that a loop dropped with entries is freed.
cdef int _traverse(PyObject *self, visitproc visit, void *arg) noexcept:
    cdef ReadyQueue ring = <ReadyQueue>self
    cdef Py_ssize_t i
    cdef int stop
    for i in range(ring._size):
        stop = yl_visit(ring._slots[(ring._head + i) & ring._mask], visit, arg)
        if stop:
            return stop
    return 0


cdef int _clear(PyObject *self) noexcept:
    (<ReadyQueue>self)._drop()
    return 0

(<PyTypeObject *>ReadyQueue).tp_traverse = _traverse
(<PyTypeObject *>ReadyQueue).tp_clear = _clear
