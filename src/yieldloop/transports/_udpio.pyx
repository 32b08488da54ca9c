# The compiled twin of _udpio.py: the same names, the same meaning, by the system calls themselves.
# What each does and why is written there; here stand only the facts about C.
#
# None of the calls releases the GIL, for the reason given in _sockio.pyx. The memory that recvmmsg fills is one for all, and what it
# holds is copied before anybody else can run. To make a tuple is to give others a chance (up to Python 3.11 the collector may
# run then, and with it any finalizer): first the bytes and the raw names are taken, then names become tuples.
#
# sendmmsg ends at the first error and says only how many were sent before. If the error was a stored one (an ICMP message about an
# earlier datagram, which only a connected socket is told of), it is gone with that: so a connected socket sends one by one.
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE

from yieldloop.transports._sockio import NOW

cdef extern from *:
    """
    #include <arpa/inet.h>
    #include <errno.h>
    #include <netinet/in.h>
    #include <stddef.h>
    #include <string.h>
    #include <sys/socket.h>
    #include <sys/types.h>
    #include <sys/uio.h>
    #include <sys/un.h>

    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    #ifndef MSG_DONTWAIT
    #define MSG_DONTWAIT 0
    #endif
    #ifndef __linux__
    struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
    #endif

    #define YL_BATCH 32
    /* Room for the largest UDP datagram, and 17 cache lines more, so that the heads of the datagrams do not all fall into the
       same few sets of the cache. A Unix datagram gets four such places. Untouched pages cost nothing. */
    #define YL_PLACE (64 * 1024 + 17 * 64)
    #define YL_UNIX_PLACES 4
    #define YL_BOOK 256         /* addresses remembered a socket, a power of two */
    #define YL_LOOKS 4          /* places in which one address may stand; also the size of a book at first: many sockets have one peer */
    #define YL_SENT_AGAIN (-1)
    #define YL_SENT_ERROR (-2)

    typedef union { struct sockaddr any; struct sockaddr_in in4; struct sockaddr_in6 in6; struct sockaddr_un un; } yl_name;
    typedef struct { struct sockaddr_in6 key; PyObject *address; } yl_known;  /* a key also holds a sockaddr_in */
    typedef struct { unsigned size; yl_known known[]; } yl_book;

    #ifdef Py_GIL_DISABLED
    #define YL_OWN static _Thread_local
    #else
    #define YL_OWN static
    #endif
    YL_OWN char yl_memory[YL_BATCH * YL_PLACE];
    YL_OWN yl_name yl_names[YL_BATCH];
    YL_OWN struct iovec yl_parts[YL_BATCH];
    YL_OWN struct mmsghdr yl_messages[YL_BATCH];

    static Py_ssize_t yl_place_size(int family) { return family == AF_UNIX ? YL_UNIX_PLACES * YL_PLACE : YL_PLACE; }

    static int yl_not_now(void) { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

    static int yl_recvmmsg(int fd, int count) {
    #ifdef __linux__
        return recvmmsg(fd, yl_messages, (unsigned)count, MSG_DONTWAIT, NULL);
    #else
        int i;
        for (i = 0; i < count; i++) {
            ssize_t n = recvmsg(fd, &yl_messages[i].msg_hdr, 0);
            if (n < 0) return i ? i : -1;
            yl_messages[i].msg_len = (unsigned)n;
        }
        return count;
    #endif
    }

    static int yl_sendmmsg(int fd, int count) {
    #ifdef __linux__
        return sendmmsg(fd, yl_messages, (unsigned)count, MSG_DONTWAIT | MSG_NOSIGNAL);
    #else
        int i;
        for (i = 0; i < count; i++)
            if (sendmsg(fd, &yl_messages[i].msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return i ? i : -1;
        return count;
    #endif
    }

    /* -1: not now. -2: an exception is set. */
    static int yl_receive(int fd, int family, int count) {
        int i;
        int got;
        Py_ssize_t place = yl_place_size(family);
        if (family == AF_UNIX && count > YL_BATCH / YL_UNIX_PLACES) count = YL_BATCH / YL_UNIX_PLACES;
        for (i = 0; i < count; i++) {
            struct msghdr *head = &yl_messages[i].msg_hdr;
            yl_parts[i].iov_base = yl_memory + i * place;
            yl_parts[i].iov_len = (size_t)place;
            memset(head, 0, sizeof *head);
            head->msg_name = &yl_names[i];
            head->msg_namelen = sizeof yl_names[i];
            head->msg_iov = &yl_parts[i];
            head->msg_iovlen = 1;
        }
        got = yl_recvmmsg(fd, count);
        if (got >= 0) return got;
        if (yl_not_now()) return -1;
        PyErr_SetFromErrno(PyExc_OSError);
        return -2;
    }

    static socklen_t yl_take_name(int i, yl_name *into) {
        socklen_t length = yl_messages[i].msg_hdr.msg_namelen;
        if (length > sizeof *into) length = sizeof *into;
        memcpy(into, &yl_names[i], length);
        return length;
    }

    static PyObject *yl_bytes(int i, int family) {
        return PyBytes_FromStringAndSize(yl_memory + i * yl_place_size(family), yl_messages[i].msg_len);
    }

    /* What socket.recvfrom would have called the sender. */
    static PyObject *yl_new_address(const yl_name *name, socklen_t length) {
        char text[INET6_ADDRSTRLEN];
        if (length == 0) Py_RETURN_NONE;  /* a Unix socket without a name */
        if (name->any.sa_family == AF_INET) {
            if (inet_ntop(AF_INET, &name->in4.sin_addr, text, sizeof text) == NULL) return PyErr_SetFromErrno(PyExc_OSError);
            return Py_BuildValue("(si)", text, (int)ntohs(name->in4.sin_port));
        }
        if (name->any.sa_family == AF_INET6) {
            if (inet_ntop(AF_INET6, &name->in6.sin6_addr, text, sizeof text) == NULL) return PyErr_SetFromErrno(PyExc_OSError);
            return Py_BuildValue("(siII)", text, (int)ntohs(name->in6.sin6_port), (unsigned)ntohl(name->in6.sin6_flowinfo),
                                 (unsigned)name->in6.sin6_scope_id);
        }
        if (name->any.sa_family == AF_UNIX) {
            Py_ssize_t rest = (Py_ssize_t)length - (Py_ssize_t)offsetof(struct sockaddr_un, sun_path);
            if (rest <= 0) Py_RETURN_NONE;
    #ifdef __linux__
            if (name->un.sun_path[0] == 0) return PyBytes_FromStringAndSize(name->un.sun_path, rest);  /* an abstract name */
    #endif
            return PyUnicode_DecodeFSDefaultAndSize(name->un.sun_path, (Py_ssize_t)strnlen(name->un.sun_path, (size_t)rest));
        }
        PyErr_Format(PyExc_OSError, "a datagram came from an address of the unknown family %d", (int)name->any.sa_family);
        return NULL;
    }

    static void yl_free_book(void *address) {
        yl_book *book = address;
        unsigned i;
        if (book == NULL) return;
        for (i = 0; i < book->size; i++) Py_CLEAR(book->known[i].address);
        PyMem_Free(book);
    }

    static yl_book *yl_new_book(unsigned size) {
        yl_book *book = PyMem_Calloc(1, sizeof *book + size * sizeof(yl_known));
        if (book == NULL) PyErr_NoMemory();
        else book->size = size;
        return book;
    }

    static unsigned yl_hash(const void *raw, socklen_t length) {
        unsigned hash = 2166136261u;
        socklen_t k;
        for (k = 0; k + 4 <= length; k += 4) {
            unsigned word;
            memcpy(&word, (const char *)raw + k, 4);
            hash = (hash ^ word) * 16777619u;
            hash ^= hash >> 15;
        }
        hash = (hash ^ hash >> 16) * 2246822519u;
        return hash ^ hash >> 13;
    }

    /* The same tuple for the same sender: most datagrams come from somebody who has sent before. */
    static PyObject *yl_address(void **place, const yl_name *name, socklen_t length) {
        yl_book *book = *place;
        yl_known *known = NULL;
        PyObject *address;
        unsigned hash, k;
        if (length == 0 || length > sizeof known->key || name->any.sa_family == AF_UNIX) return yl_new_address(name, length);
        if (book == NULL) {
            *place = book = yl_new_book(YL_LOOKS);
            if (book == NULL) return NULL;
        }
        hash = yl_hash(name, length);
        for (k = 0; k < YL_LOOKS; k++) {
            known = book->known + ((hash + k) & (book->size - 1));
            if (known->address == NULL) break;
            if (memcmp(&known->key, name, length) == 0) return Py_NewRef(known->address);
        }
        address = yl_new_address(name, length);
        if (address == NULL) return NULL;
        if (k == YL_LOOKS && book->size < YL_BOOK) {
            yl_free_book(book);
            *place = book = yl_new_book(YL_BOOK);
            if (book == NULL) { Py_DECREF(address); return NULL; }
        }
        if (k == YL_LOOKS) known = book->known + (hash & (book->size - 1));  /* the full place's first owner gives way */
        memset(&known->key, 0, sizeof known->key);
        memcpy(&known->key, name, length);
        Py_XSETREF(known->address, Py_NewRef(address));
        return address;
    }

    /* The plain cases of an address: a literal in a tuple. Makes no object. 0 for all others, which the socket module understands or refuses. */
    static socklen_t yl_parse(PyObject *address, int family, yl_name *into) {
        Py_ssize_t size;
        Py_ssize_t length;
        const char *host;
        long port;
        int over;
        if (!PyTuple_CheckExact(address)) return 0;
        size = PyTuple_GET_SIZE(address);
        if (size < 2 || !PyUnicode_CheckExact(PyTuple_GET_ITEM(address, 0)) || !PyLong_CheckExact(PyTuple_GET_ITEM(address, 1)))
            return 0;
        if (!PyUnicode_IS_ASCII(PyTuple_GET_ITEM(address, 0))) return 0;
        host = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(address, 0), &length);
        port = PyLong_AsLongAndOverflow(PyTuple_GET_ITEM(address, 1), &over);
        if (host == NULL) { PyErr_Clear(); return 0; }
        if (over || port < 0 || port > 65535 || length != (Py_ssize_t)strlen(host)) return 0;
        memset(into, 0, sizeof(struct sockaddr_in6));
        if (family == AF_INET && size == 2) {
            if (inet_pton(AF_INET, host, &into->in4.sin_addr) != 1) return 0;
            into->in4.sin_family = AF_INET;
            into->in4.sin_port = htons((unsigned short)port);
            return sizeof into->in4;
        }
        if (family == AF_INET6 && size <= 4) {
            long more[2] = {0, 0};
            Py_ssize_t i;
            for (i = 2; i < size; i++) {
                if (!PyLong_CheckExact(PyTuple_GET_ITEM(address, i))) return 0;
                more[i - 2] = PyLong_AsLongAndOverflow(PyTuple_GET_ITEM(address, i), &over);
                if (over || more[i - 2] < 0) return 0;
            }
            if (more[0] > 0xfffff || (unsigned long)more[1] > 0xffffffffUL) return 0;
            if (inet_pton(AF_INET6, host, &into->in6.sin6_addr) != 1) return 0;
            into->in6.sin6_family = AF_INET6;
            into->in6.sin6_port = htons((unsigned short)port);
            into->in6.sin6_flowinfo = htonl((unsigned)more[0]);
            into->in6.sin6_scope_id = (unsigned)more[1];
            return sizeof into->in6;
        }
        return 0;
    }

    static int yl_sent(Py_ssize_t n) {
        if (n >= 0) return 1;
        if (yl_not_now()) return YL_SENT_AGAIN;
        PyErr_SetFromErrno(PyExc_OSError);
        return YL_SENT_ERROR;
    }

    static int yl_send_one(int fd, const char *from, Py_ssize_t n, const yl_name *to, socklen_t length) {
        return yl_sent(sendto(fd, from, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL, length ? &to->any : NULL, length));
    }

    /* Put one datagram into the list of yl_send_listed. 0: its address is none of the plain ones. */
    static int yl_list(int i, PyObject *data, PyObject *address, int family) {
        struct msghdr *head = &yl_messages[i].msg_hdr;
        socklen_t length = yl_parse(address, family, &yl_names[i]);
        if (length == 0) return 0;
        yl_parts[i].iov_base = PyBytes_AS_STRING(data);
        yl_parts[i].iov_len = (size_t)PyBytes_GET_SIZE(data);
        memset(head, 0, sizeof *head);
        head->msg_name = &yl_names[i];
        head->msg_namelen = length;
        head->msg_iov = &yl_parts[i];
        head->msg_iovlen = 1;
        return 1;
    }

    static int yl_send_listed(int fd, int count) {
        int n = yl_sendmmsg(fd, count);
        return n > 0 ? n : yl_sent(-1);
    }

    static int yl_errno(void) { return errno; }
    static void yl_set_errno(int number) { errno = number; }
    static Py_ssize_t yl_send_raw(int fd, const char *from, Py_ssize_t n) { return send(fd, from, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL); }

    /* method(protocol, one, two) in a copy of the context; a new reference, or NULL. */
    static PyObject *yl_tell_two(PyObject *context, PyObject *protocol, PyObject *method, PyObject *one, PyObject *two) {
        PyObject *args[4] = {NULL, protocol, one, two};  /* the callee may borrow the first place */
        PyObject *result;
        PyObject *own = PyContext_Copy(context);
        if (own == NULL) return NULL;
        if (PyContext_Enter(own) < 0) { Py_DECREF(own); return NULL; }
        result = PyObject_VectorcallMethod(method, args + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        if (PyContext_Exit(own) < 0) { Py_XDECREF(result); result = NULL; }
        Py_DECREF(own);
        return result;
    }
    """
    enum:
        AF_INET
        AF_INET6
        AF_UNIX
        YL_BATCH
    ctypedef unsigned int socklen_t
    ctypedef union yl_name:
        pass
    ctypedef struct PyObject:
        pass
    Py_ssize_t yl_place_size(int family)
    int yl_not_now()
    int yl_receive(int fd, int family, int count) except -2
    object yl_bytes(int i, int family)
    socklen_t yl_take_name(int i, yl_name *into)
    object yl_address(void **place, const yl_name *name, socklen_t length)
    void yl_free_book(void *address)
    socklen_t yl_parse(PyObject *address, int family, yl_name *into)
    int yl_sent(Py_ssize_t n) except -2
    int yl_send_one(int fd, const char *source, Py_ssize_t n, const yl_name *to, socklen_t length) except -2
    int yl_list(int i, PyObject *data, PyObject *address, int family)
    int yl_send_listed(int fd, int count) except -2
    int yl_errno()
    void yl_set_errno(int number)
    Py_ssize_t yl_send_raw(int fd, const char *source, Py_ssize_t n)
    object yl_tell_two(PyObject *context, PyObject *protocol, PyObject *method, PyObject *one, PyObject *two)

