cpdef object recv_bytes(object sock, int fd)
cpdef object recv_large(object sock, int fd, Py_ssize_t wanted)
cpdef object recv_view(object sock, int fd)
cpdef Py_ssize_t recv_into(object sock, int fd, object buffer) except? -2
cpdef Py_ssize_t send_bytes(object sock, int fd, object data) except? -2
cpdef Py_ssize_t send_pieces(object sock, int fd, object pieces) except? -2
cpdef object tell(object context, object protocol, str method)
cpdef object tell_of(object context, object protocol, str method, object what)
