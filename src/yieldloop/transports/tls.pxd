from yieldloop.transports.tlslayer cimport TlsLayer

cdef object _FALLBACK, _Transport


cdef class TlsTransport:
    cdef public bint _closed
    cdef TlsLayer _layer
    cdef object __weakref__

    cpdef object write(self, object data)


cdef object _as_bytes_like(object data)
