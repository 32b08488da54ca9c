"""Descriptors that stay ready and that nobody reads from (or, armed for writing, writes to), so that every poll returns at once.

What lives here: which descriptors the last iterations have all found ready, and whether anything is taken from them, seen from
another thread. What may not: what is said about it (`watchdog`), and the loop's own thread.

**Which.** The recorder notes each descriptor that a poll finds ready. Who stands in every one of the last iterations is looked at;
of a loop without a recorder every descriptor is, if there are few.

**Whether.** A busy server's descriptors are ready at every look too. So it is asked of the kernel what was taken. Of TCP it counts
the bytes that came and knows those that wait, and what both leave is exact. Of pipes, eventfds and other files it is exact that the
loop's thread has read nothing (written nothing) at all. Of Unix sockets, UDP and listening sockets it is known only what waits, and
who takes one packet at a time from a line that is filled up at once leaves it as it was, but for a moment. So something is said of
those only if the loop does little else than ask the poller, and what waits is the same at hundreds of looks in a row. Where packets
may wait in a full line, or nothing can be told, nothing is said. Our transports read whatever they are told of, so only callbacks
of the program's own are looked at.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

from yieldloop.engine.handles import Handle
from yieldloop.pollers.sides import READ, WRITE
from yieldloop.record.decode import FD, PAIR, POLLED, TICKS
from yieldloop.watch.facts import address

try:
    import fcntl
    import termios
except ImportError:  # no such system calls: nothing can be told
    fcntl = termios = None  # type: ignore[assignment]

RATE = 500  # iterations a second; fewer are no spin
SURE_RATE = 3000  # where it is not exact what was taken
TAIL = 256  # records that are looked at
FEWEST_POLLS = 4  # among them
FEW = 64  # armed sides of a loop without a recorder
SAMPLES, MORE_SAMPLES = 5, 600  # looks that follow each other at once, before it is said; where it is not exact
_SO_MEMINFO = 55
_LISTEN = 10


@dataclass(slots=True, frozen=True)
class Evidence:
    """What is equal as long as nobody takes from a descriptor (or, armed for writing, puts into it)."""

    value: Any
    exact: bool = True  # else it may be equal although somebody has


@dataclass(slots=True)
class Suspect:
    """A side of a descriptor that was ready at every look since *since_ns*, and from which nothing was taken."""

    fd: int
    side: int  # READ or WRITE
    since_ns: int
    evidence: Evidence
    block: Any = None  # what was said about it

    @property
    def direction(self) -> str:
        return "read" if self.side == READ else "write"


class Unread:
    """What is remembered of one loop from one look to the next."""

    def __init__(self, native_id: int) -> None:
        self._thread = native_id
        self._last = (0, 0)  # time and iteration of the last look
        self.suspects: dict[tuple[int, int], Suspect] = {}

    def look(self, loop: Any, iteration: int, now: int, patience: int) -> list[Suspect]:
        """Look, four times in *patience* ns; returns those of which nothing was taken for so long."""
        before, first = self._last
        span = now - before
        if span * 4 < patience:
            return []
        self._last = (now, iteration)
        rate = (iteration - first) * 10**9 // span
        if rate < RATE:
            self._keep({})
            return []
        sides = _always_ready(loop)
        if sides is None:  # cannot be told at this look
            return []
        kept = {}
        for fd, side in sides:
            evidence = evidence_of(fd, side, self._thread)
            if evidence is None or (rate < SURE_RATE and not evidence.exact):
                continue
            known = self.suspects.get((fd, side))
            if known is None or known.evidence != evidence:
                kept[fd, side] = Suspect(fd, side, now, evidence)
            else:
                kept[fd, side] = known
        self._keep(kept)
        old = [each for each in kept.values() if now - each.since_ns >= patience]
        return [each for each in old if each.block is not None or self._confirmed(each)]

    def _confirmed(self, suspect: Suspect) -> bool:
        """True if a series of looks finds the same."""
        for _ in range(SAMPLES if suspect.evidence.exact else MORE_SAMPLES):
            if evidence_of(suspect.fd, suspect.side, self._thread) != suspect.evidence:
                suspect.since_ns = time.monotonic_ns()
                return False
            time.sleep(0.0005)
        return True

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
        return [(fd, side) for fd, both in sides for side, entry in both if isinstance(entry, Handle)]
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
    return [(fd, side) for (fd, side), times in found.items() if times >= polls - 1 and _is_callback(poller, fd, side)]


def _is_callback(poller: Any, fd: int, side: int) -> bool:
    return isinstance(poller.reader(fd) if side == READ else poller.writer(fd), Handle)


# --- what the kernel knows -------------------------------------------------------------------------------------------------


def evidence_of(fd: int, side: int, thread: int) -> Evidence | None:
    """That nobody in the thread with that native id has taken from *fd*. None: it is not ready, or nothing can be told."""
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
            return _of_file(side, thread)
        try:
            return _of_socket(sock, side)
        finally:
            sock.detach()  # it is the program's
    except OSError:  # closed meanwhile
        return None


def _of_file(side: int, thread: int) -> Evidence | None:
    """How many bytes the thread has read (written) in its life, and by how many calls, of any file but sockets."""
    try:
        with open(f"/proc/self/task/{thread}/io", "rb") as file:
            numbers = dict(line.split(b": ") for line in file.read().splitlines())
    except (OSError, ValueError):  # the system keeps no such accounts
        return None
    names = (b"rchar", b"syscr") if side == READ else (b"wchar", b"syscw")
    return Evidence(tuple(numbers.get(name) for name in names))


def _of_socket(sock: socket.socket, side: int) -> Evidence | None:
    fd = sock.fileno()
    waiting = _amount(fd, termios.FIONREAD)
    left = _amount(fd, termios.TIOCOUTQ)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        if sock.type == socket.SOCK_STREAM and hasattr(socket, "TCP_INFO"):
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            if info[:1] == bytes([_LISTEN]):
                line, room = struct.unpack_from("=II", info, 24)
                return None if 2 * line > room else Evidence(line, exact=False)
            if len(info) >= 136 and waiting is not None and left is not None:
                acknowledged, received = struct.unpack_from("=QQ", info, 120)
                if side == WRITE:
                    return Evidence(acknowledged + left)
                return Evidence(received - waiting) if waiting == _amount(fd, termios.FIONREAD) else None
        if sock.type == socket.SOCK_DGRAM:
            held, room = struct.unpack_from("=II", sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))
            return None if 2 * held > room and side == READ else Evidence((waiting, left, held), exact=False)
    elif sock.type != socket.SOCK_STREAM:
        return None  # the next packet is all that is known of the line
    return Evidence((waiting, left), exact=False)


def _amount(fd: int, what: int) -> int | None:
    try:
        return int(struct.unpack("=i", fcntl.ioctl(fd, what, b"\0\0\0\0"))[0])
    except OSError:
        return None


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
