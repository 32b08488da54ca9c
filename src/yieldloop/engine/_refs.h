/* How references are counted in our compiled modules on CPython 3.12 and 3.13 (the build includes this before everything else).

   A reference counted up there writes the count's low 4 bytes, one counted down reads all 8 of them: the processor cannot hand a
   narrow write on to a wider read and waits until the write is in its cache, each time that the two follow each other (to see it:
   `perf annotate` of `bench/child.py call_soon yieldloop 1`, built without this file). Here both read 4 bytes and write 8, which is right whoever counts next:
   the high half of a count is 0, for an immortal object its low half says so (PEP 683) and is let alone. 3.11 reads and writes 8,
   3.14 4 both times, and without the GIL everything is different: there Python's own are used. */

#ifndef YL_REFS
#define YL_REFS
#ifndef PY_SSIZE_T_CLEAN
#define PY_SSIZE_T_CLEAN
#endif
#include <Python.h>

#if PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030E0000 && SIZEOF_VOID_P == 8 && !defined(Py_GIL_DISABLED) \
    && !defined(Py_REF_DEBUG) && !defined(Py_STATS) && !defined(Py_LIMITED_API)

static inline Py_ALWAYS_INLINE void yl_incref(PyObject *op) {
    PY_INT32_T count = (PY_INT32_T)op->ob_refcnt_split[PY_BIG_ENDIAN];
    if (count >= 0) op->ob_refcnt = (Py_ssize_t)count + 1;
}

static inline Py_ALWAYS_INLINE void yl_decref(PyObject *op) {
    PY_INT32_T count = (PY_INT32_T)op->ob_refcnt_split[PY_BIG_ENDIAN];
    if (count >= 0 && (op->ob_refcnt = (Py_ssize_t)count - 1) == 0) _Py_Dealloc(op);
}

static inline Py_ALWAYS_INLINE PyObject *yl_new_ref(PyObject *op) { yl_incref(op); return op; }
static inline Py_ALWAYS_INLINE void yl_xincref(PyObject *op) { if (op != NULL) yl_incref(op); }
static inline Py_ALWAYS_INLINE void yl_xdecref(PyObject *op) { if (op != NULL) yl_decref(op); }
static inline Py_ALWAYS_INLINE PyObject *yl_xnew_ref(PyObject *op) { yl_xincref(op); return op; }

#undef Py_INCREF
#undef Py_DECREF
#undef Py_XINCREF
#undef Py_XDECREF
#undef Py_NewRef
#undef Py_XNewRef
#define Py_INCREF(op) yl_incref(_PyObject_CAST(op))
#define Py_DECREF(op) yl_decref(_PyObject_CAST(op))
#define Py_XINCREF(op) yl_xincref(_PyObject_CAST(op))
#define Py_XDECREF(op) yl_xdecref(_PyObject_CAST(op))
#define Py_NewRef(op) yl_new_ref(_PyObject_CAST(op))
#define Py_XNewRef(op) yl_xnew_ref(_PyObject_CAST(op))

#endif
#endif
