cimport cython

from yieldloop.engine._leaf cimport Entry
from yieldloop.engine cimport _record
from yieldloop.engine.polling cimport Poller
from yieldloop.pollers.wakeup cimport Wakeup

cdef int READ
cdef int WRITE
cdef int BORROWED
cdef long long LONGEST_WAIT
cdef long _forks


cdef class FdPoller(Poller):
    cdef readonly list _readers
    cdef readonly list _writers
    cdef readonly bytearray _kernel
    cdef readonly Wakeup _wakeup
    cdef readonly long _born
    cdef readonly bint _open
    cdef public Py_ssize_t _polls
    cdef public Py_ssize_t _events
    cdef public Py_ssize_t _dropped
    cdef object __weakref__

    cpdef object _set(self, int fd, int old, int new)

    cpdef object arm_reader(self, int fd, Entry entry)
    cpdef object arm_writer(self, int fd, Entry entry)
    cpdef object rearm_reader(self, int fd, Entry entry)
    cpdef object rearm_writer(self, int fd, Entry entry)
    cpdef object borrow_reader(self, int fd, Entry entry, bint same)
    cpdef object borrow_writer(self, int fd, Entry entry, bint same)
    cpdef object disarm_reader(self, int fd)
    cpdef object disarm_writer(self, int fd)
    cpdef object rest_reader(self, int fd)
    cpdef object rest_writer(self, int fd)
    @cython.locals(reader=Entry, writer=Entry)
    cpdef int forget(self, int fd) except -1
    cpdef object reader(self, int fd)
    cpdef object writer(self, int fd)

    @cython.locals(known=bint, old=cython.int, new=cython.int, table=list)
    cdef object _arm(self, int fd, Entry entry, int side, bint trusted, int mark)
    @cython.locals(table=list)
    cdef object _disarm(self, int fd, int side, bint rest)
    cdef int _armed(self, int fd) except -1
    @cython.locals(armed=cython.int, old=cython.int)
    cdef int _retract(self, int fd) except -1
    @cython.locals(reader=Entry, writer=Entry, old=cython.int)
    cpdef int _drop(self, int fd) except -1
    @cython.locals(more=Py_ssize_t)
    cdef int _grow(self, int fd) except -1
    cpdef long long _begin(self, long long timeout) except? -2
    @cython.locals(reader=object, writer=object, hits=cython.int, known=bint)
    cpdef bint _found(self, int fd, int mask) except -1
    cpdef int _refuse(self, int fd, object entry) except -1
