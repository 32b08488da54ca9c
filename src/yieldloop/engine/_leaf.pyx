# The compiled twin of _leaf.py: the same names, the same meaning, by the C API.
# What each does and why is written there; here stand only the facts about C.
cimport cython
from cpython.ref cimport Py_DECREF, Py_INCREF

import asyncio.tasks as _stock
import sys
import warnings as _warnings
from asyncio import format_helpers as _format

cdef extern from *:
    """
    #include <time.h>

    /* Take the raised exception, normalised and with its traceback; a new reference. */
    static PyObject *yl_take_raised(void) {
    #if PY_VERSION_HEX >= 0x030C0000
        return PyErr_GetRaisedException();
    #else
        PyObject *t = NULL, *v = NULL, *tb = NULL;
        PyErr_Fetch(&t, &v, &tb);
        if (t == NULL) return NULL;
        PyErr_NormalizeException(&t, &v, &tb);
        if (tb != NULL) PyException_SetTraceback(v, tb);
        Py_XDECREF(t); Py_XDECREF(tb);
        return v;
    #endif
    }

    static PyObject *yl_stop_plain(PyObject *value) {
        if (PyTuple_Check(value) || PyExceptionInstance_Check(value)) {
            PyObject *exc = PyObject_CallOneArg(PyExc_StopIteration, value);
            if (exc != NULL) { PyErr_SetObject(PyExc_StopIteration, exc); Py_DECREF(exc); }
        } else {
            PyErr_SetObject(PyExc_StopIteration, value);
        }
        return NULL;
    }

    /* iternext's return by StopIteration(value). NULL with no exception set means StopIteration(None).

       What a frame that awaits does with the exception is to take the value out and drop it. So the ones made here are used again:
       to make one takes longer than all the rest of a read that finds its bytes. They are of a type of their own, which keeps a few
       when they die, and whose args are there when somebody looks. A debugger, which asks whether the type is StopIteration, gets
       plain ones. On 3.11 no object is made unless somebody looks at it. */
    #if PY_VERSION_HEX >= 0x030C0000 && !defined(Py_GIL_DISABLED)
    #define YL_STOPS 16
    static PyTypeObject yl_stop_type;
    static PyObject *yl_stops[YL_STOPS];  /* dead, empty, and out of the collector's sight */
    static int yl_stops_kept = 0;

    static void yl_stop_dealloc(PyObject *o) {
        PyStopIterationObject *stop = (PyStopIterationObject *)o;
        PyObject *value = stop->value;
        int used = Py_TYPE(o) != &yl_stop_type || stop->args == NULL || PyTuple_GET_SIZE(stop->args) != 0  /* NULL: by tp_clear */
            || stop->dict != NULL || stop->notes != NULL || stop->traceback != NULL || stop->context != NULL || stop->cause != NULL
            || stop->suppress_context;
        stop->value = NULL;
        if (!used && yl_stops_kept < YL_STOPS) {
            PyObject_GC_UnTrack(o);
            yl_stops[yl_stops_kept++] = o;
        } else {
            yl_stop_type.tp_base->tp_dealloc(o);
        }
        Py_XDECREF(value);
    }

    /* The args that a StopIteration(value) has from the start. */
    static int yl_stop_fill(PyObject *o) {
        PyStopIterationObject *stop = (PyStopIterationObject *)o;
        PyObject *args, *old = stop->args;
        if (stop->value == NULL || stop->value == Py_None || old == NULL || PyTuple_GET_SIZE(old) != 0) return 0;
        args = PyTuple_Pack(1, stop->value);
        if (args == NULL) return -1;
        stop->args = args;
        Py_DECREF(old);
        return 0;
    }

    static PyObject *yl_stop_getattro(PyObject *o, PyObject *name) {
        return yl_stop_fill(o) < 0 ? NULL : PyObject_GenericGetAttr(o, name);
    }
    static PyObject *yl_stop_repr(PyObject *o) { return yl_stop_fill(o) < 0 ? NULL : yl_stop_type.tp_base->tp_repr(o); }
    static PyObject *yl_stop_str(PyObject *o) { return yl_stop_fill(o) < 0 ? NULL : yl_stop_type.tp_base->tp_str(o); }

    static PyObject *yl_stop_reduce(PyObject *o, PyObject *unused) {  /* a copy is a plain one */
        PyStopIterationObject *stop = (PyStopIterationObject *)o;
        PyObject *type = Py_TYPE(o) == &yl_stop_type ? PyExc_StopIteration : (PyObject *)Py_TYPE(o);
        if (yl_stop_fill(o) < 0) return NULL;
        return stop->dict == NULL ? PyTuple_Pack(2, type, stop->args) : PyTuple_Pack(3, type, stop->args, stop->dict);
    }

    static PyMethodDef yl_stop_methods[] = {{"__reduce__", yl_stop_reduce, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};

    static int yl_make_stop_type(void) {
        yl_stop_type.tp_base = (PyTypeObject *)PyExc_StopIteration;
        yl_stop_type.tp_name = "StopIteration";
        yl_stop_type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE;
        yl_stop_type.tp_dealloc = yl_stop_dealloc;
        yl_stop_type.tp_getattro = yl_stop_getattro;
        yl_stop_type.tp_repr = yl_stop_repr;
        yl_stop_type.tp_str = yl_stop_str;
        yl_stop_type.tp_methods = yl_stop_methods;
        return PyType_Ready(&yl_stop_type);
    }

    /* True if a debugger or another tool is told of exceptions. */
    static int yl_is_traced(void) {
    #if PY_VERSION_HEX >= 0x030D0000
        static const uint8_t events[1] = {PY_MONITORING_EVENT_RAISE};
        static PyMonitoringState state[1];
        static uint64_t version = 0;
        PyMonitoring_EnterScope(state, &version, events, 1);
        return state[0].active;
    #else
        return PyThreadState_Get()->c_tracefunc != NULL;
    #endif
    }

    static PyObject *yl_stop(PyObject *value) {
        PyObject *stop, *old;
        if (value == Py_None) return NULL;
        if (yl_is_traced()) return yl_stop_plain(value);
        if (yl_stops_kept) {
            stop = yl_stops[--yl_stops_kept];
            _Py_NewReference(stop);
            PyObject_GC_Track(stop);
        } else {
            stop = PyObject_CallNoArgs((PyObject *)&yl_stop_type);
            if (stop == NULL) return NULL;
        }
        old = ((PyStopIterationObject *)stop)->value;
        ((PyStopIterationObject *)stop)->value = Py_NewRef(value);
        Py_XDECREF(old);
        PyErr_SetRaisedException(stop);
        return NULL;
    }
    #else
    static int yl_make_stop_type(void) { return 0; }
    static PyObject *yl_stop(PyObject *value) { return value == Py_None ? NULL : yl_stop_plain(value); }
    #endif

    /* One reference, and no weak one: nobody but the caller can ever look at it again. */
    static int yl_sole_owner(PyObject *o) {
        Py_ssize_t offset = Py_TYPE(o)->tp_weaklistoffset;
        return Py_REFCNT(o) == 1 && (offset <= 0 || *(PyObject **)((char *)o + offset) == NULL);
    }

    static int yl_has_own(PyObject *o, PyObject *name) {
        PyObject **dict = _PyObject_GetDictPtr(o);
        return dict != NULL && *dict != NULL ? PyDict_Contains(*dict, name) : 0;
    }

    #include <errno.h>
    #include <unistd.h>
    /* One byte into a non-blocking socket: 0, or the error's number. */
    static int yl_ring(int fd) {
        ssize_t n;
        do n = write(fd, "", 1); while (n < 0 && errno == EINTR);
        return n < 0 ? errno : 0;
    }

    /* what is not of yl_ring is left at the front of `bytes` */
    static Py_ssize_t yl_unring(int fd, char *bytes, size_t size) {
        ssize_t n = read(fd, bytes, size), kept = 0;
        for (ssize_t i = 0; i < n; i++)
            if (bytes[i]) bytes[kept++] = bytes[i];
        return kept;
    }

    static long long yl_monotonic_ns(void) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (long long)ts.tv_sec * 1000000000LL + ts.tv_nsec;
    }

    /* coro.throw(exc): NEXT gives 1 and the yielded object, RETURN 0 and the value, ERROR -1. */
    static int yl_throw(PyObject *coro, PyObject *exc, PyObject *name, PyObject **out) {
        PyObject *r = PyObject_CallMethodOneArg(coro, name, exc);
        if (r != NULL) { *out = r; return 1; }
        if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
            PyObject *stop = yl_take_raised();
            *out = PyObject_GetAttrString(stop, "value");
            Py_DECREF(stop);
            return *out == NULL ? -1 : 0;
        }
        return -1;
    }

    /* frames as plain pointers: the API's types differ from PyObject only by name */
    #define yl_frame() ((PyObject *)PyEval_GetFrame())
    #define yl_line_at(c, i) PyCode_Addr2Line((PyCodeObject *)(c), (i))
    #define yl_frame_code(f) ((PyObject *)PyFrame_GetCode((PyFrameObject *)(f)))
    #define yl_frame_lasti(f) PyFrame_GetLasti((PyFrameObject *)(f))
    #define yl_frame_globals(f) PyFrame_GetGlobals((PyFrameObject *)(f))
    #define yl_frame_back(f) ((PyObject *)PyFrame_GetBack((PyFrameObject *)(f)))

    #ifndef YL_PYITER_SEND
    #define YL_PYITER_SEND(c, v, r) ((int)PyIter_Send((c), (v), (r)))
    #endif
    #define YL_RETURN ((int)PYGEN_RETURN)
    #define YL_NEXT ((int)PYGEN_NEXT)
    """
    ctypedef struct PyObject:
        pass
    void Py_XDECREF(PyObject *o)
    void Py_XINCREF(PyObject *o)
    PyObject *yl_take_raised()
    int yl_make_stop_type() except -1
    PyObject *yl_stop(PyObject *value)
    long long yl_monotonic_ns() nogil
    int yl_sole_owner(PyObject *o)
    int yl_has_own(PyObject *o, PyObject *name) except -1
    int yl_ring(int fd)
    Py_ssize_t yl_unring(int fd, char *bytes, size_t size)
    int yl_throw(PyObject *coro, PyObject *exc, PyObject *name, PyObject **out)
    int YL_PYITER_SEND(PyObject *coro, PyObject *value, PyObject **result)
    int YL_RETURN
    int YL_NEXT
    PyObject *PyEval_GetFrame "yl_frame"()
    PyObject *PyFrame_GetCode "yl_frame_code"(PyObject *frame)
    int PyCode_Addr2Line "yl_line_at"(PyObject *code, int lasti)
    int PyFrame_GetLasti "yl_frame_lasti"(PyObject *frame)
    PyObject *PyFrame_GetGlobals "yl_frame_globals"(PyObject *frame)
    PyObject *PyFrame_GetBack "yl_frame_back"(PyObject *frame)
    int PyContext_Enter(object ctx) except -1
    int PyContext_Exit(object ctx) except -1
    object PyContext_CopyCurrent()
    object PyObject_CallObject(object callback, tuple args)
    int PyDict_SetItem(object mapping, object key, object value) except -1
    int PyDict_Contains(object mapping, object key) except -1
    int PyDict_DelItem(object mapping, object key) except -1
    int PyErr_CheckSignals() except -1
    bint PyCallable_Check(object obj)
    ctypedef PyObject *(*iternextfunc)(PyObject *) noexcept
    ctypedef PyObject *(*rawfunc "iternextfunc")(PyObject *) noexcept
    ctypedef struct PyTypeObject:
        iternextfunc tp_iternext


