cdef class Datagrams:
    cdef object _sock
    cdef int _fd
    cdef int _family
    cdef int _failed
    cdef int _ask
    cdef void *_book

    cpdef object receive(self)
    cdef object _receive_plain(self)
    cpdef int send(self, object data, object address) except -2
    cpdef int send_some(self, list queue, Py_ssize_t first) except -2
    cdef int _send_plain(self, object data, object address) except -2

cpdef object tell_two(object context, object protocol, str method, object one, object two)
