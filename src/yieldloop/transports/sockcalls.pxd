cimport cython

from yieldloop.engine._leaf cimport Entry, returned
from yieldloop.engine.calls cimport Call
from yieldloop.engine.futures cimport Future, settle, succeeded
from yieldloop.engine.loop cimport LoopCore
from yieldloop.pollers.base cimport FdPoller
from yieldloop.transports._trysock cimport fd_of, try_recv, try_recv_into, try_send

cdef int READ
cdef int WRITE
cdef Py_ssize_t AGAIN
cdef object NOT_NOW
cdef object _SSLSocket
cdef object _Socket
cdef str NEW
cdef str PARKED
cdef str OVER


cdef class SockSide(Entry):
    cdef int _fd
    cdef int _side
    cdef FdPoller _poller
    cdef object _socket
    cdef list _waiters
    cdef bint _stream
    cdef Py_ssize_t _drained
    cdef Py_ssize_t _early
    cdef Py_ssize_t _stamp

    @cython.locals(same=bint)
    cdef Future wait(self, LoopCore loop, object sock, bint used)
    cdef bint _is_armed(self) except -1
    cdef int _arm(self, object sock, bint same) except -1
    cdef int _rest(self) except -1
    @cython.locals(woken=list, future=Future, count=Py_ssize_t)
    cdef int run(self) except -1
    cdef bint is_drained(self, object sock) except -1
    cdef int tried(self) except -1
    @cython.locals(i=Py_ssize_t)
    cdef int leave(self, Future future) except -1


cdef class SockTable:
    cdef FdPoller _poller
    cdef dict _owned
    cdef dict _reading
    cdef dict _writing

    @cython.locals(sides=dict)
    cdef SockSide _find(self, int fd, int side)


cdef class SockCall(Call):
    cdef int _fd
    cdef int _wanted
    cdef Future _future
    cdef LoopCore _loop
    cdef SockSide _parked_on
    cdef object _sock
    cdef str _state

    cdef int _open(self, LoopCore loop, object sock, int wanted) except -1
    cdef bint is_new(self) except -1
    cdef object waits_for(self)
    cdef object attempt(self)
    cdef object advance(self)
    cdef int _begin(self) except -1
    cdef int _resume(self) except -1
    @cython.locals(table=SockTable, side=SockSide, future=Future)
    cdef object _park(self)
    @cython.locals(table=SockTable, side=SockSide)
    cdef bint _is_drained(self) except -1
    @cython.locals(side=SockSide)
    cdef int _note_drained(self) except -1
    cdef int _end(self) except -1


cdef class Recv(SockCall):
    cdef object _size
    cdef object attempt(self)
    cdef str named(self)


cdef class RecvInto(SockCall):
    cdef object _buffer
    @cython.locals(count=Py_ssize_t)
    cdef object attempt(self)
    cdef str named(self)


cdef class RecvFrom(SockCall):
    cdef object _buffer
    cdef object _size
    cdef object attempt(self)
    cdef str named(self)


cdef class Accept(SockCall):
    cdef object attempt(self)
    cdef str named(self)


cdef class SendAll(SockCall):
    cdef object _data
    cdef Py_ssize_t _left
    @cython.locals(sent=Py_ssize_t)
    cdef object attempt(self)
    cdef str named(self)


cdef class SendTo(SockCall):
    cdef object _address
    cdef object _data
    cdef object attempt(self)
    cdef str named(self)


cdef class Ready(SockCall):
    cdef str _for
    cdef bint _waited
    cdef object attempt(self)
    cdef str named(self)


@cython.locals(call=Recv)
cpdef object sock_recv(object self, object sock, object nbytes)
@cython.locals(call=RecvInto)
cpdef object sock_recv_into(object self, object sock, object buf)
@cython.locals(call=SendAll)
cpdef object sock_sendall(object self, object sock, object data)
