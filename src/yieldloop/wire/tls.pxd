cimport cython

from yieldloop.wire._records cimport walk

cdef Py_ssize_t RECORD, MOST
cdef int HANDSHAKE
cdef str NEW, HANDSHAKING, OPEN, PEER_CLOSED, CLOSING, CLOSED, FAILED
cdef str START, SHAKEN, DATA, EOF, DONE, ERROR, WANT, CLOSE
cdef object _Again, _ZeroReturn


cdef class TlsMachine:
    cdef readonly str state
    cdef public object data
    cdef readonly object error
    cdef readonly bint shaken
    cdef readonly object ssl_object
    cdef bint _cut
    cdef bint _framed
    cdef bytes _head
    cdef object _incoming
    cdef bint _inside
    cdef str _later
    cdef Py_ssize_t _missing
    cdef object _outgoing
    cdef object _raw
    cdef int _refused
    cdef Py_ssize_t _tail

    cpdef object feed(self, object data)
    @cython.locals(size=Py_ssize_t, known=Py_ssize_t, end=Py_ssize_t)
    cdef object _frame(self, object data)
    cdef object _begin(self, object data, Py_ssize_t end, Py_ssize_t size)
    @cython.locals(end=Py_ssize_t, head=bytes, whole=bytes)
    cdef object _frame_head(self, object data, Py_ssize_t known, Py_ssize_t size)
    cdef object _stray(self, object data, Py_ssize_t at, int kind)
    cpdef object feed_eof(self)
    cpdef Py_ssize_t pending(self) except -1
    cpdef bytes take(self)
    cpdef object start(self)
    cpdef str next_event(self)
    cpdef bint readable(self) except -1
    @cython.locals(pending=Py_ssize_t)
    cdef bint _readable(self) except -1
    @cython.locals(event=str)
    cdef str _late(self)
    cdef object _failed(self, object exc)
    cdef str _shake(self)
    @cython.locals(total=Py_ssize_t, rest=list)
    cdef str _read(self)
    @cython.locals(room=Py_ssize_t)
    cdef object _read_record(self)
    @cython.locals(room=Py_ssize_t, total=Py_ssize_t, count=Py_ssize_t)
    cpdef Py_ssize_t read_into(self, object buffer) except -1
    cdef str _drain(self)
    cpdef Py_ssize_t write(self, object data) except -1
    cpdef object close(self)
