# The compiled twin of _marks.py. Two readings of both clocks tell the rate: one at the start, and the one that is made when
# somebody asks.
from yieldloop.engine._inline cimport monotonic_ns, ticks

cdef Reading read_both() noexcept:
    """Both clocks at one moment: again, if the processor did something else in between."""
    cdef Reading found
    cdef long long before, after
    cdef int i
    for i in range(10):
        before = ticks()
        found.ns = monotonic_ns()
        after = ticks()
        found.tick = before + (after - before) // 2
        if after - before < 1000:
            break
    return found


cdef Reading _first = read_both()
cdef long long _numbers = 0
cdef long long _unnamed = 0


def ticks_now():
    return ticks()


cpdef long long ticks_to_ns(long long tick) noexcept:
    cdef Reading now = read_both()
    if tick >= now.tick or now.tick <= _first.tick:
        return now.ns
    return now.ns - <long long>(<double>(now.tick - tick) * <double>(now.ns - _first.ns) / <double>(now.tick - _first.tick))


cpdef long long next_number() noexcept:
    global _numbers
    _numbers += 1
    return _numbers


cpdef long long next_unnamed() noexcept:
    global _unnamed
    _unnamed += 1
    return _unnamed
