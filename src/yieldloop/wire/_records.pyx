# The compiled twin of _records.py; what it does and why is written there.
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE

HEADER = 5
LONGEST = 16384 + 2048 + 256


cdef Py_ssize_t _walk(const unsigned char *data, Py_ssize_t size, Py_ssize_t start, int refused) noexcept:
    cdef int kind
    cdef Py_ssize_t length
    while start + 5 <= size:
        kind = data[start]
        length = data[start + 3] << 8 | data[start + 4]
        if kind < 20 or kind > 24 or data[start + 1] != 3 or length == 0 or length > 16384 + 2048 + 256 or kind == refused:
            return -1 - start
        if start + 5 + length > size:
            return start
        start += 5 + length
    return start


cpdef Py_ssize_t walk(object data, Py_ssize_t start, int refused) except? -9:
    cdef Py_buffer view
    if start < 0:
        raise ValueError(f"a record cannot begin at the offset {start!r}")
    if PyBytes_CheckExact(data):
        return _walk(<const unsigned char *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), start, refused)
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return _walk(<const unsigned char *>view.buf, view.len, start, refused)
    finally:
        PyBuffer_Release(&view)
