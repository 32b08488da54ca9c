cimport cython

from yieldloop.transports._sockio cimport tell, tell_of
from yieldloop.transports.base cimport Above
from yieldloop.transports.tcp cimport TcpTransport
from yieldloop.wire.flow cimport Flow
from yieldloop.wire.tls cimport TlsMachine
from yieldloop.wire.writequeue cimport WriteQueue

cdef Py_ssize_t HOLD, CHUNK, PIECES
cdef str WAITING, HANDSHAKE, OPEN, FLUSHING, CLOSING, CLOSED
cdef str SHAKEN, DATA, EOF, DONE, ERROR, WANT
cdef object _Protocol, _BufferedProtocol
cdef str _FATAL, _LATE


cdef class TlsLayer(Above):
    cdef bint _asked
    cdef bint _buffered
    cdef bint _eof_told
    cdef public object _face
    cdef object _handshake_timeout
    cdef Py_ssize_t _hold
    cdef bint _holding
    cdef readonly object _lower
    cdef bint _lower_paused
    cdef TlsMachine _machine
    cdef bint _made
    cdef readonly bint _paused
    cdef WriteQueue _queue
    cdef double _shaking_since
    cdef object _shutdown_timeout
    cdef readonly object _sslcontext
    cdef readonly str _state
    cdef TcpTransport _tcp
    cdef bint _telling
    cdef object _timer
    cdef object _waiter

    cdef object _take_protocol(self, object protocol)
    cdef object take(self, object data)
    cdef object _pump(self)
    @cython.locals(machine=TlsMachine, event=str)
    cdef object _hand_out(self)
    cdef object _release(self)
    @cython.locals(count=Py_ssize_t)
    cdef bint _read_into_protocol(self) except -1
    @cython.locals(count=Py_ssize_t)
    cdef object _copy_to_protocol(self, object data)
    cdef object _shaken(self)
    cdef object _peer_closed(self)
    cdef object _tell_eof(self)
    cdef object _failed(self, object exc)
    cdef object write(self, object data)
    cdef object write_all(self, list pieces)
    cdef object _leave_now_or_later(self)
    cdef int after(self) except -1
    @cython.locals(taken=Py_ssize_t, queue=WriteQueue)
    cdef object _flush(self)
    @cython.locals(data=bytes)
    cdef object _send(self)
    cdef object set_marks(self, object high, object low)
    cdef tuple marks(self)
    cdef Py_ssize_t waiting(self) except -1
    cdef bint protocol_paused(self) except -1
    cdef object _look_at_flow(self)
    cdef object close(self)
    cdef object _finish_writing(self)
    cdef object _close_lower(self)
    cdef object abort(self, object exc)
    cdef object _send_held(self)
    cdef object _force_lower(self, object exc)
    cdef object _end(self)
    cdef object _stop_timer(self)
    cdef object _fatal(self, object exc, str message)
    cdef object _protocol_failed(self, str method, object exc)
    cdef object _shown(self)
    cdef object _wake(self, object exc)


cdef object _seconds(str name, object given, object default)
cdef object _default_context(bint server_side, object server_hostname)
