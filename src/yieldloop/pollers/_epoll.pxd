cimport cython

cdef struct Hit:
    int fd
    int mask


@cython.final
cdef class EpollSet:
    cdef readonly int fd
    cdef void *_found
    cdef Hit *_hits      # what the last wait found
    cdef unsigned int *_generations
    cdef int _capacity

    cpdef int add(self, int fd, int mask) except -1
    cpdef int modify(self, int fd, int mask) except -1
    cpdef int remove(self, int fd) except -1
    cpdef int wait(self, long long timeout) except -1
    cpdef int close(self) except -1
    cdef int _reserve(self, int fd) except -1
    cdef int _change(self, int operation, int fd, int mask) except -1

    cdef inline int fd_at(self, int i) noexcept:
        return self._hits[i].fd

    cdef inline int mask_at(self, int i) noexcept:
        return self._hits[i].mask
