cimport cython

from yieldloop.engine cimport _inline
from yieldloop.engine._leaf cimport Outcome, iter_send, iter_throw, returned
from yieldloop.engine.calls cimport Call
from yieldloop.engine.futures cimport check, settle
from yieldloop.engine.loop cimport LoopCore
from yieldloop.wire.buffer cimport StreamBuffer

cdef tuple NAMES
cdef int SOME
cdef int EXACTLY
cdef int LINE
cdef int NEXT
cdef int UNTIL
cdef Py_ssize_t ANY
cdef Py_ssize_t LARGE
cdef Outcome NOTHING


cdef class Intake:
    cdef LoopCore _core
    cdef public StreamBuffer buffer
    cdef public bint eof
    cdef public object error
    cdef object _limit
    cdef double _most
    cdef public object loop
    cdef public Py_ssize_t needed
    cdef public object owner
    cdef public bint paused
    cdef public object transport
    cdef public object waiter

    @cython.locals(buffer=StreamBuffer, taken=Py_ssize_t)
    cpdef feed(self, object data)
    cdef take_directly(self, object data)
    cdef _pause(self)
    cpdef resume(self)
    cpdef park(self, Py_ssize_t needed)
    cdef Py_ssize_t wanted(self) except? -1
    cpdef unpark(self, object future)


cdef class Readable:
    cdef public Intake _in
    cdef public object _loop


cdef class Shortcut(Call):
    cdef bint _begun
    cdef object _coro

    cdef object _drive(self, object error)
    cdef int _end(self) except -1
    cdef bint is_new(self) except -1
    cdef object waits_for(self)


cdef class Reading(Shortcut):
    cdef object _future
    cdef int _how
    cdef Intake _intake
    cdef object _reader
    cdef object _what

    cdef int _open(self, object reader, Intake intake, int how, object what) except -1
    @cython.locals(intake=Intake)
    cdef object advance(self)
    @cython.locals(buffer=StreamBuffer)
    cdef object _try(self)
    cdef bint _is_plain(self) except -1
    @cython.locals(how=cython.int)
    cdef object _drive(self, object error)
    cdef int _end(self) except -1
    cdef str named(self)
    cdef object waits_for(self)


cdef class Draining(Shortcut):
    cdef Intake _intake
    cdef object _protocol
    cdef object _transport
    cdef object _writer

    cdef int _open(self, object writer, object protocol, Intake intake, object transport) except -1
    cdef object advance(self)
    cdef int _end(self) except -1
    cdef str named(self)


cdef Reading _spare
cdef Draining _spare_draining


@cython.locals(made=Reading, readable=Readable)
cdef Reading _new_reading(object reader, int how, object what)
@cython.locals(made=Draining)
cpdef Draining draining(object writer, object protocol, Intake intake, object transport)
