cimport cython

from yieldloop.transports._pipeio cimport has_ended, read_bytes, widen, write_bytes, write_pieces
from yieldloop.transports._sockio cimport tell_of
from yieldloop.transports.base cimport FdTransport, StreamWriting
from yieldloop.transports.intake cimport Intake
from yieldloop.wire.writequeue cimport stable

cdef Py_ssize_t READ, TURN
cdef str _LATE


cdef class ReadPipeTransport(FdTransport):
    cdef Intake _intake
    cdef Py_ssize_t _expected
    cdef Py_ssize_t _holds

    cdef int run(self) except -1
    @cython.locals(left=Py_ssize_t, size=Py_ssize_t, data=bytes)
    cdef object _receive(self)
    cdef object _deliver(self, bytes data)
    cdef object _take_protocol(self, object protocol)
    cdef object _end_of_stream(self)
    cdef object _fatal(self, object exc, str message)


cdef class WritePipeTransport(StreamWriting):
    cdef bint _wide

    cdef int run(self) except -1
    cdef object _begin(self)
    cdef object _look_at_end(self)
    cdef object _write(self, object data)
    cdef Py_ssize_t _write_queued(self) except -2


cdef object _make_ready(int fd, object pipe)
cdef bint _shows_its_end(int fd) except -1