cdef str PENDING = sys.intern("PENDING")
cdef str FINISHED = sys.intern("FINISHED")
cdef str THROW = sys.intern("throw")


cdef class Entry:
    cdef int run(self) except -1:
        raise NotImplementedError("an entry of the ready queue says what run() does")

    cdef int step(self) except -1:
        raise NotImplementedError("an entry that runs in a context says what step() does")

    cdef int after(self) except -1:
        raise NotImplementedError("an entry that asks to be called after another one says what after() does")

    cdef object woken_by(self, object future):
        raise NotImplementedError("an entry that waits for a future says what a wake-up does")


@cython.final
@cython.freelist(64)
@cython.no_gc  # nobody keeps one: it goes from a function to its caller, who takes it apart
cdef class Outcome:
    def __init__(self, value, error):
        self.value = value
        self.error = error


cpdef Outcome returned(object value):
    cdef Outcome outcome = Outcome.__new__(Outcome)
    outcome.value = value
    return outcome


cdef class Attributed:
    pass


cdef class AttributedEntry(Entry):
    pass


# A class with a `cdef dict __dict__` has a dictionary made for each object, which most futures never need. Here it is made when
# something is set, as for the interpreter's own classes; and on an object without one, methods are found faster.
cdef extern from *:
    """
    static PyGetSetDef yl_getset[] = {{"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL}, {NULL}};

    #define YL_ATTRIBUTES(o, offset) (*(PyObject **)((char *)(o) + (offset)))
    #define YL_ATTRIBUTED(name)                                                                                                 \
    static Py_ssize_t name##_offset;                                                                                            \
    static traverseproc name##_bare_traverse;                                                                                   \
    static inquiry name##_bare_clear;                                                                                           \
    static destructor name##_bare_dealloc;                                                                                      \
    static int name##_traverse(PyObject *o, visitproc visit, void *arg) {                                                       \
        Py_VISIT(YL_ATTRIBUTES(o, name##_offset));                                                                              \
        return name##_bare_traverse(o, visit, arg);                                                                             \
    }                                                                                                                           \
    static int name##_clear(PyObject *o) {                                                                                      \
        Py_CLEAR(YL_ATTRIBUTES(o, name##_offset));                                                                              \
        return name##_bare_clear(o);                                                                                            \
    }                                                                                                                           \
    static void name##_dealloc(PyObject *o) {                                                                                   \
        if (YL_ATTRIBUTES(o, name##_offset) != NULL) {                                                                          \
            PyObject_GC_UnTrack(o);                                                                                             \
            Py_CLEAR(YL_ATTRIBUTES(o, name##_offset));                                                                          \
        }                                                                                                                       \
        name##_bare_dealloc(o);                                                                                                 \
    }                                                                                                                           \
    static int name##_set_up(PyTypeObject *type, Py_ssize_t offset) {                                                           \
        PyObject *descriptor = PyDescr_NewGetSet(type, yl_getset);                                                              \
        int failed = descriptor == NULL || PyDict_SetItemString(type->tp_dict, "__dict__", descriptor) < 0;                     \
        Py_XDECREF(descriptor);                                                                                                 \
        if (failed) return -1;                                                                                                  \
        name##_offset = type->tp_dictoffset = offset;                                                                           \
        name##_bare_traverse = type->tp_traverse;                                                                               \
        name##_bare_clear = type->tp_clear;                                                                                     \
        name##_bare_dealloc = type->tp_dealloc;                                                                                 \
        type->tp_traverse = name##_traverse;                                                                                    \
        type->tp_clear = name##_clear;                                                                                          \
        type->tp_dealloc = name##_dealloc;                                                                                      \
        PyType_Modified(type);                                                                                                  \
        return 0;                                                                                                               \
    }
    YL_ATTRIBUTED(yl_attributed)
    YL_ATTRIBUTED(yl_entry)
    YL_ATTRIBUTED(yl_promise)
    """
    int yl_attributed_set_up(PyTypeObject *kind, Py_ssize_t offset) except -1
    int yl_entry_set_up(PyTypeObject *kind, Py_ssize_t offset) except -1
    int yl_promise_set_up(PyTypeObject *kind, Py_ssize_t offset) except -1


