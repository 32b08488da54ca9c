# The compiled twin of _contexts.py. The methods stand in the .pxd, where every module that uses them compiles them in.
import contextvars

cdef extern from *:
    """
    #if defined(Py_GIL_DISABLED) || PY_VERSION_HEX >= 0x03100000
    #define YL_LENDS 0  /* reference counts say less without the GIL; a later layout is unknown */
    #else
    #define YL_LENDS 1
    #endif
    static const char *yl_vars_type(PyObject *context) { return Py_TYPE(YL_VARS(context))->tp_name; }
    """
    bint YL_LENDS
    const char *yl_vars_type(object context)


cdef class Contexts:
    def __cinit__(self):
        self.lends = _known


cdef bint _looks_as_expected() except -1:
    """Ask a context of this interpreter whether its values are where they are expected."""
    cdef object var, first, second
    if not YL_LENDS or contextvars.Context.__basicsize__ != sizeof(yl_context):
        return False
    var = contextvars.ContextVar("probe")
    first = contextvars.Context()
    second = first.copy()
    if not yl_same(first, second) or yl_vars_type(first) != b"hamt":
        return False
    second.run(var.set, 1)
    return not yl_same(first, second) and yl_same(second, second.copy())


cdef bint _known = _looks_as_expected()
