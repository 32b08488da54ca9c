from yieldloop.engine._leaf cimport Outcome, new_turn
from yieldloop.engine.calls cimport Call


cdef class Sleep(Call):
    cdef object _delay
    cdef object _result
    cdef object _timer
    cdef object _future
    cdef str _state

    cdef object advance(self)
    cdef object _begin(self)
    cdef object _finish(self)
    cdef str named(self)
    cdef bint is_new(self) except -1
    cdef object waits_for(self)


cdef str NEW
cdef str TURN
cdef str PARKED
cdef str OVER
