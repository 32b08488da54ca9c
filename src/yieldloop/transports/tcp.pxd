cimport cython

from yieldloop.transports._sockio cimport recv_bytes, recv_into, recv_large, recv_view, send_bytes, send_pieces, tell
from yieldloop.transports.base cimport Above, FdTransport, FdWriter, StreamWriting
from yieldloop.transports.intake cimport Intake

cdef Py_ssize_t HOLD
cdef str _LATE
cdef object _BufferedProtocol


cdef class TcpTransport(StreamWriting):
    cdef Above _above
    cdef bint _asked
    cdef bint _buffered
    cdef bint _eof
    cdef bint _read_eof
    cdef Py_ssize_t _hold
    cdef public object _empty_waiter
    cdef Intake _intake
    cdef readonly object _server

    cdef int run(self) except -1
    cdef int after(self) except -1
    @cython.locals(wanted=Py_ssize_t, data=bytes, size=Py_ssize_t)
    cdef object _receive(self)
    @cython.locals(size=Py_ssize_t, whole=bytes)
    cdef object _write(self, object data)
    @cython.locals(count=Py_ssize_t)
    cdef object _receive_into(self)
    cdef object _receive_above(self)
    @cython.locals(keep_open=bint)
    cdef object _end_of_stream(self)
    cdef object _read_on(self)
    @cython.locals(sent=Py_ssize_t)
    cdef object _send_now(self, object data, Py_ssize_t size)
    cdef object _leave_now_or_later(self)
    cdef object _send_held(self)
    @cython.locals(sent=Py_ssize_t)
    cdef Py_ssize_t _write_queued(self) except -2
    cdef object _all_written(self)
    cdef object _shut(self)
    cdef object _drop(self, object exc)
    cdef object _before_end(self, object exc)
    cdef object _close_file(self)
    cdef object _take_protocol(self, object protocol)
    cdef object _look_up(self, object name)
    cdef object _remember(self)


cdef object _as_bytes_like(object data)
