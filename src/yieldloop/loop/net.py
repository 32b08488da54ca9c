"""Connections and servers: from an address to a transport.

What lives here: who is connected to whom, in which order addresses are tried, which socket options are set, what happens when
nothing can be accepted. What may not: bytes and TLS (``transports/``), names (``resolver``).
"""

from __future__ import annotations

import asyncio
import collections.abc
import contextvars
import errno
import os
import socket
import sys
from asyncio import trsock
from asyncio.base_events import _check_ssl_socket  # type: ignore[attr-defined]
from typing import Any

from yieldloop.engine._leaf import skip_globals
from yieldloop.engine.core import logger
from yieldloop.loop.connecting import interleave_families, one_error, race
from yieldloop.loop.resolver import ResolverMixin
from yieldloop.loop.server import Server
from yieldloop.loop.starttls import take_read_ahead

skip_globals(globals())

NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)  # of accept(2): it will not help to ask again at once
ACCEPT_PAUSE = 1.0  # s; then others may have closed something
# accept(2) on Linux hands on what the network had for the connection that it would have returned: that one is gone, no more.
GONE = frozenset(
    getattr(errno, name)
    for name in (
        "ECONNABORTED", "ENETDOWN", "EPROTO", "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH", "EOPNOTSUPP", "ENETUNREACH",
        "EPERM",  # a firewall's rule
    )
    if hasattr(errno, name)
)  # fmt: skip


