cimport cython

from yieldloop.engine._leaf cimport monotonic_ns
from yieldloop.transports._sockio cimport tell_of
from yieldloop.transports._udpio cimport Datagrams, tell_two
from yieldloop.transports.base cimport FdTransport, FdWriter

cdef Py_ssize_t HEADER, HOLD
cdef long long HOLD_NS


cdef class UdpTransport(FdWriter):
    cdef bint _connected
    cdef bint _holding
    cdef Py_ssize_t _discarded
    cdef Py_ssize_t _first
    cdef Py_ssize_t _queued
    cdef Py_ssize_t _read
    cdef Py_ssize_t _received
    cdef Py_ssize_t _refused
    cdef Py_ssize_t _sent
    cdef double _retry_delay
    cdef object _address
    cdef list _inbox
    cdef Datagrams _mail
    cdef list _outbox
    cdef object _overflow
    cdef object _retry
    cdef list _waiters

    cdef int run(self) except -1
    cdef object _receive(self)
    @cython.locals(size=Py_ssize_t, index=Py_ssize_t, began=cython.longlong)
    cdef object _deliver(self, list batch)
    cdef object _deliver_later(self)
    cdef object _read_on(self)
    cpdef object sendto(self, object data, object addr=*)
    @cython.locals(done=cython.int)
    cdef object _send_now(self, object data, object address)
    cdef object _push(self, object data, object address)
    cdef object _release(self)
    cdef object _flush_held(self)
    cdef object _room(self)
    @cython.locals(queue=list, end=Py_ssize_t, sent_any=bint, done=cython.int)
    cdef object _send_queued(self, bint polled)
    cdef object _after_flush(self)
    @cython.locals(queue=list, first=Py_ssize_t)
    cdef object _drop_sent(self, Py_ssize_t count)
    cdef object _wait_for_room(self, bint stalled)
    cdef object _rest_writing(self)
    cdef object _discard(self)
    cdef object _wake_waiters(self, object exc)
    cdef object _tell_flow(self, str method)
    cdef object _refuse(self, object exc)
    cdef object _failed(self, object exc, str message)
    cdef object _tell_error(self, object exc)
    cdef object _drop(self, object exc)
    cdef object _before_end(self, object exc)
    cdef object _look_up(self, object name)
    cdef object _remember(self)
    cdef str _unarmed(self)
