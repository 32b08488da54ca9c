cimport cython

cdef extern from *:
    """
    #ifndef YL_CONTEXTS
    #define YL_CONTEXTS
    /* A context as CPython 3.7 to 3.15 lays it out. Only compared, never followed; looked at once by _contexts.pyx. */
    typedef struct {
        PyObject_HEAD
        PyObject *prev;
        PyObject *vars;  /* an immutable mapping: the same pointer is the same values */
        PyObject *weakrefs;
        int entered;
    } yl_context;

    #define YL_VARS(c) (((yl_context *)(c))->vars)

    static inline int yl_is_current(PyObject *snapshot) {
        PyObject *now = PyThreadState_Get()->context;
        return now != NULL && YL_VARS(now) == YL_VARS(snapshot);
    }

    static inline int yl_same(PyObject *a, PyObject *b) { return YL_VARS(a) == YL_VARS(b); }

    static inline int yl_untouched(PyObject *context, PyObject *snapshot, int holders) {
        return Py_REFCNT(context) == holders && YL_VARS(context) == YL_VARS(snapshot)
            && ((yl_context *)context)->weakrefs == NULL && !((yl_context *)context)->entered;
    }
    #endif
    """
    ctypedef struct yl_context:
        pass
    bint yl_is_current(object snapshot)
    bint yl_same(object a, object b)
    bint yl_untouched(object context, object snapshot, int holders)
    object PyContext_CopyCurrent()
    object PyContext_Copy(object context)


@cython.final
cdef class Contexts:
    cdef readonly bint lends
    cdef object _kept          # the latest snapshot, or None
    cdef object _spare         # a context that nobody has, or None

    cdef inline object snapshot(self):
        if not self.lends:
            return PyContext_CopyCurrent()
        if self._kept is None or not yl_is_current(self._kept):
            self._kept = PyContext_CopyCurrent()
        return self._kept

    cdef inline object lend(self, object snapshot):
        cdef object context = self._spare
        if context is not None and yl_same(context, snapshot):
            self._spare = None
            return context
        return PyContext_Copy(snapshot)

    cdef inline bint take_back(self, object context, object snapshot, int holders) noexcept:
        if not yl_untouched(context, snapshot, holders):
            return False
        self._spare = context
        return True

    cdef inline int forget(self) except -1:
        if self._kept is not None and not yl_is_current(self._kept):
            self._kept = None
        if self._spare is not None and not yl_is_current(self._spare):
            self._spare = None
        return 0
