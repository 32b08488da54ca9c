cdef extern from *:
    """
    #ifndef YL_INLINE
    #define YL_INLINE
    #include <time.h>

    static inline long long yl_now(void) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (long long)ts.tv_sec * 1000000000LL + ts.tv_nsec;
    }

    /* The time stamp counter, where it runs at one rate and the kernel has not found those of the processors to disagree. */
    #if defined(__x86_64__)
    #include <cpuid.h>
    #include <stdio.h>
    #include <x86intrin.h>
    static int yl_find_counter(void) {
        unsigned int a, b, c, d;
        char source[8] = "";
        FILE *file;
        if (!__get_cpuid(0x80000007, &a, &b, &c, &d) || !(d & (1u << 8))) return 0;
        file = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
        if (file == NULL) return 1;
        if (fgets(source, sizeof source, file) == NULL) source[0] = 0;
        fclose(file);
        return !(source[0] == 'h' && source[1] == 'p') && source[0] != 'a' && source[0] != 'j' && source[0] != 'r';
    }
    static inline long long yl_ticks(void) {
        static int counter = -1;
        if (__builtin_expect(counter < 0, 0)) counter = yl_find_counter();
        return counter ? (long long)__rdtsc() : yl_now();
    }
    #else
    #define yl_ticks() yl_now()
    #endif

    /* One reference, and no weak one: nobody but the caller can ever look at it again. */
    static inline int yl_sole(PyObject *o) {
        Py_ssize_t offset = Py_TYPE(o)->tp_weaklistoffset;
        return Py_REFCNT(o) == 1 && (offset <= 0 || *(PyObject **)((char *)o + offset) == NULL);
    }

    static inline PyObject *yl_call(PyObject *callback, PyObject *args) {
        return PyObject_Vectorcall(callback, &PyTuple_GET_ITEM(args, 0), (size_t)PyTuple_GET_SIZE(args), NULL);
    }

    static inline PyObject *yl_call_in(PyObject *context, PyObject *callback, PyObject *args) {
        PyObject *result;
        if (PyContext_Enter(context) < 0) return NULL;
        result = yl_call(callback, args);
        if (result != NULL) {
            if (PyContext_Exit(context) < 0) Py_CLEAR(result);
        } else {
            PyObject *type, *value, *traceback;
            PyErr_Fetch(&type, &value, &traceback);
            if (PyContext_Exit(context) < 0) PyErr_Clear();
            PyErr_Restore(type, value, traceback);
        }
        return result;
    }

    static inline Py_ssize_t yl_as_size(PyObject *o) {
        Py_ssize_t size;
        if (!PyLong_CheckExact(o)) return -1;
        size = PyLong_AsSsize_t(o);
        if (size == -1) PyErr_Clear();
        return size < 0 ? -1 : size;
    }

    static inline int yl_has_attributes(PyObject *o) {
        PyObject **dict = _PyObject_GetDictPtr(o);
        return dict != NULL && *dict != NULL;
    }

    #define yl_is_alive(ref) (((PyWeakReference *)(ref))->wr_object != Py_None)

    /* Changes whenever the type of *o* or one of its bases does; 0 if that is not known. */
    #define yl_type_version(o) ((unsigned long)Py_TYPE(o)->tp_version_tag)

    /* Ask for the memory at *address*, whatever stands there, before it is needed. */
    #if defined(__GNUC__)
    #define yl_prefetch(address) __builtin_prefetch(address)
    #else
    #define yl_prefetch(address) ((void)(address))
    #endif

    #define yl_born_bare() 0
    #define yl_address(o) ((unsigned long long)(size_t)(o) >> 4)
    #define yl_borrowed(o) ((PyObject *)(o))
    #define yl_nobody() NULL

    /* A new reference to what a borrowing field holds, or to None. */
    static inline PyObject *yl_lent(PyObject *field) {
        PyObject *found = field == NULL ? Py_None : field;
        Py_INCREF(found);
        return found;
    }

    #ifdef Py_GIL_DISABLED  /* the collector stops the world there and counts otherwise */
    #define yl_hide(o) ((void)(o))
    #define yl_show(o) ((void)(o))
    #define yl_visit(o, visit, arg) ((visit)((o), (arg)))
    #else
    static inline void yl_hide(PyObject *o) {
        if (PyObject_GC_IsTracked(o)) PyObject_GC_UnTrack(o);
    }
    static inline void yl_show(PyObject *o) {
        if (PyObject_IS_GC(o) && !PyObject_GC_IsTracked(o)) PyObject_GC_Track(o);
    }
    /* For the tp_traverse of who holds *o*: show the collector *o*, or if it is hidden, what it refers to. */
    static inline int yl_visit(PyObject *o, visitproc visit, void *arg) {
        if (Py_REFCNT(o) == 1 && !PyObject_GC_IsTracked(o) && Py_TYPE(o)->tp_traverse != NULL)
            return Py_TYPE(o)->tp_traverse(o, visit, arg);
        return visit(o, arg);
    }
    #endif
    #endif
    """
    ctypedef int (*visitproc)(PyObject *, void *) noexcept
    ctypedef struct PyObject:
        pass
    object copy_context "PyContext_CopyCurrent"()
    object call "yl_call"(object callback, tuple args)
    object call_in_context "yl_call_in"(object context, object callback, tuple args)
    long long monotonic_ns "yl_now"() noexcept
    bint has_attributes "yl_has_attributes"(object obj) noexcept
    bint is_alive "yl_is_alive"(object ref) noexcept
    bint is_callable "PyCallable_Check"(object obj) noexcept
    bint sole_owner "yl_sole"(object obj) noexcept
    Py_ssize_t as_size "yl_as_size"(object obj) noexcept
    int check_signals "PyErr_CheckSignals"() except -1
    bint born_bare "yl_born_bare"() noexcept
    unsigned long type_version "yl_type_version"(object o) noexcept
    void hide "yl_hide"(object entry) noexcept
    void show "yl_show"(object entry) noexcept
    long long ticks "yl_ticks"() noexcept
    unsigned long long address "yl_address"(object thing) noexcept
    PyObject *borrowed "yl_borrowed"(object entry) noexcept
    PyObject *nobody "yl_nobody"() noexcept
    object lent "yl_lent"(PyObject *field)
    void yl_prefetch(void *address) noexcept
    int yl_visit(PyObject *entry, visitproc visit, void *arg) noexcept
