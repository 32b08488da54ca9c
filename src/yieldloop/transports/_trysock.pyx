# The compiled twin of _trysock.py: the same names, the same meaning, by the system calls themselves.
# What each does and why is written there; here stand only the facts about C.
#
# None of the calls releases the GIL: with MSG_DONTWAIT they answer in a microsecond or two, and giving the GIL away and taking it
# back costs as much where nobody wants it, and a switch interval (5 ms) where another thread does.
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

import socket as _socket

cdef extern from *:
    """
    #include <errno.h>
    #include <sys/socket.h>
    #include <sys/types.h>

    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    #ifndef MSG_DONTWAIT
    #define MSG_DONTWAIT 0
    #endif
    #define YL_MOST (64 * 1024)
    #define YL_AGAIN (-1)
    #define YL_ERROR (-2)

    /* One for all: nobody else runs between the recv and the copy. Without a GIL each thread has its own. */
    #ifdef Py_GIL_DISABLED
    static _Thread_local char yl_buffer[YL_MOST];
    #else
    static char yl_buffer[YL_MOST];
    #endif

    /* -1: not now. -2: an exception is set. */
    static Py_ssize_t yl_answer(Py_ssize_t n) {
        if (n >= 0) return n;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return YL_AGAIN;
        PyErr_SetFromErrno(PyExc_OSError);
        return YL_ERROR;
    }

    static Py_ssize_t yl_recv(int fd, char *into, Py_ssize_t room) {
        return yl_answer(recv(fd, into, (size_t)room, MSG_DONTWAIT));
    }
    static Py_ssize_t yl_send(int fd, const char *from, Py_ssize_t n) {
        return yl_answer(send(fd, from, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL));
    }
    static char *yl_shared(void) { return yl_buffer; }

    /* A socket object has its descriptor first, in every CPython so far: looked at once below, before it is relied on. */
    static int yl_fd_of(PyObject *sock) { return *(int *)((char *)sock + sizeof(PyObject)); }
    """
    ctypedef struct PyObject:
        pass
    enum:
        YL_AGAIN
        YL_MOST
    Py_ssize_t yl_recv(int fd, char *into, Py_ssize_t room) except -2
    Py_ssize_t yl_send(int fd, const char *source, Py_ssize_t n) except -2
    char *yl_shared()
    int yl_fd_of(object sock) noexcept

AGAIN = YL_AGAIN
NOT_NOW = (BlockingIOError, InterruptedError)
cdef object _plain = _socket.socket


cdef bint _looks_as_expected() except -1:
    """Ask a socket of this interpreter, open and closed, whether its descriptor is where it is expected."""
    if _plain.__basicsize__ < sizeof(PyObject) + sizeof(int):
        return False
    with _plain() as probe:
        if yl_fd_of(probe) != probe.fileno():
            return False
    return yl_fd_of(probe) == -1


cdef bint _fd_is_known = _looks_as_expected()


cpdef int fd_of(object sock) except? -1:
    if _fd_is_known and type(sock) is _plain:
        return yl_fd_of(sock)
    return sock.fileno()


cpdef object try_recv(object sock, int fd, object size):
    cdef Py_ssize_t n, room
    if type(sock) is _plain and type(size) is int:
        room = size
        if 0 < room <= YL_MOST:
            n = yl_recv(fd, yl_shared(), room)
            return None if n < 0 else PyBytes_FromStringAndSize(yl_shared(), n)
    try:
        return sock.recv(size)
    except NOT_NOW:
        return None


cpdef Py_ssize_t try_recv_into(object sock, int fd, object buffer) except? -2:
    cdef Py_buffer view
    if type(sock) is _plain:
        PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        try:
            if view.len:  # with no room recv(2) says 0 and a socket's method does not ask it
                return yl_recv(fd, <char *>view.buf, view.len)
            return 0
        finally:
            PyBuffer_Release(&view)
    try:
        return sock.recv_into(buffer)
    except NOT_NOW:
        return YL_AGAIN


cpdef Py_ssize_t try_send(object sock, int fd, object data) except? -2:
    cdef Py_buffer view
    if type(sock) is _plain:
        if PyBytes_CheckExact(data):
            return yl_send(fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            return yl_send(fd, <char *>view.buf, view.len)
        finally:
            PyBuffer_Release(&view)
    try:
        return sock.send(data)
    except NOT_NOW:
        return YL_AGAIN
