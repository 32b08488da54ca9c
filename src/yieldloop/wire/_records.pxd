cpdef Py_ssize_t walk(object data, Py_ssize_t start, int refused) except? -9
