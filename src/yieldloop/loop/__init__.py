"""Level 5: the asyncio face of the loop.

`EventLoop` is put together here from the parts beside this file, each of which is one concern. Scheduling is the engine's.
"""

from __future__ import annotations

from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.loop import dead
from yieldloop.loop.children import ChildrenMixin
from yieldloop.loop.datagram import DatagramMixin
from yieldloop.loop.fds import FdMixin
from yieldloop.loop.sendfile import SendfileMixin
from yieldloop.loop.signals import SignalMixin
from yieldloop.loop.table import TransportTable
from yieldloop.loop.unix import UnixMixin
from yieldloop.pollers import from_selector, new_poller

skip_globals(globals())


class EventLoop(ChildrenMixin, SendfileMixin, UnixMixin, DatagramMixin, FdMixin, SignalMixin):  # type: ignore[misc]
    """An `asyncio.AbstractEventLoop` on the engine.

    *poller* is ``"epoll"``, ``"poll"``, ``"select"``, ``"kqueue"``, a poller object, or a `selectors` object of the same kernel
    interface; by default ``YIELDLOOP_POLLER`` decides, else the best that the system has. *clock* is an object whose ``time()``
    gives seconds, instead of the machine's monotonic clock.
    """

    def __init__(self, selector: Any = None, *, poller: Any = None, clock: Any = None) -> None:
        can_be_dead = dead.switched_on()  # first: a wrong word there is told before anything is opened
        if poller is None and selector is not None:
            poller = from_selector(selector)
        elif poller is None or isinstance(poller, str):
            poller = new_poller(poller)
        self._transports = TransportTable()
        self._accept_pauses: dict[Any, Any] = {}
        super().__init__(poller, clock)
        self.set_dead_loop_check(can_be_dead)

    def set_debug(self, enabled: bool) -> None:
        """Debug mode: checks of threads, slow callbacks, and where tasks, handles and transports were made."""
        super().set_debug(enabled)
        self._transports.notes = self._debug

    def _count_transports(self) -> int:
        return sum(transport.get_protocol() is not None for transport in list(self._transports.values()))

    def _count_children(self) -> int:
        return len(self._children)


def new_event_loop() -> EventLoop:
    """A new loop with the default poller."""
    return EventLoop()
