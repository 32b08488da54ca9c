from yieldloop.engine._ring cimport ReadyQueue


cdef class Poller:
    cdef public object probe
    cdef readonly ReadyQueue _ready
    cdef public Py_ssize_t interest

    cpdef int bind(self, ReadyQueue ready) except -1
    cpdef int poll(self, long long timeout) except -1
    cpdef int wake(self) except -1
