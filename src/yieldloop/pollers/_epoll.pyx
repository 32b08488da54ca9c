# The compiled twin of _epoll.py, where the facts about registrations stand. Two things are done better here:
# - The wait takes nanoseconds, by epoll_pwait2 (Linux 5.11; where the kernel has none, ppoll(2) waits for the set
#   itself, which is readable when it has an event), and it keeps the GIL if it does not wait at all: giving it away and
#   taking it back costs more than the system call.
# - A registration carries, beside its number, the count of registrations that this number has had. A stale one is known
#   by its count, without asking the kernel.
import os

from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.errno cimport EBADF, EEXIST, EINTR, ENOENT, errno
from libc.string cimport memset

from yieldloop.pollers import sides as _sides

cdef extern from *:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <unistd.h>

    #ifdef __linux__
    #include <poll.h>
    #include <stdint.h>
    #include <sys/epoll.h>
    #include <sys/syscall.h>
    #include <time.h>

    #define YL_EVENTS 1024
    typedef struct epoll_event yl_event;

    #if !defined(SYS_epoll_pwait2) && !defined(__alpha__)
    #define SYS_epoll_pwait2 441
    #endif
    /* The system call's own timespec has 64 bits on every architecture. */
    struct yl_timespec { int64_t seconds; int64_t nanoseconds; };

    static int yl_nanoseconds = 1;  /* 0 once the kernel has said that it has no epoll_pwait2 */

    static int yl_open(void) { return epoll_create1(EPOLL_CLOEXEC); }

    static int yl_change(int epfd, int operation, int fd, int readable, int writable, unsigned int generation) {
        yl_event event;
        event.events = (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0);
        event.data.u64 = ((uint64_t)generation << 32) | (uint32_t)fd;
        return epoll_ctl(epfd, operation, fd, &event);
    }

    static int yl_wait(int epfd, yl_event *events, long long timeout) {
        if (timeout <= 0)
            return epoll_wait(epfd, events, YL_EVENTS, timeout < 0 ? -1 : 0);
    #ifdef SYS_epoll_pwait2
        if (yl_nanoseconds) {
            struct yl_timespec ts;
            int found;
            ts.seconds = timeout / 1000000000LL;
            ts.nanoseconds = timeout % 1000000000LL;
            found = (int)syscall(SYS_epoll_pwait2, epfd, events, YL_EVENTS, &ts, NULL, (size_t)0);
            /* A sandbox that does not know the call may answer EPERM in place of ENOSYS. */
            if (found >= 0 || (errno != ENOSYS && errno != EPERM))
                return found;
            yl_nanoseconds = 0;
        }
    #endif
        {
            struct timespec ts;
            struct pollfd set;
            int ready;
            ts.tv_sec = (time_t)(timeout / 1000000000LL);
            ts.tv_nsec = (long)(timeout % 1000000000LL);
            set.fd = epfd;
            set.events = POLLIN;
            ready = ppoll(&set, 1, &ts, NULL);
            return ready > 0 ? epoll_wait(epfd, events, YL_EVENTS, 0) : ready;
        }
    }
    #define YL_EVENT_FD(e) ((int)(uint32_t)(e).data.u64)
    #define YL_EVENT_GENERATION(e) ((unsigned int)((e).data.u64 >> 32))
    #define YL_EVENT_MASK(e) (((e).events & ~(uint32_t)EPOLLOUT ? 1 : 0) | ((e).events & ~(uint32_t)EPOLLIN ? 2 : 0))
    #define YL_ADD EPOLL_CTL_ADD
    #define YL_MOD EPOLL_CTL_MOD
    #define YL_DEL EPOLL_CTL_DEL
    #else  /* no epoll: the module builds, and says so when it is used */
    #define YL_EVENTS 1
    typedef struct { int fd; } yl_event;
    static int yl_open(void) { errno = ENOSYS; return -1; }
    static int yl_change(int epfd, int operation, int fd, int readable, int writable, unsigned int generation) {
        errno = ENOSYS; return -1;
    }
    static int yl_wait(int epfd, yl_event *events, long long timeout) { errno = ENOSYS; return -1; }
    #define YL_EVENT_FD(e) (e).fd
    #define YL_EVENT_GENERATION(e) 0u
    #define YL_EVENT_MASK(e) 0
    #define YL_ADD 0
    #define YL_MOD 1
    #define YL_DEL 2
    #endif

    static int yl_is_open(int fd) { return fcntl(fd, F_GETFD) != -1; }
    static int yl_close(int fd) { return close(fd); }
    """
    ctypedef struct yl_event:
        pass
    int YL_EVENTS
    int YL_ADD
    int YL_MOD
    int YL_DEL
    int yl_open()
    int yl_change(int epfd, int operation, int fd, int readable, int writable, unsigned int generation)
    int yl_wait(int epfd, yl_event *events, long long timeout) nogil
    int YL_EVENT_FD(yl_event e)
    unsigned int YL_EVENT_GENERATION(yl_event e)
    int YL_EVENT_MASK(yl_event e)
    int yl_is_open(int fd)
    int yl_close(int fd)

cdef int STALE = _sides.STALE


cdef int _fail(int code) except -1:
    raise OSError(code, os.strerror(code))


cdef class EpollSet:
    def __cinit__(self):
        self.fd = -1
        self._found = NULL
        self._hits = NULL
        self._generations = NULL
        self._capacity = 0

    def __init__(self):
        if self.fd >= 0:
            return
        self._found = PyMem_Malloc(YL_EVENTS * sizeof(yl_event))
        self._hits = <Hit *>PyMem_Malloc(YL_EVENTS * sizeof(Hit))
        if self._found == NULL or self._hits == NULL:
            raise MemoryError()
        self.fd = yl_open()
        if self.fd < 0:
            _fail(errno)

    def __dealloc__(self):
        if self.fd >= 0:
            yl_close(self.fd)
        PyMem_Free(self._found)
        PyMem_Free(self._hits)
        PyMem_Free(self._generations)

    cpdef int add(self, int fd, int mask) except -1:
        if fd < 0 or fd >= self._capacity:
            self._reserve(fd)
        self._generations[fd] += 1
        if self._change(YL_ADD, fd, mask) == EEXIST:
            if self._change(YL_MOD, fd, mask):
                _fail(errno)
        return 0

    cpdef int modify(self, int fd, int mask) except -1:
        if fd < 0 or fd >= self._capacity:
            return self.add(fd, mask)
        if self._change(YL_MOD, fd, mask) == ENOENT:
            return self.add(fd, mask)
        return 0

    cpdef int remove(self, int fd) except -1:
        if yl_change(self.fd, YL_DEL, fd, 0, 0, 0) < 0:
            _fail(errno)
        return 0

    cdef int _change(self, int operation, int fd, int mask) except -1:
        # 0, or the one of EEXIST and ENOENT that means "it is the other operation".
        if yl_change(self.fd, operation, fd, mask & 1, mask & 2, self._generations[fd]) < 0:
            if errno == (EEXIST if operation == YL_ADD else ENOENT):
                return errno
            _fail(errno)
        return 0

    cdef int _reserve(self, int fd) except -1:
        cdef int capacity = 2 * self._capacity if 2 * self._capacity > fd else fd + 64
        cdef unsigned int *generations
        if not yl_is_open(fd):  # before a nonsense number takes gigabytes
            _fail(EBADF)
        generations = <unsigned int *>PyMem_Realloc(self._generations, capacity * sizeof(unsigned int))
        if generations == NULL:
            raise MemoryError()
        memset(generations + self._capacity, 0, (capacity - self._capacity) * sizeof(unsigned int))
        self._generations = generations
        self._capacity = capacity
        return 0

    cpdef int wait(self, long long timeout) except -1:
        cdef yl_event *events = <yl_event *>self._found
        cdef int epfd = self.fd
        cdef int found, i, fd
        if timeout == 0:
            found = yl_wait(epfd, events, 0)
        else:
            with nogil:
                found = yl_wait(epfd, events, timeout)
        if found < 0:
            if errno != EINTR:
                _fail(errno)
            return 0
        for i in range(found):
            fd = YL_EVENT_FD(events[i])
            self._hits[i].fd = fd
            self._hits[i].mask = YL_EVENT_MASK(events[i]) if self._generations[fd] == YL_EVENT_GENERATION(events[i]) else STALE
        return found

    cpdef int close(self) except -1:
        cdef int fd = self.fd
        self.fd = -1
        if fd >= 0:
            yl_close(fd)
        return 0
