"""The loop classes that the tests build by name: `SelectorEventLoop(selector)` and the loop without sockets, `BaseEventLoop`.

What lives here: yieldloop's loop under these two constructors. What may not: any method that changes behaviour.

CPython's test utilities derive a loop in virtual time from BaseEventLoop: they override `time()` and `_run_once()`, put their
own selector in place, expect that nothing ever blocks, and learn of each timer because `call_later` goes through `call_at`,
which they override too. So BaseEventLoop here is our whole loop on a poller that never waits, with that one detour.
"""

import asyncio

import yieldloop
from yieldloop.pollers.base import FdPoller

SelectorEventLoop = yieldloop.EventLoop


class NeverWaits(FdPoller):
    """Each poll is over at once and nothing is ready; there is nobody to wake."""

    def _set(self, fd, old, new):
        pass

    def poll(self, timeout):
        pass

    def wake(self):
        pass


class BaseEventLoop(yieldloop.EventLoop):
    """Our loop on the poller that never waits."""

    def __init__(self):
        super().__init__(poller=NeverWaits())

    def call_later(self, delay, callback, *args, context=None):
        return self.call_at(self.time() + delay, callback, *args, context=context)

    async def _sendfile_native(self, transp, file, offset, count):
        # CPython's tests of the fallback call this one by its class: a loop without sockets has no system call for it.
        raise asyncio.SendfileNotAvailableError("sendfile syscall is not supported")
