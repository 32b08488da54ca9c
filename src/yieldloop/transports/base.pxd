cimport cython

from yieldloop.engine._leaf cimport AttributedEntry, Entry, copy_context
from yieldloop.engine._contexts cimport Contexts
from yieldloop.engine.core cimport Core
from yieldloop.pollers.base cimport FdPoller
from yieldloop.transports._sockio cimport tell, tell_of
from yieldloop.wire.flow cimport Flow
from yieldloop.wire.writequeue cimport WriteQueue

cdef Py_ssize_t LOST_WRITES


cdef class Teller(AttributedEntry):
    cdef object _context
    cdef Flow _flow
    cdef Contexts _lender
    cdef Py_ssize_t _late
    cdef readonly Core _loop
    cdef readonly object _protocol
    cdef object __weakref__

    cdef object _tell_for(self, object loop, object context, object flow)
    cdef object _shown(self)
    @cython.locals(contexts=Contexts)
    cdef bint _tell(self, str method, object what) except -1
    cdef object _tell_or_report(self, str method)
    cdef object _ask_buffer(self, Py_ssize_t hint)
    cdef object _check_flow(self, Py_ssize_t size)
    cdef object _act(self, object decision)
    cdef object _tell_flow(self, str method)
    cdef object _count_late_write(self, str text)
    cdef object _protocol_failed(self, str method, object exc)
    cdef object _report(self, str message, object exc)
    cdef object _note(self, str message, object exc)


cdef class Above(Teller):
    cdef object take(self, object data)


cdef class FdTransport(Teller):
    cdef bint _closing
    cdef dict _extra
    cdef int _fd
    cdef object _file
    cdef bint _lost
    cdef bint _open
    cdef bint _paused
    cdef FdPoller _poller

    cdef object _set_up(self, object loop, object file, object protocol, object context, object extra)
    cdef object _enter(self, object waiter)
    cdef object _begin(self)
    cdef object _arm(self, Entry entry, bint first)
    cdef object _read_on(self)
    cdef object _fatal(self, object exc, str message)
    cdef object _protocol_failed(self, str method, object exc)
    cdef object _drop(self, object exc)
    cdef object _schedule_lost(self, object exc)
    cdef object _before_end(self, object exc)
    cdef object _close_file(self)
    cdef bint _has_number(self) except -1
    cdef object _take_protocol(self, object protocol)
    cdef object _look_up(self, object name)
    cdef object _remember(self)
    cdef str _sides(self)


cdef class WriteSide(Entry):
    cdef FdWriter _transport

    @cython.locals(transport=FdWriter)
    cdef int run(self) except -1


cdef class FdWriter(FdTransport):
    cdef bint _writing

    cdef object _set_up(self, object loop, object file, object protocol, object context, object extra)
    cdef object _room(self)
    cdef object _arm_writing(self)
    cdef object _rest_writing(self)
    cdef str _unarmed(self)
    cdef str _sides(self)


cdef class StreamWriting(FdWriter):
    cdef WriteQueue _queue

    cdef object _write(self, object data)
    cdef object _set_up(self, object loop, object file, object protocol, object context, object extra)
    cdef object _room(self)
    @cython.locals(sent=Py_ssize_t, queue=WriteQueue)
    cdef object _flush(self)
    cdef Py_ssize_t _write_queued(self) except -2
    cdef object _all_written(self)
    cdef object _drop(self, object exc)
