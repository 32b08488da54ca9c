cpdef object read_bytes(int fd, Py_ssize_t expected)
cpdef Py_ssize_t write_bytes(int fd, object data) except? -2
cpdef Py_ssize_t write_pieces(int fd, list pieces) except? -2
cpdef Py_ssize_t widen(int fd)
cpdef bint has_ended(int fd)
