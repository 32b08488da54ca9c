"""The socket on which this process can be asked from outside.

What lives here: opening and closing it, and talking to clients without ever waiting for one. What may not: what the answers say
(`watch.answers`), and a thread of its own: the watching thread calls `serve` with what its poll found (`watch.watcher`).

A client is harmless by these rules: it must be of the same user (or root), its question is at most `LONGEST_LINE` bytes, there
are at most `MOST_CLIENTS`, and one that neither reads nor writes for `PATIENCE` is dropped.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any

from yieldloop.watch import outside

LONGEST_LINE = 4096  # bytes
MOST_CLIENTS = 16
PATIENCE = 30.0  # s
_IN, _OUT = select.POLLIN, select.POLLOUT


class Server:
    """Listens in this user's directory; *answer* takes a line and gives the whole answer as bytes. OutsideError, OSError."""

    def __init__(self, poll: Any, answer: Callable[[bytes], bytes]) -> None:
        self._poll = poll
        self._answer = answer
        self._clients: dict[int, _Client] = {}
        directory = outside.make_directory()
        _sweep()
        self.path = os.path.join(directory, f"{os.getpid()}.sock")
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            self._listener.setblocking(False)
            if os.path.lexists(self.path) and not outside.remove_stale(self.path):
                raise outside.OutsideError(f"{self.path} is served by another process: is its directory shared by two containers?")
            # Under another name until it listens: who finds a socket that nobody listens on takes it for stale, and removes it.
            new = os.path.join(directory, f".{os.getpid()}.new")
            if os.path.lexists(new):
                os.unlink(new)
            self._listener.bind(new)
            os.chmod(new, 0o600)
            self._listener.listen(MOST_CLIENTS)
            os.rename(new, self.path)
            self._identity = _identity(self.path)
            poll.register(self._listener.fileno(), _IN)
        except BaseException:
            self._listener.close()
            raise

    def serve(self, events: list[tuple[int, int]]) -> None:
        """Do what the poll's *events* allow; never blocks, but for the time that an answer takes."""
        for fd, mask in events:
            if fd == self._listener.fileno():
                self._accept()
            elif fd in self._clients:
                client = self._clients[fd]
                if not client.go_on(mask, self._answer):
                    self._drop(client)
                else:
                    self._poll.modify(fd, _OUT if client.out else _IN)
        if self._clients:
            now = time.monotonic()
            for client in [client for client in self._clients.values() if client.deadline < now]:
                self._drop(client)

    def patience(self) -> float | None:
        """Seconds until a client may have to be dropped, or None."""
        if not self._clients:
            return None
        return max(0.0, min(client.deadline for client in self._clients.values()) - time.monotonic()) + 0.01

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:  # gone again
            return
        except OSError:  # no descriptor is free: whoever knocks goes on knocking
            time.sleep(0.05)
            return
        allowed = outside.peer_uid(connection) in (None, 0, os.geteuid())
        if not allowed or len(self._clients) >= MOST_CLIENTS:
            connection.close()
            return
        connection.setblocking(False)
        self._clients[connection.fileno()] = _Client(connection)
        self._poll.register(connection.fileno(), _IN)

    def _drop(self, client: _Client) -> None:
        fd = client.connection.fileno()
        self._poll.unregister(fd)
        del self._clients[fd]
        client.connection.close()

    def close(self, forked: bool = False) -> None:
        """Close everything and remove the file; in a *forked* child the file is the parent's and stays."""
        if not forked and _identity(self.path) == self._identity:
            os.unlink(self.path)
        self._listener.close()
        for client in self._clients.values():
            client.connection.close()
        self._clients.clear()


class _Client:
    """One connection: a question comes in, an answer goes out, and so on."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.deadline = time.monotonic() + PATIENCE
        self.out = memoryview(b"")
        self._line = b""

    def go_on(self, mask: int, answer: Callable[[bytes], bytes]) -> bool:
        """Read or write once; False if the connection is over."""
        try:
            if mask & _OUT and self.out:
                self.out = self.out[self.connection.send(self.out) :]
            elif mask & _IN:
                data = self.connection.recv(LONGEST_LINE)
                self._line += data
                if not data or (len(self._line) > LONGEST_LINE and b"\n" not in self._line):
                    return False
            elif mask:  # hung up, or an error
                return False
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.deadline = time.monotonic() + PATIENCE
        if not self.out and b"\n" in self._line:
            line, _, self._line = self._line.partition(b"\n")
            self.out = memoryview(answer(line))
        return True


def _identity(path: str) -> tuple[int, int] | None:
    """Which file *path* is now; None if there is none. A path may have been taken by another process meanwhile."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _sweep() -> None:
    """Remove the sockets of processes that were killed. One whose number lives is left alone: it may be anybody's."""
    for pid, path in outside.socket_files():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            try:
                outside.remove_stale(path)
            except OSError:
                pass
        except (OSError, OverflowError):
            pass
