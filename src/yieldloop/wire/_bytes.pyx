# The compiled twin of _bytes.py. The functions can be called from Python, so they check what C would not.
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memcpy


cdef extern from "string.h":
    # GNU, the BSDs, macOS and musl have it; Python.h defines what makes glibc show it.
    void *memmem(const void *hay, size_t hay_size, const void *needle, size_t needle_size) nogil


cpdef bytes cut(bytes data, Py_ssize_t start, Py_ssize_t end):
    if data is None:
        raise TypeError("cut() takes bytes, not None")
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    if end > size:
        end = size
    if start <= 0:
        start = 0
        if end == size and PyBytes_CheckExact(data):
            return data
    if end <= start:
        return b""
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + start, end - start)


cpdef Py_ssize_t index_of(object data, bytes separator, Py_ssize_t start) except -2:
    cdef const char *begin
    cdef const char *found
    cdef Py_ssize_t size
    if separator is None:
        raise TypeError("index_of() takes the separator as bytes, not None")
    cdef Py_ssize_t wanted = PyBytes_GET_SIZE(separator)
    if isinstance(data, bytes):
        begin = PyBytes_AS_STRING(data)
        size = PyBytes_GET_SIZE(data)
    elif isinstance(data, bytearray):
        begin = PyByteArray_AS_STRING(data)
        size = PyByteArray_GET_SIZE(data)
    else:
        raise TypeError(f"index_of() takes bytes or a bytearray, not {type(data).__name__!r}")
    if start < 0:
        start = 0
    if start > size or size - start < wanted:
        return -1
    if wanted == 1:
        found = <const char *>memchr(begin + start, PyBytes_AS_STRING(separator)[0], size - start)
    else:
        found = <const char *>memmem(begin + start, size - start, PyBytes_AS_STRING(separator), wanted)
    return -1 if found == NULL else found - begin


cpdef bytes glue(bytes one, bytes other):
    if one is None or other is None:
        raise TypeError("glue() takes bytes, not None")
    cdef Py_ssize_t size = PyBytes_GET_SIZE(one)
    cdef Py_ssize_t more = PyBytes_GET_SIZE(other)
    cdef bytes made = blank(size + more)
    memcpy(PyBytes_AS_STRING(made), PyBytes_AS_STRING(one), size)
    memcpy(PyBytes_AS_STRING(made) + size, PyBytes_AS_STRING(other), more)
    return made