cdef int _give_attributes() except -1:
    cdef Attributed attributed = Attributed.__new__(Attributed)
    cdef AttributedEntry entry = AttributedEntry.__new__(AttributedEntry)
    cdef Py_ssize_t offset = <char *>&attributed._attributes - <char *><void *>attributed
    yl_attributed_set_up(<PyTypeObject *>Attributed, offset)
    offset = <char *>&entry._attributes - <char *><void *>entry
    yl_entry_set_up(<PyTypeObject *>AttributedEntry, offset)
    # Within one module, a class calls its base's C functions and not the slots in which they were replaced.
    yl_promise_set_up(<PyTypeObject *>Promise, offset)
    return 0


_give_attributes()


cdef class Promise(AttributedEntry):
    pass


cdef inline object _outcome(PyObject *value, PyObject *error):
    """Owns both references that it is given."""
    cdef Outcome outcome = Outcome.__new__(Outcome)
    if error != NULL:
        outcome.error = <object>error
        Py_DECREF(outcome.error)
    if value != NULL:
        outcome.value = <object>value
        Py_DECREF(outcome.value)
    return outcome


cpdef object iter_send(object coro, object value):
    cdef PyObject *res = NULL
    cdef int status = YL_PYITER_SEND(<PyObject *>coro, <PyObject *>value, &res)
    if status == YL_NEXT:
        result = <object>res
        Py_DECREF(result)
        return result
    if status == YL_RETURN:
        return _outcome(res, NULL)
    return _outcome(NULL, yl_take_raised())


