cimport cython

from yieldloop.engine._leaf cimport Entry, copy_context
from yieldloop.engine.core cimport Core
from yieldloop.pollers.base cimport FdPoller
from yieldloop.transports._sockio cimport recv_bytes, recv_into, recv_view, send_bytes, send_pieces, tell, tell_of
from yieldloop.transports.intake cimport Intake
from yieldloop.wire.flow cimport Flow
from yieldloop.wire.writequeue cimport WriteQueue

cdef Py_ssize_t HOLD, LOST_WRITES
cdef object _BufferedProtocol


cdef class Above(Entry):
    cpdef object take(self, object data)


cdef class WriteSide(Entry):
    cdef TcpTransport _transport

    cdef int run(self) except -1


cdef class TcpTransport(Entry):
    cdef Above _above
    cdef bint _asked
    cdef bint _buffered
    cdef bint _closing
    cdef bint _eof
    cdef bint _open
    cdef bint _paused
    cdef bint _read_eof
    cdef bint _writing
    cdef int _fd
    cdef Py_ssize_t _lost
    cdef Py_ssize_t _hold
    cdef object _context
    cdef public object _empty_waiter
    cdef dict _extra
    cdef Flow _flow
    cdef readonly Core _loop
    cdef FdPoller _poller
    cdef Intake _intake
    cdef readonly object _protocol
    cdef WriteQueue _queue
    cdef readonly object _server
    cdef readonly object _sock
    cdef object __weakref__

    cdef int run(self) except -1
    cdef int after(self) except -1
    cdef object _receive(self)
    @cython.locals(size=Py_ssize_t)
    cpdef object write(self, object data)
    cdef object _arm(self)
    @cython.locals(count=Py_ssize_t)
    cdef object _receive_into(self)
    cdef object _receive_above(self)
    cdef object _tell_of(self, str method, object what)
    @cython.locals(keep_open=bint)
    cdef object _end_of_stream(self)
    @cython.locals(sent=Py_ssize_t)
    cdef object _send_now(self, object data, Py_ssize_t size)
    cdef object _leave_now_or_later(self)
    cdef object _send_held(self)
    @cython.locals(sent=Py_ssize_t, queue=WriteQueue)
    cdef object _flush(self)
    cdef object _all_sent(self)
    cdef object _arm_writing(self)
    cdef object _count_lost_write(self)
    cdef object _shut(self)
    cdef object _check_flow(self)
    cdef object _tell_flow(self, str method)
    cdef object _fatal(self, object exc, str message)
    cdef object _report(self, str message, object exc)
    cdef object _schedule_lost(self, object exc)
    cdef object _close_socket(self)
    cdef object _take_protocol(self, object protocol)
    cdef object _keep(self, str name, object answer)
    cdef object _look_up_names(self)


cdef object _as_bytes_like(object data)
