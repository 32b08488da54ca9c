"""Datagram endpoints: from addresses to a transport.

What lives here: which sockets are made for which addresses, and with which options. What may not: datagrams (``transports/udp``),
names (``resolver``).
"""

from __future__ import annotations

import socket
from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.core import logger
from yieldloop.loop.net import _set_reuse_port
from yieldloop.loop.paths import remove_stale_socket
from yieldloop.loop.resolver import ResolverMixin

skip_globals(globals())


class DatagramMixin(ResolverMixin):
    """UDP and Unix datagram sockets."""

    def _make_datagram_transport(
        self, sock: Any, protocol: Any, address: Any = None, waiter: Any = None, extra: Any = None
    ) -> Any:
        from yieldloop.transports.udp import UdpTransport

        return UdpTransport(self, sock, protocol, address, waiter, extra)

    async def create_datagram_endpoint(  # type: ignore[override]
        self, protocol_factory: Any, local_addr: Any = None, remote_addr: Any = None, *, family: int = 0, proto: int = 0,
        flags: int = 0, reuse_port: Any = None, allow_broadcast: Any = None, sock: Any = None,
    ) -> Any:  # fmt: skip
        """A datagram socket bound to *local_addr*, connected to *remote_addr*, or *sock*; returns (transport, protocol).

        Signature of Python 3.14. The addresses are (host, port), or with *family* AF_UNIX paths and abstract names; a stale
        socket file at the local one is removed. With *allow_broadcast* the socket is not connected, since the answers come
        from other addresses. There is no *reuse_address*: with it any other process could take the port over (bpo-37228);
        *reuse_port* shares it with processes of the same user. OSError of the first address if none can be used. A cancellation
        point.
        """
        if sock is not None:
            options = {
                "local_addr": local_addr, "remote_addr": remote_addr, "family": family, "proto": proto, "flags": flags,
                "reuse_port": reuse_port, "allow_broadcast": allow_broadcast,
            }  # fmt: skip
            _check_datagram_sock(sock, options)
            sock.setblocking(False)
            address = None
        else:
            pairs = await self._address_pairs(local_addr, remote_addr, family, proto, flags)
            sock, address = await self._first_endpoint(pairs, reuse_port, allow_broadcast)
        protocol = _made(protocol_factory, sock)
        waiter = self.create_future()
        transport = self._make_datagram_transport(sock, protocol, address, waiter)
        if self._debug:
            text = "Datagram endpoint local_addr=%r remote_addr=%r created: (%r, %r)"
            logger.info(text, local_addr, remote_addr, transport, protocol)
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    async def _address_pairs(self, local: Any, remote: Any, family: int, proto: int, flags: int) -> list[Any]:
        """(family, proto, local address, remote address) of every endpoint that is to be tried, in order."""
        if not local and not remote:
            if family == 0:
                raise ValueError("unexpected address family")
            return [(family, proto, None, None)]
        if hasattr(socket, "AF_UNIX") and family == socket.AF_UNIX:
            for address in (local, remote):
                if address is not None and not isinstance(address, str):
                    raise TypeError(f"string is expected: a path or an abstract name, not {address!r}")
            if local:
                remove_stale_socket(local)
            return [(family, proto, local, remote)]
        found: dict[Any, list[Any]] = {}
        for place, address in enumerate((local, remote)):
            if address is None:
                continue
            if not (isinstance(address, tuple) and len(address) == 2):
                raise TypeError(f"2-tuple is expected: an address is (host, port), not {address!r}")
            infos = await self._ensure_resolved(address, family=family, type=socket.SOCK_DGRAM, proto=proto, flags=flags)
            for found_family, _, found_proto, _, found_address in infos:
                found.setdefault((found_family, found_proto), [None, None])[place] = found_address
        pairs = [(*key, *pair) for key, pair in found.items() if (pair[0] or not local) and (pair[1] or not remote)]
        if not pairs:
            raise ValueError(f"can not get address information: {local!r} and {remote!r} have no address family in common")
        return pairs

    async def _first_endpoint(self, pairs: list[Any], reuse_port: Any, allow_broadcast: Any) -> tuple[Any, Any]:
        """(socket, address that everything goes to) of the first pair that can be used; OSError of the first if none can."""
        first_error = None
        for family, proto, local, remote in pairs:
            try:
                return await self._open_endpoint(family, proto, local, remote, reuse_port, allow_broadcast), remote
            except OSError as exc:
                if first_error is None:
                    first_error = exc
        try:
            raise first_error or OSError("no address to try")
        finally:
            first_error = None  # its traceback holds this frame

    async def _open_endpoint(
        self, family: int, proto: int, local: Any, remote: Any, reuse_port: Any, allow_broadcast: Any
    ) -> Any:
        sock = socket.socket(family=family, type=socket.SOCK_DGRAM, proto=proto)
        try:
            if reuse_port:
                _set_reuse_port(sock)
            if allow_broadcast:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.setblocking(False)
            if local:
                sock.bind(local)
            if remote and not allow_broadcast:
                await self.sock_connect(sock, remote)  # the public one: a program may have its own in its place
            return sock
        except BaseException:
            sock.close()
            raise


def _made(protocol_factory: Any, sock: Any) -> Any:
    try:
        return protocol_factory()
    except BaseException:
        sock.close()  # nobody else has it yet; the standard library leaves it to the collector
        raise


def _check_datagram_sock(sock: Any, options: dict[str, Any]) -> None:
    """Raise what the standard library raises for a socket that is none for datagrams, or for options beside it."""
    if sock.type == socket.SOCK_STREAM:
        raise ValueError(f"A datagram socket was expected, got {sock!r}")
    problems = ", ".join(f"{name}={value}" for name, value in options.items() if value)
    if problems:
        raise ValueError(f"socket modifier keyword arguments can not be used when sock is specified. ({problems})")
