cpdef bytes cut(bytes data, Py_ssize_t start, Py_ssize_t end)
cpdef Py_ssize_t index_of(object data, bytes separator, Py_ssize_t start) except -2
cpdef bytes glue(bytes one, bytes other)
