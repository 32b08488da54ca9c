from yieldloop.engine._record cimport Recorder
from yieldloop.engine._ring cimport ReadyQueue


cdef class Poller:
    cdef public object probe
    cdef public Recorder recorder
    cdef readonly ReadyQueue _ready
    cdef public Py_ssize_t interest

    cpdef object bind(self, ReadyQueue ready)
    cpdef object poll(self, long long timeout)
    cpdef object wake(self)