cpdef object iter_throw(object coro, object exc):
    cdef PyObject *res = NULL
    cdef int status = yl_throw(<PyObject *>coro, <PyObject *>exc, <PyObject *>THROW, &res)
    if status == 1:
        result = <object>res
        Py_DECREF(result)
        return result
    if status == 0:
        return _outcome(res, NULL)
    return _outcome(NULL, yl_take_raised())


cpdef int run_in_context(object context, Entry entry) except -1:
    PyContext_Enter(context)
    try:
        entry.step()
    finally:
        PyContext_Exit(context)
    return 0


cpdef object call_in_context(object context, object callback, tuple args):
    PyContext_Enter(context)
    try:
        return PyObject_CallObject(callback, args)
    finally:
        PyContext_Exit(context)


cpdef object copy_context():
    return PyContext_CopyCurrent()


cpdef long long monotonic_ns() except? -1:
    return yl_monotonic_ns()


# --- the standard library's register of running tasks ------------------------------------------------------------------

# Up to 3.13 it is a dictionary from loop to task; from 3.14 on it is in the thread's state, behind a C function.
cdef object _current = getattr(_stock, "_current_tasks", None)
cdef object _swap = getattr(_stock, "_swap_current_task", None)
cdef bint _by_dict = isinstance(_current, dict) and sys.version_info < (3, 14)
cdef object _ask = _stock.current_task


