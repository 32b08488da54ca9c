"""Pipes: `connect_read_pipe` and `connect_write_pipe`.

What lives here: from a file object to a transport that has told its protocol. What may not: bytes (``transports/pipe.py``).
"""

from __future__ import annotations

from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.core import logger
from yieldloop.loop.base import BaseLoop

skip_globals(globals())


class PipeMixin(BaseLoop):
    """Pipe ends, FIFOs, sockets and character devices as transports of one direction."""

    _transports: Any  # by descriptor; `EventLoop` makes it

    def _make_read_pipe_transport(self, pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None) -> Any:
        self._check_closed()
        from yieldloop.transports.pipe import ReadPipeTransport

        return ReadPipeTransport(self, pipe, protocol, waiter, extra)

    def _make_write_pipe_transport(self, pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None) -> Any:
        self._check_closed()
        from yieldloop.transports.pipe import WritePipeTransport

        return WritePipeTransport(self, pipe, protocol, waiter, extra)

    async def connect_read_pipe(self, protocol_factory: Any, pipe: Any) -> Any:
        """Read *pipe*, a file object that the transport owns from now on; returns (transport, protocol). A cancellation point.

        It is made non-blocking. ValueError for a regular file or a directory, which then stays the caller's.
        """
        protocol = protocol_factory()
        waiter = self.create_future()
        transport = self._make_read_pipe_transport(pipe, protocol, waiter)
        await self._connected(transport, waiter)
        if self._debug:
            logger.debug("Read pipe %r connected: (%r, %r)", pipe, transport, protocol)
        return transport, protocol

    async def connect_write_pipe(self, protocol_factory: Any, pipe: Any) -> Any:
        """As `connect_read_pipe`, to write to *pipe*."""
        protocol = protocol_factory()
        waiter = self.create_future()
        transport = self._make_write_pipe_transport(pipe, protocol, waiter)
        await self._connected(transport, waiter)
        if self._debug:
            logger.debug("Write pipe %r connected: (%r, %r)", pipe, transport, protocol)
        return transport, protocol

    async def _connected(self, transport: Any, waiter: Any) -> None:
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
