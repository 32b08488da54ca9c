cimport cython

from yieldloop.engine._leaf cimport Entry, copy_context
from yieldloop.pollers.base cimport FdPoller
from yieldloop.transports._pipeio cimport has_ended, read_bytes, widen, write_bytes, write_pieces
from yieldloop.transports._sockio cimport tell, tell_of
from yieldloop.transports.intake cimport Intake
from yieldloop.wire.flow cimport Flow
from yieldloop.wire.writequeue cimport WriteQueue, stable

cdef Py_ssize_t LOST_WRITES, READ, TURN


cdef class PipeTransport(Entry):
    cdef bint _closing
    cdef bint _lost
    cdef int _fd
    cdef object _context
    cdef dict _extra
    cdef readonly object _loop
    cdef public object _pipe
    cdef FdPoller _poller
    cdef readonly object _protocol
    cdef dict __dict__
    cdef object __weakref__

    cdef object _begin(self)
    cdef object _take_protocol(self, object protocol)
    cdef object _end(self, object exc)
    cdef object _close_pipe(self)
    cdef object _report(self, str message, object exc)
    cdef object _note(self, str message, object exc)
    cdef str _state(self)


cdef class ReadPipeTransport(PipeTransport):
    cdef bint _paused
    cdef Intake _intake
    cdef Py_ssize_t _expected
    cdef Py_ssize_t _room

    cdef int run(self) except -1
    cdef object _begin(self)
    @cython.locals(left=Py_ssize_t, size=Py_ssize_t, data=bytes)
    cdef object _receive(self)
    cdef object _deliver(self, bytes data)
    cdef object _take_protocol(self, object protocol)
    cdef object _end_of_stream(self)
    cdef object _fatal(self, object exc, str message)


cdef class OtherEnd(Entry):
    cdef WritePipeTransport _transport

    cdef int run(self) except -1


cdef class WritePipeTransport(PipeTransport):
    cdef Flow _flow
    cdef WriteQueue _queue
    cdef bint _wide
    cdef bint _writing
    cdef Py_ssize_t _late

    cdef int run(self) except -1
    cdef object _begin(self)
    cdef object _look_at_end(self)
    cdef object _push(self, object data)
    @cython.locals(queue=WriteQueue, sent=Py_ssize_t)
    cdef object _flush(self)
    cdef object _arm_writing(self)
    cdef object _rest_writing(self)
    cdef object _count_late_write(self)
    cdef object _tell_flow(self, str method)
    cdef object _fatal(self, object exc, str message)
    cdef object _end(self, object exc)


cdef object _check_kind(int fd, object pipe)
cdef bint _shows_its_end(int fd) except -1
