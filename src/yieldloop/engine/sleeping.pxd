from yieldloop.engine._leaf cimport Outcome, Steps, new_turn


cdef class Sleep(Steps):
    cdef object _delay
    cdef object _result
    cdef object _timer
    cdef object _future
    cdef str _state
    cdef object __weakref__

    cdef object advance(self)
    cdef object _begin(self)
    cdef object _finish(self)


cdef str NEW
cdef str TURN
cdef str PARKED
cdef str OVER
