from yieldloop.engine.futures cimport isfuture

cdef set _known_types


cpdef bint iscoroutine(object obj)
