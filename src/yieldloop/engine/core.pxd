from yieldloop.engine._contexts cimport Contexts
from yieldloop.engine cimport _inline, _record
from yieldloop.engine._heap cimport TimerHeap
from yieldloop.engine._inline cimport PyObject
from yieldloop.engine._leaf cimport Attributed, Entry
from yieldloop.engine._marks cimport ticks_to_ns
from yieldloop.engine._record cimport Recorder
from yieldloop.engine._ring cimport ReadyQueue
from yieldloop.engine.polling cimport Poller

cdef long long LONG_HELD


cdef class Core(Attributed):
    cdef readonly ReadyQueue _ready
    cdef readonly TimerHeap _heap
    cdef public Poller _poller
    cdef readonly set _tasks
    cdef Contexts _contexts
    cdef Contexts _lender
    cdef object _probe
    cdef public bint _debug
    cdef public bint _closed
    cdef public bint _stopping
    cdef bint _entered
    cdef readonly bint _asleep
    cdef public object _on_awake
    cdef public object _patience
    cdef bint _in_entry
    cdef bint _after_due
    cdef long long _after_since
    cdef ReadyQueue _after
    cdef public object _thread_id
    cdef Recorder _recorder
    cdef bint _watched
    cdef PyObject *_running_entry
    cdef public long long _bytes_in
    cdef public long long _bytes_out
    cdef long long _iteration
    cdef long long _tick
    cdef int _look_in
    cdef long long _long_wait
    cdef long long _where_due
    cdef object __weakref__

    cdef int _tell_awake(self) except -1
    cdef int _call_after(self, Entry entry) except -1
    cdef bint _held_long(self) noexcept
    cdef int _look_at_ticks(self) except -1
    cpdef object emit(self, str event, object first, object second=*)