cpdef object current_on(object loop):
    if _by_dict:
        return (<dict>_current).get(loop)
    return _ask(loop)


cpdef int enter_current(object loop, object task) except -1:
    if _by_dict:
        PyDict_SetItem(_current, loop, task)
    else:
        _swap(loop, task)
    return 0


cpdef int leave_current(object loop) except -1:
    if _by_dict:
        if PyDict_Contains(_current, loop):
            PyDict_DelItem(_current, loop)
    else:
        _swap(loop, None)
    return 0


cpdef object swap_current(object loop, object task):
    if not _by_dict:
        return _swap(loop, task)
    previous = (<dict>_current).get(loop)
    if task is None:
        leave_current(loop)
    else:
        PyDict_SetItem(_current, loop, task)
    return previous


cpdef int check_signals() except -1:
    return PyErr_CheckSignals()


cpdef bint is_callable(object obj):
    return PyCallable_Check(obj)


cpdef bint has_own(object obj, str name) except -1:
    return yl_has_own(<PyObject *>obj, <PyObject *>name)


cpdef bint sole_owner(object obj):
    return yl_sole_owner(<PyObject *>obj)


cpdef int ring(int fd) except -2:
    # The GIL is kept: the call cannot block, and giving it up would hand it to the loop's thread after the first of a
    # storm of calls, to be taken back by the second: two switches of threads a call.
    return yl_ring(fd)


