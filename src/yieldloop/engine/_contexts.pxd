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
            && ((yl_context *)context)->weakrefs == NULL;
    }

    /* object.method(what), and out of *context* again; a new reference to what was raised, or NULL if nothing was. */
    static inline PyObject *yl_tell_and_exit(PyObject *context, PyObject *object, PyObject *method, PyObject *what) {
        PyObject *args[3] = {NULL, object, what};  /* the callee may borrow the first place */
        PyObject *type, *value, *traceback;
        PyObject *result = PyObject_VectorcallMethod(method, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        if (result != NULL) {
            Py_DECREF(result);
            if (PyContext_Exit(context) == 0) return NULL;
        }
        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        if (traceback != NULL) PyException_SetTraceback(value, traceback);
        Py_XDECREF(type);
        Py_XDECREF(traceback);
        if (result == NULL && PyContext_Exit(context) < 0) PyErr_Clear();
        return value;
    }
    #endif
    """
    ctypedef struct PyObject:
        pass
    ctypedef struct yl_context:
        pass
    bint yl_is_current(object snapshot)
    bint yl_same(object a, object b)
    bint yl_untouched(PyObject *context, object snapshot, int holders)
    object PyContext_CopyCurrent()
    object PyContext_Copy(object context)
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1
    PyObject *yl_tell_and_exit(PyObject *context, PyObject *object, PyObject *method, PyObject *what) noexcept
    void Py_DECREF(PyObject *o)


@cython.final
cdef class Contexts:
    cdef readonly bint lends
    cdef object _kept          # the latest snapshot, or None
    cdef object _lent          # the context that is lent, or will be again, or None
    cdef PyObject *_user       # borrowed: who entered it last
    cdef readonly bint inside  # _lent is entered

    cdef inline object snapshot(self):
        if not self.lends:
            return PyContext_CopyCurrent()
        if self._kept is None or not yl_is_current(self._kept):
            self._kept = PyContext_CopyCurrent()
        return self._kept

    cdef inline int enter(self, object snapshot, object user) except -1:
        if self._lent is None or not yl_same(self._lent, snapshot):
            self.leave()
            self._lent = PyContext_Copy(snapshot)
        if not self.inside:
            PyContext_Enter(self._lent)
            self.inside = True
        self._user = <PyObject *>user
        return 0

    cdef inline bint is_unchanged(self, object snapshot) noexcept:
        if not yl_untouched(<PyObject *>self._lent, snapshot, 2):  # known to us, and to the thread, which is inside
            return False
        self._user = NULL
        return True

    cdef inline object lent_to(self, object user):
        return self._lent if self.inside and self._user == <PyObject *>user else None

    cdef inline int leave(self) except -1:
        if self.inside:
            self.inside = False
            self._user = NULL
            PyContext_Exit(self._lent)
        return 0

    cdef inline int drop(self) except -1:
        self.leave()
        self._lent = None
        return 0

    cdef inline object tell(self, object snapshot, object user, object listener, str method, object what):
        cdef PyObject *raised
        self.enter(snapshot, user)
        raised = yl_tell_and_exit(<PyObject *>self._lent, <PyObject *>listener, <PyObject *>method, <PyObject *>what)
        self.inside = False
        self._user = NULL
        if raised == NULL:
            if not yl_untouched(<PyObject *>self._lent, snapshot, 1):  # known to us alone
                self._lent = None
            return None
        self._lent = None
        error = <object>raised
        Py_DECREF(raised)
        return error

    cdef inline bint unchanged(self, object context, object snapshot) noexcept:
        return yl_untouched(<PyObject *>context, snapshot, 2)  # the owner's two: his field and his variable

    cdef inline object copy(self, object snapshot):
        return PyContext_Copy(snapshot)

    cdef inline int forget(self) except -1:
        if self._kept is not None and not yl_is_current(self._kept):
            self._kept = None
        if self._lent is not None and not yl_is_current(self._lent):
            self._lent = None
        return 0

    cdef inline int clear(self) except -1:
        self.drop()
        self._kept = None
        return 0
