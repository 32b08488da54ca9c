"""The C leaf of the datagram transport, in Python: datagrams in and out of a non-blocking socket, as many a call as it can.

What lives here: system calls, and what addresses look like. What may not: a protocol's state, flow control, what an error means.
``_udpio.pyx`` is the compiled twin with the same names. There, what has arrived is fetched by one `recvmmsg` and what is
queued leaves by one `sendmmsg` where the kernel has them; here each is a loop over `recvfrom` and `sendto`.

"Not now" (EAGAIN, EINTR) is a return value and not an exception, as in ``_sockio``.
"""

from __future__ import annotations

import contextvars
from typing import Any

from yieldloop.transports._sockio import NOW

BATCH = 32  # datagrams received, or sent, by one call at most: what one transport may keep the others waiting for
LARGEST = 256 * 1024  # bytes; asyncio's. UDP's own limit is 64 KiB, a Unix datagram may be as large as the sender's buffer
AGAIN = -1  # the call would have blocked


class Datagrams:
    """The datagrams of one socket. The transport keeps the socket and closes it."""

    __slots__ = ("_sock",)

    def __init__(self, sock: Any, fd: int) -> None:
        self._sock = sock

    def receive(self) -> list[Any] | None:
        """What has arrived: data, sender, data, sender, … for one datagram at least; None if there is nothing now. OSError.

        An error that comes after the first datagram stands in the place of a sender, with None as its data.
        """
        batch: list[Any] = []
        while len(batch) < 2 * BATCH:
            try:
                batch += self._sock.recvfrom(LARGEST, NOW)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as exc:
                if not batch:
                    raise
                batch += (None, exc)
                break
        return batch or None

    def send(self, data: Any, address: Any) -> int:
        """Send one datagram to *address* (None: the socket is connected); 1, or AGAIN.

        OSError of the kernel and of the look-up of a host name; TypeError and the like for what is no address.
        """
        try:
            if address is None:
                self._sock.send(data, NOW)
            else:
                self._sock.sendto(data, NOW, address)
        except (BlockingIOError, InterruptedError):
            return AGAIN
        return 1

    def send_some(self, queue: list[Any], first: int) -> int:
        """Send from *queue* (data, address, data, address, …), beginning at index *first*; the number of datagrams, or AGAIN.

        At most BATCH. An error is that of the first datagram: what was sent before another one failed is returned, and the next
        call raises.
        """
        return self.send(queue[first], queue[first + 1])


def tell_two(context: contextvars.Context, protocol: Any, method: str, one: Any, two: Any) -> Any:
    """``protocol.method(one, two)`` in a copy of *context*."""
    return context.copy().run(getattr(protocol, method), one, two)
