cimport cython

from yieldloop.engine cimport _inline
from yieldloop.engine._leaf cimport Outcome, returned
from yieldloop.engine.calls cimport Shortcut
from yieldloop.engine.futures cimport Future, block, settle, succeeded
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


@cython.final
cdef class Intake:
    cdef LoopCore _core
    cdef Future _last
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
    @cython.locals(future=Future)
    cdef Future _a_future(self)
    cdef Py_ssize_t wanted(self) except? -1
    cpdef bint unpark(self, object future) except -1


cdef class Readable:
    cdef public Intake _in
    cdef public object _loop


cdef class Reading(Shortcut):
    cdef Py_ssize_t _count
    cdef object _future
    cdef int _how
    cdef Intake _intake
    cdef object _reader
    cdef object _what

    cdef int _open(self, object reader, Intake intake, int how, object what) except -1
    @cython.locals(intake=Intake, woken=cython.bint)
    cdef object advance(self)
    @cython.locals(buffer=StreamBuffer)
    cdef object _try(self)
    cdef bint _is_plain(self) except -1
    @cython.locals(how=cython.int)
    cdef object _drive(self, object error)
    cdef int _end(self) except -1
    cdef str named(self)
    cdef object waits_for(self)


cdef Reading _spare


@cython.locals(made=Reading, readable=Readable)
cdef Reading _new_reading(object reader, int how, object what)
