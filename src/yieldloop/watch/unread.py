"""Descriptors that stay ready and that nobody reads from (or, armed for writing, writes to), so that every poll returns at once.

What lives here: which descriptors the last iterations have all found ready, and whether anything is taken from them, seen from
another thread. What may not: what is said about it (`watchdog`), and the loop's own thread.

**Which.** The recorder notes each descriptor that a poll finds ready. Who stands in every one of the last iterations is looked at;
of a loop without a recorder every descriptor is, if there are few.

**Whether.** A busy server's descriptors are ready at every look too. So it is asked of the kernel what was taken: of TCP it counts
the bytes that came and knows those that wait, and what both leave is exact. Of pipes, Unix sockets, UDP, listening sockets and
eventfds it is known what waits: where that is the same at every look of a second, and at many more that follow each other at
once, nobody takes anything. Where packets may wait in a full line, or nothing can be told, nothing is said.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

from yieldloop.pollers.sides import READ, WRITE
from yieldloop.record.decode import FD, PAIR, POLLED, TICKS
from yieldloop.watch.facts import address

try:
    import fcntl
    import termios
except ImportError:  # no such system calls: nothing can be told
    fcntl = termios = None  # type: ignore[assignment]

RATE = 500  # iterations a second; fewer are no spin
TAIL = 256  # records that are looked at
FEWEST_POLLS = 4  # among them
FEW = 64  # armed sides of a loop without a recorder
SAMPLES = 30  # looks that follow each other at once, before it is said
_SO_MEMINFO = 55
_LISTEN = 10


@dataclass(slots=True)
class Suspect:
    """A side of a descriptor that was ready at every look since *since_ns*, and from which nothing was taken."""

    fd: int
    side: int  # READ or WRITE
    since_ns: int
    evidence: Any
    looks: int = 1
    block: Any = None  # what was said about it

    @property
    def direction(self) -> str:
        return "read" if self.side == READ else "write"


class Unread:
    """What is remembered of one loop from one look to the next."""

    def __init__(self) -> None:
        self._last = (0, 0)  # time and iteration of the last look
        self.suspects: dict[tuple[int, int], Suspect] = {}

    def look(self, loop: Any, iteration: int, now: int, patience: int) -> list[Suspect]:
        """Look, four times in *patience* ns; returns those of which nothing was taken for so long."""
        before, first = self._last
        span = now - before
        if span * 4 < patience:
            return []
        self._last = (now, iteration)
        if (iteration - first) * 10**9 < RATE * span:
            self._keep({})
            return []
        sides = _always_ready(loop)
        if sides is None:  # cannot be told at this look
            return []
        kept = {}
        for fd, side in sides:
            evidence = evidence_of(fd, side)
            if evidence is None:
                continue
            known = self.suspects.get((fd, side))
            if known is None or known.evidence != evidence:
                kept[fd, side] = Suspect(fd, side, now, evidence)
            else:
                known.looks += 1
                kept[fd, side] = known
        self._keep(kept)
        return [each for each in kept.values() if now - each.since_ns >= patience and (each.block is not None or _confirmed(each))]

    def _keep(self, kept: dict[tuple[int, int], Suspect]) -> None:
        for key, known in self.suspects.items():
            if known.block is not None and kept.get(key) is not known:
                known.block.going_on = False
        self.suspects = kept


def _always_ready(loop: Any) -> list[tuple[int, int]] | None:
    """(descriptor, side) of what every one of the last polls has found ready; None if that cannot be told just now."""
    poller: Any = getattr(loop, "_poller", None)
    recorder = getattr(loop, "recorder", None)
    if not hasattr(poller, "fds"):
        return []
    if recorder is None:
        if poller.interest > FEW:
            return []
        sides = [(fd, zip((READ, WRITE), armed, strict=True)) for fd, armed in poller.fds().items()]
        return [(fd, side) for fd, both in sides for side, entry in both if entry is not None]
    chunk = recorder.chunk(recorder.numbers()[-1])
    polls = 0
    found: dict[tuple[int, int], int] = {}
    for low, high in PAIR.iter_unpack(b"" if chunk is None else chunk[3][-TAIL * PAIR.size :]):
        if low & 63 == POLLED:
            polls += 1
        elif low & 63 == FD:
            fd, mask = low >> 6 & 0x7FFF | high >> 43 << 15, high & TICKS
            for side in (READ, WRITE):
                if mask & side:
                    found[fd, side] = found.get((fd, side), 0) + 1
    if polls < FEWEST_POLLS:
        return None
    return [key for key, times in found.items() if times >= polls - 1]


def _confirmed(suspect: Suspect) -> bool:
    """True if a series of looks finds the same."""
    for _ in range(SAMPLES):
        if evidence_of(suspect.fd, suspect.side) != suspect.evidence:
            suspect.looks = 0
            suspect.since_ns = time.monotonic_ns()
            return False
        time.sleep(0.0005)
    return True


# --- what the kernel knows -------------------------------------------------------------------------------------------------


def evidence_of(fd: int, side: int) -> Any:
    """A value that changes once somebody takes from *fd* (WRITE: puts into it). None: it is not ready, or nothing can be told."""
    if fcntl is None or not hasattr(select, "poll"):
        return None
    poll = select.poll()
    poll.register(fd, select.POLLIN if side == READ else select.POLLOUT)
    try:
        if not any(events & ~select.POLLNVAL for _, events in poll.poll(0)):
            return None
        try:
            sock = socket.socket(fileno=fd)
        except OSError:  # no socket
            return _amount(fd, termios.FIONREAD), _description(fd)
        try:
            return _of_socket(sock, side)
        finally:
            sock.detach()  # it is the program's
    except OSError:  # closed meanwhile
        return None


def _of_socket(sock: socket.socket, side: int) -> Any:
    fd = sock.fileno()
    waiting = _amount(fd, termios.FIONREAD)
    left = _amount(fd, termios.TIOCOUTQ)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        if sock.type == socket.SOCK_STREAM and hasattr(socket, "TCP_INFO"):
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            if info[:1] == bytes([_LISTEN]):
                line, room = struct.unpack_from("=II", info, 24)
                return None if 2 * line > room else ("line", line)
            if len(info) >= 136 and waiting is not None and left is not None:
                acknowledged, received = struct.unpack_from("=QQ", info, 120)
                if side == WRITE:
                    return "put", acknowledged + left
                return "taken", received - waiting if waiting == _amount(fd, termios.FIONREAD) else None
        if sock.type == socket.SOCK_DGRAM:
            held, room = struct.unpack_from("=II", sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))
            return None if 2 * held > room and side == READ else ("held", waiting, left, held)
    elif sock.type != socket.SOCK_STREAM:
        return None  # the next packet is all that is known of the line
    return "waiting", waiting, left


def _amount(fd: int, what: int) -> int | None:
    try:
        return int(struct.unpack("=i", fcntl.ioctl(fd, what, b"\0\0\0\0"))[0])
    except OSError:
        return None


def _description(fd: int) -> bytes:
    """What Linux says of a descriptor: of an eventfd its count, …"""
    try:
        with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
            return file.read(512)
    except OSError:
        return b""


def name_of(fd: int) -> str | None:
    """The peer of a socket, else its own address, else what the system calls the file."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        sock = None
    try:
        for ask, word in (("getpeername", "peer"), ("getsockname", "local")):
            try:
                told = None if sock is None else address(getattr(sock, ask)())
            except OSError:
                continue
            if told is not None:
                return f"{word} {told}"
    finally:
        if sock is not None:
            sock.detach()
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return None
