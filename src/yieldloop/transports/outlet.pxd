cimport cython

from yieldloop.engine cimport _inline
from yieldloop.engine._leaf cimport Outcome
from yieldloop.engine.calls cimport Shortcut
from yieldloop.transports.base cimport FdTransport, StreamWriting
from yieldloop.transports.intake cimport Intake

cdef Outcome NOTHING


cdef class Flowing:
    cdef public bint _connection_lost
    cdef public object _drain_waiters
    cdef public object _loop
    cdef public bint _paused


cdef class Writable:
    cdef public Flowing _flow
    cdef public Intake _intake
    cdef public object _loop
    cdef public object _protocol
    cdef public object _reader
    cdef public object _transport

    @cython.locals(flow=Flowing, ours=FdTransport)
    cdef bint _flows(self) except -1


cdef class Draining(Shortcut):
    cdef Writable _writer

    cdef int _open(self, Writable writer) except -1
    @cython.locals(writer=Writable)
    cdef object advance(self)
    cdef int _end(self) except -1
    cdef str named(self)


cdef Draining _spare


@cython.locals(writer=Writable, ours=StreamWriting)
cpdef object write(object self, object data)
@cython.locals(made=Draining)
cpdef Draining drain(object self)
