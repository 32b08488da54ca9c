cpdef int fd_of(object sock) except? -1
cpdef object try_recv(object sock, int fd, object size)
cpdef Py_ssize_t try_recv_into(object sock, int fd, object buffer) except? -2
cpdef Py_ssize_t try_send(object sock, int fd, object data) except? -2
