"""Asking a process from outside: where its socket is, who has one, and the client that asks.

What lives here: the directory of sockets, its safety, and the protocol's client. What may not: the answers (`watch.answers`).

    with outside.connect(pid) as process:      # OutsideError says why it cannot be
        process.ask("hello")                   # JSON as Python objects: who the process is
        process.ask("snapshot")                # the snapshot document (`watch.snapshot`)
        process.ask("tree")                    # the same as text
        process.ask("blocks")                  # what has held its loops
        process.ask("metrics")                 # OpenMetrics text
        process.ask("recording")               # bytes: what `yieldloop.record.save` writes
        process.ask("recording", seconds=2)    # bytes: the same of about the last two seconds, without blocks and snapshot
    outside.processes()                        # "hello" of every process of this user

**The protocol.** The client sends one line of JSON, ``{"ask": "snapshot"}``; the process answers with one line, ``json LENGTH``,
``bytes LENGTH`` or ``error LENGTH``, and so many bytes. Several questions may follow each other on one connection. There is no
question that changes anything.

**Where.** ``PID.sock`` in ``$XDG_RUNTIME_DIR/yieldloop``, or in ``/tmp/yieldloop-UID`` where there is no such variable. The
directory is 0700 and belongs to the user, or it is not used: that, and the peer's user id (`SO_PEERCRED`), is the access control.
A client looks into both, since a service often runs without the variable that a login has.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any

LONGEST_PATH = 100  # bytes; the kernel's limit for a socket's name is 104 or 108
TIMEOUT = 30.0  # s; 100,000 tasks are told in less
_NAMED = "yieldloop"


class OutsideError(Exception):
    """A process cannot be asked; the text says why, and what to do."""


def directories() -> list[str]:
    """Where this user's sockets may be, the place for new ones first."""
    found = []
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and os.path.isdir(runtime) and len(os.fsencode(runtime)) < LONGEST_PATH - 30:
        found.append(os.path.join(runtime, _NAMED))
    found.append(f"/tmp/{_NAMED}-{os.geteuid()}")
    return found


