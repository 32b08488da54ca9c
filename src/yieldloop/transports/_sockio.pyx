# The compiled twin of _sockio.py: the same names, the same meaning, by the system calls themselves.
# What each does and why is written there; here stand only the facts about C.
#
# None of the calls releases the GIL: a socket that does not block answers in a microsecond or two, and giving the GIL away and
# taking it back costs as much where nobody wants it, and a switch interval (5 ms) where another thread does.
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from yieldloop.wire._bytes cimport blank

cdef extern from *:
    """
    #include <errno.h>
    #include <sys/socket.h>
    #include <sys/types.h>
    #include <sys/uio.h>

    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    #ifndef MSG_DONTWAIT
    #define MSG_DONTWAIT 0
    #endif
    #define YL_RECEIVE (256 * 1024)
    #define YL_VIEW (64 * 1024)
    #define YL_OWN (120 * 1024)
    #define YL_MOST_PIECES 256
    #define YL_AGAIN (-1)
    #define YL_ERROR (-2)

    /* One for all: nobody else runs between the recv and the copy. Without a GIL each thread has its own. */
    #ifdef Py_GIL_DISABLED
    static _Thread_local char yl_buffer[YL_RECEIVE];
    #else
    static char yl_buffer[YL_RECEIVE];
    #endif

    /* -1: not now. -2: an exception is set. */
    static Py_ssize_t yl_answer(Py_ssize_t n) {
        if (n >= 0) return n;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return YL_AGAIN;
        PyErr_SetFromErrno(PyExc_OSError);
        return YL_ERROR;
    }

    static Py_ssize_t yl_recv(int fd, char *into, Py_ssize_t room) { return yl_answer(recv(fd, into, (size_t)room, MSG_DONTWAIT)); }
    static Py_ssize_t yl_recv_shared(int fd) { return yl_recv(fd, yl_buffer, YL_RECEIVE); }
    static Py_ssize_t yl_recv_some(int fd, Py_ssize_t room) { return yl_recv(fd, yl_buffer, room); }
    /* A new bytes object, None for "not now", or NULL. */
    static PyObject *yl_recv_large(int fd, Py_ssize_t wanted) {
        PyObject *bytes = PyBytes_FromStringAndSize(NULL, wanted);
        Py_ssize_t n;
        if (bytes == NULL) return NULL;
        n = yl_recv(fd, PyBytes_AS_STRING(bytes), wanted);
        if (n < 0) Py_DECREF(bytes);
        if (n == YL_AGAIN) Py_RETURN_NONE;
        if (n == YL_ERROR) return NULL;
        if (n != wanted) _PyBytes_Resize(&bytes, n);  /* sets an exception and bytes to NULL if it fails */
        return bytes;
    }

    static char *yl_shared(void) { return yl_buffer; }

    static Py_ssize_t yl_send(int fd, const char *from, Py_ssize_t n) {
        return yl_answer(send(fd, from, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL));
    }

    static Py_ssize_t yl_send_views(int fd, Py_buffer *views, int count) {
        struct iovec parts[YL_MOST_PIECES];
        struct msghdr message = {0};
        int i;
        for (i = 0; i < count; i++) { parts[i].iov_base = views[i].buf; parts[i].iov_len = (size_t)views[i].len; }
        message.msg_iov = parts;
        message.msg_iovlen = count;
        return yl_answer(sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
    }

    /* method(protocol[, what]) in a copy of the context; a new reference, or NULL. */
    static PyObject *yl_tell(PyObject *context, PyObject *protocol, PyObject *method, PyObject *what) {
        PyObject *args[3] = {NULL, protocol, what};  /* the callee may borrow the first place */
        PyObject *result;
        PyObject *own = PyContext_Copy(context);
        if (own == NULL) return NULL;
        if (PyContext_Enter(own) < 0) { Py_DECREF(own); return NULL; }
        result = PyObject_VectorcallMethod(method, args + 1, (what == NULL ? 1 : 2) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        if (PyContext_Exit(own) < 0) { Py_XDECREF(result); result = NULL; }
        Py_DECREF(own);
        return result;
    }
    """
    enum:
        MSG_DONTWAIT
        YL_AGAIN
        YL_MOST_PIECES
        YL_OWN
        YL_RECEIVE
        YL_VIEW
    ctypedef struct PyObject:
        pass
    Py_ssize_t yl_recv(int fd, char *into, Py_ssize_t room) except -2
    Py_ssize_t yl_recv_shared(int fd) except -2
    Py_ssize_t yl_recv_some(int fd, Py_ssize_t room) except -2
    object PyMemoryView_FromMemory(char *start, Py_ssize_t size, int flags)
    int PyBUF_READ
    char *yl_shared()
    object yl_recv_large(int fd, Py_ssize_t wanted)
    Py_ssize_t yl_send(int fd, const char *source, Py_ssize_t n) except -2
    Py_ssize_t yl_send_views(int fd, Py_buffer *views, int count) except -2
    object yl_tell(PyObject *context, PyObject *protocol, PyObject *method, PyObject *what)

RECEIVE = YL_RECEIVE
VIEW = YL_VIEW
OWN = YL_OWN
MOST_PIECES = YL_MOST_PIECES
AGAIN = YL_AGAIN
NOW = MSG_DONTWAIT


cpdef object recv_bytes(object sock, int fd):
    cdef Py_ssize_t n = yl_recv_shared(fd)
    cdef bytes data
    if n < 0:
        return None
    data = blank(n)
    memcpy(PyBytes_AS_STRING(data), yl_shared(), n)
    return data


cpdef object recv_large(object sock, int fd, Py_ssize_t wanted):
    return yl_recv_large(fd, min(wanted, YL_OWN))


cpdef object recv_view(object sock, int fd):
    cdef Py_ssize_t n = yl_recv_some(fd, YL_VIEW)
    if n < 0:
        return None
    if n <= 4096:  # a memoryview costs as much as copying that
        return PyBytes_FromStringAndSize(yl_shared(), n)
    return PyMemoryView_FromMemory(yl_shared(), n, PyBUF_READ)


cpdef Py_ssize_t recv_into(object sock, int fd, object buffer) except? -2:
    cdef Py_buffer view
    PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
    try:
        return yl_recv(fd, <char *>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)


cpdef Py_ssize_t send_bytes(object sock, int fd, object data) except? -2:
    cdef Py_buffer view
    if PyBytes_CheckExact(data):
        return yl_send(fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return yl_send(fd, <char *>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)


cpdef Py_ssize_t send_pieces(object sock, int fd, object pieces) except? -2:
    cdef Py_buffer views[YL_MOST_PIECES]
    cdef int count = 0
    try:
        for piece in pieces:
            PyObject_GetBuffer(piece, &views[count], PyBUF_SIMPLE)
            count += 1
            if count == YL_MOST_PIECES:
                break
        return yl_send_views(fd, views, count)
    finally:
        while count:
            count -= 1
            PyBuffer_Release(&views[count])


cpdef object tell(object context, object protocol, str method):
    return yl_tell(<PyObject *>context, <PyObject *>protocol, <PyObject *>method, NULL)


cpdef object tell_of(object context, object protocol, str method, object what):
    return yl_tell(<PyObject *>context, <PyObject *>protocol, <PyObject *>method, <PyObject *>what)
