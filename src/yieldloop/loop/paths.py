"""Socket files: a Unix socket's name in the file system, which outlives the socket.

What lives here: when such a file may be removed. What may not: sockets.
"""

from __future__ import annotations

import os
import stat
from typing import Any

from yieldloop.engine.core import logger


def is_abstract(path: Any) -> bool:
    """True for a name that is in no file system (unix(7)): it begins with a zero, as text or as bytes."""
    return path[:1] in ("\0", b"\0")


def remove_stale_socket(path: Any) -> None:
    """Remove the socket file at *path*, left by somebody who did not clean up. Nothing else is touched; never raises OSError."""
    if is_abstract(path):
        return
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.remove(path)
    except FileNotFoundError:
        pass
    except OSError as exc:
        logger.error("Unable to check or remove stale UNIX socket %r: %r", path, exc)  # the binding will fail, and say so


def inode_of(path: Any) -> int:
    """What tells the file at *path* from another one that took its place; 0 if there is none."""
    if not path or is_abstract(path):
        return 0
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def remove_own_socket(path: Any, inode: int) -> None:
    """Remove the socket file at *path* if it is still the one with *inode*. Never raises OSError."""
    try:
        if os.stat(path).st_ino == inode:
            os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as exc:
        logger.error("Unable to clean up listening UNIX socket %r: %r", path, exc)