def check_directory(path: str) -> None:
    """OutsideError unless *path* is a directory that this user alone can enter. Follows no link: /tmp belongs to everybody."""
    try:
        found = os.lstat(path)
    except OSError as exc:
        raise OutsideError(f"{path} cannot be looked at: {exc.strerror}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise OutsideError(f"{path} is no directory: somebody else has put something there; remove it")
    if found.st_uid != os.geteuid():
        raise OutsideError(f"{path} belongs to user {found.st_uid}, not to {os.geteuid()}: it is not used")
    if found.st_mode & 0o077:
        raise OutsideError(f"{path} is open to others (mode {stat.S_IMODE(found.st_mode):o}): make it 0700 (chmod 700 {path})")


def make_directory() -> str:
    """The directory for new sockets, made if it is not there; OutsideError if none is safe."""
    problem: Exception | None = None
    for path in directories():
        try:
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                pass
            check_directory(path)
            return path
        except (OSError, OutsideError) as exc:
            problem = problem or exc
    raise OutsideError(f"there is no safe place for a socket: {problem}")


def socket_files() -> Iterator[tuple[int, str]]:
    """(pid, path) of each socket in this user's directories; whether somebody listens there is not known yet."""
    for directory in directories():
        try:
            check_directory(directory)
            names = os.listdir(directory)
        except (OSError, OutsideError):
            continue
        for name in sorted(names):
            pid, _, ending = name.partition(".")
            if ending == "sock" and pid.isdecimal():
                yield int(pid), os.path.join(directory, name)


def peer_uid(connection: socket.socket) -> int | None:
    """The user id at the other end, by the kernel; None where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)


def remove_stale(path: str) -> bool:
    """Remove the socket file *path* if nobody listens there; True if it is gone."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
            return True
        except FileNotFoundError:
            return True
        except OSError:  # busy: somebody is there
            return False
    return False


class Process:
    """A connection to a process that answers. A context manager; made by `connect`."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self._socket = connection
        self._file = connection.makefile("rb")

    def ask(self, what: str, **options: Any) -> Any:
        """The answer to *what*: Python objects of JSON, or bytes. OutsideError if there is none."""
        import json

        try:
            self._socket.sendall(json.dumps({"ask": what, **options}).encode() + b"\n")
            head = self._file.readline(80)
            kind, _, length = head.decode("ascii", "replace").strip().partition(" ")
            if not length.isdecimal():
                raise OutsideError(f"process {self.pid} closed the connection instead of answering {what!r}")
            body = self._file.read(int(length))
        except TimeoutError:
            raise OutsideError(
                f"process {self.pid} does not answer within {self._socket.gettimeout():g} s: it is stopped, "
                "or C code holds its interpreter lock"
            ) from None
        except OSError as exc:
            raise OutsideError(f"process {self.pid} went away while it was asked: {exc.strerror}") from None
        if len(body) < int(length):
            raise OutsideError(f"process {self.pid} ended while it answered {what!r}")
        if kind == "error":
            raise OutsideError(f"process {self.pid}: {body.decode(errors='replace')}")
        return json.loads(body) if kind == "json" else body

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(pid: int, timeout: float = TIMEOUT) -> Process:
    """Connect to process *pid*, which answers each question within *timeout* s or not at all. OutsideError says why not."""
    for found, path in socket_files():
        if found == pid:
            try:
                return Process(pid, _connect(path, timeout))
            except ConnectionRefusedError:
                remove_stale(path)
            except (TimeoutError, BlockingIOError):
                raise OutsideError(f"process {pid} takes no connection: it is stopped, or too many ask it at once") from None
            except OSError:
                continue
    raise OutsideError(_why_none(pid))


def _connect(path: str, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        deadline = time.monotonic() + timeout
        connection.settimeout(timeout)
        while True:
            try:
                connection.connect(path)
                break
            except BlockingIOError:  # its queue of connections is full
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.01)
        if peer_uid(connection) not in (None, os.geteuid()):
            raise PermissionError("another user listens there")
    except BaseException:
        connection.close()
        raise
    return connection


def _why_none(pid: int) -> str:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return f"there is no process {pid}; `yieldloop ps` lists those that can be asked"
    except (PermissionError, OverflowError):
        pass
    try:
        owner = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        owner = os.geteuid()
    if owner != os.geteuid():
        return f"process {pid} belongs to user {owner}: only that user can ask it"
    return (
        f"process {pid} has no socket of yieldloop in {' or '.join(directories())}: no loop of yieldloop runs in it, "
        "or it was started with YIELDLOOP_SOCKET=off or another XDG_RUNTIME_DIR; `yieldloop ps` lists those that can be asked"
    )


def processes(timeout: float = 2.0) -> list[dict[str, Any]]:
    """"hello" of every process of this user that answers within *timeout* s each; removes what dead ones left.

    One that does not answer is listed by its pid alone, with the reason as ``problem``.
    """
    found: list[dict[str, Any]] = []
    for pid, path in socket_files():
        try:
            with Process(pid, _connect(path, timeout)) as process:
                found.append(process.ask("hello"))
        except ConnectionRefusedError:
            remove_stale(path)
        except (OutsideError, OSError) as exc:
            found.append({"pid": pid, "problem": str(exc)})
    return found


def default_socket() -> bool:
    """False if ``YIELDLOOP_SOCKET=off`` or the system has no Unix sockets."""
    wish = os.environ.get("YIELDLOOP_SOCKET", "on")
    if wish not in ("on", "off"):
        print(f"YIELDLOOP_SOCKET is 'on' or 'off', not {wish!r}: it is taken for 'on'", file=sys.stderr)
    return wish != "off" and hasattr(socket, "AF_UNIX")