cpdef bytes unring(int fd):
    cdef char numbers[512]
    cdef Py_ssize_t count = yl_unring(fd, numbers, sizeof(numbers))
    return numbers[:count] if count else b""


# --- where a task was created ------------------------------------------------------------------------------------------

cdef PyObject *_skipped[64]  # borrowed: the globals of modules, which live as long as the process
cdef int _skips = 0


cpdef int skip_globals(dict namespace) except -1:
    global _skips
    if _skips == 64:
        raise RuntimeError("more than 64 modules are passed over: raise the size of _skipped in _leaf.pyx")
    Py_INCREF(namespace)
    _skipped[_skips] = <PyObject *>namespace
    _skips += 1
    return 0


cdef PyObject *_program_frame() noexcept:
    """A new reference, or NULL."""
    cdef PyObject *frame = PyEval_GetFrame()  # borrowed: the innermost Python frame; compiled functions have none
    cdef PyObject *back
    cdef PyObject *names
    cdef int i
    Py_XINCREF(frame)
    while frame != NULL:
        names = PyFrame_GetGlobals(frame)
        Py_XDECREF(names)
        for i in range(_skips):
            if _skipped[i] == names:
                break
        else:
            return frame
        back = PyFrame_GetBack(frame)
        Py_XDECREF(frame)
        frame = back
    return NULL


cdef long _lasti = -1


cpdef object program_code():
    global _lasti
    cdef PyObject *frame = _program_frame()
    cdef PyObject *code
    _lasti = -1
    if frame == NULL:
        return None
    code = PyFrame_GetCode(frame)
    _lasti = PyFrame_GetLasti(frame)
    Py_XDECREF(frame)
    result = <object>code
    Py_XDECREF(code)
    return result


cpdef int line_at(object code, long lasti) except -2:
    return PyCode_Addr2Line(<PyObject *>code, <int>lasti)


cpdef long program_lasti() except? -2:
    return _lasti


cpdef object program_stack():
    cdef PyObject *frame = _program_frame()
    if frame == NULL:
        return _format.extract_stack()
    result = <object>frame
    Py_XDECREF(frame)
    return _format.extract_stack(result)


# --- the engine's only yield -------------------------------------------------------------------------------------------

@cython.final
@cython.freelist(256)
cdef class FutureIter:
    def __init__(self, Promise future):
        self._future = future

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)  # only `iterator.__next__()` comes here: the slot is set below

    def send(self, value):
        cdef Promise future = self._future
        if future is not None and future._state is PENDING and not future._asyncio_future_blocking:
            future._asyncio_future_blocking = True
            return future
        if future is None:
            raise StopIteration
        self._future = None
        if future._state is PENDING:
            raise RuntimeError("await wasn't used with future")
        raise StopIteration(future.result())

    def throw(self, typ, val=None, tb=None):
        self._future = None
        raise _as_exception(typ, val, tb)

    def close(self):
        self._future = None


cpdef FutureIter new_iter(Promise future):
    cdef FutureIter it = FutureIter.__new__(FutureIter)
    it._future = future
    return it


def _as_exception(typ, val, tb):
    if (val is not None or tb is not None) and sys.version_info >= (3, 12):
        text = "the (type, exc, tb) signature of throw() is deprecated, use the single-arg signature instead."
        _warnings.warn(text, DeprecationWarning, stacklevel=2)
    if isinstance(typ, BaseException):
        if val is not None:
            raise TypeError("instance exception may not have a separate value")
        exc = typ
    elif isinstance(typ, type) and issubclass(typ, BaseException):
        exc = val if isinstance(val, typ) else typ() if val is None else typ(*val) if isinstance(val, tuple) else typ(val)
    else:
        raise TypeError(f"exceptions must be classes or instances deriving from BaseException, not {type(typ).__name__}")
    if tb is not None:
        exc = exc.with_traceback(tb)
    return exc




yl_make_stop_type()


