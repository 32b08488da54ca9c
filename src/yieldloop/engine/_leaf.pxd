cdef class Entry:
    cdef int run(self) except -1
    cdef int step(self) except -1
    cdef int after(self) except -1
    cdef object woken_by(self, object future)


cdef class Outcome:
    cdef readonly object value
    cdef readonly object error


cdef class Attributed:
    cdef void *_attributes     # NULL, or the dictionary that __dict__ shows
    cdef object _collected     # never set: an object field makes the type one that the collector visits


cdef class AttributedEntry(Entry):
    cdef void *_attributes
    cdef object _collected


cdef class Promise(AttributedEntry):
    cdef public str _state
    cdef public object _result
    cdef public object _exception
    cdef public object _exception_tb
    cdef public bint _asyncio_future_blocking
    cdef bint _log_tb


cdef class FutureIter:
    cdef Promise _future


cdef class Steps:
    cdef object advance(self)


cdef class Turn:
    cdef int _stage            # 0: new, 1: the turn is given up, 2: over


cpdef Outcome returned(object value)
cpdef FutureIter new_iter(Promise future)
cpdef Turn new_turn()
cpdef object iter_send(object coro, object value)
cpdef object iter_throw(object coro, object exc)
cpdef int run_in_context(object context, Entry entry) except -1
cpdef object call_in_context(object context, object callback, tuple args)
cpdef object copy_context()
cpdef long long monotonic_ns() except? -1
cpdef object current_on(object loop)
cpdef int enter_current(object loop, object task) except -1
cpdef int leave_current(object loop) except -1
cpdef object swap_current(object loop, object task)
cpdef int check_signals() except -1
cpdef int skip_globals(dict namespace) except -1
cpdef object program_code()
cpdef long program_lasti() except? -2
cpdef int line_at(object code, long lasti) except -2
cpdef object program_stack()
cpdef bint is_callable(object obj)
cpdef bint has_own(object obj, str name) except -1
cpdef bint sole_owner(object obj)
cpdef int ring(int fd) except -2
cpdef bytes unring(int fd)