BATCH = YL_BATCH
LARGEST = 256 * 1024
AGAIN = -1


cdef class Datagrams:
    # _sock      for what the plain cases do not cover: names to look up, families that are not known here
    # _failed    an errno that came when a part of a batch was sent already; the next send_some raises it. 0: none
    # _ask       how many datagrams recvmmsg is asked for: the kernel looks once more than it finds, so a socket on which they come
    #            one by one asks for one
    # _book      addresses of senders, made when the first datagram comes

    def __init__(self, object sock, int fd):
        self._sock = sock
        self._fd = fd
        self._family = sock.family
        self._failed = 0
        self._ask = 1

    def __dealloc__(self):
        yl_free_book(self._book)

    cpdef object receive(self):
        cdef int got, i
        cdef yl_name names[YL_BATCH]
        cdef socklen_t lengths[YL_BATCH]
        cdef list batch = []
        if self._family != AF_INET and self._family != AF_INET6 and self._family != AF_UNIX:
            return self._receive_plain()
        got = yl_receive(self._fd, self._family, self._ask)
        if got <= 0:
            return None
        if got < self._ask:
            self._ask = got
        elif self._ask < YL_BATCH:
            self._ask = min(4 * self._ask, YL_BATCH)
        for i in range(got):
            batch.append(yl_bytes(i, self._family))
            batch.append(None)
            lengths[i] = yl_take_name(i, &names[i])
        for i in range(got):
            batch[2 * i + 1] = yl_address(&self._book, &names[i], lengths[i])
        return batch

    cdef object _receive_plain(self):
        try:
            return list(self._sock.recvfrom(LARGEST, NOW))
        except (BlockingIOError, InterruptedError):
            return None

    cpdef int send(self, object data, object address) except -2:
        cdef Py_buffer view
        cdef yl_name name
        cdef socklen_t length = 0
        if address is not None:
            length = yl_parse(<PyObject *>address, self._family, &name)
            if length == 0:
                return self._send_plain(data, address)
        if PyBytes_CheckExact(data):
            return yl_send_one(self._fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), &name, length)
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            return yl_send_one(self._fd, <char *>view.buf, view.len, &name, length)
        finally:
            PyBuffer_Release(&view)

    cdef int _send_plain(self, object data, object address) except -2:
        try:
            self._sock.sendto(data, NOW, address)
        except (BlockingIOError, InterruptedError):
            return -1
        return 1

    cpdef int send_some(self, list queue, Py_ssize_t first) except -2:
        cdef Py_ssize_t count = (PyList_GET_SIZE(queue) - first) // 2
        cdef int i = 0
        cdef object data
        if self._failed:
            yl_set_errno(self._failed)
            self._failed = 0
            return yl_sent(-1)
        if count > YL_BATCH:
            count = YL_BATCH
        if queue[first + 1] is not None:
            while i < count:
                if not yl_list(i, <PyObject *>PyList_GET_ITEM(queue, first + 2 * i),
                               <PyObject *>PyList_GET_ITEM(queue, first + 2 * i + 1), self._family):
                    break
                i += 1
            if i > 0:
                return yl_send_listed(self._fd, i)
            return self._send_plain(queue[first], queue[first + 1])
        while i < count and queue[first + 2 * i + 1] is None:
            data = queue[first + 2 * i]
            if yl_send_raw(self._fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)) < 0:
                if i == 0:
                    return yl_sent(-1)
                if not yl_not_now():
                    self._failed = yl_errno()
                return i
            i += 1
        return i


cpdef object tell_two(object context, object protocol, str method, object one, object two):
    return yl_tell_two(<PyObject *>context, <PyObject *>protocol, <PyObject *>method, <PyObject *>one, <PyObject *>two)
