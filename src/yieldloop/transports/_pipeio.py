"""The C leaf of the pipe transports, in Python: bytes in and out of a descriptor that is not a socket, or need not be one.

What lives here: one system call a function, and nothing that remembers. ``_pipeio.pyx`` is the compiled twin with the same names;
nothing above this file knows which of the two it uses. "Not now" (EAGAIN, EINTR) is a return value, as in `_sockio`.
"""

from __future__ import annotations

import fcntl
import os
import socket
from typing import Any

READ = 64 * 1024  # bytes asked for at once: what a pipe holds on Linux (pipe(7)), unless somebody has said otherwise
WIDE = 256 * 1024  # bytes: what one that carries much is made to hold
LARGE = 16 * 1024  # bytes; after a read of at least that much the twin reads the next into memory of its own, without a copy
MOST_PIECES = 64  # small pieces were joined before, so more are rare
AGAIN = -1  # the call would have blocked


def read_bytes(fd: int, expected: int) -> bytes | None:
    """What has arrived (at most READ bytes), b"" at the end, None if there is nothing now. OSError.

    *expected* is how much the read before this one brought. It changes nothing but the speed: a small result is copied out of one
    buffer that serves the whole process (never is READ bytes' worth of memory made for a line of text), a large one is not copied.
    """
    try:
        return os.read(fd, READ)
    except (BlockingIOError, InterruptedError):
        return None


def write_bytes(fd: int, data: Any) -> int:
    """Write as much of *data* (bytes-like) as the kernel takes; the number of bytes, or AGAIN. OSError."""
    try:
        return os.write(fd, data)
    except (BlockingIOError, InterruptedError):
        return AGAIN


def write_pieces(fd: int, pieces: list[Any]) -> int:
    """As `write_bytes`, for the first MOST_PIECES of *pieces* in one system call."""
    try:
        return os.writev(fd, pieces[:MOST_PIECES])
    except (BlockingIOError, InterruptedError):
        return AGAIN


def widen(fd: int) -> int:
    """*fd* carries much: let the pipe hold WIDE bytes if it holds what pipes hold by default. The bytes that it holds now.

    READ, and nothing is changed, where pipes cannot be asked (not on Linux, not a pipe) or the kernel has no more to give: what one
    user's pipes may hold together is limited. One whose size was chosen by somebody else is left as it is.
    """
    try:
        size = fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
        if size == READ:
            size = fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, WIDE)
        return size
    except (AttributeError, OSError):
        return READ


def has_ended(fd: int) -> bool:
    """*fd*, which is only written to, was found readable: True if nobody will read from its other end any more.

    A pipe's writing end has nothing to read, so that can only mean an error, and the one there is is that all readers are gone.
    A socket may be readable because its peer has sent something; that is no end.
    """
    own = os.dup(fd)
    try:
        sock = socket.socket(fileno=own)
    except OSError:
        os.close(own)
        return True  # not a socket
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True
    finally:
        sock.close()