class NetMixin(ResolverMixin):
    """Stream connections over sockets."""

    _accept_pauses: dict[Any, Any]  # by listening socket: the timer after which accepting goes on; `EventLoop` makes it

    # --- transports ----------------------------------------------------------------------------------------------------

    def _make_socket_transport(
        self, sock: Any, protocol: Any, waiter: Any = None, *, extra: Any = None, server: Any = None, context: Any = None
    ) -> Any:
        from yieldloop.transports.tcp import TcpTransport

        return TcpTransport(self, sock, protocol, waiter, extra, server, context)

    def _make_ssl_transport(
        self, sock: Any, protocol: Any, sslcontext: Any, waiter: Any = None, *, server_side: bool = False,
        server_hostname: Any = None, extra: Any = None, server: Any = None, ssl_handshake_timeout: Any = None,
        ssl_shutdown_timeout: Any = None, context: Any = None,
    ) -> Any:  # fmt: skip
        from yieldloop.transports.tls import make_tls

        layer, transport = make_tls(
            self, protocol, sslcontext, waiter, server_side, server_hostname, False,
            ssl_handshake_timeout, ssl_shutdown_timeout, context,
        )  # fmt: skip
        self._make_socket_transport(sock, layer, extra=extra, server=server, context=context)
        return transport

    async def _transport_for(
        self, sock: Any, protocol_factory: Any, ssl: Any, server_hostname: Any, server_side: bool, handshake: Any, shutdown: Any
    ) -> Any:
        """(transport, protocol) once the protocol was told of its connection, and the TLS handshake, if any, is done."""
        try:
            sock.setblocking(False)
            protocol = protocol_factory()
            waiter = self.create_future()
            if ssl:
                transport = self._make_ssl_transport(
                    sock, protocol, None if isinstance(ssl, bool) else ssl, waiter, server_side=server_side,
                    server_hostname=server_hostname, ssl_handshake_timeout=handshake, ssl_shutdown_timeout=shutdown,
                )  # fmt: skip
            else:
                transport = self._make_socket_transport(sock, protocol, waiter)
        except BaseException:
            sock.close()  # also a socket that was given to us: who asked for a transport has no other way to know (cpython 153133)
            raise
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    # --- connecting ----------------------------------------------------------------------------------------------------

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, *, ssl: Any = None, family: int = 0,
        proto: int = 0, flags: int = 0, sock: Any = None, local_addr: Any = None, server_hostname: Any = None,
        ssl_handshake_timeout: Any = None, ssl_shutdown_timeout: Any = None, happy_eyeballs_delay: Any = None,
        interleave: Any = None, all_errors: bool = False,
    ) -> Any:  # fmt: skip
        """Connect to (*host*, *port*), or take the connected *sock*; returns (transport, protocol). Signature of Python 3.14.

        The addresses of *host* are tried one after the other, or with *happy_eyeballs_delay* each that many seconds after the one
        before (RFC 8305). OSError if none answers; with *all_errors* an ExceptionGroup of what went wrong.
        """
        server_hostname = _check_client_tls(ssl, server_hostname, host, ssl_handshake_timeout, ssl_shutdown_timeout)
        ours = sock is None
        if host is not None or port is not None:
            if not ours:
                raise ValueError("host/port and sock can not be specified at the same time")
            sock = await self._connect_to(
                (host, port), family, proto, flags, local_addr, happy_eyeballs_delay, interleave, all_errors
            )
        elif ours:
            raise ValueError("host and port was not specified and no sock specified")
        else:
            _check_stream_sock(sock)
        transport, protocol = await self._transport_for(
            sock, protocol_factory, ssl, server_hostname, False, ssl_handshake_timeout, ssl_shutdown_timeout
        )
        if self._debug:
            logger.debug("%r connected to %s:%r: (%r, %r)", sock, host, port, transport, protocol)
        return transport, protocol

    async def _connect_to(
        self, address: Any, family: int, proto: int, flags: int, local_addr: Any, delay: Any, interleave: Any, all_errors: bool
    ) -> Any:
        infos = await self._ensure_resolved(address, family=family, type=socket.SOCK_STREAM, proto=proto, flags=flags)
        local: Any = None
        if local_addr is not None:
            local = await self._ensure_resolved(local_addr, family=family, type=socket.SOCK_STREAM, proto=proto, flags=flags)
        if interleave is None and delay is not None:
            interleave = 1
        if interleave:
            infos = interleave_families(infos, interleave)
        errors: list[BaseException] = []
        try:
            if delay is None:
                for info in infos:
                    sock = await self._connect_one(errors, info, local)
                    if sock is not None:
                        return sock
            else:
                attempts: list[Any] = [lambda info=info: self._connect_one(errors, info, local) for info in infos]
                sock = await race(self, attempts, delay)
                if sock is not None:
                    return sock
            raise one_error(errors, all_errors)
        finally:
            errors = []  # their tracebacks hold this frame

    async def _connect_one(self, errors: list[BaseException], info: Any, local_infos: Any) -> Any:
        """A socket connected to the address of *info*; None if that failed, and why is then in *errors*."""
        family, kind, proto, _, address = info
        sock = None
        try:
            sock = socket.socket(family=family, type=kind, proto=proto)
            sock.setblocking(False)
            if local_infos is not None:
                _bind_local(sock, family, local_infos, errors)
            await self.sock_connect(sock, address)  # the public one: a program may have its own in its place
            return sock
        except OSError as exc:
            errors.append(exc)
            _close_quietly(sock)
            return None
        except BaseException:
            _close_quietly(sock)
            raise
        finally:
            del errors  # the traceback of each of them holds this frame

    async def connect_accepted_socket(
        self, protocol_factory: Any, sock: Any, *, ssl: Any = None, ssl_handshake_timeout: Any = None,
        ssl_shutdown_timeout: Any = None,
    ) -> Any:  # fmt: skip
        """(transport, protocol) for a connection that was accepted elsewhere; with *ssl* we are the server."""
        _check_tls_timeouts(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        _check_stream_sock(sock)
        return await self._transport_for(
            sock, protocol_factory, ssl, "" if ssl else None, True, ssl_handshake_timeout, ssl_shutdown_timeout
        )

    async def start_tls(
        self, transport: Any, protocol: Any, sslcontext: Any, *, server_side: bool = False, server_hostname: Any = None,
        ssl_handshake_timeout: Any = None, ssl_shutdown_timeout: Any = None,
    ) -> Any:  # fmt: skip
        """Speak TLS from now on: returns the transport that *protocol* uses instead of *transport*. TypeError for what cannot."""
        import ssl

        from yieldloop.transports.tls import make_tls

        if not isinstance(sslcontext, ssl.SSLContext):
            raise TypeError(f"sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}")
        if not getattr(transport, "_start_tls_compatible", False):
            raise TypeError(f"transport {transport!r} is not supported by start_tls()")
        waiter = self.create_future()
        layer, above = make_tls(
            self, protocol, sslcontext, waiter, server_side, server_hostname, True, ssl_handshake_timeout, ssl_shutdown_timeout
        )
        transport.pause_reading()  # not one byte of the handshake may reach the old protocol
        transport.set_protocol(layer)
        if server_side:  # the client's hello may have come with its wish for TLS (cpython 142352)
            layer.preload(take_read_ahead(protocol))
        made = self.call_soon(layer.connection_made, transport)
        resumed = self.call_soon(transport.resume_reading)
        try:
            await waiter
        except BaseException:
            transport.close()
            made.cancel()
            resumed.cancel()
            raise
        return above

    # --- serving -------------------------------------------------------------------------------------------------------

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Any, host: Any = None, port: Any = None, *, family: int = socket.AF_UNSPEC,
        flags: int = socket.AI_PASSIVE, sock: Any = None, backlog: int = 100, ssl: Any = None, reuse_address: Any = None,
        reuse_port: Any = None, keep_alive: Any = None, ssl_handshake_timeout: Any = None, ssl_shutdown_timeout: Any = None,
        start_serving: bool = True,
    ) -> Server:  # fmt: skip
        """Listen on every address of *host* (a name, a sequence of names, "" or None for all interfaces), or on *sock*.

        Signature of Python 3.14. Returns a `Server`; *protocol_factory* is called for every connection.
        """
        if isinstance(ssl, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        _check_tls_timeouts(ssl is not None, ssl_handshake_timeout, ssl_shutdown_timeout)
        if sock is not None:
            _check_ssl_socket(sock)
        if host is not None or port is not None:
            if sock is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            if reuse_address is None:
                reuse_address = os.name == "posix" and sys.platform != "cygwin"
            sockets = self._bind_all(await self._addresses_of(host, port, family, flags), reuse_address, reuse_port, keep_alive)
        else:
            if sock is None:
                raise ValueError("Neither host/port nor sock were specified")
            _check_stream_sock(sock)
            sockets = [sock]
        for listener in sockets:
            listener.setblocking(False)
        server = self._make_server(
            protocol_factory, sockets, backlog, ssl, ssl_handshake_timeout, ssl_shutdown_timeout
        )
        if start_serving:
            try:
                server._start_serving()
            except BaseException:
                server.close()
                raise
            await asyncio.sleep(0)  # a turn of the loop, as in the standard library
        if self._debug:
            logger.info("%r is serving", server)
        return server

    async def _addresses_of(self, host: Any, port: Any, family: int, flags: int) -> list[Any]:
        if host == "":
            hosts: Any = [None]
        elif isinstance(host, str) or not isinstance(host, collections.abc.Iterable):
            hosts = [host]
        else:
            hosts = list(host)
        found: dict[Any, None] = {}  # each address once, in the order given
        for name in hosts:
            infos = await self._ensure_resolved((name, port), family=family, type=socket.SOCK_STREAM, flags=flags)
            found.update(dict.fromkeys(infos))
        return list(found)

    def _bind_all(self, infos: list[Any], reuse_address: Any, reuse_port: Any, keep_alive: Any) -> list[Any]:
        sockets: list[Any] = []
        try:
            for info in infos:
                sock = self._bind_one(info, reuse_address, reuse_port, keep_alive)
                if sock is not None:
                    sockets.append(sock)
            if not sockets:
                raise OSError(f"could not bind on any address out of {[info[4] for info in infos]!r}")
        except BaseException:
            for sock in sockets:
                sock.close()
            raise
        return sockets

    def _bind_one(self, info: Any, reuse_address: Any, reuse_port: Any, keep_alive: Any) -> Any:
        """A socket bound to the address of *info*, or None if this machine has no such kind of address."""
        family, kind, proto, _, address = info
        try:
            sock = socket.socket(family, kind, proto)
        except OSError:
            if self._debug:
                logger.warning("create_server() failed to create socket.socket(%r, %r, %r)", family, kind, proto, exc_info=True)
            return None
        try:
            if reuse_address:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port and family in (socket.AF_INET, socket.AF_INET6):  # Linux 6.12.9 refuses it on others
                _set_reuse_port(sock)
            if keep_alive:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if family == socket.AF_INET6 and hasattr(socket, "IPPROTO_IPV6"):
                # IPv4 has a socket of its own; one that took both would have taken that one's address
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            return sock
        except OSError as exc:
            sock.close()
            if exc.errno == errno.EADDRNOTAVAIL:  # the family is there, but switched off
                if self._debug:
                    logger.warning("no socket on %r: %s", address, exc)
                return None
            if exc.errno is None:
                raise
            text = f"error while attempting to bind on address {address!r}: {str(exc).lower()}"
            raise OSError(exc.errno, text) from None
        except BaseException:
            sock.close()
            raise

    def _make_server(self, factory: Any, sockets: list[Any], backlog: int, ssl: Any, handshake: Any, shutdown: Any) -> Server:
        def serve(server: Server, sock: Any) -> None:
            self._start_serving(factory, sock, ssl, server, backlog, handshake, shutdown, server._context)

        return Server(self, sockets, serve, backlog)

    def _start_serving(
        self, protocol_factory: Any, sock: Any, sslcontext: Any = None, server: Any = None, backlog: int = 100,
        ssl_handshake_timeout: Any = None, ssl_shutdown_timeout: Any = None, context: Any = None,
    ) -> None:  # fmt: skip
        """Accept on *sock* whenever somebody knocks."""
        args = (protocol_factory, sock, sslcontext, server, backlog, ssl_handshake_timeout, ssl_shutdown_timeout)
        if sock.fileno() >= 0:  # it was closed while the accepting paused
            self._add_reader(sock, self._accept, *args, contextvars.copy_context() if context is None else context)

    def _stop_serving(self, sock: Any) -> None:
        pause = self._accept_pauses.pop(sock, None)
        if pause is not None:
            pause.cancel()
        if sock.fileno() >= 0:
            self._poller.forget(sock.fileno())
        sock.close()

    def _accept(
        self, factory: Any, sock: Any, sslcontext: Any, server: Any, backlog: int, handshake: Any, shutdown: Any, context: Any
    ) -> None:
        for _ in range(backlog + 1):
            if sock.fileno() < 0:
                return  # closed by what was just accepted
            try:
                conn, address = sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                if exc.errno in GONE or isinstance(exc, ConnectionAbortedError):
                    continue
                self._pause_accepting(exc, (factory, sock, sslcontext, server, backlog, handshake, shutdown, context))
                return
            conn.setblocking(False)
            context.copy().run(self._take, factory, conn, address, sslcontext, server, handshake, shutdown)

    def _pause_accepting(self, exc: OSError, args: Any) -> None:
        """No room, or something that asking again at once will not change either (EBADF, EINVAL): ask again later."""
        sock = args[1]
        text = "socket.accept() out of system resource" if exc.errno in NO_ROOM else "socket.accept() failed; it is tried again"
        self._remove_reader(sock)
        self._accept_pauses[sock] = self.call_later(ACCEPT_PAUSE, self._go_on_accepting, sock, args)
        self.call_exception_handler({"message": text, "exception": exc, "socket": trsock.TransportSocket(sock)})

    def _go_on_accepting(self, sock: Any, args: Any) -> None:
        del self._accept_pauses[sock]
        self._start_serving(*args)

    def _take(self, factory: Any, conn: Any, address: Any, sslcontext: Any, server: Any, handshake: Any, shutdown: Any) -> None:
        """A connection came in. Runs in a context of its own, which becomes the connection's."""
        protocol = None
        try:
            protocol = factory()
            if sslcontext is None:
                self._make_socket_transport(conn, protocol, extra={"peername": address}, server=server)
                return
            waiter = self.create_future()
            transport = self._make_ssl_transport(
                conn, protocol, sslcontext, waiter, server_side=True, extra={"peername": address}, server=server,
                ssl_handshake_timeout=handshake, ssl_shutdown_timeout=shutdown,
            )  # fmt: skip
        except (SystemExit, KeyboardInterrupt):
            conn.close()
            raise
        except BaseException as exc:
            conn.close()
            self._report_connection(exc, protocol, None)
            return

        def handshake_done(waiter: Any) -> None:
            if waiter.cancelled():
                return
            exc = waiter.exception()
            if exc is not None:
                transport.close()
                if self._debug:
                    self._report_connection(exc, protocol, transport)

        waiter.add_done_callback(handshake_done)

    def _report_connection(self, exc: BaseException, protocol: Any, transport: Any) -> None:
        context = {"message": "Error on transport creation for incoming connection", "exception": exc}
        if protocol is not None:
            context["protocol"] = protocol
        if transport is not None:
            context["transport"] = transport
        self.call_exception_handler(context)


# --- checks of arguments, with the standard library's words -------------------------------------------------------------


def _check_tls_timeouts(ssl: Any, handshake: Any, shutdown: Any) -> None:
    if handshake is not None and not ssl:
        raise ValueError("ssl_handshake_timeout is only meaningful with ssl")
    if shutdown is not None and not ssl:
        raise ValueError("ssl_shutdown_timeout is only meaningful with ssl")


def _check_client_tls(ssl: Any, server_hostname: Any, host: Any, handshake: Any, shutdown: Any) -> Any:
    """The name that the server's certificate has to bear (None without TLS)."""
    if server_hostname is not None and not ssl:
        raise ValueError("server_hostname is only meaningful with ssl")
    if server_hostname is None and ssl:
        if not host:  # server_hostname="" is the way to say that no name is to be checked
            raise ValueError("You must set server_hostname when using ssl without a host")
        server_hostname = host
    _check_tls_timeouts(ssl, handshake, shutdown)
    return server_hostname


def _check_stream_sock(sock: Any) -> None:
    _check_ssl_socket(sock)
    if sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A Stream Socket was expected, got {sock!r}")


def _close_quietly(sock: Any) -> None:
    """Close a socket, or None, on the way out of a failure, which is more than what closing may have to say."""
    if sock is not None:
        try:
            sock.close()
        except OSError:
            pass


def _set_reuse_port(sock: Any) -> None:
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ValueError("reuse_port not supported by socket module")
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        raise ValueError("reuse_port not supported by socket module, SO_REUSEPORT defined but not implemented.")


def _bind_local(sock: Any, family: int, local_infos: Any, errors: list[BaseException]) -> None:
    """Bind *sock* to the first of the local addresses that fits and is free; OSError if there is none."""
    last: OSError | None = None
    for local_family, _, _, _, address in local_infos:
        if local_family != family:
            continue
        try:
            sock.bind(address)
            if last is not None:
                errors.append(last)  # why it is this address and no other belongs to the story if the connect fails
            return
        except OSError as exc:
            if last is not None:
                errors.append(last)
            last = OSError(exc.errno, f"error while attempting to bind on address {address!r}: {str(exc).lower()}")
    try:
        raise last or OSError(f"no matching local address with family={family!r} found")
    finally:
        del last, errors  # the traceback holds this frame
