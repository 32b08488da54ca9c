cdef class EpollSet:
    cdef readonly int fd
    cdef void *_found
    cdef unsigned int *_generations
    cdef int _capacity
    cdef int _count

    cpdef int add(self, int fd, int mask) except -1
    cpdef int modify(self, int fd, int mask) except -1
    cpdef int remove(self, int fd) except -1
    cpdef int wait(self, long long timeout) except -1
    cpdef int fd_at(self, int i) except? -1
    cpdef int mask_at(self, int i) except? -1
    cpdef int close(self) except -1
    cdef int _reserve(self, int fd) except -1
    cdef int _change(self, int operation, int fd, int mask) except -1
