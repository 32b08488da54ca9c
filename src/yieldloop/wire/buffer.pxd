# C types of buffer.py; the attributes stand in the order of __slots__.
cimport cython

from yieldloop.wire._bytes cimport cut, index_of

cdef bytes NEWLINE
cdef Py_ssize_t GATHER, TRIM


cdef class StreamBuffer:
    cdef bytes head
    cdef Py_ssize_t pos
    cdef readonly Py_ssize_t size
    cdef object tail
    cdef readonly Py_ssize_t matched
    cdef tuple scan_for
    cdef Py_ssize_t scan_done
    cdef Py_ssize_t scan_piece
    cdef Py_ssize_t scan_pos
    cdef bytes scan_window

    cpdef feed(self, object data)
    @cython.locals(piece=bytes, length=Py_ssize_t)
    cdef _feed(self, object data)
    cdef _gather(self, bytes piece)
    @cython.locals(head=bytes, piece=bytes, start=Py_ssize_t, end=Py_ssize_t)
    cdef bytes _take(self, Py_ssize_t n)
    cdef _next_piece(self)
    @cython.locals(missing=Py_ssize_t, length=Py_ssize_t)
    cdef bytes _take_across(self, Py_ssize_t n)
    cpdef bytes read_line(self, double limit)
    @cython.locals(head=bytes, start=Py_ssize_t, at=Py_ssize_t, end=Py_ssize_t)
    cdef bytes _line(self, double limit)
    cpdef bytes read_until(self, tuple separators, double limit)
    @cython.locals(end=Py_ssize_t)
    cdef bytes _until(self, tuple separators, double limit)
    cpdef Py_ssize_t find(self, tuple separators) except -2
    @cython.locals(longest=Py_ssize_t, at=Py_ssize_t)
    cdef Py_ssize_t _find(self, tuple separators) except -2
    @cython.locals(pieces=Py_ssize_t, end=Py_ssize_t)
    cdef Py_ssize_t _find_on(self, tuple separators, Py_ssize_t longest) except -2
    @cython.locals(start=Py_ssize_t, limit=Py_ssize_t, at=Py_ssize_t, end=Py_ssize_t, before=Py_ssize_t)
    cdef Py_ssize_t _find_in(self, object piece, tuple separators, Py_ssize_t longest) except -2
    cdef _mark_start(self, tuple separators)
    cdef _mark_head(self, tuple separators, Py_ssize_t keep)
    @cython.locals(length=Py_ssize_t, fresh=Py_ssize_t)
    cdef _mark(self, object piece, Py_ssize_t keep)
    @cython.locals(head=bytes)
    cpdef trim(self)
