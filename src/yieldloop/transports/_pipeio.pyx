# The compiled twin of _pipeio.py: the same names, the same meaning, by the system calls themselves.
# What each does and why is written there; here stand only the facts about C.
#
# None of the calls releases the GIL: the descriptors do not block.
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

cdef extern from *:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <sys/socket.h>
    #include <sys/types.h>
    #include <sys/uio.h>
    #include <unistd.h>

    #define YLP_READ (64 * 1024)
    #define YLP_WIDE (256 * 1024)
    #define YLP_LARGE (16 * 1024)
    #define YLP_MOST_PIECES 64
    #define YLP_AGAIN (-1)
    #define YLP_ERROR (-2)

    /* One for all: nobody else runs between the read and the copy. Without a GIL each thread has its own. */
    #ifdef Py_GIL_DISABLED
    static _Thread_local char ylp_buffer[YLP_READ];
    #else
    static char ylp_buffer[YLP_READ];
    #endif

    /* -1: not now. -2: an exception is set. */
    static Py_ssize_t ylp_answer(Py_ssize_t n) {
        if (n >= 0) return n;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return YLP_AGAIN;
        PyErr_SetFromErrno(PyExc_OSError);
        return YLP_ERROR;
    }

    /* A new bytes object, NULL without an exception for "not now", NULL with one for an error. */
    static PyObject *ylp_read_large(int fd) {
        PyObject *bytes = PyBytes_FromStringAndSize(NULL, YLP_READ);
        Py_ssize_t n;
        if (bytes == NULL) return NULL;
        n = ylp_answer(read(fd, PyBytes_AS_STRING(bytes), YLP_READ));
        if (n < 0) { Py_DECREF(bytes); return NULL; }
        if (n != YLP_READ) _PyBytes_Resize(&bytes, n);  /* sets an exception and bytes to NULL if it fails */
        return bytes;
    }

    static PyObject *ylp_read(int fd, Py_ssize_t expected) {
        PyObject *bytes;
        if (expected >= YLP_LARGE) {
            bytes = ylp_read_large(fd);
        } else {
            Py_ssize_t n = ylp_answer(read(fd, ylp_buffer, YLP_READ));
            bytes = n < 0 ? NULL : PyBytes_FromStringAndSize(ylp_buffer, n);
        }
        if (bytes == NULL && !PyErr_Occurred()) Py_RETURN_NONE;
        return bytes;
    }

    static Py_ssize_t ylp_write(int fd, const char *from, Py_ssize_t n) { return ylp_answer(write(fd, from, (size_t)n)); }

    static Py_ssize_t ylp_write_views(int fd, Py_buffer *views, int count) {
        struct iovec parts[YLP_MOST_PIECES];
        int i;
        for (i = 0; i < count; i++) { parts[i].iov_base = views[i].buf; parts[i].iov_len = (size_t)views[i].len; }
        return ylp_answer(writev(fd, parts, count));
    }

    static Py_ssize_t ylp_widen(int fd) {
    #ifdef F_SETPIPE_SZ
        int size = fcntl(fd, F_GETPIPE_SZ);
        if (size == YLP_READ) size = fcntl(fd, F_SETPIPE_SZ, YLP_WIDE);
        if (size > 0) return size;
    #endif
        return YLP_READ;
    }

    static int ylp_has_ended(int fd) {
        char byte;
        ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (n >= 0) return n == 0;
        return !(errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    }
    """
    enum:
        YLP_AGAIN
        YLP_LARGE
        YLP_MOST_PIECES
        YLP_READ
        YLP_WIDE
    object ylp_read(int fd, Py_ssize_t expected)
    Py_ssize_t ylp_write(int fd, const char *source, Py_ssize_t n) except -2
    Py_ssize_t ylp_write_views(int fd, Py_buffer *views, int count) except -2
    Py_ssize_t ylp_widen(int fd)
    bint ylp_has_ended(int fd)

READ = YLP_READ
WIDE = YLP_WIDE
LARGE = YLP_LARGE
MOST_PIECES = YLP_MOST_PIECES
AGAIN = YLP_AGAIN


cpdef object read_bytes(int fd, Py_ssize_t expected):
    return ylp_read(fd, expected)


cpdef Py_ssize_t write_bytes(int fd, object data) except? -2:
    cdef Py_buffer view
    if PyBytes_CheckExact(data):
        return ylp_write(fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return ylp_write(fd, <char *>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)


cpdef Py_ssize_t write_pieces(int fd, list pieces) except? -2:
    cdef Py_buffer views[YLP_MOST_PIECES]
    cdef int count = 0
    if len(pieces) == 1:
        return write_bytes(fd, pieces[0])
    try:
        for piece in pieces:
            PyObject_GetBuffer(piece, &views[count], PyBUF_SIMPLE)
            count += 1
            if count == YLP_MOST_PIECES:
                break
        return ylp_write_views(fd, views, count)
    finally:
        while count:
            count -= 1
            PyBuffer_Release(&views[count])


cpdef Py_ssize_t widen(int fd):
    return ylp_widen(fd)


cpdef bint has_ended(int fd):
    return ylp_has_ended(fd)
