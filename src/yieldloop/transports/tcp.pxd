cimport cython

from yieldloop.engine._leaf cimport Entry, copy_context
from yieldloop.pollers.base cimport FdPoller
from yieldloop.transports._sockio cimport recv_bytes, recv_into, send_bytes, send_pieces, tell, tell_of

cdef Py_ssize_t HIGH, HOLD, LOST_WRITES
cdef object _BufferedProtocol


cdef class WriteSide(Entry):
    cdef TcpTransport _transport

    cdef int run(self) except -1


cdef class TcpTransport(Entry):
    cdef bint _buffered
    cdef bint _closing
    cdef bint _eof
    cdef bint _holding
    cdef bint _open
    cdef bint _paused
    cdef bint _protocol_paused
    cdef bint _writing
    cdef int _fd
    cdef Py_ssize_t _lost
    cdef Py_ssize_t _queued
    cdef Py_ssize_t _high
    cdef Py_ssize_t _low
    cdef object _context
    cdef public object _empty_waiter
    cdef dict _extra
    cdef object _held
    cdef readonly object _loop
    cdef FdPoller _poller
    cdef readonly object _protocol
    cdef object _queue
    cdef readonly object _server
    cdef readonly object _sock
    cdef object __weakref__

    cdef int run(self) except -1
    cdef object _receive(self)
    @cython.locals(size=Py_ssize_t)
    cpdef object write(self, object data)
    cdef object _arm(self)
    @cython.locals(count=Py_ssize_t)
    cdef object _receive_into(self)
    cdef object _tell_holding(self, str method, object what)
    @cython.locals(keep_open=bint)
    cdef object _end_of_stream(self)
    @cython.locals(sent=Py_ssize_t)
    cdef object _send_now(self, object data, Py_ssize_t size)
    cdef object _push(self, object data, Py_ssize_t size)
    cdef object _release(self)
    @cython.locals(sent=Py_ssize_t)
    cdef object _flush(self)
    cdef object _drop_sent(self, Py_ssize_t sent)
    cdef object _all_sent(self)
    cdef object _arm_writing(self)
    cdef object _rest_writing(self)
    cdef object _count_lost_write(self)
    cdef object _shut(self)
    cdef object _maybe_pause(self)
    cdef object _maybe_resume(self)
    cdef object _tell_flow(self, str method)
    cdef object _fatal(self, object exc, str message)
    cdef object _report(self, str message, object exc)
    cdef object _schedule_lost(self, object exc)
    cdef object _close_socket(self)
    cdef object _take_protocol(self, object protocol)
    cdef object _keep(self, str name, object answer)
    cdef object _look_up_names(self)


cdef object _as_bytes_like(object data)
