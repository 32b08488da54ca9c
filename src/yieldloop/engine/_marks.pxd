cdef struct Reading:
    long long tick
    long long ns


cdef Reading read_both() noexcept
cpdef long long ticks_to_ns(long long tick) noexcept
cpdef long long next_number() noexcept
cpdef long long next_unnamed() noexcept
