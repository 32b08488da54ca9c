cimport cython

from yieldloop.engine._leaf cimport Entry, copy_context, monotonic_ns
from yieldloop.pollers.base cimport FdPoller
from yieldloop.transports._sockio cimport tell, tell_of
from yieldloop.transports._udpio cimport Datagrams, tell_two

cdef Py_ssize_t HIGH, HEADER, HOLD, LOST_SENDS
cdef long long HOLD_NS


cdef class SendSide(Entry):
    cdef UdpTransport _transport

    cdef int run(self) except -1


cdef class UdpTransport(Entry):
    cdef bint _closing
    cdef bint _connected
    cdef bint _holding
    cdef bint _open
    cdef bint _paused
    cdef bint _protocol_paused
    cdef bint _writing
    cdef int _fd
    cdef Py_ssize_t _discarded
    cdef Py_ssize_t _first
    cdef Py_ssize_t _high
    cdef Py_ssize_t _lost
    cdef Py_ssize_t _low
    cdef Py_ssize_t _queued
    cdef Py_ssize_t _read
    cdef Py_ssize_t _received
    cdef Py_ssize_t _refused
    cdef Py_ssize_t _sent
    cdef double _retry_delay
    cdef object _address
    cdef object _context
    cdef dict _extra
    cdef list _inbox
    cdef readonly object _loop
    cdef Datagrams _mail
    cdef object _overflow
    cdef FdPoller _poller
    cdef readonly object _protocol
    cdef list _queue
    cdef object _retry
    cdef readonly object _sock
    cdef list _waiters
    cdef object __weakref__

    cdef int run(self) except -1
    cdef object _arm(self)
    cdef object _receive(self)
    @cython.locals(size=Py_ssize_t, index=Py_ssize_t, began=cython.longlong)
    cdef object _deliver(self, list batch)
    cdef object _deliver_later(self)
    cpdef object sendto(self, object data, object addr=*)
    @cython.locals(done=cython.int)
    cdef object _send_now(self, object data, object address)
    cdef object _push(self, object data, object address)
    cdef object _release(self)
    cdef object _flush_held(self)
    @cython.locals(queue=list, end=Py_ssize_t, sent_any=bint, done=cython.int)
    cdef object _flush(self, bint polled)
    cdef object _after_flush(self)
    @cython.locals(queue=list, first=Py_ssize_t)
    cdef object _drop_sent(self, Py_ssize_t count)
    cdef object _wait_for_room(self, bint stalled)
    cdef object _arm_writing(self)
    cdef object _rest_writing(self)
    cdef object _count_lost_send(self)
    cdef object _wake_waiters(self, object exc)
    cdef object _maybe_pause(self)
    cdef object _maybe_resume(self)
    cdef object _tell_flow(self, str method)
    cdef object _refuse(self, object exc)
    cdef object _failed(self, object exc, str message)
    cdef object _tell_error(self, object exc)
    cdef object _fatal(self, object exc, str message)
    cdef object _report(self, str message, object exc)
    cdef object _stop_receiving(self)
    cdef object _schedule_lost(self, object exc)
    cdef object _close_socket(self)
    cdef object _keep(self, str name, object answer)
