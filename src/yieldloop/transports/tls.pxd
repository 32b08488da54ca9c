from yieldloop.engine._leaf cimport Attributed
from yieldloop.transports.tlslayer cimport TlsLayer

cdef object _FALLBACK, _Transport


cdef class TlsTransport(Attributed):
    cdef public bint _closed
    cdef TlsLayer _layer
    cdef object __weakref__


cdef object _as_bytes_like(object data)
