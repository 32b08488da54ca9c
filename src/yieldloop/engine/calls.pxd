from yieldloop.engine._leaf cimport Steps


cdef class Call(Steps):
    cdef object __weakref__

    cdef str named(self)
    cdef bint is_new(self) except -1
    cdef object waits_for(self)