cdef PyObject *_future_iternext(PyObject *self) noexcept:
    # Set as the type's iternext: it returns NULL with the exception set by the C API, so that no compiled frame is added
    # to a traceback and a result of None costs no exception object at all.
    cdef FutureIter it = <FutureIter>self
    cdef Promise future = it._future
    cdef PyObject *out
    if future is None:
        return NULL
    if future._state is PENDING:
        if future._asyncio_future_blocking:
            it._future = None
            PyErr_SetString(<PyObject *>RuntimeError, b"await wasn't used with future")
            return NULL
        future._asyncio_future_blocking = True
        Py_INCREF(future)
        return <PyObject *>future
    it._future = None
    if future._state is FINISHED and future._exception is None:
        future._log_tb = False
        return yl_stop(<PyObject *>future._result)
    out = yl_call_result(<PyObject *>future)  # cancelled or failed: result() raises
    if out != NULL:  # a subclass that answers after all
        yl_stop(out)
        Py_XDECREF(out)
    return NULL


cdef extern from *:
    """
    static PyObject *yl_call_result(PyObject *future) { return PyObject_CallMethod(future, "result", NULL); }
    """
    PyObject *yl_call_result(PyObject *future)
    void PyErr_SetString(PyObject *typ, const char *text)

(<PyTypeObject *>FutureIter).tp_iternext = _future_iternext


# --- awaitables without a frame ------------------------------------------------------------------------------------------

cdef class Steps:
    cdef object advance(self):
        raise NotImplementedError("an awaitable says what its next step does")

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        got = self.advance()
        if type(got) is Outcome:
            raise StopIteration((<Outcome>got).value)
        return got

    def send(self, value):
        got = self.advance()
        if type(got) is Outcome:
            raise StopIteration((<Outcome>got).value)
        return got


cdef PyObject *_steps_iternext(PyObject *self) noexcept:
    cdef PyObject *got = _raw_advance(self)
    cdef PyObject *stop
    if got == NULL:
        return NULL
    if type(<object>got) is Outcome:
        stop = yl_stop(<PyObject *>(<Outcome>got).value)
        Py_XDECREF(got)
        return stop
    return got


cdef object _advance(Steps self):
    return self.advance()


# The same by its C convention, which Cython keeps to itself: a new reference, or NULL with the exception left set.
cdef rawfunc _raw_advance = <rawfunc><void *>_advance

(<PyTypeObject *>Steps).tp_iternext = _steps_iternext


@cython.final
@cython.freelist(256)
cdef class Turn:
    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    def send(self, value):
        if self._stage == 0:
            self._stage = 1
            return None
        if self._stage == 1:
            self._stage = 2
            raise StopIteration
        raise RuntimeError("cannot reuse already awaited coroutine")

    def throw(self, typ, val=None, tb=None):
        self._stage = 2
        raise _as_exception(typ, val, tb)

    def close(self):
        self._stage = 2

    def __getattr__(self, name):
        return _turn_attribute(name)

    def __repr__(self):
        return "<sleep(0)>"

    def __dealloc__(self):
        if self._stage == 0:
            _never_awaited()


cdef PyObject *_turn_iternext(PyObject *self) noexcept:
    cdef Turn turn = <Turn>self
    if turn._stage == 0:
        turn._stage = 1
        Py_INCREF(None)
        return <PyObject *>None
    if turn._stage == 1:
        turn._stage = 2
        return NULL  # with no exception set: StopIteration(None)
    PyErr_SetString(<PyObject *>RuntimeError, b"cannot reuse already awaited coroutine")
    return NULL

(<PyTypeObject *>Turn).tp_iternext = _turn_iternext


cpdef Turn new_turn():
    cdef Turn turn = Turn.__new__(Turn)
    turn._stage = 0
    return turn


def _turn_attribute(str name):
    if name in ("__name__", "__qualname__"):
        return "sleep"
    if name in ("cr_await", "cr_frame"):
        return None
    if name == "cr_running":
        return False
    if name == "cr_code":
        return _turn_attribute.__code__
    raise AttributeError(f"a sleep has no attribute {name!r}")


cdef int _never_awaited() except -1:
    _warnings.warn("coroutine 'sleep' was never awaited", RuntimeWarning, stacklevel=1)
    return 0
