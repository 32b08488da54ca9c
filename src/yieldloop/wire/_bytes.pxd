cdef extern from *:
    """
    /* New bytes, to be filled at once. What is received, or made to be sent, is most often let go of soon, and bytes that are too
       many for the allocator's quick lists cost more to get and to give back than to fill: each module that asks keeps the last
       such objects, and gives one that nobody else has again. */
    #ifndef YL_BLANK
    #define YL_BLANK
    enum { YL_KEPT = 64, YL_KEPT_LEAST = 513, YL_KEPT_MOST = 8192 };
    static PyObject *yl_blank(Py_ssize_t n) {
    #ifndef Py_GIL_DISABLED  /* where reference counts say less */
        static PyObject *kept[YL_KEPT];
        static int turn = 0;
        if (n >= YL_KEPT_LEAST && n <= YL_KEPT_MOST) {
            PyObject *bytes = kept[turn];
            if (bytes != NULL && Py_REFCNT(bytes) != 1) {
                turn = (turn + 1) % YL_KEPT;
                bytes = kept[turn];
            }
            if (bytes != NULL && Py_REFCNT(bytes) == 1 && Py_SIZE(bytes) == n) {
                ((PyBytesObject *)bytes)->ob_shash = -1;
            } else {
                Py_XDECREF(bytes);
                kept[turn] = bytes = PyBytes_FromStringAndSize(NULL, n);
            }
            Py_XINCREF(bytes);
            return bytes;
        }
    #endif
        return PyBytes_FromStringAndSize(NULL, n);
    }
    #endif
    """
    bytes blank "yl_blank"(Py_ssize_t n)


cpdef bytes cut(bytes data, Py_ssize_t start, Py_ssize_t end)
cpdef Py_ssize_t index_of(object data, bytes separator, Py_ssize_t start) except -2
cpdef bytes glue(bytes one, bytes other)
