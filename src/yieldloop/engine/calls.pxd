from yieldloop.engine._leaf cimport Outcome, Steps, iter_send, iter_throw


cdef class Call(Steps):
    cdef object __weakref__

    cdef str named(self)
    cdef bint is_new(self) except -1
    cdef object waits_for(self)


cdef class Shortcut(Call):
    cdef bint _begun
    cdef object _coro

    cdef object _drive(self, object error)
    cdef int _end(self) except -1
    cdef bint is_new(self) except -1
    cdef object waits_for(self)
